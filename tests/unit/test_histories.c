/*
 * Histories: what each user did, in order; and what models that read them are told, by fits, scores and rankings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../must.h"
#include "model/front.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A log from text, and what tests it, if anything does. */
static forage_dataset *log_of(const char *text, const char *test)
{
    char paths[2][40] = {"/tmp/forage-past-XXXXXX", "/tmp/forage-past-XXXXXX"};
    const char *texts[2] = {text, test};
    forage_dataset *dataset;
    forage_error error = {0};
    for (int i = 0; i < 2; i++) {
        int file = mkstemp(paths[i]);
        size_t length = texts[i] ? strlen(texts[i]) : 0;
        assert_true(file >= 0);
        assert_int_equal(write(file, texts[i] ? texts[i] : "", length), (ssize_t)length);
        close(file);
    }
    const forage_read_options options = {.format = FORAGE_FILE_CSV, .test = test ? paths[1] : NULL};
    must(forage_dataset_load(paths[0], &options, NULL, &dataset, &error), &error);
    unlink(paths[0]);
    unlink(paths[1]);
    return dataset;
}

enum { TIMES = 1, VALUES = 2, SORTED = 4 };

/* Random events; times repeat, within and across users, and rows come in any order unless SORTED. */
static forage_dataset *random_log(uint64_t seed, size_t rows, unsigned what)
{
    size_t size = rows * 40 + 200, used = 0;
    char *text = malloc(size);
    forage_rng rng;
    assert_non_null(text);
    forage_rng_seed(&rng, seed);
    forage_append(text, size, &used, "user_id,item_id%s%s,kind\n", what & VALUES ? ",clicked" : "",
                  what & TIMES ? ",time" : "");
    for (size_t r = 0; r < rows; r++) {
        unsigned user = (unsigned)forage_rng_integers(&rng, 12), item = (unsigned)forage_rng_integers(&rng, 30);
        forage_append(text, size, &used, "u%u,i%u", user, item);
        if (what & VALUES)
            forage_append(text, size, &used, ",%u", (unsigned)forage_rng_integers(&rng, 2));
        if (what & TIMES)
            forage_append(text, size, &used, ",%u",
                          what & SORTED ? 100 + (unsigned)r / 3 : 100 + (unsigned)forage_rng_integers(&rng, 40));
        forage_append(text, size, &used, ",k%u\n", item % 5);
    }
    forage_dataset *log = log_of(text, NULL);
    free(text);
    return log;
}

/* ---- an oracle ---- */

static bool earlier(const forage_dataset *log, uint32_t a, uint32_t b)
{
    return log->time ? log->time[a] < log->time[b] : a < b;
}

static bool chosen(const forage_dataset *log, uint32_t row, bool refusals)
{
    return refusals || !log->value || log->value[row] > 0;
}

enum { ROWS = 400 };

/* The user's events among `rows`, by insertion. */
static size_t naive(const forage_dataset *log, const uint32_t *rows, size_t count, uint32_t user, bool refusals,
                    uint32_t *out)
{
    bool among[ROWS] = {0};
    size_t found = 0;
    for (size_t i = 0; rows && i < count; i++)
        among[rows[i]] = true;
    for (uint32_t row = 0; row < log->count; row++) {
        if ((rows && !among[row]) || log->user[row] != user || !chosen(log, row, refusals))
            continue;
        size_t at = found++;
        for (; at > 0 && log->time && log->time[out[at - 1]] > log->time[row]; at--)
            out[at] = out[at - 1];
        out[at] = row;
    }
    return found;
}

