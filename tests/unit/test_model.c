/*
 * The front of the models: fields and codes, parameters, exact numbers of popularity, rankings of many items.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../must.h"
#include "forage/forage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A log from text, read as a CSV file. */
static forage_dataset *log_of(const char *text)
{
    char path[] = "/tmp/forage-model-XXXXXX";
    forage_dataset *dataset;
    forage_error error = {0};
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    const forage_read_options options = {.format = FORAGE_FILE_CSV};
    must(forage_dataset_load(path, &options, NULL, &dataset, &error), &error);
    unlink(path);
    return dataset;
}

static const forage_model_info *model_named(const char *name)
{
    const forage_model_info *info;
    forage_error error = {0};
    must(forage_model_find(name, &info, &error), &error);
    return info;
}

/* Fits on all rows, one epoch. */
static forage_status fit_fields(const char *name, const forage_dataset *dataset, const char *fields,
                                forage_model **model, forage_error *error)
{
    const forage_model_info *info = model_named(name);
    forage_params *params;
    forage_split split;
    must(forage_params_create(&info->table, &params, error), error);
    if (forage_params_text(params, "epochs"))
        must(forage_params_set(params, "epochs", "1", error), error);
    must(forage_split_parse("none", dataset, &split, error), error);
    const forage_fit_options options = {.fields = fields, .source = "log.csv"};
    forage_status status = forage_model_fit(info, params, dataset, &split, &options, NULL, model, error);
    forage_split_release(&split);
    forage_params_free(params);
    return status;
}

static forage_model *fit(const char *name, const forage_dataset *dataset, const char *fields)
{
    forage_model *model;
    forage_error error = {0};
    must(fit_fields(name, dataset, fields, &model, &error), &error);
    return model;
}

static const char shop[] = "user_id,item_id,clicked,category,position,price,note\n"
                           "ann,shoe,1,red,1,10.5,a\n"
                           "bob,shoe,0,red,2,,b\n"
                           "ann,hat,0,blue,1,20,c\n"
                           "cat,hat,1,blue,2,4.5,d\n"
                           "bob,coat,1,,3,7,e\n";

static void fields_are(const forage_model *model, const char *wanted)
{
    char names[300] = "";
    const forage_schema *schema = forage_model_schema(model);
    for (size_t f = 0; f < schema->field_count; f++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", f ? "," : "", schema->fields[f].name);
    }
    assert_string_equal(names, wanted);
}

static void check_fields(const char *model_name, const char *fields, const char *wanted)
{
    forage_dataset *dataset = log_of(shop);
    forage_model *model = fit(model_name, dataset, fields);
    fields_are(model, wanted);
    forage_model_free(model);
    forage_dataset_free(dataset);
}

static void test_fields(void **state)
{
    (void)state;
    check_fields("embedding-mlp", NULL, "user_id,item_id");
    check_fields("embedding-mlp", "auto", "user_id,item_id");
    check_fields("embedding-mlp", "all", "user_id,item_id,category,position,price"); /* a note in every row is noise */
    check_fields("embedding-mlp", "item_id,note", "item_id,note");                   /* unless it is asked for */
    check_fields("embedding-mlp", "price,category", "price,category");
    check_fields("popular", "all", "item_id");
}

static void refuse_fields(const char *name, const char *fields, const char *says)
{
    forage_dataset *dataset = log_of(shop);
    forage_model *model;
    forage_error error = {0};
    assert_int_not_equal(fit_fields(name, dataset, fields, &model, &error), FORAGE_OK);
    assert_null(model);
    if (!strstr(error.message, says) && !strstr(error.field, says))
        fail_msg("'%s' is not in: %s", says, error.message);
    forage_dataset_free(dataset);
}

static void test_fields_that_cannot_be(void **state)
{
    (void)state;
    refuse_fields("embedding-mlp", "user_id,colour", "colour");
    refuse_fields("embedding-mlp", "user_id,colour", "category");
    refuse_fields("embedding-mlp", "user_id,user_id", "twice");
    refuse_fields("embedding-mlp", "user_id,", "''");
    refuse_fields("embedding-mlp", "", "''");
    refuse_fields("popular", "user_id", "item_id");
}

static const forage_field *field(const forage_model *model, const char *name)
{
    const forage_schema *schema = forage_model_schema(model);
    for (size_t f = 0; f < schema->field_count; f++) {
        if (strcmp(schema->fields[f].name, name) == 0)
            return &schema->fields[f];
    }
    fail_msg("no field %s", name);
    return NULL;
}

