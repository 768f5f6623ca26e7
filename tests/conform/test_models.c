/* What every model of the registry must do. A new model passes here before anything else. */
#include "fixture.h"
#include "nn/checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const log_kind kinds[] = {LOG_NUMBERED, LOG_NAMED, LOG_WITHOUT_USERS};

#define FOR_EACH_MODEL(info)                                                                    \
    for (size_t model_ = 0, models_ = 0; forage_models(&models_) && model_ < models_; model_++) \
        for (const forage_model_info *info = forage_models(NULL)[model_]; info; info = NULL)

static void must(forage_status status, const forage_error *error)
{
    char text[1024];
    forage_error_text(error, text, sizeof text);
    if (status != FORAGE_OK)
        fail_msg("%s: %s", forage_status_name(status), text);
}

/* A failure says what is wrong, in one line. */
static void clear_message(const forage_error *error, forage_status wanted)
{
    if (error->status != wanted)
        fail_msg("%s instead of %s: %s", forage_status_name(error->status), forage_status_name(wanted), error->message);
    assert_true(strlen(error->message) >= 10);
    assert_null(strchr(error->message, '\n'));
}

static forage_binding *bind(const forage_model *model, const forage_dataset *log, forage_unknown unknown)
{
    forage_binding *binding;
    forage_error error = {0};
    must(forage_model_bind(model, log, unknown, "log.csv", &binding, &error), &error);
    return binding;
}

static uint32_t *all_rows(void)
{
    static uint32_t rows[LOG_ROWS];
    for (uint32_t row = 0; row < LOG_ROWS; row++)
        rows[row] = row;
    return rows;
}

static void score_all(const forage_model *model, const forage_dataset *log, float *mean)
{
    forage_error error = {0};
    forage_binding *binding = bind(model, log, FORAGE_UNKNOWN_ERROR);
    must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
    forage_binding_free(binding);
}

/* ---- tables ---- */

static void test_descriptions(void **state)
{
    const char *previous = "";
    (void)state;
    FOR_EACH_MODEL(info)
    {
        const forage_model_info *found;
        forage_error error = {0};
        assert_true(strcmp(previous, info->name) < 0);
        previous = info->name;
        must(forage_model_find(info->name, &found, &error), &error);
        assert_ptr_equal(found, info);
        assert_true(info->version >= 1 && strlen(info->summary) > 10);
        for (size_t i = 0; i < info->param_count; i++) {
            char possible[200];
            assert_true(strlen(info->params[i].doc) > 10);
            assert_true(forage_param_possible(&info->params[i], possible, sizeof possible) < sizeof possible);
        }
    }
    forage_error error = {0};
    const forage_model_info *found;
    assert_int_equal(forage_model_find("no such", &found, &error), FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, "popular"));
}

static void refuse(forage_params *params, const char *name, const char *value)
{
    forage_error error = {0};
    char *before = forage_strdup(forage_params_text(params, name));
    if (forage_params_set(params, name, value, &error) == FORAGE_OK)
        fail_msg("parameter %s took '%s'", name, value);
    clear_message(&error, FORAGE_INVALID);
    assert_non_null(strstr(error.message, "takes"));
    assert_string_equal(forage_params_text(params, name), before);
    forage_free(before);
}

static void test_parameters_out_of_range(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        forage_params *params = short_params(info);
        forage_error error = {0};
        assert_int_equal(forage_params_set(params, "no-such", "1", &error), FORAGE_UNKNOWN);
        for (size_t i = 0; i < info->param_count; i++) {
            const forage_param *param = &info->params[i];
            char beyond[40];
            assert_non_null(strstr(error.message, param->name)); /* the list of what there is */
            if (param->type == FORAGE_PARAM_TEXT)
                continue;
            refuse(params, param->name, "nonsense");
            refuse(params, param->name, "1;2");
            if (param->type == FORAGE_PARAM_BOOLEAN || param->type == FORAGE_PARAM_CHOICE) {
                refuse(params, param->name, "");
                continue;
            }
            refuse(params, param->name, "nan");
            refuse(params, param->name, "1e400");
            snprintf(beyond, sizeof beyond, "%.0f", floor(param->maximum * 1.01) + 1);
            refuse(params, param->name, beyond);
            snprintf(beyond, sizeof beyond, "%.0f", ceil(param->minimum * 0.99) - 1);
            refuse(params, param->name, beyond);
        }
        forage_params_free(params);
    }
}

