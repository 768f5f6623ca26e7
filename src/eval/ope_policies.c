/*
 * ope_policies.c: who is judged off policy, and who predicts rewards: pipelines, click rates by item and position, and
 * policies that are known by the propensities of their own log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/ope_log.h"

/* ------------------------------------------------------------------ *
 * A pipeline that is taught all folds but one
 * ------------------------------------------------------------------ */

typedef struct taught {
    const forage_pipeline_spec *spec;
    forage_pipeline *pipeline;
    forage_catalogue catalogue;
    uint32_t *codes; /* [context columns] of the row at hand */
    float *values;
} taught;

static forage_status taught_init(taught *made, const forage_pipeline_spec *spec, const forage_dataset *dataset,
                                 forage_error *error)
{
    size_t columns = dataset->context.column_count;
    *made = (taught){
        .spec = spec,
        .catalogue = {.users = dataset->users ? forage_vocabulary_count(dataset->users) : 0,
                      .items = forage_vocabulary_count(dataset->items),
                      .user_attributes = &dataset->user_attributes,
                      .item_attributes = &dataset->item_attributes,
                      .context = &dataset->context,
                      .user_ids = dataset->users,
                      .item_ids = dataset->items},
        .codes = forage_alloc(columns + 1, sizeof *made->codes),
        .values = forage_alloc(columns + 1, sizeof *made->values),
    };
    return made->codes && made->values ? FORAGE_OK : forage_fail(error, FORAGE_NO_MEMORY, "no memory for a context");
}

static void taught_release(taught *made)
{
    forage_pipeline_free(made->pipeline);
    forage_free(made->codes);
    forage_free(made->values);
}

static forage_request request_of(taught *own, const ope_log *log, size_t row)
{
    const forage_dataset *dataset = log->dataset;
    for (size_t c = 0; c < dataset->context.column_count; c++) {
        const forage_column *column = &dataset->context.columns[c];
        own->codes[c] = column->type == FORAGE_CATEGORICAL ? column->codes[row] : FORAGE_NONE;
        own->values[c] = column->type == FORAGE_NUMERIC ? column->values[row] : NAN;
    }
    return (forage_request){
        .id = row,
        .user = dataset->user ? dataset->user[row] : FORAGE_NONE,
        .time = dataset->time ? dataset->time[row] : (int64_t)row,
        .codes = own->codes,
        .values = own->values,
        .candidates = log->candidates,
        .candidate_count = log->candidate_count,
        .positions = 1,
    };
}

static forage_status taught_learn(void *context, const ope_log *log, size_t fold, forage_error *error)
{
    taught *own = context;
    const forage_dataset *dataset = log->dataset;
    const forage_pipeline_options options = {.catalogue = &own->catalogue, .seed = log->task->seed, .positions = 1};
    forage_pipeline_free(own->pipeline);
    own->pipeline = NULL;
    FORAGE_TRY(forage_pipeline_create(own->spec, &options, &own->pipeline, error));
    for (size_t row = 0; row < dataset->count; row++) {
        if (log->fold[row] == fold)
            continue;
        forage_request request = request_of(own, log, row);
        FORAGE_TRY(forage_pipeline_teach(own->pipeline, &request, &dataset->item[row], &dataset->propensity[row],
                                         &dataset->value[row], error));
        if (row % 4096 == 0 && !forage_progress_report(log->task->progress, "teaching", row, dataset->count, NULL))
            return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
    }
    return forage_pipeline_refit(own->pipeline, log->task->progress, error);
}

static forage_status taught_ask(void *context, const ope_log *log, size_t row, double *probabilities, float *mean,
                                forage_error *error)
{
    taught *own = context;
    forage_request request = request_of(own, log, row);
    return forage_pipeline_probabilities(own->pipeline, &request, probabilities, mean, error);
}