static void test_histories(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 8; what++) {
        forage_dataset *log = random_log(what + 1, ROWS, what);
        forage_error error = {0};
        uint32_t some[ROWS], own[ROWS];
        size_t some_count = 0;
        forage_rng rng;
        forage_rng_seed(&rng, 77);
        for (uint32_t row = ROWS; row-- > 0;) { /* backwards: any order will do */
            if (forage_rng_integers(&rng, 3))
                some[some_count++] = row;
        }
        for (int part = 0; part < 4; part++) {
            const uint32_t *rows = part & 1 ? some : NULL;
            bool positive = part & 2;
            forage_histories made;
            must(forage_histories_create(log, rows, some_count, positive, &made, &error), &error);
            assert_int_equal(made.users, 12);
            assert_int_equal(made.offsets[0], 0);
            for (uint32_t user = 0; user < 12; user++) {
                size_t count = naive(log, rows, some_count, user, !positive, own);
                assert_int_equal(made.offsets[user + 1] - made.offsets[user], count);
                assert_memory_equal(made.rows + made.offsets[user], own, count * sizeof *own);
                for (uint32_t row = 0; row < ROWS; row++) {
                    size_t before = 0;
                    for (size_t i = 0; i < count; i++)
                        before += earlier(log, own[i], row);
                    assert_int_equal(forage_histories_before(&made, log, user, row), before);
                }
            }
            assert_int_equal(forage_histories_before(&made, log, 12, 0), 0);
            assert_int_equal(forage_histories_before(&made, log, FORAGE_NONE, 0), 0);
            forage_histories_release(&made);
        }
        forage_dataset_free(log);
    }
}

static void test_bad_histories(void **state)
{
    (void)state;
    forage_dataset *log = random_log(1, 20, TIMES), *nobody = log_of("item_id,clicked\na,1\nb,0\n", NULL);
    forage_histories made;
    forage_error error = {0};
    const uint32_t rows[] = {3, 20};
    assert_int_equal(forage_histories_create(log, rows, 2, false, &made, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "no row 21 in a log of 20 rows"));
    assert_null(made.rows);
    assert_int_equal(forage_histories_create(nobody, NULL, 0, false, &made, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "names no users"));
    forage_alloc_fail_at(0);
    must(forage_histories_create(log, NULL, 0, false, &made, &error), &error);
    uint64_t count = forage_alloc_fail_at(0);
    forage_histories_release(&made);
    for (uint64_t nth = 1; nth <= count; nth++) {
        forage_alloc_fail_at(nth);
        assert_int_equal(forage_histories_create(log, NULL, 0, false, &made, &error), FORAGE_NO_MEMORY);
        forage_alloc_fail_at(0);
        assert_null(made.rows);
    }
    forage_dataset_free(log);
    forage_dataset_free(nobody);
}

/* ---- a model that says what it was told ---- */

