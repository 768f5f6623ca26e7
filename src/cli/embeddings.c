/*
 * forage embeddings: the vectors of users and items, for other programs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <stdio.h>

static const char *output;
static bool json;

static const cli_option options[] = {
    {"output", CLI_TEXT, &output, "FILE", "where to; .safetensors or .npz says the format (required)"},
    {"json", CLI_FLAG, &json, NULL, "print the summary as one JSON object"},
};

/* "29858 x 64", for users or for items. */
static void describe(const forage_model *model, forage_owner owner, const char *name, json_t *object)
{
    forage_embedding embedding;
    if (forage_model_embedding(model, owner, &embedding, NULL) != FORAGE_OK)
        return;
    if (object)
        json_object_set_new(object, name,
                            json_pack("[I, I]", (json_int_t)embedding.count, (json_int_t)embedding.width));
    else
        printf("%s: %zu x %zu\n", name, embedding.count, embedding.width);
}

static int run(int argc, char **argv)
{
    const cli_group groups[] = {{"Options", options, sizeof options / sizeof *options}};
    const cli_syntax syntax = {
        .usage = "forage embeddings MODELFILE --output FILE [options]",
        .description =
            "Writes the vectors that a model has learned of users and items, with the ids they belong to: as\n"
            "safetensors, or as NumPy's .npz. docs/models/embeddings.md says how to read them.",
        .groups = groups,
        .group_count = 1,
        .examples = "  forage embeddings graph.safetensors --output vectors.npz\n"
                    "  forage embeddings mlp.safetensors --output vectors.safetensors",
        .least = 1,
        .most = 1,
    };
    forage_error error = {0};
    forage_device device;
    forage_model *model = NULL;
    size_t count;
    int code;
    if (!cli_parse(&syntax, argc, argv, &count, &code))
        return code;
    if (!output)
        return cli_misused("embeddings needs --output FILE");
    (void)cli_progress(true); /* Ctrl-C is heard before the file is begun */
    forage_status status = forage_device_open("auto", 1, &device, &error);
    if (status == FORAGE_OK)
        status = forage_model_load(argv[1], &device, &model, &error);
    if (status == FORAGE_OK && cli_interrupted())
        status = forage_fail(&error, FORAGE_INTERRUPTED, "stopped on request; nothing was written");
    if (status == FORAGE_OK)
        status = forage_model_export_embeddings(model, output, &error);
    if (status != FORAGE_OK) {
        forage_model_free(model);
        return cli_fail(&error);
    }
    json_t *object =
        json ? json_pack("{s:s, s:s}", "model", forage_model_info_of(model)->name, "output", output) : NULL;
    describe(model, FORAGE_OF_USER, "user_embedding", object);
    describe(model, FORAGE_OF_ITEM, "item_embedding", object);
    forage_model_free(model);
    return json ? cli_print_json(object) : CLI_GOOD;
}

const cli_command cli_embeddings = {"embeddings", "vectors of users and items as safetensors or for NumPy", run};
