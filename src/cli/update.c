/*
 * forage update: a fitted model takes in users, items and events that are new, without being trained again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/log_options.h"

#include <stdio.h>
#include <string.h>

typedef struct update {
    forage_read_options read;
    const char *path, *data, *output, *device_name;
    int64_t threads;
    bool json, quiet;

    forage_device device;
    forage_dataset *dataset;
    forage_model *model, *updated;
    size_t new_users, new_items;
    double seconds;
} update;

static void release(update *u)
{
    forage_model_free(u->updated);
    forage_model_free(u->model);
    forage_dataset_free(u->dataset);
}

static bool parse(update *u, int argc, char **argv, int *code)
{
    const cli_option options[] = {
        {"data", CLI_TEXT, &u->data, "FILE", "the log with the new events; old ones may be in it, too (required)"},
        {"output", CLI_TEXT, &u->output, "FILE", "where the new model is saved; may be MODELFILE (required)"},
        {"device", CLI_TEXT, &u->device_name, "NAME", "auto or cpu"},
        {"threads", CLI_INTEGER, &u->threads, "N", "threads; default: one per core. The result does not depend on it"},
        {"json", CLI_FLAG, &u->json, NULL, "print one JSON object"},
        {"quiet", CLI_FLAG, &u->quiet, NULL, "no progress bar"},
    };
    const cli_group groups[] = {{"Options", options, sizeof options / sizeof options[0]}, cli_log_group};
    const cli_syntax syntax = {
        .usage = "forage update MODELFILE --data FILE --output FILE [options]",
        .description =
            "Makes a model that also knows the users, items and events of a log, in the time it takes to read them: "
            "nothing is learned, who is new is placed by what they chose; in a model of sequences, which knows users "
            "by "
            "what they did, a new item is the average of the others. Nothing is lost that the model knew. "
            "'forage train MODEL --from MODELFILE' learns from them as well, now and then.",
        .groups = groups,
        .group_count = 2,
        .examples = "  forage update graph.safetensors --data today.csv --output graph.safetensors",
        .least = 1,
        .most = 1,
    };
    size_t count;
    if (!cli_parse(&syntax, argc, argv, &count, code))
        return false;
    u->path = argv[1];
    if (!u->data || !u->output)
        *code = cli_misused("option --%s is missing; 'forage help update' explains", u->data ? "output" : "data");
    else if (u->json && strcmp(u->output, "-") == 0)
        *code = cli_misused("--json and --output - would both write to standard output");
    else if (u->threads < 0 || u->threads > 4096)
        *code = cli_misused("option --threads: %lld is not a number of threads", (long long)u->threads);
    else
        return true;
    return false;
}

/* How many of the log's users (or items) the model did not know. Numbers that only fill gaps are none. */
static size_t count_new(const update *u, forage_owner owner)
{
    const forage_schema *schema = forage_model_schema(u->model);
    const forage_vocabulary *ids = owner == FORAGE_OF_USER ? u->dataset->users : u->dataset->items;
    const uint8_t *known = owner == FORAGE_OF_USER ? u->dataset->user_known : u->dataset->item_known;
    size_t count = 0, f = 0;
    while (f < schema->field_count && !(schema->fields[f].is_id && schema->fields[f].owner == owner))
        f++;
    for (uint32_t i = 0; ids && f < schema->field_count && i < forage_vocabulary_count(ids); i++) {
        char buffer[24];
        size_t length;
        const char *id = forage_vocabulary_id(ids, i, buffer, &length);
        count +=
            (!known || known[i]) && forage_vocabulary_find(schema->fields[f].vocabulary, id, length) == FORAGE_NONE;
    }
    return count;
}

static forage_status run_update(update *u, forage_error *error)
{
    double start = forage_clock();
    const forage_progress *progress = cli_progress(u->quiet);
    FORAGE_TRY(cli_log_options(&u->read, error));
    FORAGE_TRY(forage_device_open(u->device_name ? u->device_name : "auto", (int)u->threads, &u->device, error));
    FORAGE_TRY(cli_check_output(u->output, u->data, error));
    FORAGE_TRY(forage_model_load(u->path, &u->device, &u->model, error));
    FORAGE_TRY(forage_dataset_load(u->data, &u->read, progress, &u->dataset, error));
    FORAGE_TRY(forage_model_extend(u->model, u->dataset, NULL, 0, u->data, &u->updated, error));
    if (cli_interrupted())
        return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request; nothing was written");
    FORAGE_TRY(forage_model_save(u->updated, u->output, error));
    u->new_users = count_new(u, FORAGE_OF_USER);
    u->new_items = count_new(u, FORAGE_OF_ITEM);
    u->seconds = forage_clock() - start;
    return FORAGE_OK;
}

static int print(const update *u)
{
    const forage_model_info *info = forage_model_info_of(u->updated);
    bool to_file = strcmp(u->output, "-") != 0;
    FILE *to = to_file ? stdout : stderr; /* standard output is the model's where that is written there */
    char text[4096];
    forage_model_describe(u->updated, text, sizeof text);
    if (u->json)
        return cli_print_json(json_pack(
            "{s:s, s:i, s:s, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:o, s:I}", "model", info->name, "version",
            (int)info->version, "device", u->device.name, "threads", u->device.threads, "data", u->data, "output",
            u->output, "rows", (json_int_t)u->dataset->count, "new_users", (json_int_t)u->new_users, "new_items",
            (json_int_t)u->new_items, "weights", (json_int_t)forage_model_weight_count(u->updated), "architecture",
            text, "seconds", cli_json_real(u->seconds), "peak_memory", (json_int_t)forage_peak_memory()));
    cli_progress_end();
    fprintf(to, "%s%s%zu user%s and %zu item%s of %zu rows are new, after %.2f s. Saved in %s.\n", text,
            text[0] && text[strlen(text) - 1] != '\n' ? "\n" : "", u->new_users, u->new_users == 1 ? "" : "s",
            u->new_items, u->new_items == 1 ? "" : "s", u->dataset->count, u->seconds,
            to_file ? u->output : "standard output");
    return CLI_GOOD;
}

static int run(int argc, char **argv)
{
    update u = {0};
    forage_error error = {0};
    int code;
    if (parse(&u, argc, argv, &code))
        code = run_update(&u, &error) == FORAGE_OK ? print(&u) : cli_fail(&error);
    release(&u);
    return code;
}

const cli_command cli_update = {"update", "take users, items and events into a model without training it again", run};
