/*
 * arena_play.c: one play of one agent, visit by visit: choose, be answered, learn; and beside it the truth of
 * what was shown, the scores and, for the first new user, the diary.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/arena.h"

#include <math.h>
#include <string.h>

enum { REPORT_EVERY = 64, BELIEF_GROUPS = 64 };

typedef struct run {
    eval_table *table;
    const eval_agent *agent;
    bool speaks;
    forage_play *play;
    eval_player player;
    eval_track *track;
    eval_outcome *outcome;
    uint32_t *items; /* [positions] */
    size_t diary;    /* pages wanted */
    uint32_t anna;   /* whose diary it is; FORAGE_NONE: nobody yet */
    double *chance;  /* [items] scratch, for diaries and logs */
    float *mean;
} run;

forage_status eval_arena_progress(eval_table *table, uint64_t visits, bool speaks, const char *name,
                                  forage_error *error)
{
    uint64_t done = atomic_fetch_add(&table->done, visits) + visits;
    /* The first worker is the thread that called: only it may speak to the caller. */
    if (speaks && !forage_progress_report(table->progress, "arena", done, table->work, name))
        atomic_store(&table->stop, true);
    if (atomic_load(&table->stop))
        return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
    return FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * The diary
 * ------------------------------------------------------------------ */

static forage_status open_diary(run *r, forage_error *error)
{
    size_t groups = r->table->shape.item_groups;
    r->outcome->pages = forage_calloc(r->diary, sizeof *r->outcome->pages);
    bool failed = !r->outcome->pages;
    if (groups > 0 && groups <= BELIEF_GROUPS)
        failed |= !(r->outcome->beliefs = forage_calloc(r->diary * 2 * groups, sizeof(float)));
    return failed ? forage_fail(error, FORAGE_NO_MEMORY, "no memory for a diary") : FORAGE_OK;
}

/* What the agent believes of each group of items, before it decides. */
static forage_status write_beliefs(run *r, const forage_visit *visit, forage_arena_page *page, forage_error *error)
{
    const eval_track_shape *shape = &r->table->shape;
    const forage_request *request = &visit->request;
    size_t count = request->candidates ? request->candidate_count : shape->items;
    if (!r->outcome->beliefs)
        return FORAGE_OK;
    page->belief = r->outcome->beliefs + r->outcome->page_count * 2 * shape->item_groups;
    page->chance = page->belief + shape->item_groups;
    for (size_t g = 0; g < shape->item_groups; ++g)
        page->belief[g] = page->chance[g] = NAN;
    if (!r->player.pipeline)
        return FORAGE_OK;
    FORAGE_TRY(forage_pipeline_probabilities(r->player.pipeline, request, r->chance, r->mean, error));
    for (size_t i = 0; i < count; ++i) {
        uint32_t group = shape->item_group[request->candidates ? request->candidates[i] : i];
        if (group >= shape->item_groups)
            continue;
        page->belief[group] = fmaxf(page->belief[group], r->mean[i]);
        page->chance[group] = (isnan(page->chance[group]) ? 0 : page->chance[group]) + (float)r->chance[i];
    }
    return FORAGE_OK;
}

/* The page of this visit, if it is one of the first new user's; NULL otherwise. */
static forage_status turn_page(run *r, const forage_visit *visit, forage_arena_page **page, forage_error *error)
{
    uint32_t user = visit->request.user;
    *page = NULL;
    if (r->outcome->page_count >= r->diary || user == FORAGE_NONE)
        return FORAGE_OK;
    if (r->anna == FORAGE_NONE && visit->new_user && visit->user_visit == 0 &&
        visit->request.id >= r->table->shape.settle)
        r->anna = user;
    if (r->anna != user)
        return FORAGE_OK;
    *page = &r->outcome->pages[r->outcome->page_count];
    **page = (forage_arena_page){.visit = visit->request.id,
                                 .user = user,
                                 .user_group = visit->user_group,
                                 .mean = NAN,
                                 .deviation = NAN,
                                 .propensity = NAN};
    return write_beliefs(r, visit, *page, error);
}

static void close_page(run *r, const eval_step *step, forage_arena_page *page)
{
    page->item = step->items[0];
    page->item_group = page->item < r->table->shape.items ? r->table->shape.item_group[page->item] : FORAGE_NONE;
    page->truth = step->value;
    page->best = step->best;
    page->reward = (float)step->earned;
    r->outcome->page_count += 1;
}

/* ------------------------------------------------------------------ *
 * Visits
 * ------------------------------------------------------------------ */

static forage_status one_visit(run *r, const forage_visit *visit, forage_error *error)
{
    size_t positions = r->table->shape.positions, count;
    const forage_feedback *feedback;
    forage_arena_page *page;
    eval_step step = {.visit = visit, .items = r->items, .accepted = true};
    FORAGE_TRY(turn_page(r, visit, &page, error));
    FORAGE_TRY(eval_player_choose(&r->player, visit, r->items, page, error));
    step.value = forage_play_value(r->play, r->items, positions);
    step.best = forage_play_best(r->play);
    FORAGE_TRY(
        forage_play_answer(r->play, r->items, positions, &feedback, &count, &step.accepted, &step.earned, error));
    eval_track_step(r->track, &step);
    for (size_t i = 0; positions > 1 && i < count; ++i)
        eval_track_feedback(r->track, &feedback[i]);
    if (page)
        close_page(r, &step, page);
    if (!step.accepted)
        FORAGE_TRY(eval_player_withdraw(&r->player, visit, error));
    return eval_player_observe(&r->player, feedback, count, error);
}

/* Sums of a log's weights: what an agent's choices would have earned, estimated as it learns. */
typedef struct log_sums {
    double weight, weighted;
    double reward;         /* of the log itself */
    uint64_t known, count; /* rows whose propensity is known; all */
} log_sums;

/* Rows without a propensity teach, but say nothing about the agent. */
static forage_status one_logged(run *r, const forage_visit *visit, log_sums *sums, forage_error *error)
{
    float propensity = visit->logged_propensity, reward = visit->logged_reward;
    const forage_feedback *feedback;
    double chance;
    size_t count;
    eval_step step = {.visit = visit, .items = r->items, .accepted = propensity > 0, .value = NAN, .best = NAN};
    r->items[0] = visit->logged_item;
    sums->count += 1;
    sums->reward += (double)reward;
    if (step.accepted) {
        FORAGE_TRY(eval_player_chance(&r->player, &visit->request, visit->logged_item, r->chance, &chance, error));
        step.earned = chance / (double)propensity * (double)reward;
        sums->known += 1;
        sums->weight += chance / (double)propensity;
        sums->weighted += step.earned;
    }
    FORAGE_TRY(forage_play_answer(r->play, r->items, 1, &feedback, &count, NULL, NULL, error));
    eval_track_step(r->track, &step);
    return eval_player_teach(&r->player, &visit->request, r->items, step.accepted ? &propensity : NULL, &reward, error);
}

/* Who could not take what, and when: a model knows neither. */
static forage_status blame(const run *r, uint64_t number, forage_status status, forage_error *error)
{
    if (status != FORAGE_INVALID || !error)
        return status;
    const forage_error what = *error;
    return forage_fail(error, status, "%s, visit %llu: %s", r->agent->name, (unsigned long long)number + 1,
                       what.message);
}

static forage_status all_visits(run *r, forage_error *error)
{
    forage_visit visit;
    log_sums sums = {0};
    uint64_t number = 0;
    bool logged = r->table->kind == FORAGE_ENVIRONMENT_LOG;
    for (;;) {
        bool more = number < r->table->shape.visits;
        if (more)
            FORAGE_TRY(forage_play_next(r->play, &visit, &more, error));
        if (!more)
            break;
        forage_status status = logged ? one_logged(r, &visit, &sums, error) : one_visit(r, &visit, error);
        if (status != FORAGE_OK)
            return blame(r, number, status, error);
        if (++number % REPORT_EVERY == 0)
            FORAGE_TRY(eval_arena_progress(r->table, REPORT_EVERY, r->speaks, r->agent->name, error));
    }
    r->outcome->ips = sums.known ? sums.weighted / (double)sums.known : NAN;
    r->outcome->snips = sums.weight > 0 ? sums.weighted / sums.weight : NAN;
    r->outcome->logged = sums.count ? sums.reward / (double)sums.count : NAN;
    return FORAGE_OK;
}

static forage_status prepare(run *r, size_t index, forage_error *error)
{
    const eval_track_shape *shape = &r->table->shape;
    uint64_t seed = r->table->seed + index;
    FORAGE_TRY(forage_play_create(r->table->environment, seed, &r->play, error));
    FORAGE_TRY(eval_player_create(r->agent, r->table->environment, r->play, seed, &r->player, error));
    FORAGE_TRY(eval_track_create(shape, &r->track, error));
    r->items = forage_calloc(shape->positions, sizeof *r->items);
    r->chance = forage_calloc(shape->items, sizeof *r->chance);
    r->mean = forage_calloc(shape->items, sizeof *r->mean);
    if (!r->items || !r->chance || !r->mean)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a play");
    r->diary = index == 0 ? r->table->diary : 0;
    if (r->diary)
        FORAGE_TRY(open_diary(r, error));
    return eval_arena_pretrain(r->table, &r->player, index, r->speaks, error);
}

static forage_status finish(run *r, forage_error *error)
{
    eval_outcome *outcome = r->outcome;
    FORAGE_TRY(eval_track_finish(r->track, outcome, error));
    outcome->decide_seconds = r->player.decide_seconds;
    outcome->learn_seconds = r->player.learn_seconds;
    outcome->decisions = r->player.decisions;
    outcome->lessons = r->player.lessons;
    outcome->lost = r->player.lost;
    if (r->player.pipeline) {
        forage_pipeline_stats stats;
        forage_pipeline_stats_of(r->player.pipeline, &stats);
        outcome->memory = stats.memory;
    }
    return FORAGE_OK;
}

forage_status eval_arena_play(eval_table *table, const eval_agent *agent, size_t index, bool speaks,
                              eval_outcome *outcome, forage_error *error)
{
    run r = {.table = table, .agent = agent, .speaks = speaks, .outcome = outcome, .anna = FORAGE_NONE};
    forage_status status;
    double start;
    *outcome = (eval_outcome){0};
    FORAGE_TRY_GOTO(prepare(&r, index, error), end);
    start = forage_clock();
    FORAGE_TRY_GOTO(all_visits(&r, error), end);
    outcome->seconds = forage_clock() - start;
    FORAGE_TRY_GOTO(finish(&r, error), end);
end:
    eval_track_free(r.track);
    eval_player_release(&r.player);
    forage_play_free(r.play);
    forage_free(r.items);
    forage_free(r.chance);
    forage_free(r.mean);
    if (status != FORAGE_OK)
        eval_outcome_release(outcome);
    return status;
}
