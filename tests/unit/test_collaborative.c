/*
 * test_collaborative.c: models that learn from who chose what, against what NumPy and SciPy say of the same small log
 * (tests/golden/collaborative.py).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "../must.h"
#include "forage/forage.h"
#include "golden.h"
#include "nn/checkpoint.h"

static json_t *golden;
static size_t users, items;
static forage_dataset *dataset;
static forage_fit_report report; /* of the last fit */

/* The golden events, with numbers as ids. */
static forage_dataset *make_log(size_t user_count, size_t item_count)
{
    const json_t *events = json_object_get(golden, "events");
    forage_dataset *log;
    must(forage_dataset_create(&log, NULL), NULL);
    forage_vocabulary_free(log->users);
    forage_vocabulary_free(log->items);
    log->count = log->train_rows = json_array_size(events);
    log->user = forage_alloc(log->count, sizeof *log->user);
    log->item = forage_alloc(log->count, sizeof *log->item);
    log->value = forage_alloc(log->count, sizeof *log->value);
    assert_true(log->user && log->item && log->value);
    log->user_attributes.rows = user_count;
    log->item_attributes.rows = item_count;
    log->context.rows = log->count;
    must(forage_vocabulary_create_numbered(user_count, &log->users, NULL), NULL);
    must(forage_vocabulary_create_numbered(item_count, &log->items, NULL), NULL);
    for (size_t i = 0; i < log->count; i++) {
        const json_t *event = json_array_get(events, i);
        log->user[i] = (uint32_t)json_integer_value(json_array_get(event, 0));
        log->item[i] = (uint32_t)json_integer_value(json_array_get(event, 1));
        log->value[i] = (float)json_number_value(json_array_get(event, 2));
    }
    return log;
}

static int load_golden(void **state)
{
    (void)state;
    golden = golden_load("collaborative.json", 0);
    users = golden_whole(golden, "users");
    items = golden_whole(golden, "items");
    dataset = make_log(users, items);
    return 0;
}

static int release_golden(void **state)
{
    (void)state;
    forage_fit_report_release(&report);
    forage_dataset_free(dataset);
    json_decref(golden);
    return 0;
}

/* `parameters` are pairs of name and value, ending with NULL. */
static forage_status fit_log(const char *name, const char *const *parameters, const forage_dataset *log, int threads,
                             forage_model **model, forage_error *error)
{
    const forage_model_info *info;
    forage_params *params;
    forage_split split;
    forage_device device;
    must(forage_model_find(name, &info, error), error);
    must(forage_params_create(&info->table, &params, error), error);
    for (; *parameters; parameters += 2)
        must(forage_params_set(params, parameters[0], parameters[1], error), error);
    must(forage_split_parse("none", log, &split, error), error);
    must(forage_device_open("auto", threads, &device, error), error);
    const forage_fit_options options = {.device = &device, .seed = 5, .source = "log.csv"};
    forage_status status = forage_model_fit(info, params, log, &split, &options, &report, model, error);
    forage_split_release(&split);
    forage_params_free(params);
    return status;
}

static forage_model *fit(const char *name, const char *const *parameters)
{
    forage_model *model;
    forage_error error = {0};
    must(fit_log(name, parameters, dataset, 2, &model, &error), &error);
    return model;
}

static void close_to(double found, double wanted, double tolerance)
{
    if (!(fabs(found - wanted) <= tolerance))
        fail_msg("%.9g instead of %.9g", found, wanted);
}

/* Scores of all items for `user` (FORAGE_NONE: the average one), as pairs; the average item's behind them, which is
 * item `items` of a dataset that has one more. */
static void score_user(const forage_model *model, uint32_t user, float *scores)
{
    forage_binding *binding;
    forage_error error = {0};
    forage_dataset *more = make_log(users, items + 1);
    must(forage_model_bind(model, more, FORAGE_UNKNOWN_AVERAGE, NULL, &binding, &error), &error);
    uint32_t pair_users[64], pair_items[64];
    for (uint32_t i = 0; i <= items; i++) {
        pair_users[i] = user;
        pair_items[i] = i;
    }
    must(forage_model_score_pairs(binding, pair_users, pair_items, items + 1, scores, NULL, &error), &error);
    forage_binding_free(binding);
    forage_dataset_free(more);
}

