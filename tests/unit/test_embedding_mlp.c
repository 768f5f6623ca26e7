/*
 * test_embedding_mlp.c: embedding-mlp and PyTorch read each other's checkpoints; divergence; recipes.
 *
 *     test_embedding_mlp                          runs the tests
 *     test_embedding_mlp CHECKPOINT PREDICTIONS   trains a model, writes it and what it predicts for all pairs
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../must.h"
#include "forage/forage.h"
#include "nn/checkpoint.h"

enum { USERS = 13, PRODUCTS = 7, ROWS = USERS * PRODUCTS };

/* Every pair once, in the order of PyTorch's predictions; clicked where (user + product) is a multiple of 3. */
static forage_dataset *all_pairs(void)
{
    const char *path = "test_embedding_mlp.csv";
    char name[80];
    (void)snprintf(name, sizeof name, "%ld.%s", (long)getpid(), path);
    forage_error error = {0};
    forage_output *output = NULL;
    forage_dataset *dataset = NULL;
    must(forage_output_open(name, &output, &error), &error);
    must(forage_output_print(output, &error, "user_id,product_id,clicked\n"), &error);
    for (int user = 0; user < USERS; user++) {
        for (int product = 0; product < PRODUCTS; product++)
            must(forage_output_print(output, &error, "%d,%d,%d\n", user, product, (user + product) % 3 == 0), &error);
    }
    must(forage_output_commit(output, &error), &error);
    must(forage_dataset_load(name, NULL, NULL, &dataset, &error), &error);
    (void)remove(name);
    return dataset;
}

