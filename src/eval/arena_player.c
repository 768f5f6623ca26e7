/*
 * arena_player.c: an agent at a play: a pipeline, a reference, or uniform choice, behind one set of calls that
 * measure the agent's own time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/arena.h"

#include <math.h>

/* Streams of a play's seed: the visitors' own is the environment's affair. */
enum { STREAM_UNIFORM = 0x617265, STREAM_PIPELINE };

static size_t candidates_of(const forage_request *request, size_t items)
{
    return request->candidates ? request->candidate_count : items;
}

static uint32_t candidate_at(const forage_request *request, size_t index)
{
    return request->candidates ? request->candidates[index] : (uint32_t)index;
}

void eval_choose_uniform(forage_rng *rng, const forage_request *request, size_t items, size_t positions,
                         uint32_t *chosen)
{
    size_t count = candidates_of(request, items);
    for (size_t p = 0; p < positions;) {
        uint32_t item = candidate_at(request, (size_t)forage_rng_integers(rng, count));
        bool repeated = false;
        for (size_t q = 0; q < p && count >= positions; ++q)
            repeated |= chosen[q] == item;
        if (!repeated)
            chosen[p++] = item;
    }
}

forage_status eval_player_create(const eval_agent *agent, const forage_environment *environment,
                                 const forage_play *play, uint64_t seed, eval_player *player, forage_error *error)
{
    const forage_catalogue *catalogue = forage_environment_catalogue(environment);
    forage_rng rng;
    *player = (eval_player){
        .agent = agent, .items = catalogue->items, .positions = forage_environment_positions(environment)};
    forage_rng_seed_stream(&player->rng, seed, STREAM_UNIFORM);
    if (agent->reference)
        return forage_reference_create(agent->name, play, &player->reference, error);
    if (agent->random)
        return FORAGE_OK;
    forage_rng_seed_stream(&rng, seed, STREAM_PIPELINE);
    forage_pipeline_options options = {
        .catalogue = catalogue, .seed = forage_rng_u64(&rng), .positions = player->positions};
    return forage_pipeline_create(agent->spec, &options, &player->pipeline, error);
}

void eval_player_release(eval_player *player)
{
    forage_pipeline_free(player->pipeline);
    forage_reference_free(player->reference);
    *player = (eval_player){0};
}

static forage_status choose(eval_player *player, const forage_visit *visit, uint32_t *items, forage_arena_page *page,
                            forage_error *error)
{
    forage_decision decision;
    if (player->agent->random) {
        eval_choose_uniform(&player->rng, &visit->request, player->items, player->positions, items);
        return FORAGE_OK;
    }
    if (player->reference) {
        forage_reference_choose(player->reference, visit, items);
        return FORAGE_OK;
    }
    FORAGE_TRY(forage_pipeline_decide(player->pipeline, &visit->request, &decision, error));
    for (size_t p = 0; p < player->positions; ++p)
        items[p] = decision.items[p];
    if (page) {
        page->mean = decision.mean[0];
        page->deviation = decision.deviation[0];
        page->propensity = decision.propensity[0];
    }
    return FORAGE_OK;
}

forage_status eval_player_choose(eval_player *player, const forage_visit *visit, uint32_t *items,
                                 forage_arena_page *page, forage_error *error)
{
    double start = forage_clock();
    forage_status status = choose(player, visit, items, page, error);
    player->decide_seconds += forage_clock() - start;
    player->decisions += 1;
    return status;
}

forage_status eval_player_observe(eval_player *player, const forage_feedback *feedback, size_t count,
                                  forage_error *error)
{
    double start = forage_clock();
    forage_status status = FORAGE_OK;
    size_t done;
    if (count == 0 || player->agent->random)
        return FORAGE_OK;
    if (player->reference)
        forage_reference_observe(player->reference, feedback, count);
    for (size_t first = 0; player->pipeline && first < count; first += done) {
        forage_error why = {0};
        done = 0;
        status = forage_pipeline_observe(player->pipeline, feedback + first, count - first, &done, &why);
        if (status == FORAGE_OK)
            break;
        if (status != FORAGE_UNKNOWN) {
            if (error)
                *error = why;
            break;
        }
        /* A reward for which it waits no longer. */
        status = FORAGE_OK;
        player->lost += 1;
        done += 1;
    }
    player->learn_seconds += forage_clock() - start;
    player->lessons += count;
    return status;
}

forage_status eval_player_withdraw(eval_player *player, const forage_visit *visit, forage_error *error)
{
    return player->pipeline ? forage_pipeline_withdraw(player->pipeline, visit->request.id, error) : FORAGE_OK;
}

forage_status eval_player_chance(eval_player *player, const forage_request *request, uint32_t item, double *scratch,
                                 double *chance, forage_error *error)
{
    size_t count = candidates_of(request, player->items);
    *chance = 1 / (double)count;
    if (player->agent->random)
        return FORAGE_OK;
    if (player->reference)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s cannot play a log", player->agent->name);
    double start = forage_clock();
    forage_status status = forage_pipeline_probabilities(player->pipeline, request, scratch, NULL, error);
    *chance = 0;
    for (size_t i = 0; i < count && status == FORAGE_OK; ++i)
        if (candidate_at(request, i) == item)
            *chance = scratch[i];
    player->decide_seconds += forage_clock() - start;
    player->decisions += 1;
    return status;
}

forage_status eval_player_teach(eval_player *player, const forage_request *request, const uint32_t *items,
                                const float *propensity, const float *reward, forage_error *error)
{
    if (!player->pipeline)
        return FORAGE_OK;
    double start = forage_clock();
    forage_status status = forage_pipeline_teach(player->pipeline, request, items, propensity, reward, error);
    player->learn_seconds += forage_clock() - start;
    player->lessons += player->positions;
    return status;
}
