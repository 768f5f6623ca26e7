/*
 * arena_pretrain.c: random traffic before the first decision, for models that want to be fitted first. It comes from
 * plays of its own, and only from their time before the first event and from users who were there at the
 * beginning: nobody is told today who comes tomorrow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/arena.h"

#include <math.h>

enum { STREAM_PRETRAIN = 0x7072, REPORT_EVERY = 64, MOST_EMPTY_PLAYS = 3 };

typedef struct lessons {
    eval_table *table;
    eval_player *player;
    bool speaks;
    forage_rng rng;
    uint64_t wanted, done;
    uint32_t *items; /* [positions] */
    float *propensity, *reward;
} lessons;

static forage_status one_lesson(lessons *l, forage_play *play, const forage_visit *visit, forage_error *error)
{
    const eval_track_shape *shape = &l->table->shape;
    size_t positions = shape->positions, count;
    const forage_feedback *feedback;
    double earned;
    forage_request request = visit->request;
    size_t candidates = request.candidates ? request.candidate_count : shape->items;
    eval_choose_uniform(&l->rng, &request, shape->items, positions, l->items);
    FORAGE_TRY(forage_play_answer(play, l->items, positions, &feedback, &count, NULL, &earned, error));
    if (visit->new_user)
        return FORAGE_OK;
    for (size_t p = 0; p < positions; ++p) {
        l->propensity[p] = 1 / (float)candidates;
        l->reward[p] = positions == 1 ? (float)earned : 0;
    }
    for (size_t i = 0; i < count && positions > 1; ++i)
        if (feedback[i].decision == request.id && feedback[i].position < positions)
            l->reward[feedback[i].position] = feedback[i].reward;
    /* Time runs up to 0, where the play begins. */
    request.time = (int64_t)l->done - (int64_t)l->wanted;
    FORAGE_TRY(eval_player_teach(l->player, &request, l->items, l->propensity, l->reward, error));
    if (++l->done % REPORT_EVERY == 0)
        FORAGE_TRY(eval_arena_progress(l->table, REPORT_EVERY, l->speaks, l->player->agent->name, error));
    return FORAGE_OK;
}

static forage_status one_play(lessons *l, uint64_t seed, forage_error *error)
{
    const eval_track_shape *shape = &l->table->shape;
    uint64_t until = shape->event_count ? shape->events[0].visit : UINT64_MAX;
    forage_status status;
    forage_visit visit;
    forage_play *play;
    FORAGE_TRY(forage_play_create(l->table->environment, seed, &play, error));
    while (l->done < l->wanted) {
        bool more;
        FORAGE_TRY_GOTO(forage_play_next(play, &visit, &more, error), end);
        if (!more || visit.request.id >= until)
            break;
        FORAGE_TRY_GOTO(one_lesson(l, play, &visit, error), end);
    }
    status = FORAGE_OK;
end:
    forage_play_free(play);
    return status;
}

static forage_status teach(lessons *l, uint64_t seed, forage_error *error)
{
    int empty = 0;
    while (l->done < l->wanted) {
        uint64_t before = l->done;
        FORAGE_TRY(one_play(l, seed, error));
        seed = forage_rng_u64(&l->rng);
        empty = l->done == before ? empty + 1 : 0;
        if (empty == MOST_EMPTY_PLAYS)
            return forage_fail(
                error, FORAGE_UNSUPPORTED,
                "agent %s wants %llu rows of random traffic beforehand, but here nothing happens before the "
                "first event",
                l->player->agent->name, (unsigned long long)l->wanted);
    }
    return forage_pipeline_refit(l->player->pipeline, NULL, error);
}

forage_status eval_arena_pretrain(eval_table *table, eval_player *player, size_t index, bool speaks,
                                  forage_error *error)
{
    uint64_t wanted = player->pipeline ? forage_pipeline_spec_pretrain(player->agent->spec) : 0;
    size_t positions = table->shape.positions;
    lessons l = {.table = table, .player = player, .speaks = speaks, .wanted = wanted};
    forage_status status;
    if (wanted == 0)
        return FORAGE_OK;
    if (table->kind != FORAGE_ENVIRONMENT_SHOP)
        return forage_fail(
            error, FORAGE_UNSUPPORTED,
            "agent %s wants %llu rows of random traffic beforehand, which only a simulated shop has: give it "
            "pretrain=0",
            player->agent->name, (unsigned long long)wanted);
    forage_rng_seed_stream(&l.rng, table->seed + index, STREAM_PRETRAIN);
    l.items = forage_calloc(positions, sizeof *l.items);
    l.propensity = forage_calloc(positions, sizeof *l.propensity);
    l.reward = forage_calloc(positions, sizeof *l.reward);
    if (l.items && l.propensity && l.reward)
        status = teach(&l, forage_rng_u64(&l.rng), error);
    else
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for random traffic");
    forage_free(l.items);
    forage_free(l.propensity);
    forage_free(l.reward);
    /* What was taught is not part of the play. */
    player->learn_seconds = 0;
    player->lessons = 0;
    return status;
}
