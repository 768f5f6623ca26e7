/*
 * Any bytes as a checkpoint: refused with a message, or one that is sound; then as a model, whose rankings are numbers.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/model.h"
#include "fuzz.h"
#include "nn/checkpoint.h"

#include <math.h>

enum { USERS = 3, ITEMS = 4 };

/* Ranks the items of a log of nothing but ids that are numbers. */
static void use(const forage_model *model)
{
    forage_dataset *log = NULL;
    forage_binding *binding = NULL;
    uint32_t items[ITEMS];
    float scores[ITEMS];
    size_t found = 0;
    if (forage_dataset_create(&log, NULL) == FORAGE_OK) {
        forage_vocabulary_free(log->users);
        forage_vocabulary_free(log->items);
        log->users = log->items = NULL;
        log->user = forage_calloc(1, sizeof *log->user); /* it has a column of users, if no rows */
        log->item = forage_calloc(1, sizeof *log->item);
        if (log->user && log->item && forage_vocabulary_create_numbered(USERS, &log->users, NULL) == FORAGE_OK &&
            forage_vocabulary_create_numbered(ITEMS, &log->items, NULL) == FORAGE_OK)
            (void)forage_model_bind(model, log, FORAGE_UNKNOWN_AVERAGE, NULL, &binding, NULL);
    }
    for (uint32_t user = 0; binding && user <= USERS; user++) {
        if (forage_model_rank(binding, user < USERS ? user : FORAGE_NONE, ITEMS, NULL, 0, items, scores, &found,
                              NULL) != FORAGE_OK)
            continue;
        fuzz_check(found == ITEMS, "all items are ranked");
        for (size_t r = 0; r < found; r++)
            fuzz_check(items[r] < ITEMS && !isnan(scores[r]), "a score is a number");
    }
    forage_binding_free(binding);
    forage_dataset_free(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    forage_error error = {0};
    nn_checkpoint *checkpoint;
    const char *path = fuzz_file(bytes, size);
    if (nn_checkpoint_load(path, &checkpoint, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        return 0;
    }
    nn_checkpoint_free(checkpoint);
    forage_device device;
    forage_model *model;
    if (forage_device_open("auto", 1, &device, &error) != FORAGE_OK)
        return 0;
    if (forage_model_load(path, &device, &model, &error) == FORAGE_OK) {
        use(model);
        forage_model_free(model);
    } else {
        fuzz_check(error.message[0] != 0, "a failure has a message");
    }
    return 0;
}