/* Its score is a hash of the history, of the moment and of the item: whatever differs, shows. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
    return hash ^ hash >> 29;
}

static uint64_t mix_event(uint64_t hash, uint32_t code, float reward, int64_t time)
{
    return mix(mix(mix(hash, code), (uint64_t)(reward * 4)), (uint64_t)time);
}

static float told(uint64_t hash, uint32_t item)
{
    return (float)(mix(hash, item) % 99991) / 99991;
}

struct model_state {
    size_t item_field;
};

static struct model_state toy_state;

static size_t toy_scratch_size(const model_state *state)
{
    (void)state;
    return 64;
}

static void toy_score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                      float *deviation)
{
    const forage_past *past = examples->past;
    (void)scratch;
    (void)deviation;
    assert_non_null(past);
    for (size_t i = 0; i < examples->count; i++) {
        uint64_t hash = mix(1, (uint64_t)(examples->time ? examples->time[i] : 0));
        for (size_t e = past->begin[i]; e < past->end[i]; e++)
            hash = mix_event(hash, past->codes[state->item_field][e], past->reward ? past->reward[e] : 1,
                             past->time ? past->time[e] : 0);
        mean[i] = told(hash, examples->codes[state->item_field][i]);
    }
}

static size_t toy_subjects_size(const model_state *state, size_t count)
{
    (void)state;
    return (count * sizeof(uint64_t) + 63) / 64 * 64;
}

static void toy_prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    uint64_t *hashes = scratch;
    (void)state;
    for (size_t s = 0; s < count; s++) {
        const model_subject *subject = &subjects[s];
        hashes[s] = mix(1, subject->times || subject->now != INT64_MIN ? (uint64_t)subject->now : 0);
        for (size_t e = 0; e < subject->count; e++)
            hashes[s] = mix_event(hashes[s], subject->items[e], subject->weights ? subject->weights[e] : 1,
                                  subject->times ? subject->times[e] : 0);
    }
}

static void toy_scores(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out)
{
    const uint64_t *hashes = scratch;
    size_t stride = count > 1 ? MODEL_SUBJECTS : 1;
    (void)state;
    for (size_t i = 0; i < items; i++) {
        for (size_t s = 0; s < count; s++)
            out[i * stride + s] = told(hashes[s], (uint32_t)(first + i));
    }
}

static bool refusals_wanted;

static bool toy_reads_refusals(const forage_params *params)
{
    (void)params;
    return refusals_wanted;
}

static const model_catalogue toy_catalogue = {toy_subjects_size, toy_prepare, toy_scores};

static const model_type toys[2] = {
    {
        .info = {.name = "toy", .capabilities = FORAGE_CAN_FIT},
        .reads = MODEL_READS_ITEM | MODEL_READS_HISTORY | MODEL_READS_TIME | MODEL_READS_ATTRIBUTES,
        .scratch_size = toy_scratch_size,
        .score = toy_score,
        .reads_refusals = toy_reads_refusals,
    },
    {
        .info = {.name = "toy-catalogue", .capabilities = FORAGE_CAN_FIT},
        .reads = MODEL_READS_ITEM | MODEL_READS_HISTORY | MODEL_READS_TIME,
        .scratch_size = toy_scratch_size,
        .score = toy_score,
        .catalogue = &toy_catalogue,
        .reads_refusals = toy_reads_refusals,
    },
};

static void toy_begin(const model_type *type, const forage_dataset *log, int threads, forage_model *model)
{
    forage_error error = {0};
    uint32_t rows[ROWS];
    for (uint32_t row = 0; row < log->count; row++)
        rows[row] = row;
    *model = (forage_model){.type = type, .state = &toy_state};
    must(forage_device_open("auto", threads, &model->device, &error), &error);
    must(model_schema_build(type, "all", log, rows, log->count, &model->schema, &error), &error);
    toy_state.item_field = model_schema_id(&model->schema, FORAGE_OF_ITEM);
}

static forage_binding *bound(const forage_model *model, const forage_dataset *log, forage_unknown unknown)
{
    forage_binding *binding;
    forage_error error = {0};
    must(forage_model_bind(model, log, unknown, "log", &binding, &error), &error);
    return binding;
}

/* What the toy should be told: the user's events that count, before a row, or up to `now`. */
static uint64_t expected(const forage_dataset *log, const uint32_t *rows, size_t count, uint32_t user, uint32_t before,
                         int64_t now)
{
    uint32_t own[ROWS];
    size_t found = naive(log, rows, count, user, refusals_wanted, own);
    int64_t moment = !log->time ? 0 : before != FORAGE_NONE ? log->time[before] : now;
    uint64_t hash = mix(1, (uint64_t)moment);
    for (size_t i = 0; i < found; i++) {
        bool seen = before != FORAGE_NONE ? earlier(log, own[i], before) : !log->time || log->time[own[i]] <= now;
        if (seen)
            hash = mix_event(hash, log->item[own[i]], log->value ? log->value[own[i]] : 1,
                             log->time ? log->time[own[i]] : 0);
    }
    return hash;
}

static int64_t latest(const forage_dataset *log)
{
    int64_t most = INT64_MIN;
    for (size_t row = 0; log->time && row < log->count; row++)
        most = log->time[row] > most ? log->time[row] : most;
    return most;
}

