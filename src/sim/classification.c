/*
 * classification.c: a labelled table as a bandit problem. Each row is a visit, its columns are the
 * context; choosing the row's label earns 1 and any other 0, or what a table of rewards says. Whoever plays sees the
 * reward of the choice alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/rewards.h"
#include "sim/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_LIMIT = 4096 };

typedef struct classification {
    forage_environment base;
    sim_rows rows;
    forage_vocabulary *labels; /* those that appear: numbers by size, else in the order of their bytes */
    uint32_t *label;           /* [rows] */
    sim_rewards rewards;
} classification;

typedef struct classification_play {
    forage_play base;
    sim_walk walk;
    forage_rng luck;
    double drawn; /* the luck of the visit under way */
    forage_feedback feedback;
} classification_play;

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a labelled table");
}

/* ---- labels ---- */

typedef struct label_text {
    char *text;
    double number; /* NaN: not a number */
    uint32_t item; /* in the dataset */
} label_text;

static int compare_labels(const void *a, const void *b)
{
    const label_text *left = a, *right = b;
    if (!isnan(left->number) && !isnan(right->number) && left->number != right->number)
        return left->number < right->number ? -1 : 1;
    if (isnan(left->number) != isnan(right->number))
        return isnan(left->number) ? 1 : -1;
    return strcmp(left->text, right->text);
}

/* The labels in order; `texts` has room for all items. */
static forage_status sort_labels(const forage_dataset *dataset, label_text *texts, size_t *count, forage_error *error)
{
    *count = 0;
    for (uint32_t i = 0; i < forage_vocabulary_count(dataset->items); i++) {
        char buffer[24];
        size_t length;
        if (dataset->item_known && !dataset->item_known[i])
            continue;
        const char *id = forage_vocabulary_id(dataset->items, i, buffer, &length);
        label_text *label = &texts[*count];
        label->item = i;
        label->number = NAN;
        forage_parse_real(id, length, &label->number);
        label->text = forage_strndup(id, length);
        if (!label->text)
            return no_memory(error);
        (*count)++;
    }
    qsort(texts, *count, sizeof *texts, compare_labels);
    return FORAGE_OK;
}

static forage_status check_labels(const forage_dataset *dataset, const label_text *texts, size_t count,
                                  forage_error *error)
{
    if (count == 1)
        return forage_fail_at(error, FORAGE_FORMAT, NULL, 0, dataset->item_name,
                              "the only label is '%.40s': there is nothing to choose", texts[0].text);
    if (count > LABEL_LIMIT)
        return forage_fail_at(error, FORAGE_FORMAT, NULL, 0, dataset->item_name,
                              "%zu different values are too many for labels (at most %d); is the label another column? "
                              "--label names it",
                              count, LABEL_LIMIT);
    return FORAGE_OK;
}

static forage_status index_labels(classification *made, const label_text *texts, size_t count, forage_error *error)
{
    const forage_dataset *dataset = made->rows.dataset;
    uint32_t *map = forage_alloc(forage_vocabulary_count(dataset->items), sizeof *map);
    forage_status status = map ? FORAGE_OK : no_memory(error);
    made->label = forage_alloc(dataset->count, sizeof *made->label);
    if (status == FORAGE_OK && !made->label)
        status = no_memory(error);
    if (status == FORAGE_OK)
        status = forage_vocabulary_create(&made->labels, error);
    for (size_t i = 0; i < count && status == FORAGE_OK; i++)
        status = forage_vocabulary_add(made->labels, texts[i].text, strlen(texts[i].text), &map[texts[i].item], error);
    for (size_t r = 0; r < dataset->count && status == FORAGE_OK; r++)
        made->label[r] = map[dataset->item[r]];
    forage_free(map);
    return status;
}

static forage_status find_labels(classification *made, forage_error *error)
{
    size_t items = forage_vocabulary_count(made->rows.dataset->items), count = 0;
    label_text *texts = forage_calloc(items, sizeof *texts);
    forage_status status = texts ? sort_labels(made->rows.dataset, texts, &count, error) : no_memory(error);
    if (status == FORAGE_OK)
        status = check_labels(made->rows.dataset, texts, count, error);
    if (status == FORAGE_OK)
        status = index_labels(made, texts, count, error);
    for (size_t i = 0; texts && i < items; i++)
        forage_free(texts[i].text);
    forage_free(texts);
    return status;
}

/* ---- scaling ---- */

/* (x - mean) / standard deviation, over the whole file; a column that is the same everywhere becomes 0. */
static void standardise(forage_column *column, size_t rows)
{
    double sum = 0, squares = 0;
    size_t count = 0;
    for (size_t r = 0; r < rows; r++)
        if (!isnan(column->values[r])) {
            sum += (double)column->values[r];
            count++;
        }
    double mean = count ? sum / (double)count : 0;
    for (size_t r = 0; r < rows; r++)
        if (!isnan(column->values[r]))
            squares += ((double)column->values[r] - mean) * ((double)column->values[r] - mean);
    double deviation = count ? sqrt(squares / (double)count) : 0;
    for (size_t r = 0; r < rows; r++)
        column->values[r] = (float)(((double)column->values[r] - mean) / (deviation > 0 ? deviation : 1));
}