/* ---- fitting, saving, loading ---- */

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            char *first = NULL;
            size_t first_size = 0;
            for (int threads = 1; threads <= 3; threads++) {
                forage_error error = {0};
                forage_model *model = fit(info, log, 5, threads);
                const char *path = scratch_path("same");
                size_t size;
                must(forage_model_save(model, path, &error), &error);
                char *bytes = slurp(path, &size);
                if (!first) {
                    first = bytes;
                    first_size = size;
                } else {
                    assert_int_equal(size, first_size);
                    assert_memory_equal(bytes, first, size);
                    forage_free(bytes);
                }
                unlink(path);
                forage_model_free(model);
            }
            forage_free(first);
            forage_dataset_free(log);
        }
    }
}

static void test_saved_and_loaded_scores_the_same(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            static float before[LOG_ROWS], after[LOG_ROWS];
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            forage_model *model = fit(info, log, 1, 1), *loaded;
            forage_error error = {0};
            const char *path = scratch_path("saved");
            score_all(model, log, before);
            must(forage_model_save(model, path, &error), &error);
            must(forage_model_load(path, NULL, &loaded, &error), &error);
            assert_ptr_equal(forage_model_info_of(loaded), info);
            assert_int_equal(forage_model_weight_count(loaded), forage_model_weight_count(model));
            assert_int_equal(forage_model_schema(loaded)->field_count, forage_model_schema(model)->field_count);
            score_all(loaded, log, after);
            assert_memory_equal(before, after, sizeof before);
            unlink(path);
            forage_model_free(model);
            forage_model_free(loaded);
            forage_dataset_free(log);
        }
    }
}

static void expect_broken(const char *path)
{
    forage_model *model;
    forage_error error = {0};
    if (forage_model_load(path, NULL, &model, &error) == FORAGE_OK)
        fail_msg("a broken checkpoint was loaded");
    assert_null(model);
    clear_message(&error, FORAGE_FORMAT);
    assert_string_equal(error.file, path);
}