/* Rows that are scored see all that came strictly before them, and nothing else; for any number of threads. */
static void test_rows(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 16; what++) {
        forage_dataset *log = random_log(what + 1, ROWS, what & 7);
        uint32_t rows[ROWS];
        float scores[ROWS];
        refusals_wanted = what & 8;
        for (uint32_t i = 0; i < ROWS; i++)
            rows[i] = (i * 7) % ROWS;
        for (int threads = 1; threads <= 3; threads++) {
            forage_model model;
            forage_error error = {0};
            toy_begin(&toys[threads % 2], log, threads, &model);
            forage_binding *binding = bound(&model, log, FORAGE_UNKNOWN_ERROR);
            must(forage_binding_history(binding, rows, 3, &error), &error); /* says nothing about rows */
            must(forage_model_score(binding, rows, ROWS, scores, NULL, &error), &error);
            for (size_t i = 0; i < ROWS; i++) {
                uint64_t hash = expected(log, NULL, 0, log->user[rows[i]], rows[i], 0);
                assert_true(scores[i] == told(hash, log->item[rows[i]]));
            }
            forage_binding_free(binding);
            model_schema_release(&model.schema);
        }
        forage_dataset_free(log);
    }
}

/* No leak: whatever is changed about what happened later, or at the same time, a row's score stays the same. */
static void test_no_leak(void **state)
{
    (void)state;
    refusals_wanted = false;
    for (unsigned what = 0; what < 8; what++) {
        forage_dataset *log = random_log(what + 9, ROWS, what);
        uint32_t row = ROWS / 2;
        float before, after, other;
        forage_model model;
        forage_error error = {0};
        toy_begin(&toys[0], log, 1, &model);
        forage_binding *binding = bound(&model, log, FORAGE_UNKNOWN_ERROR);
        must(forage_model_score(binding, &row, 1, &before, NULL, &error), &error);
        forage_binding_free(binding);
        uint32_t past = FORAGE_NONE;
        for (uint32_t r = 0; r < ROWS; r++) {
            if (r != row && !earlier(log, r, row)) {
                log->item[r] = (log->item[r] + 1) % 30;
                if (log->value)
                    log->value[r] = 1 - log->value[r];
            } else if (r != row && log->user[r] == log->user[row] && chosen(log, r, false)) {
                past = r;
            }
        }
        binding = bound(&model, log, FORAGE_UNKNOWN_ERROR);
        must(forage_model_score(binding, &row, 1, &after, NULL, &error), &error);
        assert_true(before == after);
        forage_binding_free(binding);
        if (past != FORAGE_NONE) { /* and the past counts */
            log->item[past] = (log->item[past] + 1) % 30;
            binding = bound(&model, log, FORAGE_UNKNOWN_ERROR);
            must(forage_model_score(binding, &row, 1, &other, NULL, &error), &error);
            assert_true(before != other);
            forage_binding_free(binding);
        }
        model_schema_release(&model.schema);
        forage_dataset_free(log);
    }
}