static void test_codes_and_scaling(void **state)
{
    (void)state;
    forage_dataset *dataset = log_of(shop);
    forage_model *model = fit("embedding-mlp", dataset, "all");
    const forage_field *price = field(model, "price"), *category = field(model, "category");
    assert_int_equal(price->type, FORAGE_NUMERIC);
    assert_int_equal(price->owner, FORAGE_OF_CONTEXT);
    assert_float_equal(price->mean, 10.5F, 1e-6F); /* numpy.mean, numpy.std of 10.5, 20, 4.5, 7 */
    assert_float_equal(price->deviation, 5.8843011F, 1e-5F);
    assert_int_equal(category->owner, FORAGE_OF_ITEM);
    assert_int_equal(category->cardinality, 2);
    assert_int_equal(forage_vocabulary_find(category->vocabulary, "blue", 4), 1);
    assert_int_equal(field(model, "user_id")->cardinality, 3);
    forage_model_free(model);
    forage_dataset_free(dataset);
}

/* Numbered ids keep their numbers; others are known if they train. */
static void test_known_by_training_rows(void **state)
{
    (void)state;
    forage_dataset *dataset = log_of("user_id,item_id,clicked\n0,a,1\n3,b,0\n1,c,1\n");
    const forage_model_info *info = model_named("popular");
    const uint32_t rows[] = {0, 1};
    uint32_t train[2];
    float mean[3];
    forage_model *model;
    forage_binding *binding;
    forage_error error = {0};
    memcpy(train, rows, sizeof rows);
    const forage_split split = {.train = train, .train_count = 2};
    must(forage_model_fit(info, NULL, dataset, &split, NULL, NULL, &model, &error), &error);
    assert_int_equal(field(model, "item_id")->cardinality, 2);
    must(forage_model_bind(model, dataset, FORAGE_UNKNOWN_SKIP, NULL, &binding, &error), &error);
    must(forage_model_score(binding, (const uint32_t[]){0, 1, 2}, 3, mean, NULL, &error), &error);
    assert_true(isfinite(mean[0]) && isfinite(mean[1]) && isnan(mean[2]));
    forage_binding_free(binding);
    forage_model_free(model);
    forage_dataset_free(dataset);
}

/* The same column may look like words in one log and like numbers in another. */
static void test_words_and_numbers(void **state)
{
    (void)state;
    forage_dataset *dataset = log_of("item_id,clicked,size\na,1,1\nb,0,2\na,0,3\nb,1,1\na,1,2.5\nb,0,2\n");
    forage_dataset *other = log_of("item_id,clicked,size\na,1,1\nb,0,large\n");
    forage_model *model = fit("embedding-mlp", dataset, "item_id,size");
    forage_binding *first, *second;
    float by_number[1], by_word[2];
    forage_error error = {0};
    assert_int_equal(field(model, "size")->type, FORAGE_NUMERIC);
    assert_int_equal(other->context.columns[0].type, FORAGE_CATEGORICAL);
    must(forage_model_bind(model, dataset, FORAGE_UNKNOWN_ERROR, NULL, &first, &error), &error);
    must(forage_model_bind(model, other, FORAGE_UNKNOWN_ERROR, NULL, &second, &error), &error);
    must(forage_model_score(first, (const uint32_t[]){0}, 1, by_number, NULL, &error), &error);
    must(forage_model_score(second, (const uint32_t[]){0, 1}, 2, by_word, NULL, &error), &error);
    assert_true(by_number[0] == by_word[0]);
    assert_true(isfinite(by_word[1])); /* "large" is missing */
    forage_binding_free(first);
    forage_binding_free(second);
    forage_model_free(model);
    model = fit("embedding-mlp", other, "item_id,size");
    assert_int_equal(field(model, "size")->type, FORAGE_CATEGORICAL);
    must(forage_model_bind(model, dataset, FORAGE_UNKNOWN_ERROR, NULL, &first, &error), &error);
    must(forage_model_score(first, (const uint32_t[]){0}, 1, by_number, NULL, &error), &error);
    must(forage_model_bind(model, other, FORAGE_UNKNOWN_ERROR, NULL, &second, &error), &error);
    must(forage_model_score(second, (const uint32_t[]){0}, 1, by_word, NULL, &error), &error);
    assert_true(by_number[0] == by_word[0]);
    forage_binding_free(first);
    forage_binding_free(second);
    forage_model_free(model);
    forage_dataset_free(dataset);
    forage_dataset_free(other);
}