static void test_checkpoint_cut_anywhere(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_model *model = fit(info, log, 1, 1);
        forage_error error = {0};
        const char *path = scratch_path("cut");
        size_t size;
        must(forage_model_save(model, path, &error), &error);
        forage_free(slurp(path, &size));
        while (size-- > 0) {
            assert_int_equal(truncate(path, (off_t)size), 0);
            expect_broken(path);
        }
        unlink(path);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

/* Writes `from` again with tensor `which` changed: its first dimension one longer, or its first number NaN. */
static void write_changed(const nn_checkpoint *from, size_t which, bool longer, const char *path)
{
    static const char *const keys[] = {"forage.model", "forage.model_version", "forage.parameters", "forage.fields"};
    nn_checkpoint *to;
    forage_error error = {0};
    char *changed = NULL;
    must(nn_checkpoint_create(&to, &error), &error);
    for (size_t i = 0; i < 4; i++)
        must(nn_checkpoint_set_metadata(to, keys[i], nn_checkpoint_metadata(from, keys[i]), &error), &error);
    for (size_t f = 0; f < 20; f++) {
        char key[64];
        for (int codes = 0; codes < 2; codes++) {
            snprintf(key, sizeof key, "forage.field.%zu%s", f, codes ? ".codes" : "");
            if (nn_checkpoint_metadata(from, key))
                must(nn_checkpoint_set_metadata(to, key, nn_checkpoint_metadata(from, key), &error), &error);
        }
    }
    for (size_t t = 0; t < nn_checkpoint_count(from); t++) {
        nn_tensor tensor = *nn_checkpoint_at(from, t);
        if (t == which && tensor.size) {
            changed = forage_calloc(2 * tensor.size + 16, 1);
            memcpy(changed, tensor.bytes, tensor.size);
            if (longer)
                tensor.shape[0]++;
            else if (tensor.dtype == NN_F32)
                memcpy(changed, &(float){NAN}, sizeof(float));
            else if (tensor.dtype == NN_F64)
                memcpy(changed, &(double){NAN}, sizeof(double));
            tensor.bytes = (unsigned char *)changed;
        }
        must(nn_checkpoint_add(to, tensor.name, tensor.dtype, tensor.rank, tensor.shape, tensor.bytes, &error), &error);
    }
    must(nn_checkpoint_save(to, path, &error), &error);
    nn_checkpoint_free(to);
    forage_free(changed);
}

static void test_wrong_shapes_and_numbers(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_model *model = fit(info, log, 1, 1);
        forage_error error = {0};
        const char *path = scratch_path("good"), *bad = scratch_path("bad");
        nn_checkpoint *checkpoint;
        must(forage_model_save(model, path, &error), &error);
        must(nn_checkpoint_load(path, &checkpoint, &error), &error);
        for (size_t t = 0; t < nn_checkpoint_count(checkpoint); t++) {
            for (int longer = 0; longer < 2; longer++) {
                write_changed(checkpoint, t, longer, bad);
                expect_broken(bad);
            }
        }
        nn_checkpoint_free(checkpoint);
        unlink(path);
        unlink(bad);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

/* ---- rewards and rows that cannot be ---- */

static void test_rewards_that_cannot_be(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    FOR_EACH_MODEL(info)
    {
        forage_split split = log_split();
        for (size_t i = 0; i < 3; i++) {
            forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
            forage_fit_options options = {.source = "log.csv"};
            forage_model *model;
            forage_error error = {0};
            log->value[41] = bad[i];
            assert_int_not_equal(forage_model_fit(info, NULL, log, &split, &options, NULL, &model, &error), FORAGE_OK);
            assert_null(model);
            clear_message(&error, FORAGE_INVALID);
            assert_non_null(strstr(error.message, "row 42 "));
            assert_string_equal(error.file, "log.csv");
            forage_dataset_free(log);
        }
        forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
        forage_model *model;
        forage_error error = {0};
        split.train_count = 0;
        assert_int_not_equal(forage_model_fit(info, NULL, log, &split, NULL, NULL, &model, &error), FORAGE_OK);
        clear_message(&error, FORAGE_INVALID);
        forage_dataset_free(log);
        log_split_free(&split);
    }
}

/* ---- scores ---- */

static void test_scores_are_finite_and_stand_alone(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            static float all[LOG_ROWS], deviation[LOG_ROWS];
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            forage_model *model = fit(info, log, 2, 2);
            forage_binding *binding = bind(model, log, FORAGE_UNKNOWN_ERROR);
            forage_error error = {0};
            must(forage_model_score(binding, all_rows(), LOG_ROWS, all, deviation, &error), &error);
            for (uint32_t row = 0; row < LOG_ROWS; row++) {
                float alone;
                assert_true(isfinite(all[row]));
                if (info->capabilities & FORAGE_GIVES_PROBABILITY)
                    assert_true(all[row] >= 0 && all[row] <= 1);
                if (info->capabilities & FORAGE_HAS_DEVIATION)
                    assert_true(isfinite(deviation[row]) && deviation[row] >= 0);
                else
                    assert_true(isnan(deviation[row]));
                must(forage_model_score(binding, &row, 1, &alone, NULL, &error), &error);
                assert_memory_equal(&alone, &all[row], sizeof alone);
            }
            forage_binding_free(binding);
            forage_model_free(model);
            forage_dataset_free(log);
        }
    }
}

