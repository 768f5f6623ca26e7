/*
 * Any text as a file of pipelines: refused with a message, or specifications that can be tied to a small catalogue, or
 * are refused there; what works decides and learns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/pipeline.h"
#include "fuzz.h"

#include <string.h>

enum { ITEMS = 6, USERS = 4 };

static forage_table items, users, context;

static uint32_t *codes_of(forage_table *table, const char *name, uint32_t values)
{
    forage_column *column;
    char text[2] = "a";
    uint32_t code;
    fuzz_check(forage_table_add(table, name, FORAGE_CATEGORICAL, &column, NULL) == FORAGE_OK, "a column is added");
    for (uint32_t i = 0; i < values; i++, text[0]++)
        fuzz_check(forage_vocabulary_add(column->vocabulary, text, 1, &code, NULL) == FORAGE_OK, "a word is added");
    for (size_t row = 0; row < table->rows; row++)
        column->codes[row] = (uint32_t)row % values;
    return column->codes;
}

static void numbers(forage_table *table, const char *name)
{
    forage_column *column;
    fuzz_check(forage_table_add(table, name, FORAGE_NUMERIC, &column, NULL) == FORAGE_OK, "a column is added");
    for (size_t row = 0; row < table->rows; row++)
        column->values[row] = (float)row / 2;
}

static void make_shop(void)
{
    items.rows = ITEMS;
    users.rows = USERS;
    codes_of(&items, "category", 3);
    numbers(&items, "price");
    codes_of(&users, "city", 2);
    numbers(&users, "age");
    codes_of(&context, "device", 2);
    numbers(&context, "hour");
}

static void play(const forage_pipeline_spec *spec)
{
    static const forage_catalogue shop = {USERS, ITEMS, &users, &items, &context, NULL, NULL};
    const forage_pipeline_options options = {.catalogue = &shop, .seed = 1, .positions = 2};
    forage_pipeline *pipeline;
    forage_error error = {0};
    forage_decision decision;
    if (forage_pipeline_create(spec, &options, &pipeline, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        return;
    }
    for (uint64_t id = 0; id < 12; id++) {
        const uint32_t codes[] = {(uint32_t)id % 2, FORAGE_NONE};
        const float values[] = {0, (float)id};
        const forage_request request = {
            .id = id, .user = (uint32_t)id % USERS, .codes = codes, .values = values, .positions = 2};
        if (forage_pipeline_decide(pipeline, &request, &decision, &error) != FORAGE_OK) {
            fuzz_check(error.message[0] != '\0', "a failure has a message");
            break;
        }
        fuzz_check(decision.items[0] < ITEMS && decision.items[0] != decision.items[1], "a slate has different items");
        const forage_feedback feedback[] = {{id, 0, 1}, {id, 1, 0}};
        size_t done;
        fuzz_check(forage_pipeline_observe(pipeline, feedback, 2, &done, NULL) == FORAGE_OK, "a click can be learned");
    }
    forage_pipeline_free(pipeline);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    forage_error error = {0};
    forage_pipeline_spec **specs;
    size_t count;
    if (!items.rows)
        make_shop();
    if (forage_pipeline_specs_parse((const char *)bytes, size, "pipelines.yaml", &specs, &count, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        fuzz_check(specs == NULL && count == 0, "a failure leaves nothing");
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const forage_model_info *model = forage_pipeline_spec_model(specs[i]);
        /* Networks take their time, and have fuzzers of their own. */
        if (i < 3 && (!model || !strstr(model->name, "neural")))
            play(specs[i]);
        forage_pipeline_spec_free(specs[i]);
    }
    forage_free(specs);
    return 0;
}