/* In a fit, what trains sees what trains, and what validates sees that and what validates. */
static void test_split(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 16; what++) {
        forage_dataset *log = random_log(what + 21, ROWS, what & 7);
        forage_model model;
        forage_error error = {0};
        forage_split split;
        model_columns columns;
        model_past train, validation;
        uint32_t both[ROWS];
        refusals_wanted = what & 8;
        toy_begin(&toys[0], log, 2, &model);
        must(model_columns_create(&model.schema, log, "log", &columns, &error), &error);
        must(forage_split_parse("leave-last-out", log, &split, &error), &error);
        const model_past_task task = {&toys[0], NULL, &columns, log, 2};
        must(model_past_split(&task, &split, &train, &validation, &error), &error);
        memcpy(both, split.train, split.train_count * sizeof *both);
        memcpy(both + split.train_count, split.validation, split.validation_count * sizeof *both);
        for (int part = 0; part < 2; part++) {
            const model_past *past = part ? &validation : &train;
            const uint32_t *rows = part ? split.validation : split.train, *seen = part ? both : split.train;
            size_t count = part ? split.validation_count : split.train_count;
            size_t seen_count = split.train_count + (part ? split.validation_count : 0);
            assert_int_equal(past->past.sequences, 12);
            for (size_t i = 0; i < count; i++) {
                uint64_t hash = mix(1, (uint64_t)(log->time ? log->time[rows[i]] : 0));
                for (size_t e = past->past.begin[i]; e < past->past.end[i]; e++) {
                    hash = mix_event(hash, past->past.codes[toy_state.item_field][e],
                                     past->past.reward ? past->past.reward[e] : 1,
                                     past->past.time ? past->past.time[e] : 0);
                    /* Other fields of the item stand beside it. */
                    assert_int_equal(past->past.codes[toy_state.item_field + 1] != NULL,
                                     log->context.column_count == 0);
                }
                assert_true(hash == expected(log, seen, seen_count, log->user[rows[i]], rows[i], 0));
            }
        }
        model_past_release(&train);
        model_past_release(&validation);
        model_columns_release(&columns);
        forage_split_release(&split);
        model_schema_release(&model.schema);
        forage_dataset_free(log);
    }
}

enum { K = 30 };

typedef struct list {
    uint32_t items[K];
    float scores[K];
    size_t found;
} list;

static list ranked(forage_binding *binding, uint32_t user)
{
    list made;
    forage_error error = {0};
    must(forage_model_rank(binding, user, K, NULL, 0, made.items, made.scores, &made.found, &error), &error);
    return made;
}

/* All items with these scores, best first. */
static void check_list(const list *made, const forage_dataset *log, uint64_t hash)
{
    assert_int_equal(made->found, forage_vocabulary_count(log->items));
    for (size_t i = 0; i < made->found; i++) {
        assert_true(made->scores[i] == told(hash, made->items[i]));
        assert_true(i == 0 || made->scores[i - 1] >= made->scores[i]);
    }
}

/* Rankings go by the rows that were chosen, up to now. */
static void test_rankings(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 32; what++) {
        forage_dataset *log = random_log(what + 41, ROWS, what & 7);
        forage_model model;
        forage_error error = {0};
        forage_split split;
        uint32_t users[12], items[12 * K];
        float scores[12 * K];
        size_t found[12];
        refusals_wanted = what & 8;
        must(forage_split_parse("leave-last-out", log, &split, &error), &error);
        toy_begin(&toys[what / 16], log, 1 + (int)what % 3, &model);
        forage_binding *binding = bound(&model, log, FORAGE_UNKNOWN_SKIP);
        for (int step = 0; step < 3; step++) {
            int64_t now = latest(log);
            const uint32_t *rows = step ? split.train : NULL;
            if (step)
                must(forage_binding_history(binding, rows, split.train_count, &error), &error);
            if (step == 2 && log->time)
                must(forage_binding_time(binding, now = 120, &error), &error);
            for (uint32_t user = 0; user < 12; user++) {
                list made = ranked(binding, user);
                float pairs[K];
                uint32_t same[K];
                users[user] = user;
                check_list(&made, log, expected(log, rows, split.train_count, user, FORAGE_NONE, now));
                for (size_t i = 0; i < K; i++)
                    same[i] = user;
                must(forage_model_score_pairs(binding, same, made.items, made.found, pairs, NULL, &error), &error);
                assert_memory_equal(pairs, made.scores, made.found * sizeof *pairs);
            }
            list nobody = ranked(binding, FORAGE_NONE);
            check_list(&nobody, log, mix(1, (uint64_t)(log->time ? now : 0)));
            static const uint32_t few[] = {4, 29, 4, 0};
            const size_t ends[] = {0, 4, 4, 7};
            const uint32_t asked[] = {3, 4, 3}, named[] = {few[0], few[1], few[2], few[3], 1, 2, 3};
            float listed[7];
            must(forage_model_score_lists(binding, asked, 3, ends, named, listed, &error), &error);
            for (size_t i = 0; i < 7; i++) {
                float score;
                must(forage_model_score_pairs(binding, asked, &named[i], 1, &score, NULL, &error), &error);
                assert_true(score == listed[i]);
            }
            must(forage_model_rank_users(binding, users, 12, K, NULL, NULL, items, scores, found, &error), &error);
            for (uint32_t user = 0; user < 12; user++) {
                list made = ranked(binding, user);
                assert_memory_equal(made.items, items + (size_t)user * K, made.found * sizeof *items);
                assert_memory_equal(made.scores, scores + (size_t)user * K, made.found * sizeof *scores);
            }
        }
        forage_binding_free(binding);
        forage_split_release(&split);
        model_schema_release(&model.schema);
        forage_dataset_free(log);
    }
}