static void predict(const forage_model *model, const forage_dataset *dataset, float mean[ROWS])
{
    forage_error error = {0};
    forage_binding *binding = NULL;
    uint32_t rows[ROWS];
    for (uint32_t i = 0; i < ROWS; i++)
        rows[i] = i;
    must(forage_model_bind(model, dataset, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    must(forage_model_score(binding, rows, ROWS, mean, NULL, &error), &error);
    forage_binding_free(binding);
}

/* A fit on all pairs with parameters "name", "value", ..., NULL. */
static forage_status fit(const forage_dataset *dataset, forage_model **model, forage_error *error, const char *name,
                         ...)
{
    const forage_model_info *info = NULL;
    forage_params *params = NULL;
    forage_split split = {0};
    va_list more;
    must(forage_model_find("embedding-mlp", &info, error), error);
    must(forage_params_create(&info->table, &params, error), error);
    va_start(more, name);
    for (; name; name = va_arg(more, const char *))
        must(forage_params_set(params, name, va_arg(more, const char *), error), error);
    va_end(more);
    must(forage_split_parse("none", dataset, &split, error), error);
    forage_fit_options options = {.seed = 5};
    forage_status status = forage_model_fit(info, params, dataset, &split, &options, NULL, model, error);
    forage_split_release(&split);
    forage_params_free(params);
    return status;
}

static const char *golden(const char *name)
{
    static char path[512];
    const char *source = getenv("FORAGE_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : "..", name);
    return path;
}

static void pytorchs_checkpoint_predicts_what_pytorch_does(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_model *model = NULL;
    nn_checkpoint *file = NULL, *ours = NULL;
    float want[ROWS], have[ROWS];
    char path[64];
    forage_dataset *dataset = all_pairs();
    must(forage_model_load(golden("embedding_mlp_torch.safetensors"), NULL, &model, &error), &error);
    must(nn_checkpoint_load(golden("embedding_mlp_torch_predictions.safetensors"), &file, &error), &error);
    must(nn_checkpoint_read_weights(file, "predictions", 2, (size_t[]){USERS, PRODUCTS}, want, &error), &error);
    nn_checkpoint_free(file);
    predict(model, dataset, have);
    for (size_t i = 0; i < ROWS; i++) {
        if (fabsf(have[i] - want[i]) > 1e-5F)
            fail_msg("pair %zu: %.9g, PyTorch says %.9g", i, (double)have[i], (double)want[i]);
    }

    /* Saved by us it holds the same tensors under the same names. */
    (void)snprintf(path, sizeof path, "test_embedding_mlp.%ld.safetensors", (long)getpid());
    must(forage_model_save(model, path, &error), &error);
    must(nn_checkpoint_load(golden("embedding_mlp_torch.safetensors"), &file, &error), &error);
    must(nn_checkpoint_load(path, &ours, &error), &error);
    assert_int_equal(nn_checkpoint_count(ours), nn_checkpoint_count(file));
    for (size_t i = 0; i < nn_checkpoint_count(file); i++) {
        const nn_tensor *theirs = nn_checkpoint_at(file, i);
        const nn_tensor *tensor = nn_checkpoint_find(ours, theirs->name);
        assert_non_null(tensor);
        assert_true(tensor->rank == theirs->rank && tensor->size == theirs->size);
        assert_memory_equal(tensor->shape, theirs->shape, theirs->rank * sizeof *theirs->shape);
        assert_memory_equal(tensor->bytes, theirs->bytes, theirs->size);
    }
    (void)remove(path);
    nn_checkpoint_free(ours);
    nn_checkpoint_free(file);
    forage_model_free(model);
    forage_dataset_free(dataset);
}

static void divergence_is_an_error_with_its_place(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_model *model = NULL;
    forage_dataset *dataset = all_pairs();
    forage_status status = fit(dataset, &model, &error, "learning-rate", "10", "weight-decay", "100", "decay",
                               "decoupled", "epochs", "100", "batch-size", "10", NULL);
    assert_int_equal(status, FORAGE_DIVERGED);
    assert_null(model);
    assert_non_null(strstr(error.message, "epoch "));
    assert_non_null(strstr(error.message, "step "));
    forage_dataset_free(dataset);
}

static void the_tuned_recipe_yields_to_what_is_set(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_model *model = NULL;
    char text[512];
    forage_dataset *dataset = all_pairs();
    must(fit(dataset, &model, &error, "recipe", "tuned", "epochs", "2", NULL), &error);
    (void)forage_model_describe(model, text, sizeof text);
    assert_non_null(strstr(text, "fc4"));
    forage_model_free(model);
    must(fit(dataset, &model, &error, "recipe", "tuned", "epochs", "2", "layers", "8", NULL), &error);
    (void)forage_model_describe(model, text, sizeof text);
    assert_non_null(strstr(text, "fc1: 64 -> 8"));
    assert_null(strstr(text, "fc2"));
    forage_model_free(model);
    forage_dataset_free(dataset);
}

static void a_recipe_leaves_what_was_given(void **state)
{
    (void)state;
    forage_error error = {0};
    const forage_model_info *info;
    forage_params *params = NULL;
    must(forage_model_find("embedding-mlp", &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    must(forage_params_set(params, "epochs", "10", &error), &error); /* its default, but given */
    must(forage_params_set(params, "recipe", "tuned", &error), &error);
    assert_int_equal(forage_params_integer(params, "epochs"), 10);
    assert_string_equal(forage_params_text(params, "layers"), "64,64,64,32");
    must(forage_params_set(params, "dropout", "0.25", &error), &error);
    must(forage_params_set(params, "recipe", "plain", &error), &error);
    assert_string_equal(forage_params_text(params, "layers"), "64,32");
    assert_string_equal(forage_params_text(params, "dropout"), "0.25");
    forage_params_free(params);
}

static void sizes_must_fit_the_fields(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_model *model = NULL;
    forage_dataset *dataset = all_pairs();
    assert_int_equal(fit(dataset, &model, &error, "embedding-size", "4,4,4", NULL), FORAGE_INVALID);
    assert_string_equal(error.field, "embedding-size");
    must(fit(dataset, &model, &error, "embedding-size", "3,5", "epochs", "1", NULL), &error);
    forage_model_free(model);
    forage_dataset_free(dataset);
}

static void patience_stops_and_keeps_the_best(void **state)
{
    (void)state;
    const forage_model_info *info = NULL;
    forage_params *params = NULL;
    forage_split split = {0};
    forage_model *model = NULL;
    forage_fit_report report = {0};
    forage_error error = {0};
    forage_dataset *dataset = all_pairs();
    must(forage_model_find("embedding-mlp", &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    must(forage_params_set(params, "patience", "4", &error), &error);
    must(forage_params_set(params, "epochs", "500", &error), &error);
    must(forage_params_set(params, "learning-rate", "0.05", &error), &error);
    must(forage_split_parse("random:0.3:1", dataset, &split, &error), &error);
    must(forage_model_fit(info, params, dataset, &split, NULL, &report, &model, &error), &error);
    assert_true(report.stopped_early && report.epoch_count < 500);
    assert_int_equal(report.epoch_count, report.best_epoch + 4);
    double best = report.epochs[report.best_epoch - 1].validation_loss, loss = 0.0;
    for (size_t i = 0; i < report.epoch_count; i++)
        assert_true(report.epochs[i].validation_loss >= best);
    float mean[ROWS];
    predict(model, dataset, mean);
    for (size_t i = 0; i < split.validation_count; i++) {
        uint32_t row = split.validation[i];
        loss -= log(dataset->value[row] > 0.0F ? (double)mean[row] : 1.0 - (double)mean[row]);
    }
    assert_true(fabs(loss / (double)split.validation_count - best) < 1e-5 * best);
    forage_fit_report_release(&report);
    forage_split_release(&split);
    forage_params_free(params);
    forage_model_free(model);
    forage_dataset_free(dataset);
}

/* For PyTorch to read. */
static int write_files(const char *checkpoint, const char *predictions)
{
    forage_error error = {0};
    forage_model *model = NULL;
    nn_checkpoint *file = NULL;
    float mean[ROWS];
    forage_dataset *dataset = all_pairs();
    must(fit(dataset, &model, &error, "learning-rate", "0.01", "embedding-size", "5", "layers", "24,7", NULL), &error);
    predict(model, dataset, mean);
    must(forage_model_save(model, checkpoint, &error), &error);
    must(nn_checkpoint_create(&file, &error), &error);
    must(nn_checkpoint_add(file, "predictions", NN_F32, 2, (size_t[]){USERS, PRODUCTS}, mean, &error), &error);
    must(nn_checkpoint_save(file, predictions, &error), &error);
    nn_checkpoint_free(file);
    forage_model_free(model);
    forage_dataset_free(dataset);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pytorchs_checkpoint_predicts_what_pytorch_does),
        cmocka_unit_test(divergence_is_an_error_with_its_place),
        cmocka_unit_test(the_tuned_recipe_yields_to_what_is_set),
        cmocka_unit_test(a_recipe_leaves_what_was_given),
        cmocka_unit_test(sizes_must_fit_the_fields),
        cmocka_unit_test(patience_stops_and_keeps_the_best),
    };
    if (argc == 3)
        return write_files(argv[1], argv[2]);
    return cmocka_run_group_tests_name("embedding-mlp", tests, NULL, NULL);
}