static void test_scoring_allocates_nothing(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            static float mean[LOG_ROWS], scores[LOG_USERS * 5];
            uint32_t items[LOG_USERS * 5], users[LOG_USERS];
            size_t found[LOG_USERS];
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            forage_model *model = fit(info, log, 2, 2);
            forage_binding *binding = bind(model, log, FORAGE_UNKNOWN_AVERAGE);
            forage_error error = {0};
            for (uint32_t i = 0; i < LOG_USERS; i++)
                users[i] = log->users ? i : FORAGE_NONE;
            forage_alloc_fail_at(0);
            must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
            must(forage_model_score_pairs(binding, users, all_rows(), LOG_ITEMS, mean, NULL, &error), &error);
            must(forage_model_rank(binding, users[0], 5, NULL, 0, items, scores, found, &error), &error);
            must(forage_model_rank_users(binding, users, LOG_USERS, 5, NULL, NULL, items, scores, found, &error),
                 &error);
            assert_int_equal(forage_alloc_fail_at(0), 0);
            forage_binding_free(binding);
            forage_model_free(model);
            forage_dataset_free(log);
        }
    }
}

/* ---- ids that the model has not met ---- */

static void check_unknown(const forage_model *model, const forage_dataset *log, uint32_t row, const char *id)
{
    static float mean[LOG_ROWS];
    uint32_t items[3];
    float scores[3];
    size_t found;
    forage_error error = {0};
    forage_binding *binding = bind(model, log, FORAGE_UNKNOWN_ERROR);
    char place[32];
    snprintf(place, sizeof place, "row %u ", row + 1);
    assert_int_not_equal(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), FORAGE_OK);
    clear_message(&error, FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, id));
    assert_non_null(strstr(error.message, place));
    assert_string_equal(error.file, "log.csv");
    forage_binding_free(binding);

    binding = bind(model, log, FORAGE_UNKNOWN_SKIP);
    error = (forage_error){0};
    must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
    for (uint32_t i = 0; i < row; i++)
        assert_true(isfinite(mean[i]));
    assert_true(isnan(mean[row]));
    forage_binding_free(binding);

    binding = bind(model, log, FORAGE_UNKNOWN_AVERAGE);
    must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
    for (uint32_t i = 0; i < LOG_ROWS; i++)
        assert_true(isfinite(mean[i]));
    must(forage_model_rank(binding, log->users ? log->user[row] : FORAGE_NONE, 3, NULL, 0, items, scores, &found,
                           &error),
         &error);
    assert_int_equal(found, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(isfinite(scores[i]));
    forage_binding_free(binding);
}

static bool reads(const forage_model *model, forage_owner owner)
{
    const forage_schema *schema = forage_model_schema(model);
    for (size_t f = 0; f < schema->field_count; f++) {
        if (schema->fields[f].is_id && schema->fields[f].owner == owner)
            return true;
    }
    return false;
}

static void test_unknown_ids(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            forage_dataset *small = log_create(kinds[k], LOG_USERS - 2, LOG_ITEMS - 2);
            forage_model *model = fit(info, small, 2, 2);
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            for (size_t row = 0; row < LOG_ROWS; row++) {
                log->item[row] %= LOG_ITEMS - 2;
                if (log->user)
                    log->user[row] %= LOG_USERS - 2;
            }
            if (reads(model, FORAGE_OF_ITEM)) {
                uint32_t item = log->item[650];
                log->item[650] = LOG_ITEMS - 1;
                check_unknown(model, log, 650, kinds[k] == LOG_NUMBERED ? "'8'" : "'item 8'");
                log->item[650] = item;
            }
            if (reads(model, FORAGE_OF_USER)) {
                log->user[13] = LOG_USERS - 1;
                check_unknown(model, log, 13, kinds[k] == LOG_NUMBERED ? "'14'" : "'user 14'");
            }
            forage_dataset_free(log);
            forage_dataset_free(small);
            forage_model_free(model);
        }
    }
}

/* ---- rankings ---- */