/* A history that is given: in order, repeated, with and without rewards, empty, longer than before. */
static void test_listed(void **state)
{
    (void)state;
    refusals_wanted = false;
    for (int toy = 0; toy < 2; toy++) {
        forage_dataset *log = random_log(5, ROWS, TIMES | VALUES);
        forage_model model;
        forage_error error = {0};
        toy_begin(&toys[toy], log, 2, &model);
        forage_binding *binding = bound(&model, log, FORAGE_UNKNOWN_ERROR);
        static uint32_t history[3000];
        static float weights[3000];
        for (size_t i = 0; i < 3000; i++) {
            history[i] = (uint32_t)(i * i % 29);
            weights[i] = 0.25F + (float)(i % 3);
        }
        static const size_t lengths[] = {0, 1, 5, 3000, 2};
        for (size_t l = 0; l < 10; l++) {
            size_t count = lengths[l / 2];
            const float *given = l % 2 ? weights : NULL;
            uint64_t hash = mix(1, (uint64_t)latest(log));
            list made;
            for (size_t i = 0; i < count; i++)
                hash = mix_event(hash, history[i], given ? given[i] : 1, 0);
            must(forage_model_rank_history(binding, history, given, count, K, NULL, 0, made.items, made.scores,
                                           &made.found, &error),
                 &error);
            check_list(&made, log, hash);
        }
        const uint32_t excluded[] = {0, 3};
        list made;
        must(forage_model_rank_history(binding, history, NULL, 4, K, excluded, 2, made.items, made.scores, &made.found,
                                       &error),
             &error);
        assert_int_equal(made.found, 28);
        uint32_t beyond = 30;
        assert_int_equal(forage_model_rank_history(binding, &beyond, NULL, 1, K, NULL, 0, made.items, made.scores,
                                                   &made.found, &error),
                         FORAGE_INVALID);
        assert_non_null(strstr(error.message, "no item of index 30"));
        weights[1] = 0;
        assert_int_equal(forage_model_rank_history(binding, history, weights, 2, K, NULL, 0, made.items, made.scores,
                                                   &made.found, &error),
                         FORAGE_INVALID);
        assert_non_null(strstr(error.message, "item 2 of a history has the weight 0"));
        forage_binding_free(binding);
        model_schema_release(&model.schema);
        forage_dataset_free(log);
    }
}