/* ------------------------------------------------------------------ *
 * Rewards by item and position
 *
 * With the log's mean m and the weight s of 20 rows, an item's mean over all positions is drawn to m, and its
 * mean at a position to that: r_i = (sum of i + s m) / (n_i + s), r_ip = (sum of ip + s r_i) / (n_ip + s).
 * ------------------------------------------------------------------ */

typedef struct rates {
    float *mean; /* [places x candidates] for the fold at hand */
    double *sum, *rows;
} rates;

static const double PRIOR_ROWS = 20;

static forage_status rates_init(rates *made, const ope_log *log, forage_error *error)
{
    size_t cells = log->place_count * log->candidate_count + 1;
    *made = (rates){forage_alloc(cells, sizeof(float)), forage_alloc(cells, sizeof(double)),
                    forage_alloc(cells, sizeof(double))};
    return made->mean && made->sum && made->rows
               ? FORAGE_OK
               : forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu click rates", cells);
}

static void rates_release(rates *made)
{
    forage_free(made->mean);
    forage_free(made->sum);
    forage_free(made->rows);
}

static forage_status rates_learn(void *context, const ope_log *log, size_t fold, forage_error *error)
{
    rates *own = context;
    const forage_dataset *dataset = log->dataset;
    size_t width = log->candidate_count, cells = log->place_count * width;
    double sum = 0, rows = 0;
    (void)error;
    memset(own->sum, 0, cells * sizeof *own->sum);
    memset(own->rows, 0, cells * sizeof *own->rows);
    for (size_t row = 0; row < dataset->count; row++) {
        if (log->fold[row] == fold)
            continue;
        size_t cell = log->place[row] * width + log->index[dataset->item[row]];
        own->sum[cell] += (double)dataset->value[row];
        own->rows[cell] += 1;
        sum += (double)dataset->value[row];
        rows += 1;
    }
    double overall = rows > 0 ? sum / rows : 0;
    for (size_t k = 0; k < width; k++) {
        double item_sum = 0, item_rows = 0;
        for (size_t p = 0; p < log->place_count; p++) {
            item_sum += own->sum[p * width + k];
            item_rows += own->rows[p * width + k];
        }
        double item = (item_sum + PRIOR_ROWS * overall) / (item_rows + PRIOR_ROWS);
        for (size_t p = 0; p < log->place_count; p++) {
            size_t cell = p * width + k;
            own->mean[cell] = (float)((own->sum[cell] + PRIOR_ROWS * item) / (own->rows[cell] + PRIOR_ROWS));
        }
    }
    return FORAGE_OK;
}