static bool better(float score, uint32_t item, float other_score, uint32_t other)
{
    return score > other_score || (score == other_score && item < other);
}

/* The ranking by the plainest means: score every pair, take the best again and again. */
static size_t naive(forage_binding *binding, uint32_t user, const bool *out, size_t k, uint32_t *items, float *scores)
{
    uint32_t users[LOG_ITEMS], all[LOG_ITEMS];
    float mean[LOG_ITEMS];
    bool taken[LOG_ITEMS];
    forage_error error = {0};
    size_t found = 0;
    memcpy(taken, out, sizeof taken);
    for (uint32_t i = 0; i < LOG_ITEMS; i++) {
        users[i] = user;
        all[i] = i;
    }
    must(forage_model_score_pairs(binding, users, all, LOG_ITEMS, mean, NULL, &error), &error);
    while (found < k) {
        uint32_t best = FORAGE_NONE;
        for (uint32_t i = 0; i < LOG_ITEMS; i++) {
            if (!taken[i] && (best == FORAGE_NONE || better(mean[i], i, mean[best], best)))
                best = i;
        }
        if (best == FORAGE_NONE)
            break;
        taken[best] = true;
        items[found] = best;
        scores[found++] = mean[best];
    }
    return found;
}

static void test_rankings(void **state)
{
    enum { K = 6 };
    (void)state;
    FOR_EACH_MODEL(info)
    {
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            forage_model *model = fit(info, log, 3, 2);
            forage_binding *binding = bind(model, log, FORAGE_UNKNOWN_ERROR);
            forage_error error = {0};
            uint32_t users[LOG_USERS], many[LOG_USERS * K], offsets_items[LOG_USERS * 4];
            float many_scores[LOG_USERS * K];
            size_t many_found[LOG_USERS], offsets[LOG_USERS + 1] = {0}, used = 0;
            bool out[LOG_USERS][LOG_ITEMS] = {{0}};
            for (uint32_t u = 0; u < LOG_USERS; u++) {
                users[u] = log->users ? u : FORAGE_NONE;
                for (uint32_t i = 0; i < LOG_ITEMS && used < (u + 1) * 4; i++) {
                    if (!log->users || (u * 3 + i * 5) % 7 > 2)
                        continue;
                    out[u][i] = true;
                    offsets_items[used++] = i;
                }
                offsets[u + 1] = used;
            }
            const forage_seen seen = {LOG_USERS, offsets, offsets_items};
            must(forage_model_rank_users(binding, users, LOG_USERS, K, &seen, NULL, many, many_scores, many_found,
                                         &error),
                 &error);
            for (uint32_t u = 0; u < LOG_USERS; u++) {
                uint32_t wanted[K], items[K];
                float wanted_scores[K], scores[K];
                size_t found, count = naive(binding, users[u], out[u], K, wanted, wanted_scores);
                must(forage_model_rank(binding, users[u], K, offsets_items + offsets[u], offsets[u + 1] - offsets[u],
                                       items, scores, &found, &error),
                     &error);
                assert_int_equal(found, count);
                assert_int_equal(many_found[u], count);
                assert_memory_equal(items, wanted, count * sizeof *items);
                assert_memory_equal(scores, wanted_scores, count * sizeof *scores);
                assert_memory_equal(many + u * K, wanted, count * sizeof *items);
                assert_memory_equal(many_scores + u * K, wanted_scores, count * sizeof *scores);
                for (size_t i = count; i < K; i++)
                    assert_true(items[i] == FORAGE_NONE && isnan(scores[i]));
            }
            forage_binding_free(binding);
            forage_model_free(model);
            forage_dataset_free(log);
        }
    }
}