/* Items that the model has not met are left out of histories; users need not be known. */
static void test_unknown(void **state)
{
    (void)state;
    refusals_wanted = false;
    forage_dataset *old = log_of("user_id,item_id\nann,hat\nann,coat\nbob,sock\n", NULL);
    forage_dataset *log = log_of("user_id,item_id\nzoe,sock\nzoe,cape\nzoe,hat\nzoe,sock\nmax,cape\n", NULL);
    for (int toy = 0; toy < 2; toy++) {
        forage_model model;
        forage_error error = {0};
        toy_begin(&toys[toy], old, 1, &model);
        const uint32_t rows[] = {0, 1, 2, 3, 4};
        float scores[5];
        list made;
        for (int policy = FORAGE_UNKNOWN_SKIP; policy <= (int)FORAGE_UNKNOWN_FOLD_IN; policy++) {
            forage_binding *binding = bound(&model, log, (forage_unknown)policy);
            bool average = policy == (int)FORAGE_UNKNOWN_AVERAGE;
            uint64_t none = mix(1, 0), one = mix_event(none, 2, 1, 0), two = mix_event(one, 0, 1, 0),
                     three = mix_event(two, 2, 1, 0);
            must(forage_model_score(binding, rows, 5, scores, NULL, &error), &error);
            assert_true(scores[0] == told(none, 2) && scores[2] == told(one, 0) && scores[3] == told(two, 2));
            if (average)
                assert_true(scores[1] == told(one, FORAGE_NONE) && scores[4] == told(none, FORAGE_NONE));
            else
                assert_true(isnan(scores[1]) && isnan(scores[4]));
            made = ranked(binding, 0);
            assert_int_equal(made.found, average ? 3 : 2); /* of the log: sock, hat, and cape as the average */
            for (size_t i = 0; i < made.found; i++) {
                static const uint32_t codes[] = {2, FORAGE_NONE, 0};
                assert_true(made.scores[i] == told(three, codes[made.items[i]]));
            }
            assert_int_equal(forage_binding_folded(binding, 0), 3);
            assert_int_equal(forage_binding_folded(binding, 1), 0);
            assert_int_equal(forage_binding_folded(binding, FORAGE_NONE), 0);
            const uint32_t asked[] = {0, FORAGE_NONE}, items[] = {0, 1, 2, 0};
            const size_t ends[] = {0, 3, 4};
            must(forage_model_score_lists(binding, asked, 2, ends, items, scores, &error), &error);
            assert_true(scores[0] == told(three, 2) && scores[2] == told(three, 0) && scores[3] == told(none, 2));
            assert_true(average ? scores[1] == told(three, FORAGE_NONE) : isnan(scores[1]));
            const uint32_t history[] = {1, 0, 1};
            must(forage_model_rank_history(binding, history, NULL, 3, K, NULL, 0, made.items, made.scores, &made.found,
                                           &error),
                 &error);
            assert_true(made.scores[0] == told(one, made.items[0] == 0 ? 2 : made.items[0] == 1 ? FORAGE_NONE : 0));
            assert_int_equal(forage_binding_time(binding, 5, &error), FORAGE_INVALID);
            assert_non_null(strstr(error.message, "the log has no times"));
            forage_binding_free(binding);
        }
        forage_binding *strict = bound(&model, log, FORAGE_UNKNOWN_ERROR);
        assert_int_equal(forage_model_score(strict, rows, 5, scores, NULL, &error), FORAGE_UNKNOWN);
        assert_non_null(strstr(error.message, "row 2 of the log: the model has not met the item 'cape'"));
        const size_t ends[] = {0, 1};
        assert_int_equal(forage_model_score_lists(strict, rows, 1, ends, &rows[1], scores, &error), FORAGE_UNKNOWN);
        assert_non_null(strstr(error.message, "the model has not met the item 'cape'"));
        const uint32_t beyond = 9;
        assert_int_equal(forage_model_score_lists(strict, rows, 1, ends, &beyond, scores, &error), FORAGE_INVALID);
        assert_int_equal(forage_model_score_lists(strict, &beyond, 1, ends, rows, scores, &error), FORAGE_INVALID);
        assert_int_equal(forage_model_rank(strict, 0, K, NULL, 0, made.items, made.scores, &made.found, &error),
                         FORAGE_UNKNOWN);
        forage_binding_free(strict);
        model_schema_release(&model.schema);
    }
    forage_dataset_free(old);
    forage_dataset_free(log);
}