static forage_status rates_ask(void *context, const ope_log *log, size_t row, double *probabilities, float *mean,
                               forage_error *error)
{
    const rates *own = context;
    (void)probabilities;
    (void)error;
    memcpy(mean, own->mean + log->place[row] * log->candidate_count, log->candidate_count * sizeof *mean);
    return FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * Judging with the reward model that the task asks for
 * ------------------------------------------------------------------ */

static forage_status judge_with_rates(const ope_log *log, const ope_judged *policy, forage_ope *result,
                                      forage_error *error)
{
    rates own;
    const ope_judged model = {rates_learn, rates_ask, &own};
    forage_status status = rates_init(&own, log, error);
    if (status == FORAGE_OK)
        status = ope_judge(log, policy, &model, result, error);
    rates_release(&own);
    return status;
}

static forage_status judge_with_pipeline(const ope_log *log, const ope_judged *policy, forage_ope *result,
                                         forage_error *error)
{
    forage_pipeline_spec *spec;
    taught own = {0};
    const ope_judged model = {taught_learn, taught_ask, &own};
    FORAGE_TRY(forage_pipeline_spec_parse(log->task->reward_model, &spec, error));
    forage_status status = FORAGE_OK;
    if (!forage_pipeline_spec_model(spec))
        status = forage_fail(error, FORAGE_INVALID, "'%.60s' has no model that could predict rewards",
                             log->task->reward_model);
    if (status == FORAGE_OK)
        status = taught_init(&own, spec, log->dataset, error);
    if (status == FORAGE_OK)
        status = ope_judge(log, policy, &model, result, error);
    taught_release(&own);
    forage_pipeline_spec_free(spec);
    return status;
}

static forage_status judge(const ope_log *log, const ope_judged *policy, forage_ope *result, forage_error *error)
{
    const char *model = log->task->reward_model;
    if (!model)
        return judge_with_rates(log, policy, result, error);
    return *model ? judge_with_pipeline(log, policy, result, error) : ope_judge(log, policy, NULL, result, error);
}

forage_status forage_ope_of_pipeline(const forage_ope_task *task, const forage_pipeline_spec *spec, forage_ope *result,
                                     forage_error *error)
{
    ope_log log;
    taught own;
    const ope_judged policy = {taught_learn, taught_ask, &own};
    FORAGE_TRY(ope_log_create(task, &log, error));
    forage_status status = taught_init(&own, spec, task->dataset, error);
    if (status == FORAGE_OK)
        status = judge(&log, &policy, result, error);
    taught_release(&own);
    ope_log_release(&log);
    return status;
}

/* ------------------------------------------------------------------ *
 * A policy that is known by the propensities of its own log
 * ------------------------------------------------------------------ */

typedef struct entry {
    size_t cell; /* place x candidate */
    int64_t time;
    float propensity;
} entry;

typedef struct collected {
    entry *entries;  /* by cell, then by time */
    size_t *offsets; /* [places x candidates + 1] */
    double *mean;    /* [places x candidates] with `average` */
    double *beside;  /* [places] rows of items that the judged log has not */
    bool average;
} collected;

static int compare_entries(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->cell != b->cell)
        return a->cell < b->cell ? -1 : 1;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return (a->propensity > b->propensity) - (a->propensity < b->propensity);
}

/* Item by item of the other log: the place among the candidates, FORAGE_NONE for items that were not shown here. */
static forage_status map_items(const ope_log *log, const forage_dataset *other, uint32_t **map, forage_error *error)
{
    size_t items = forage_vocabulary_count(other->items);
    *map = forage_alloc(items + 1, sizeof **map);
    if (!*map)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu items", items);
    for (uint32_t i = 0; i < items; i++) {
        char number[24];
        size_t length;
        const char *id = forage_vocabulary_id(other->items, i, number, &length);
        uint32_t here = forage_vocabulary_find(log->dataset->items, id, length);
        (*map)[i] = here == FORAGE_NONE ? FORAGE_NONE : log->index[here];
    }
    return FORAGE_OK;
}

static forage_status collected_fill(collected *made, const ope_log *log, const forage_dataset *other,
                                    const uint32_t *map, const uint32_t *place, forage_error *error)
{
    size_t width = log->candidate_count, cells = log->place_count * width, used = 0;
    for (size_t row = 0; row < other->count; row++) {
        if (place[row] >= log->place_count)
            continue; /* a position that the judged log does not have */
        if (map[other->item[row]] == FORAGE_NONE) {
            made->beside[place[row]] += 1;
            continue;
        }
        made->entries[used++] = (entry){place[row] * width + map[other->item[row]],
                                        made->average ? 0 : other->time[row], other->propensity[row]};
    }
    qsort(made->entries, used, sizeof *made->entries, compare_entries);
    for (size_t e = 0; e < used; e++)
        made->offsets[made->entries[e].cell + 1]++;
    for (size_t c = 0; c < cells; c++)
        made->offsets[c + 1] += made->offsets[c];
    for (size_t c = 0; c < cells; c++) {
        double inverse = 0, rows = (double)(made->offsets[c + 1] - made->offsets[c]);
        for (size_t e = made->offsets[c]; e < made->offsets[c + 1]; e++)
            inverse += 1 / (double)made->entries[e].propensity;
        made->mean[c] = rows > 0 ? rows / inverse : 0;
    }
    for (size_t p = 0; p < log->place_count; p++) {
        if (made->offsets[p * width] == made->offsets[(p + 1) * width]) {
            char number[24];
            const char *text = forage_vocabulary_id(log->places, (uint32_t)p, number, NULL);
            return forage_fail(error, FORAGE_INVALID,
                               "the policy's own log has no row of these items at position '%.40s'", text);
        }
    }
    return FORAGE_OK;
}