static void test_more_than_there_are(void **state)
{
    enum { K = 3 * LOG_ITEMS };
    (void)state;
    FOR_EACH_MODEL(info)
    {
        forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
        forage_model *model = fit(info, log, 3, 1);
        forage_binding *binding = bind(model, log, FORAGE_UNKNOWN_ERROR);
        forage_error error = {0};
        uint32_t items[K];
        float scores[K];
        size_t found;
        bool available[LOG_ITEMS] = {false, true, false, true, true};
        must(forage_model_rank(binding, 0, K, NULL, 0, items, scores, &found, &error), &error);
        assert_int_equal(found, LOG_ITEMS);
        must(forage_model_rank(binding, 0, 0, NULL, 0, items, scores, &found, &error), &error);
        assert_int_equal(found, 0);
        must(forage_binding_available(binding, available, &error), &error);
        must(forage_model_rank(binding, 0, K, NULL, 0, items, scores, &found, &error), &error);
        assert_int_equal(found, 3);
        for (size_t i = 0; i < found; i++)
            assert_true(available[items[i]]);
        assert_int_equal(forage_model_rank(binding, LOG_USERS, K, NULL, 0, items, scores, &found, &error),
                         FORAGE_INVALID);
        forage_binding_free(binding);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

/* ---- resuming ---- */

static bool stop_at(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    (void)stage;
    (void)done;
    (void)total;
    (void)note;
    int *left = context;
    return --*left > 0;
}

static void test_resumed_to_the_same_bytes(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_split split = log_split();
        forage_params *params = short_params(info);
        const char *path = scratch_path("resumed"), *saved_as = scratch_path("whole");
        size_t size, again;
        forage_error error = {0};
        forage_model *model = fit(info, log, 9, 1);
        must(forage_model_save(model, saved_as, &error), &error);
        char *whole = slurp(saved_as, &size);
        forage_model_free(model);
        /* Stopped after each step, and resumed with another number of threads, until it is done. */
        forage_device device;
        must(forage_device_open("auto", 2, &device, &error), &error);
        int left = 1, stops = 0;
        const forage_progress progress = {stop_at, &left};
        forage_fit_options options = {
            .device = &device, .seed = 9, .fields = "all", .progress = &progress, .state_path = path, .resume = true};
        forage_fit_report report = {0};
        forage_status status;
        while ((status = forage_model_fit(info, params, log, &split, &options, &report, &model, &error)) ==
               FORAGE_INTERRUPTED) {
            clear_message(&error, FORAGE_INTERRUPTED);
            assert_int_equal(access(path, F_OK), 0);
            options.seed = 10; /* another fit does not take over this one's state */
            assert_int_equal(forage_model_fit(info, params, log, &split, &options, NULL, &model, &error),
                             FORAGE_INVALID);
            options.seed = 9;
            left = 1 + stops++;
            assert_true(stops < 1000);
            error = (forage_error){0};
        }
        must(status, &error);
        assert_int_equal(report.resumed, stops > 0);
        must(forage_model_save(model, saved_as, &error), &error);
        char *bytes = slurp(saved_as, &again);
        assert_int_equal(again, size);
        assert_memory_equal(bytes, whole, size);
        unlink(path);
        unlink(saved_as);
        forage_free(bytes);
        forage_free(whole);
        forage_fit_report_release(&report);
        forage_model_free(model);
        forage_params_free(params);
        log_split_free(&split);
        forage_dataset_free(log);
    }
}

static void test_broken_state(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
        forage_split split = log_split();
        forage_params *params = short_params(info);
        const char *path = scratch_path("state");
        int left = 1;
        const forage_progress progress = {stop_at, &left};
        forage_fit_options options = {.seed = 9, .progress = &progress, .state_path = path};
        forage_error error = {0};
        forage_model *model;
        forage_status status = forage_model_fit(info, params, log, &split, &options, NULL, &model, &error);
        size_t size = 0;
        char *bytes = status == FORAGE_INTERRUPTED ? slurp(path, &size) : NULL;
        forage_model_free(model);
        if (bytes)
            expect_broken(path); /* a state is no model */
        options.resume = true;
        options.progress = NULL;
        for (size_t cut = 0; cut < size; cut += size / 97 + 1) {
            spill(path, bytes, cut);
            error = (forage_error){0};
            assert_int_equal(forage_model_fit(info, params, log, &split, &options, NULL, &model, &error),
                             FORAGE_FORMAT);
            clear_message(&error, FORAGE_FORMAT);
            assert_string_equal(error.file, path);
        }
        unlink(path);
        forage_free(bytes);
        forage_params_free(params);
        log_split_free(&split);
        forage_dataset_free(log);
    }
}