static void test_missing_columns(void **state)
{
    (void)state;
    forage_dataset *dataset = log_of(shop), *less = log_of("user_id,item_id,clicked\nann,hat,1\n");
    forage_dataset *nobody = log_of("item_id,clicked,category,position,price\nhat,1,red,1,2\n");
    forage_model *model = fit("embedding-mlp", dataset, "all");
    forage_binding *binding;
    forage_error error = {0};
    assert_int_equal(forage_model_bind(model, less, FORAGE_UNKNOWN_ERROR, "less.csv", &binding, &error),
                     FORAGE_UNKNOWN);
    assert_string_equal(error.field, "category");
    assert_string_equal(error.file, "less.csv");
    assert_int_equal(forage_model_bind(model, nobody, FORAGE_UNKNOWN_ERROR, "nobody.csv", &binding, &error),
                     FORAGE_UNKNOWN);
    assert_string_equal(error.field, "user_id");
    forage_model_free(model);
    forage_dataset_free(nobody);
    forage_dataset_free(less);
    forage_dataset_free(dataset);
}

/* ---- popularity ---- */

static void check_popular(const forage_dataset *dataset, const char *by, const float wanted[3],
                          const float deviation[3])
{
    const forage_model_info *info = model_named("popular");
    forage_params *params;
    forage_split split;
    forage_model *model;
    forage_binding *binding;
    forage_error error = {0};
    float mean[3], error_of[3];
    must(forage_params_create(&info->table, &params, &error), &error);
    must(forage_params_set(params, "by", by, &error), &error);
    must(forage_params_set(params, "smoothing", "2", &error), &error);
    must(forage_split_parse("none", dataset, &split, &error), &error);
    must(forage_model_fit(info, params, dataset, &split, NULL, NULL, &model, &error), &error);
    must(forage_model_bind(model, dataset, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    must(forage_model_score_pairs(binding, NULL, (const uint32_t[]){0, 1, 2}, 3, mean, error_of, &error), &error);
    for (int i = 0; i < 3; i++) {
        assert_float_equal(mean[i], wanted[i], 1e-6F);
        assert_float_equal(error_of[i], deviation[i], 1e-6F);
    }
    forage_binding_free(binding);
    forage_model_free(model);
    forage_split_release(&split);
    forage_params_free(params);
}

static void test_popular_by_hand(void **state)
{
    (void)state;
    /* a: 1 of 2, b: 1 of 1, c: 0 of 2; all 2 of 5. */
    forage_dataset *clicks = log_of("item_id,clicked\na,1\na,0\nb,1\nc,0\nc,0\n");
    const float means[3] = {1.8F / 4, 1.8F / 3, 0.8F / 4};
    const float mean_errors[3] = {sqrtf(0.45F * 0.55F / 5), sqrtf(0.6F * 0.4F / 4), sqrtf(0.2F * 0.8F / 5)};
    check_popular(clicks, "auto", means, mean_errors);
    check_popular(clicks, "mean", means, mean_errors);
    const float counts[3] = {(1 + 2 / 3.0F) / 4, (1 + 2 / 3.0F) / 4, (2 / 3.0F) / 4};
    float count_errors[3];
    for (int i = 0; i < 3; i++)
        count_errors[i] = sqrtf(counts[i] * (1 - counts[i]) / 5);
    check_popular(clicks, "count", counts, count_errors);
    forage_dataset_free(clicks);
    /* Ratings are no clicks: auto counts. */
    forage_dataset *ratings = log_of("item_id,rating\na,5\na,1\nb,4\nc,2\nc,3\n");
    const float shares[3] = {(2 + 2 / 3.0F) / 7, (1 + 2 / 3.0F) / 7, (2 + 2 / 3.0F) / 7};
    float share_errors[3];
    for (int i = 0; i < 3; i++)
        share_errors[i] = sqrtf(shares[i] * (1 - shares[i]) / 8);
    check_popular(ratings, "auto", shares, share_errors);
    forage_dataset_free(ratings);
}

/* ---- rankings over several blocks ---- */

enum { MANY = 1300, FEW = 12 };

static int by_score(const void *left, const void *right)
{
    const float *a = left, *b = right; /* score, item */
    if (a[0] != b[0])
        return a[0] > b[0] ? -1 : 1;
    return a[1] < b[1] ? -1 : a[1] > b[1];
}

static forage_dataset *many_items(void)
{
    static char text[64 * MANY];
    size_t used = (size_t)snprintf(text, sizeof text, "user_id,item_id,clicked\n");
    for (unsigned i = 0; i < MANY; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%u,%u,%u\n", i % FEW, i, (i * i) % 7 < 2);
    return log_of(text);
}

static void test_rankings_over_blocks(void **state)
{
    enum { K = 700 };
    static uint32_t items[FEW * K], users[FEW];
    static float scores[FEW * K], wanted[MANY][2];
    static uint32_t pair_users[MANY], pair_items[MANY];
    static float mean[MANY];
    (void)state;
    size_t found[FEW];
    forage_error error = {0};
    forage_dataset *dataset = many_items();
    forage_model *model = fit("embedding-mlp", dataset, "auto");
    forage_binding *binding;
    forage_seen seen;
    must(forage_model_bind(model, dataset, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    must(forage_seen_create(dataset, NULL, 0, false, &seen, &error), &error);
    for (uint32_t u = 0; u < FEW; u++)
        users[u] = u;
    must(forage_model_rank_users(binding, users, FEW, K, &seen, NULL, items, scores, found, &error), &error);
    for (uint32_t u = 0; u < FEW; u++) {
        size_t count = 0;
        for (uint32_t i = 0; i < MANY; i++) {
            pair_users[i] = u;
            pair_items[i] = i;
        }
        must(forage_model_score_pairs(binding, pair_users, pair_items, MANY, mean, NULL, &error), &error);
        for (uint32_t i = 0; i < MANY; i++) {
            if (i % FEW != u) { /* what the user has met in the log */
                wanted[count][0] = mean[i];
                wanted[count++][1] = (float)i;
            }
        }
        qsort(wanted, count, sizeof wanted[0], by_score);
        assert_int_equal(found[u], K);
        for (size_t i = 0; i < K; i++) {
            assert_int_equal(items[u * K + i], (uint32_t)wanted[i][1]);
            assert_true(scores[u * K + i] == wanted[i][0]);
        }
    }
    forage_seen_release(&seen);
    forage_binding_free(binding);
    forage_model_free(model);
    forage_dataset_free(dataset);
}

static void test_seen(void **state)
{
    (void)state;
    forage_dataset *dataset = log_of("user_id,item_id,clicked\n1,4,1\n0,2,0\n1,2,1\n1,4,0\n3,0,1\n");
    forage_seen seen;
    forage_error error = {0};
    must(forage_seen_create(dataset, NULL, 0, false, &seen, &error), &error);
    assert_int_equal(seen.user_count, 4);
    const size_t offsets[] = {0, 1, 3, 3, 4};
    const uint32_t items[] = {2, 2, 4, 0};
    assert_memory_equal(seen.offsets, offsets, sizeof offsets);
    assert_memory_equal(seen.items, items, sizeof items);
    for (uint32_t user = 0; user < 5; user++) { /* the last one is nobody */
        for (uint32_t item = 0; item < 6; item++) {
            bool met = false;
            for (size_t e = user < 4 ? offsets[user] : 4; e < (user < 4 ? offsets[user + 1] : 4); e++)
                met |= items[e] == item;
            assert_true(forage_seen_has(&seen, user, item) == met);
        }
    }
    forage_seen_release(&seen);
    assert_false(forage_seen_has(&seen, 0, 0));
    must(forage_seen_create(dataset, (const uint32_t[]){1, 3, 2}, 3, true, &seen, &error), &error);
    assert_int_equal(seen.offsets[4], 1);
    assert_int_equal(seen.items[0], 2);
    forage_seen_release(&seen);
    forage_dataset_free(dataset);
}

/* ---- parameters ---- */

static void test_parameters(void **state)
{
    (void)state;
    forage_params *params;
    forage_error error = {0};
    size_t count;
    must(forage_params_create(&model_named("embedding-mlp")->table, &params, &error), &error);
    must(forage_params_set(params, "learning-rate", "1e-2", &error), &error);
    assert_string_equal(forage_params_text(params, "learning-rate"), "0.01");
    assert_true(forage_params_real(params, "learning-rate") == 0.01);
    must(forage_params_set(params, "layers", "128,064,8", &error), &error);
    assert_string_equal(forage_params_text(params, "layers"), "128,64,8");
    assert_int_equal(forage_params_list(params, "layers", &count)[1], 64);
    assert_int_equal(count, 3);
    assert_int_equal(forage_params_set(params, "layers", "1,,2", &error), FORAGE_INVALID);
    assert_int_equal(forage_params_set(params, "layers", "1,2,", &error), FORAGE_INVALID);
    assert_string_equal(forage_params_text(params, "layers"), "128,64,8");
    /* Neither the name nor the type may be wrong. */
    assert_null(forage_params_text(params, "nothing"));
    assert_int_equal(forage_params_integer(params, "learning-rate"), 0);
    forage_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_fields_that_cannot_be),
        cmocka_unit_test(test_codes_and_scaling),
        cmocka_unit_test(test_known_by_training_rows),
        cmocka_unit_test(test_words_and_numbers),
        cmocka_unit_test(test_missing_columns),
        cmocka_unit_test(test_popular_by_hand),
        cmocka_unit_test(test_rankings_over_blocks),
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_parameters),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