static void collected_release(collected *made)
{
    forage_free(made->entries);
    forage_free(made->offsets);
    forage_free(made->mean);
    forage_free(made->beside);
}

static forage_status collected_init(collected *made, const ope_log *log, const forage_dataset *other, bool average,
                                    forage_error *error)
{
    size_t cells = log->place_count * log->candidate_count;
    const forage_column *column;
    uint32_t *map = NULL, *place = NULL;
    forage_status status;
    *made = (collected){.average = average || !log->dataset->time || !other->time};
    if (!other->propensity)
        return forage_fail(error, FORAGE_FORMAT, "the policy's own log has no propensities");
    FORAGE_TRY(ope_place_column(log->task, other, &column, error));
    if (!column != !log->place_column)
        return forage_fail(error, FORAGE_INVALID, "one of the two logs has positions, the other has not");
    made->entries = forage_alloc(other->count + 1, sizeof *made->entries);
    made->offsets = forage_calloc(cells + 2, sizeof *made->offsets);
    made->mean = forage_calloc(cells + 1, sizeof *made->mean);
    made->beside = forage_calloc(log->place_count + 1, sizeof *made->beside);
    if (!made->entries || !made->offsets || !made->mean || !made->beside)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the propensities of %zu rows", other->count);
    FORAGE_TRY_GOTO(map_items(log, other, &map, error), done);
    FORAGE_TRY_GOTO(ope_places(other, column, NULL, log->places, &place, error), done);
    status = collected_fill(made, log, other, map, place, error);
done:
    forage_free(map);
    forage_free(place);
    return status;
}

static forage_status collected_learn(void *context, const ope_log *log, size_t fold, forage_error *error)
{
    (void)context, (void)log, (void)fold, (void)error;
    return FORAGE_OK;
}

/* The propensity nearest in time; of two as near, the earlier. */
static double nearest(const entry *entries, size_t count, int64_t time)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entries[middle].time < time)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count ||
        (low > 0 && (uint64_t)time - (uint64_t)entries[low - 1].time <= (uint64_t)entries[low].time - (uint64_t)time))
        low--;
    return (double)entries[low].propensity;
}

static forage_status collected_ask(void *context, const ope_log *log, size_t row, double *probabilities, float *mean,
                                   forage_error *error)
{
    const collected *own = context;
    size_t first = log->place[row] * log->candidate_count;
    double total = 0;
    (void)mean, (void)error;
    for (size_t k = 0; k < log->candidate_count; k++) {
        const entry *entries = own->entries + own->offsets[first + k];
        size_t count = own->offsets[first + k + 1] - own->offsets[first + k];
        if (own->average)
            probabilities[k] = own->mean[first + k];
        else
            probabilities[k] = count ? nearest(entries, count, log->dataset->time[row]) : 0;
        total += probabilities[k];
    }
    /* Items that the judged log has not: their share of rows. */
    double rows = (double)(own->offsets[first + log->candidate_count] - own->offsets[first]);
    double left = rows / (rows + own->beside[log->place[row]]);
    for (size_t k = 0; k < log->candidate_count; k++)
        probabilities[k] *= left / total;
    return FORAGE_OK;
}

forage_status forage_ope_of_log(const forage_ope_task *task, const forage_dataset *other, bool average,
                                forage_ope *result, forage_error *error)
{
    ope_log log;
    collected own = {0};
    const ope_judged policy = {collected_learn, collected_ask, &own};
    FORAGE_TRY(ope_log_create(task, &log, error));
    forage_status status = collected_init(&own, &log, other, average, error);
    if (status == FORAGE_OK)
        status = judge(&log, &policy, result, error);
    collected_release(&own);
    ope_log_release(&log);
    return status;
}