/* ---- memory that runs out ---- */

/* Everything a user does, once. Returns the first failure. */
static forage_status whole_life(const forage_model_info *info, const forage_dataset *log, const forage_split *split,
                                const char *path, forage_error *error)
{
    forage_params *params = NULL;
    forage_model *model = NULL, *loaded = NULL;
    forage_binding *binding = NULL;
    forage_fit_report report = {0};
    forage_seen seen = {0};
    forage_device device;
    forage_status status;
    uint32_t items[3];
    float scores[3];
    size_t found;
    FORAGE_TRY(forage_device_open("auto", 1, &device, error));
    const forage_fit_options options = {.device = &device, .fields = "all", .state_path = path, .state_every = 1};
    FORAGE_TRY_GOTO(forage_params_create(info, &params, error), end);
    if (forage_params_text(params, "epochs"))
        FORAGE_TRY_GOTO(forage_params_set(params, "epochs", "2", error), end);
    FORAGE_TRY_GOTO(forage_model_fit(info, params, log, split, &options, &report, &model, error), end);
    FORAGE_TRY_GOTO(forage_model_save(model, path, error), end);
    FORAGE_TRY_GOTO(forage_model_load(path, &device, &loaded, error), end);
    FORAGE_TRY_GOTO(forage_model_bind(loaded, log, FORAGE_UNKNOWN_ERROR, "log", &binding, error), end);
    FORAGE_TRY_GOTO(forage_seen_create(log, NULL, 0, true, &seen, error), end);
    FORAGE_TRY_GOTO(forage_model_rank(binding, 0, 3, seen.items, seen.offsets[1], items, scores, &found, error), end);
end:
    forage_seen_release(&seen);
    forage_binding_free(binding);
    forage_fit_report_release(&report);
    forage_model_free(loaded);
    forage_model_free(model);
    forage_params_free(params);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    FOR_EACH_MODEL(info)
    {
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_split split = log_split();
        const char *path = scratch_path("memory");
        forage_error error = {0};
        split.train_count = 80;
        forage_alloc_fail_at(0);
        must(whole_life(info, log, &split, path, &error), &error);
        uint64_t count = forage_alloc_fail_at(0);
        assert_true(count > 10);
        for (uint64_t nth = 1; nth <= count; nth++) {
            error = (forage_error){0};
            forage_alloc_fail_at(nth);
            forage_status status = whole_life(info, log, &split, path, &error);
            forage_alloc_fail_at(0);
            if (status != FORAGE_NO_MEMORY)
                fail_msg("%s: allocation %llu of %llu failed: %s, %s", info->name, (unsigned long long)nth,
                         (unsigned long long)count, forage_status_name(status), error.message);
            clear_message(&error, FORAGE_NO_MEMORY);
        }
        unlink(path);
        log_split_free(&split);
        forage_dataset_free(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_parameters_out_of_range),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_saved_and_loaded_scores_the_same),
        cmocka_unit_test(test_checkpoint_cut_anywhere),
        cmocka_unit_test(test_wrong_shapes_and_numbers),
        cmocka_unit_test(test_rewards_that_cannot_be),
        cmocka_unit_test(test_scores_are_finite_and_stand_alone),
        cmocka_unit_test(test_scoring_allocates_nothing),
        cmocka_unit_test(test_unknown_ids),
        cmocka_unit_test(test_rankings),
        cmocka_unit_test(test_more_than_there_are),
        cmocka_unit_test(test_resumed_to_the_same_bytes),
        cmocka_unit_test(test_broken_state),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