static forage_status scale(forage_dataset *dataset, const char *how, forage_error *error)
{
    if (!how || strcmp(how, "none") == 0)
        return FORAGE_OK;
    if (strcmp(how, "standard") != 0)
        return forage_fail(error, FORAGE_INVALID, "unknown scale '%s'; there are none, standard", how);
    for (size_t c = 0; c < dataset->context.column_count; c++)
        if (dataset->context.columns[c].type == FORAGE_NUMERIC)
            standardise(&dataset->context.columns[c], dataset->count);
    return FORAGE_OK;
}

/* ---- the environment ---- */

static void release(forage_environment *environment)
{
    classification *own = (classification *)environment;
    sim_rows_release(&own->rows);
    forage_vocabulary_free(own->labels);
    forage_free(own->label);
    sim_rewards_release(&own->rewards);
}

static forage_status fill_in(classification *made, const char *path, const forage_environment_options *options,
                             forage_error *error)
{
    forage_dataset *dataset;
    FORAGE_TRY(forage_dataset_load_labelled(path, options->label, &options->read, options->progress, &dataset, error));
    FORAGE_TRY(sim_rows_open(&made->rows, dataset, options, &made->base, error));
    FORAGE_TRY(find_labels(made, error));
    FORAGE_TRY(scale(dataset, options->scale, error));
    FORAGE_TRY(options->rewards ? sim_rewards_load(options->rewards, made->labels, &made->rewards, error)
                                : sim_rewards_identity(made->labels, &made->rewards, error));
    made->base.catalogue.items = made->rewards.action_count;
    made->base.catalogue.item_ids = made->rewards.actions;
    made->base.catalogue.item_attributes = NULL;
    made->base.catalogue.user_attributes = NULL;
    return sim_rows_name_items(&made->base, made->rewards.actions, error);
}

static forage_status open_table(const char *name, const forage_environment_options *options,
                                forage_environment **environment, forage_error *error)
{
    classification *made = forage_calloc(1, sizeof *made);
    if (!made)
        return no_memory(error);
    forage_status status = fill_in(made, name, options, error);
    if (status == FORAGE_OK) {
        *environment = &made->base;
        return FORAGE_OK;
    }
    release(&made->base);
    sim_environment_discard(&made->base);
    return status;
}

/* ---- plays ---- */

static void release_play(forage_play *play)
{
    sim_walk_release(&((classification_play *)play)->walk);
}

static forage_status make_play(const forage_environment *environment, uint64_t seed, forage_play **play,
                               forage_error *error)
{
    const classification *own = (const classification *)environment;
    classification_play *made = forage_calloc(1, sizeof *made);
    if (!made)
        return no_memory(error);
    forage_rng_seed_stream(&made->luck, seed, SIM_ROWS_LUCK_STREAM);
    forage_status status = sim_walk_init(&made->walk, &own->rows, seed, error);
    if (status == FORAGE_OK)
        *play = &made->base;
    else
        forage_free(made);
    return status;
}

static const classification *of(const forage_play *play)
{
    return (const classification *)play->environment;
}

static uint32_t label_of(const forage_play *play)
{
    return of(play)->label[((const classification_play *)play)->walk.row];
}

static forage_status next(forage_play *play, bool *more, forage_error *error)
{
    classification_play *own = (classification_play *)play;
    (void)more;
    (void)error;
    sim_walk_next(&own->walk, play);
    own->drawn = forage_rng_double(&own->luck); /* whether it is needed or not: the same luck for everyone */
    return FORAGE_OK;
}

static forage_status answer(forage_play *play, const uint32_t *items, size_t positions,
                            const forage_feedback **feedback, size_t *count, bool *accepted, double *earned,
                            forage_error *error)
{
    classification_play *own = (classification_play *)play;
    (void)positions;
    (void)accepted;
    (void)error;
    own->feedback = (forage_feedback){
        .decision = play->visit.request.id,
        .reward = sim_rewards_draw(&of(play)->rewards, label_of(play), items[0], own->drawn),
    };
    *feedback = &own->feedback;
    *count = 1;
    *earned = (double)own->feedback.reward;
    return FORAGE_OK;
}

static double value(const forage_play *play, const uint32_t *items, size_t positions)
{
    const sim_rewards *rewards = &of(play)->rewards;
    return positions ? rewards->expected[label_of(play) * rewards->action_count + items[0]] : 0;
}

static double best(const forage_play *play, uint32_t *items)
{
    const sim_rewards *rewards = &of(play)->rewards;
    uint32_t item = rewards->best[label_of(play)];
    if (items)
        items[0] = item;
    return rewards->expected[label_of(play) * rewards->action_count + item];
}

const sim_environment_type sim_environment_classification = {
    .kind = FORAGE_ENVIRONMENT_CLASSIFICATION,
    .open = open_table,
    .release = release,
    .play = make_play,
    .release_play = release_play,
    .next = next,
    .answer = answer,
    .value = value,
    .best = best,
};
