/* Any bytes as a checkpoint: refused with a message, or one that is sound; then as a model. */
#include "forage/model.h"
#include "fuzz.h"
#include "nn/checkpoint.h"

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
    forage_model *model;
    if (forage_model_load(path, NULL, &model, &error) == FORAGE_OK)
        forage_model_free(model);
    else
        fuzz_check(error.message[0] != 0, "a failure has a message");
    return 0;
}