static void check_row(const json_t *wanted, const float *scores, double tolerance)
{
    for (size_t i = 0; i < items; i++)
        close_to((double)scores[i], json_number_value(json_array_get(wanted, i)), tolerance);
}

/* Every score that the golden file has of a model: of users, of the average item and user, of someone with a history.
 */
static void check_scores(const forage_model *model, const json_t *wanted, double tolerance)
{
    float scores[64];
    for (uint32_t user = 0; user < users; user++) {
        score_user(model, user, scores);
        check_row(json_array_get(json_object_get(wanted, "scores"), user), scores, tolerance);
        close_to((double)scores[items],
                 json_number_value(json_array_get(json_object_get(wanted, "average_item"), user)), tolerance);
    }
    score_user(model, FORAGE_NONE, scores);
    check_row(json_object_get(wanted, "average_user"), scores, tolerance);
    const json_t *history = json_object_get(golden, "history"), *weights = json_object_get(golden, "history_weights");
    uint32_t met[8], ranked[64];
    float met_weights[8], ranked_scores[64];
    size_t count = json_array_size(history), found;
    for (size_t i = 0; i < count; i++) {
        met[i] = (uint32_t)json_integer_value(json_array_get(history, i));
        met_weights[i] = (float)json_number_value(json_array_get(weights, i));
    }
    forage_binding *binding;
    forage_error error = {0};
    must(forage_model_bind(model, dataset, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    must(forage_model_rank_history(binding, met, met_weights, count, items, NULL, 0, ranked, ranked_scores, &found,
                                   &error),
         &error);
    assert_int_equal(found, items);
    for (size_t i = 0; i < found; i++)
        scores[ranked[i]] = ranked_scores[i];
    check_row(json_object_get(wanted, "history"), scores, tolerance);
    forage_binding_free(binding);
}

/* Someone with the very history of a user is that user: the same ranking, to the byte. */
static void check_fold_in(const forage_model *model)
{
    forage_binding *binding;
    forage_error error = {0};
    must(forage_model_bind(model, dataset, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    for (uint32_t user = 0; user < users; user++) {
        uint32_t met[64], ranked[64], again[64];
        float scores[64], again_scores[64];
        size_t count = 0, found, again_found;
        for (uint32_t item = (uint32_t)items; item-- > 0;) { /* falling: any order will do */
            bool any = false;
            for (size_t i = 0; i < dataset->count; i++)
                any = any || (dataset->user[i] == user && dataset->item[i] == item && dataset->value[i] > 0);
            if (any)
                met[count++] = item;
        }
        must(forage_model_rank(binding, user, items, NULL, 0, ranked, scores, &found, &error), &error);
        must(forage_model_rank_history(binding, met, NULL, count, items, NULL, 0, again, again_scores, &again_found,
                                       &error),
             &error);
        assert_int_equal(found, again_found);
        assert_memory_equal(ranked, again, found * sizeof *ranked);
        assert_memory_equal(scores, again_scores, found * sizeof *scores);
    }
    forage_binding_free(binding);
}

static const char *scratch_file(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/forage-collaborative-%d", (int)getpid());
    return path;
}

static nn_checkpoint *checkpoint_of(const forage_model *model)
{
    nn_checkpoint *checkpoint;
    forage_error error = {0};
    must(forage_model_save(model, scratch_file(), &error), &error);
    must(nn_checkpoint_load(scratch_file(), &checkpoint, &error), &error);
    unlink(scratch_file());
    return checkpoint;
}

/* The model with word `place` of a tensor changed must not be loaded. */
static void refuse_changed(const forage_model *model, const char *name, size_t place, uint32_t word,
                           const char *message)
{
    forage_error error = {0};
    forage_model *loaded;
    char *bytes;
    size_t size;
    must(forage_model_save(model, scratch_file(), &error), &error);
    must(forage_read_file(scratch_file(), (size_t)1 << 24, &bytes, &size, &error), &error);
    nn_checkpoint *checkpoint;
    must(nn_checkpoint_load(scratch_file(), &checkpoint, &error), &error);
    const nn_tensor *tensor = nn_checkpoint_find(checkpoint, name);
    assert_non_null(tensor);
    size_t data = 0, before = 0;
    for (size_t t = 0; t < nn_checkpoint_count(checkpoint); t++) {
        const nn_tensor *other = nn_checkpoint_at(checkpoint, t);
        before += other->bytes < tensor->bytes ? other->size : 0;
        data += other->size;
    }
    memcpy(bytes + (size - data) + before + 4 * place, &word, sizeof word);
    FILE *file = fopen(scratch_file(), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(forage_model_load(scratch_file(), NULL, &loaded, &error), FORAGE_FORMAT);
    if (!strstr(error.message, message))
        fail_msg("%s", error.message);
    unlink(scratch_file());
    nn_checkpoint_free(checkpoint);
    forage_free(bytes);
}

/* ---- gf-cf ---- */

static void test_gf_cf(void **state)
{
    static const char *const weights[] = {"binary", "count", "value"};
    (void)state;
    for (size_t w = 0; w < 3; w++) {
        const json_t *wanted = json_object_get(json_object_get(golden, "gf_cf"), weights[w]);
        const char *const parameters[] = {"rank", "5", "alpha", "0.3", "weight", weights[w], NULL};
        forage_model *model = fit("gf-cf", parameters);
        nn_checkpoint *checkpoint = checkpoint_of(model);
        float singular[5];
        size_t rank = 5;
        must(nn_checkpoint_read_weights(checkpoint, "singular_values", 1, &rank, singular, NULL), NULL);
        for (size_t k = 0; k < rank; k++)
            close_to((double)singular[k], json_number_value(json_array_get(json_object_get(wanted, "singular"), k)),
                     1e-6);
        assert_int_equal(nn_checkpoint_find(checkpoint, "interactions.weights") != NULL, w > 0);
        check_scores(model, wanted, 5e-6);
        if (w == 0)
            check_fold_in(model);
        nn_checkpoint_free(checkpoint);
        forage_model_free(model);
    }
}

static void test_gf_cf_refuses(void **state)
{
    static const char *const none[] = {NULL}, *const values[] = {"weight", "value", NULL};
    forage_error error = {0};
    (void)state;
    forage_model *model = fit("gf-cf", none);
    refuse_changed(model, "interactions.counts", 0, 99, "counts add up to");
    refuse_changed(model, "interactions.items", 0, (uint32_t)items, "not rising, or beyond");
    refuse_changed(model, "interactions.items", 1, 0, "not rising, or beyond");
    forage_model_free(model);
    model = fit("gf-cf", values);
    refuse_changed(model, "interactions.weights", 2, 0, "not above 0");
    forage_model_free(model);

    forage_dataset *log = make_log(users, items);
    for (size_t i = 0; i < log->count; i++)
        log->value[i] = -log->value[i];
    assert_int_equal(fit_log("gf-cf", none, log, 1, &model, &error), FORAGE_FORMAT);
    assert_non_null(strstr(error.message, "nobody has chosen anything"));
    forage_vocabulary_free(log->users);
    log->users = NULL;
    assert_int_equal(fit_log("gf-cf", none, log, 1, &model, &error), FORAGE_FORMAT);
    assert_non_null(strstr(error.message, "names no users"));
    assert_string_equal(error.file, "log.csv");
    forage_dataset_free(log);
}

/* More than there are, and nothing but one pair. */
static void test_gf_cf_of_little(void **state)
{
    static const char *const none[] = {NULL};
    float scores[64];
    (void)state;
    forage_dataset *log = make_log(users, items);
    for (size_t i = 0; i < log->count; i++)
        log->value[i] = i == 0;
    forage_error error = {0};
    forage_model *model;
    must(fit_log("gf-cf", none, log, 1, &model, &error), &error);
    score_user(model, log->user[0], scores);
    for (uint32_t i = 0; i < items; i++)
        close_to((double)scores[i], i == log->item[0] ? 1.3 : 0, 1e-6);
    forage_model_free(model);
    forage_dataset_free(log);
}

/* A model of the golden log's first rows, and what it becomes with all of them. */
static forage_model *extended(const char *name, const char *const *parameters, size_t rows, bool new_alone)
{
    forage_model *small, *more;
    forage_error error = {0};
    uint32_t events[300];
    forage_dataset *log = make_log(users, items);
    log->count = log->train_rows = rows;
    must(fit_log(name, parameters, log, 1, &small, &error), &error);
    size_t count = 0;
    for (size_t row = new_alone ? rows : 0; row < dataset->count; row++)
        events[count++] = (uint32_t)row;
    must(forage_model_extend(small, dataset, events, count, NULL, &more, &error), &error);
    forage_model_free(small);
    forage_dataset_free(log);
    return more;
}

static void test_gf_cf_extended(void **state)
{
    static const char *const parameters[] = {"rank", "5", "alpha", "0.3", NULL};
    const json_t *wanted = json_object_get(golden, "gf_cf_extended");
    float scores[64];
    (void)state;
    for (int new_alone = 0; new_alone < 2; new_alone++) {
        forage_model *model = extended("gf-cf", parameters, golden_whole(wanted, "rows"), new_alone);
        for (uint32_t user = 0; user < users; user++) {
            score_user(model, user, scores);
            check_row(json_array_get(json_object_get(wanted, "scores"), user), scores, 1e-5);
        }
        forage_model_free(model);
    }
}

/* ---- ials ---- */

static const char *text_of(const json_t *object, const char *key)
{
    static char texts[8][32];
    static int next;
    next = (next + 1) % 8;
    forage_format_real(json_number_value(json_object_get(object, key)), texts[next]);
    return texts[next];
}

static void test_ials(void **state)
{
    const json_t *cases = json_object_get(golden, "ials");
    (void)state;
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *wanted = json_array_get(cases, c);
        /* Of the first case the weight is that which the model finds. */
        const char *const parameters[] = {"embedding-size",
                                          text_of(wanted, "embedding-size"),
                                          "epochs",
                                          text_of(wanted, "epochs"),
                                          "l2",
                                          text_of(wanted, "l2"),
                                          "exponent",
                                          text_of(wanted, "exponent"),
                                          "weight",
                                          golden_text(wanted, "weight"),
                                          c ? "unobserved-weight" : NULL,
                                          text_of(wanted, "unobserved"),
                                          NULL};
        forage_model *model;
        forage_error error = {0};
        must(fit_log("ials", parameters, dataset, 2, &model, &error), &error);
        const json_t *losses = json_object_get(wanted, "losses");
        assert_int_equal(report.epoch_count, json_array_size(losses));
        for (size_t e = 0; e < report.epoch_count; e++)
            close_to(report.epochs[e].train_loss, json_number_value(json_array_get(losses, e)), 1e-5);
        nn_checkpoint *checkpoint = checkpoint_of(model);
        double facts[2];
        size_t two = 2;
        must(nn_checkpoint_read(checkpoint, "facts", NN_F64, 1, &two, facts, NULL), NULL);
        close_to(facts[0], json_number_value(json_object_get(wanted, "unobserved")), 1e-12);
        assert_true(facts[1] == (double)(items - 1));
        check_scores(model, wanted, 5e-5);
        if (c == 0)
            check_fold_in(model);
        nn_checkpoint_free(checkpoint);
        forage_model_free(model);
    }
}

/* A fit that goes on from a model of the first rows: items that are new to it, then everybody, then an epoch. */
static void test_ials_extended(void **state)
{
    const json_t *wanted = json_object_get(golden, "ials_extended");
    const char *const parameters[] = {"embedding-size", "5", "epochs", text_of(wanted, "epochs"), NULL};
    forage_model *small, *model;
    forage_error error = {0};
    forage_params *params;
    forage_split split;
    forage_fit_report longer = {0};
    (void)state;
    forage_dataset *log = make_log(users, items);
    log->count = log->train_rows = golden_whole(wanted, "rows");
    must(fit_log("ials", parameters, log, 1, &small, &error), &error);
    must(forage_params_copy(forage_model_params(small), &params, &error), &error);
    must(forage_params_set(params, "epochs", "1", &error), &error);
    must(forage_split_parse("none", dataset, &split, &error), &error);
    forage_fit_options options = {.seed = 7, .start = small};
    const forage_model_info *info = forage_model_info_of(small);
    must(forage_model_fit(info, params, dataset, &split, &options, &longer, &model, &error), &error);
    close_to(longer.epochs[0].train_loss, json_number_value(json_object_get(wanted, "loss")), 1e-5);
    forage_model_free(model);
    /* Another size cannot be gone on from. */
    must(forage_params_set(params, "embedding-size", "6", &error), &error);
    assert_int_equal(forage_model_fit(info, params, dataset, &split, &options, NULL, &model, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "embeddings of 5 numbers, not of 6"));
    forage_fit_report_release(&longer);
    forage_split_release(&split);
    forage_params_free(params);
    forage_model_free(small);
    forage_dataset_free(log);
}

/* Validated, it keeps the best epoch; with patience it stops. */
static void test_ials_validated(void **state)
{
    const forage_model_info *info;
    forage_error error = {0};
    forage_params *params;
    forage_split split;
    forage_fit_report fits[2] = {{0}, {0}};
    forage_model *model;
    (void)state;
    must(forage_model_find("ials", &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    must(forage_params_set(params, "epochs", "30", &error), &error);
    must(forage_split_parse("random:0.3:1", dataset, &split, &error), &error);
    for (size_t i = 0; i < 2; i++) {
        must(forage_params_set(params, "patience", i ? "2" : "0", &error), &error);
        must(forage_model_fit(info, params, dataset, &split, NULL, &fits[i], &model, &error), &error);
        forage_model_free(model);
        size_t best = 0;
        for (size_t e = 0; e < fits[i].epoch_count; e++) {
            if (fits[i].epochs[e].validation_metric > fits[i].epochs[best].validation_metric)
                best = e;
        }
        assert_int_equal(fits[i].best_epoch, best + 1);
    }
    assert_int_equal(fits[0].epoch_count, 30);
    assert_true(fits[1].stopped_early && fits[1].epoch_count == fits[1].best_epoch + 2);
    forage_fit_report_release(&fits[0]);
    forage_fit_report_release(&fits[1]);
    forage_split_release(&split);
    forage_params_free(params);
}

/* Numbers that scores would overflow from. */
static void test_ials_refuses(void **state)
{
    static const char *const few[] = {"epochs", "1", NULL};
    (void)state;
    forage_model *model = fit("ials", few);
    refuse_changed(model, "item_embedding.weight", 0, 0x6A000000U, "no embedding is that large"); /* 4e25 */
    refuse_changed(model, "user_embedding.weight", 1, 0xEA000000U, "no embedding is that large");
    forage_model_free(model);
}

/* No time at all: one epoch nevertheless, or what is solved for would not fit to the rest. */
static void test_without_time(void **state)
{
    static const char *const names[] = {"gf-cf", "ials", "item-knn"};
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        const forage_model_info *info;
        forage_error error = {0};
        forage_params *params;
        forage_split split;
        forage_model *model, *whole;
        float scores[64], again[64];
        must(forage_model_find(names[m], &info, &error), &error);
        must(forage_params_create(&info->table, &params, &error), &error);
        if (m == 1)
            must(forage_params_set(params, "epochs", "1", &error), &error);
        must(forage_split_parse("none", dataset, &split, &error), &error);
        forage_fit_options options = {.seed = 5};
        must(forage_model_fit(info, params, dataset, &split, &options, NULL, &whole, &error), &error);
        options.seconds_limit = 1e-9;
        must(forage_model_fit(info, params, dataset, &split, &options, NULL, &model, &error), &error);
        score_user(model, 0, scores);
        score_user(whole, 0, again);
        for (size_t i = 0; i < items; i++) /* so small that the first step is all */
            close_to((double)scores[i], (double)again[i], 1e-5);
        forage_model_free(model);
        forage_model_free(whole);
        forage_split_release(&split);
        forage_params_free(params);
    }
}

/* ---- item-knn ---- */

static void test_item_knn(void **state)
{
    const json_t *cases = json_object_get(golden, "item_knn");
    (void)state;
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *wanted = json_array_get(cases, c);
        const char *const parameters[] = {
            "neighbours", text_of(wanted, "neighbours"), "shrinkage", text_of(wanted, "shrinkage"),
            "weight",     golden_text(wanted, "weight"), NULL};
        forage_model *model = fit("item-knn", parameters);
        check_scores(model, wanted, 2e-6);
        if (c == 0)
            check_fold_in(model);
        assert_int_equal(report.epoch_count, 1);
        assert_true(report.epochs[0].train_loss >= 0 && report.epochs[0].train_loss < 1);
        assert_true((report.epochs[0].train_loss == 0) == (c == 2)); /* all are kept */
        forage_model_free(model);
    }
}

/* The same as if all had been there from the beginning. */
static void test_item_knn_extended(void **state)
{
    static const char *const parameters[] = {"neighbours", "5", NULL};
    float scores[64], again[64];
    (void)state;
    forage_model *whole = fit("item-knn", parameters);
    for (int new_alone = 0; new_alone < 2; new_alone++) {
        forage_model *model = extended("item-knn", parameters, 60, new_alone);
        for (uint32_t user = 0; user < users; user++) {
            score_user(whole, user, scores);
            score_user(model, user, again);
            assert_memory_equal(scores, again, (items + 1) * sizeof *scores);
        }
        forage_model_free(model);
    }
    forage_model_free(whole);
}

static void test_item_knn_refuses(void **state)
{
    static const char *const none[] = {NULL};
    (void)state;
    forage_model *model = fit("item-knn", none);
    refuse_changed(model, "neighbours.counts", 0, 99, "not the neighbours of");
    refuse_changed(model, "neighbours.counts", 0, 4000000000U, "not the neighbours of");
    refuse_changed(model, "neighbours.items", 0, 0, "not the neighbours of");
    refuse_changed(model, "neighbours.items", 0, (uint32_t)items, "not the neighbours of");
    refuse_changed(model, "neighbours.similarities", 3, 0x80000000U, "not the neighbours of");
    refuse_changed(model, "neighbours.similarities", 3, 0x7F800000U, "finite");
    forage_model_free(model);
}

/* Rewards at the ends of what floats hold. */
static void test_item_knn_of_extremes(void **state)
{
    static const char *const parameters[] = {"weight", "value", "shrinkage", "0", NULL};
    static const float values[] = {1e-45F, 3e38F, 1, 1e-20F, 1e30F};
    forage_model *model;
    forage_error error = {0};
    float scores[64];
    (void)state;
    forage_dataset *log = make_log(users, items);
    for (size_t i = 0; i < log->count; i++)
        log->value[i] = values[i % 5];
    must(fit_log("item-knn", parameters, log, 2, &model, &error), &error);
    for (uint32_t user = 0; user < users; user++) {
        score_user(model, user, scores);
        for (size_t i = 0; i <= items; i++)
            assert_false(isnan(scores[i]));
    }
    forage_model_free(model);
    forage_dataset_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gf_cf),
        cmocka_unit_test(test_gf_cf_refuses),
        cmocka_unit_test(test_gf_cf_of_little),
        cmocka_unit_test(test_gf_cf_extended),
        cmocka_unit_test(test_ials),
        cmocka_unit_test(test_ials_extended),
        cmocka_unit_test(test_ials_validated),
        cmocka_unit_test(test_ials_refuses),
        cmocka_unit_test(test_without_time),
        cmocka_unit_test(test_item_knn),
        cmocka_unit_test(test_item_knn_extended),
        cmocka_unit_test(test_item_knn_refuses),
        cmocka_unit_test(test_item_knn_of_extremes),
    };
    return cmocka_run_group_tests_name("collaborative", tests, load_golden, release_golden);
}