/* Rows that test in a file of their own are no history of rankings until they are named. */
static void test_parts(void **state)
{
    (void)state;
    forage_dataset *log =
        log_of("user_id,item_id,time\nann,hat,30\nann,coat,10\n", "user_id,item_id,time\nann,sock,20\n");
    forage_model model;
    forage_error error = {0};
    refusals_wanted = false;
    toy_begin(&toys[1], log, 1, &model);
    forage_binding *binding = bound(&model, log, FORAGE_UNKNOWN_SKIP);
    const uint32_t all[] = {0, 1, 2}, train[] = {0, 1}, beyond[] = {3};
    list made = ranked(binding, 0);
    check_list(&made, log, expected(log, train, 2, 0, FORAGE_NONE, 30));
    must(forage_binding_history(binding, all, 3, &error), &error);
    made = ranked(binding, 0);
    check_list(&made, log, expected(log, NULL, 0, 0, FORAGE_NONE, 30));
    assert_int_equal(forage_binding_folded(binding, 0), 3);
    must(forage_binding_time(binding, 20, &error), &error);
    assert_int_equal(forage_binding_folded(binding, 0), 2);
    made = ranked(binding, 0);
    check_list(&made, log, expected(log, NULL, 0, 0, FORAGE_NONE, 20));
    must(forage_binding_time(binding, 9, &error), &error);
    assert_int_equal(forage_binding_folded(binding, 0), 0);
    assert_int_equal(forage_binding_history(binding, beyond, 1, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "no row 4 in a log of 3"));
    must(forage_binding_history(binding, NULL, 0, &error), &error);
    must(forage_binding_time(binding, INT64_MAX, &error), &error);
    assert_int_equal(forage_binding_folded(binding, 0), 2);
    forage_binding_free(binding);
    model_schema_release(&model.schema);
    forage_dataset_free(log);
}

static void test_no_memory(void **state)
{
    (void)state;
    forage_dataset *log = random_log(3, 60, TIMES | VALUES);
    forage_model model;
    forage_binding *binding;
    forage_error error = {0};
    const uint32_t rows[] = {0, 1, 2}, history[] = {0, 1, 2};
    list made;
    toy_begin(&toys[0], log, 1, &model);
    forage_alloc_fail_at(0);
    binding = bound(&model, log, FORAGE_UNKNOWN_SKIP);
    uint64_t count = forage_alloc_fail_at(0);
    forage_binding_free(binding);
    for (uint64_t nth = 1; nth <= count; nth++) {
        forage_alloc_fail_at(nth);
        forage_status status = forage_model_bind(&model, log, FORAGE_UNKNOWN_SKIP, "log", &binding, &error);
        forage_alloc_fail_at(0);
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_null(binding);
    }
    binding = bound(&model, log, FORAGE_UNKNOWN_SKIP);
    list before = ranked(binding, 1), after;
    for (int job = 0; job < 2; job++) {
        for (uint64_t nth = 1;; nth++) {
            forage_alloc_fail_at(nth);
            forage_status status = job ? forage_binding_history(binding, rows, 3, &error)
                                       : forage_model_rank_history(binding, history, NULL, 3, K, NULL, 0, made.items,
                                                                   made.scores, &made.found, &error);
            uint64_t asked = forage_alloc_fail_at(0);
            if (asked < nth)
                break;
            assert_int_equal(status, FORAGE_NO_MEMORY);
            after = ranked(binding, 1); /* as it was */
            assert_memory_equal(before.scores, after.scores, before.found * sizeof(float));
        }
    }
    forage_binding_free(binding);
    model_schema_release(&model.schema);
    forage_dataset_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories), cmocka_unit_test(test_bad_histories), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_no_leak),   cmocka_unit_test(test_split),         cmocka_unit_test(test_rankings),
        cmocka_unit_test(test_listed),    cmocka_unit_test(test_unknown),       cmocka_unit_test(test_parts),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("histories", tests, NULL, NULL);
}
