/*
 * chapter4.c: runs chapter 4: the worlds of its experiments side by side, one thread each; then the shop that is looked
 * at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/chapter4.h"

#include <string.h>

enum { DEFAULT_WORLDS = 5, SIZES = 0, FEW, EXPERIMENTS };

/* The longest first, so that no core waits for it at the end. */
static const eval_experiment experiments[EXPERIMENTS] = {
    [SIZES] = {"thin and thick logs", crowd_sizes_size, crowd_sizes_world},
    [FEW] = {"users of few clicks", few_clicks_size, few_clicks_world},
};

/* ------------------------------------------------------------------ *
 * Tables of arms
 * ------------------------------------------------------------------ */

forage_status crowd_table_create(size_t arms, const double *points, size_t point_count, bool rankings, bool duel,
                                 forage_arm_table *table, forage_error *error)
{
    size_t measures = rankings ? 3 : 1;
    *table = (forage_arm_table){.point_count = point_count};
    table->points = forage_alloc(point_count, sizeof *table->points);
    table->arms = forage_calloc(arms, sizeof *table->arms);
    bool failed = !table->points || !table->arms;
    if (duel)
        failed |= !(table->ahead = forage_calloc(point_count, sizeof *table->ahead));
    for (size_t a = 0; !failed && a < arms; ++a) {
        forage_ranked_arm *arm = &table->arms[table->arm_count++];
        arm->click_rate = forage_calloc(measures * point_count, sizeof *arm->click_rate); /* all of the arm's */
        failed = !arm->click_rate;
        if (rankings && !failed) {
            arm->recall = arm->click_rate + point_count;
            arm->ndcg = arm->recall + point_count;
        }
    }
    if (failed)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    memcpy(table->points, points, point_count * sizeof *points);
    return FORAGE_OK;
}

void crowd_name(forage_ranked_arm *to, const crowd_arm *arm)
{
    eval_name(to->name, sizeof to->name, arm->name);
    eval_name(to->note, sizeof to->note, arm->note);
}

void crowd_table_release(forage_arm_table *table)
{
    for (size_t a = 0; a < table->arm_count; ++a)
        forage_free(table->arms[a].click_rate);
    forage_free(table->arms);
    forage_free(table->ahead);
    forage_free(table->points);
    *table = (forage_arm_table){0};
}

/* ------------------------------------------------------------------ *
 * The chapter
 * ------------------------------------------------------------------ */

static forage_status fill_names(const forage_scenario *scenario, forage_chapter4 *chapter, forage_error *error)
{
    chapter->personas = forage_calloc(scenario->persona_count, sizeof *chapter->personas);
    chapter->categories = forage_calloc(scenario->category_count, sizeof *chapter->categories);
    if (!chapter->personas || !chapter->categories)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    chapter->persona_count = scenario->persona_count;
    chapter->category_count = scenario->category_count;
    for (size_t p = 0; p < scenario->persona_count; ++p)
        eval_name(chapter->personas[p], sizeof chapter->personas[p], scenario->personas[p]);
    for (size_t c = 0; c < scenario->category_count; ++c)
        eval_name(chapter->categories[c], sizeof chapter->categories[c], scenario->categories[c]);
    return FORAGE_OK;
}

static forage_status run(const forage_chapter4_options *options, const forage_scenario *scenario,
                         forage_chapter4 *chapter, forage_error *error)
{
    forage_device device = options->device;
    double *found[EXPERIMENTS] = {0};
    forage_status status;
    if (device.threads < 1)
        FORAGE_TRY(forage_device_open("auto", 0, &device, error));
    FORAGE_TRY(fill_names(scenario, chapter, error));
    eval_name(chapter->device, sizeof chapter->device, device.name);
    eval_study study = {.scenario = scenario, .device = device, .seed = scenario->seed};
    study.device.threads = 1;
    FORAGE_TRY_GOTO(eval_play_worlds(&study, experiments, EXPERIMENTS, options->seeds, device.threads,
                                     options->progress, found, error),
                    end);
    FORAGE_TRY_GOTO(crowd_sizes_record(found[SIZES], options->seeds, chapter, error), end);
    FORAGE_TRY_GOTO(few_clicks_record(found[FEW], options->seeds, chapter, error), end);
    study.device = device;
    FORAGE_TRY_GOTO(crowd_shop(&study, chapter, error), end);
end:
    for (size_t e = 0; e < EXPERIMENTS; ++e)
        forage_free(found[e]);
    return status;
}

forage_status forage_chapter4_run(const forage_chapter4_options *options, forage_chapter4 *chapter, forage_error *error)
{
    forage_chapter4_options chosen = {0};
    forage_scenario scenario = {0};
    double start = forage_clock();
    *chapter = (forage_chapter4){.offered = CROWD_TOP, .cutoff = CROWD_CUTOFF};
    if (options)
        chosen = *options;
    if (chosen.seeds == 0)
        chosen.seeds = DEFAULT_WORLDS;
    FORAGE_TRY(eval_check_worlds(chosen.seeds, error));
    const char *name = chosen.scenario ? chosen.scenario : "petshop";
    FORAGE_TRY(forage_scenario_load(name, &scenario, error));
    if (chosen.seed)
        scenario.seed = chosen.seed;
    eval_name(chapter->scenario, sizeof chapter->scenario, scenario.name ? scenario.name : name);
    chapter->seed = scenario.seed;
    chapter->seeds = chosen.seeds;
    forage_status status = run(&chosen, &scenario, chapter, error);
    forage_scenario_release(&scenario);
    chapter->seconds = forage_clock() - start;
    if (status != FORAGE_OK)
        forage_chapter4_release(chapter);
    return status;
}

void forage_chapter4_release(forage_chapter4 *chapter)
{
    for (size_t v = 0; v < chapter->map.view_count; ++v) {
        forage_free(chapter->map.views[v].users);
        forage_free(chapter->map.views[v].items);
    }
    for (size_t l = 0; l < chapter->few_clicks_count; ++l) {
        forage_free(chapter->few_clicks[l].visits);
        crowd_table_release(&chapter->few_clicks[l].arms);
    }
    for (size_t c = 0; chapter->customers && c < chapter->persona_count; ++c)
        forage_free(chapter->customers[c].category);
    void *const blocks[] = {chapter->personas,         chapter->categories, chapter->graph.user.count,
                            chapter->graph.item.count, chapter->map.views,  chapter->customers,
                            chapter->few_clicks};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; ++i)
        forage_free(blocks[i]);
    crowd_table_release(&chapter->smoothing);
    crowd_table_release(&chapter->crowd);
    *chapter = (forage_chapter4){0};
}
