/*
 * The library in one page: get a log of clicks, fit a model on most of it,
 * see how good it is on the rest, and recommend.
 *
 *   recommend                simulates the log
 *   recommend LOG USER       reads the log from a file (CSV, JSON Lines ...)
 *
 * Build: cc recommend.c $(pkg-config --cflags --libs forage) -o recommend
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <forage/forage.h>

#include <stdio.h>
#include <string.h>

static forage_status simulate(forage_dataset **log, forage_error *error)
{
    forage_scenario scenario;
    forage_simulator *shop = NULL;
    FORAGE_TRY(forage_scenario_load("petshop", &scenario, error));
    forage_status status = forage_simulator_create(&scenario, NULL, &shop, error);
    if (status == FORAGE_OK)
        status = forage_simulator_dataset(shop, 200000, NULL, log, error);
    forage_simulator_free(shop);
    forage_scenario_release(&scenario);
    return status;
}

static forage_status fit(const forage_dataset *log, const forage_split *split, forage_model **model,
                         forage_error *error)
{
    const forage_model_info *info;
    forage_params *params = NULL;
    forage_fit_report report = {0};
    FORAGE_TRY(forage_model_find("embedding-mlp", &info, error));
    forage_status status = forage_params_create(&info->table, &params, error);
    if (status == FORAGE_OK)
        status = forage_params_set(params, "epochs", "10", error);
    if (status == FORAGE_OK)
        status = forage_model_fit(info, params, log, split, NULL, &report, model, error);
    for (size_t epoch = 0; epoch < report.epoch_count; epoch++)
        printf("epoch %zu: validation loss %.4f\n", epoch + 1, report.epochs[epoch].validation_loss);
    forage_fit_report_release(&report);
    forage_params_free(params);
    return status;
}

static forage_status recommend(const forage_model *model, const forage_dataset *log, const char *user,
                               forage_error *error)
{
    enum { K = 5 };
    uint32_t items[K];
    float scores[K];
    size_t found = 0;
    forage_binding *binding = NULL;
    uint32_t index = forage_vocabulary_find(log->users, user, strlen(user));
    if (index == FORAGE_NONE)
        return forage_fail(error, FORAGE_UNKNOWN, "the log has no user '%s'", user);
    FORAGE_TRY(forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, error));
    forage_status status = forage_model_rank(binding, index, K, NULL, 0, items, scores, &found, error);
    for (size_t place = 0; place < found && status == FORAGE_OK; place++) {
        char buffer[24];
        printf("user %s: item %s, click rate %.3f\n", user,
               forage_vocabulary_id(log->items, items[place], buffer, NULL), (double)scores[place]);
    }
    forage_binding_free(binding);
    return status;
}

int main(int argc, char **argv)
{
    forage_error error = {0};
    forage_dataset *log = NULL;
    forage_split split = {0};
    forage_model *model = NULL;
    forage_status status = argc > 1 ? forage_dataset_load(argv[1], NULL, NULL, &log, &error) : simulate(&log, &error);
    if (status == FORAGE_OK && !log->users)
        status = forage_fail(&error, FORAGE_UNSUPPORTED, "the log names no users");
    if (status == FORAGE_OK)
        status = forage_split_parse("random:0.2:0", log, &split, &error);
    if (status == FORAGE_OK)
        status = fit(log, &split, &model, &error);
    if (status == FORAGE_OK)
        status = recommend(model, log, argc > 2 ? argv[2] : "0", &error);
    if (status != FORAGE_OK) {
        char text[1024];
        forage_error_text(&error, text, sizeof text);
        fprintf(stderr, "recommend: %s\n", text);
    }
    forage_model_free(model);
    forage_split_release(&split);
    forage_dataset_free(log);
    return status == FORAGE_OK ? 0 : 1;
}
