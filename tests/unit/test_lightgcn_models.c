/*
 * test_lightgcn_models.c: models of LightGCN that are there: fits that go on from them, users and items that are new to
 * them, and their files, our own and other programs'.
 *
 *     test_lightgcn_models                      runs the tests
 *     test_lightgcn_models CHECKPOINT SCORES    fits a model, writes it and its scores of all pairs, for PyTorch
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "fit_log.h"

/* ---- going on from a model ---- */

/* Layer 0 in a file as PyTorch would write it. */
static forage_status load_torch(size_t users, size_t items, size_t width, float value, forage_model **model,
                                forage_error *error)
{
    nn_checkpoint *file = NULL;
    const char *path = scratch_path("torch");
    float *numbers = array((users + items) * width, sizeof *numbers);
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    for (size_t i = 0; i < (users + items) * width; i++)
        numbers[i] = value * (float)forage_rng_normal(&rng);
    must(nn_checkpoint_create(&file, error), error);
    must(nn_checkpoint_add(file, "embedding_user.weight", NN_F32, 2, (size_t[]){users, width}, numbers, error), error);
    must(nn_checkpoint_add(file, "embedding_item.weight", NN_F32, 2, (size_t[]){items, width}, numbers + users * width,
                           error),
         error);
    must(nn_checkpoint_save(file, path, error), error);
    nn_checkpoint_free(file);
    forage_free(numbers);
    forage_status status = forage_model_load(path, NULL, model, error);
    (void)remove(path);
    return status;
}

static forage_model *torch_model(size_t users, size_t items, size_t width, float value)
{
    forage_error error = {0};
    forage_model *model = NULL;
    must(load_torch(users, items, width, value, &model, &error), &error);
    return model;
}

/* 40 users and 30 items. Those before 38 and 28 are in the first rows; then user 38 meets old items and new ones, in
 * the last ten rows user 39 old ones alone. */
static forage_dataset *growing_log(size_t *before)
{
    forage_dataset *log = log_create(40, 30, 420, true);
    forage_rng rng;
    forage_rng_seed(&rng, 12);
    *before = 400;
    for (size_t row = 0; row < log->count; row++) {
        log->user[row] = row < 400 ? (uint32_t)forage_rng_integers(&rng, 38) : row < 410 ? 38 : 39;
        log->item[row] = row < 400   ? (uint32_t)forage_rng_integers(&rng, 28)
                         : row < 410 ? (uint32_t)row - 380
                                     : (uint32_t)(row - 410) * 2;
    }
    return log;
}

static float *layer_0(const forage_model *model)
{
    size_t users, items;
    float *user = tensor_of(model, "embedding_user.weight", &users);
    float *item = tensor_of(model, "embedding_item.weight", &items), *both = array(users + items, sizeof *both);
    memcpy(both, user, users * sizeof *user);
    memcpy(both + users, item, items * sizeof *item);
    forage_free(user);
    forage_free(item);
    return both;
}

static void a_fit_goes_on_from_a_model(void **state)
{
    (void)state;
    enum { WIDTH = 16 };
    forage_error error = {0};
    size_t before;
    forage_dataset *log = growing_log(&before);
    for (size_t layers = 0; layers < 4; layers++) {
        char params[128];
        (void)snprintf(params, sizeof params, "layers=%zu embedding-size=%d epochs=20 batch-size=64", layers, WIDTH);
        log->count = before; /* as if the log ended there */
        task first = {.log = log, .params = params};
        must(fit(&first, &error), &error);

        /* The same ids, and no step to speak of: the same numbers. */
        task again = {.log = log, .params = params, .options = {.start = first.model}};
        (void)snprintf(params, sizeof params, "layers=%zu embedding-size=%d epochs=1 batch-size=64 learning-rate=0",
                       layers, WIDTH);
        must(fit(&again, &error), &error);
        float *old = layer_0(first.model), *new = layer_0(again.model);
        forage_embedding users = vectors_of(first.model, FORAGE_OF_USER);
        assert_int_equal(users.count, 38);
        assert_memory_equal(old, new, (38 + 28) * WIDTH * sizeof *old);
        assert_memory_equal(users.values, vectors_of(again.model, FORAGE_OF_USER).values,
                            users.count * users.pitch * sizeof(float));
        forage_free(new);

        /* Further ids: who was known keeps layer 0, who is new has what their items bring. */
        log->count = 420;
        task more = {.log = log, .params = params, .options = {.start = first.model}};
        must(fit(&more, &error), &error);
        new = layer_0(more.model);
        assert_memory_equal(old, new, 38 * WIDTH * sizeof *old);
        assert_memory_equal(old + 38 * WIDTH, new + 40 * WIDTH, 28 * WIDTH * sizeof *old);
        users = vectors_of(more.model, FORAGE_OF_USER);
        for (size_t n = 38; n < 40; n++) {
            double row = 0, length = 0;
            for (size_t j = 0; j < WIDTH; j++) {
                row += fabs((double)new[n * WIDTH + j]);
                length += fabs((double)users.values[n * users.pitch + j]);
            }
            assert_true((row == 0) == (layers > 0) && length > 0);
        }
        forage_free(old);
        forage_free(new);
        release(&more);
        release(&again);
        release(&first);
    }
    forage_dataset_free(log);
}

/* New users who met new items alone have no vector to begin with, and a cosine no gradient for them. */
static void strangers_among_themselves_learn(void **state)
{
    (void)state;
    static const char *const params[] = {
        "embedding-size=16 epochs=60 batch-size=32 learning-rate=0.05",
        "embedding-size=16 epochs=60 batch-size=32 learning-rate=0.05 layers=0",
        "embedding-size=16 epochs=60 batch-size=32 learning-rate=0.05 loss=bpr",
    };
    for (size_t i = 0; i < 3; i++) {
        forage_error error = {0};
        forage_dataset *log = random_log(7, 24, 20, 200);
        for (size_t row = 0; row < 200; row++) {
            log->user[row] = log->user[row] % 20;
            log->item[row] = log->item[row] % 16;
            if (row >= 180) { /* 20 and 22 met 16 and 18, 21 and 23 met 17 and 19 */
                log->user[row] = 20 + (uint32_t)(row % 4);
                log->item[row] = 16 + (uint32_t)(row % 2) + 2 * (uint32_t)(row % 8 / 4);
            }
        }
        task first = {.log = log, .train = 180, .params = params[i]};
        must(fit(&first, &error), &error);
        /* The first model knows the ids of all; the second is to learn as if it did not. */
        forage_model *known = torch_model(20, 16, 16, 0.1F);
        task second = {.log = log, .params = params[i], .options = {.start = known}};
        must(fit(&second, &error), &error);
        forage_binding *binding = NULL;
        must(forage_model_bind(second.model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
        for (uint32_t user = 20; user < 24; user++) {
            uint32_t items[2];
            float scores[2];
            size_t found;
            must(forage_model_rank(binding, user, 2, NULL, 0, items, scores, &found, &error), &error);
            assert_true(found == 2 && scores[1] > 0);
            for (size_t r = 0; r < 2; r++)
                assert_true(items[r] >= 16 && items[r] % 2 == user % 2);
        }
        forage_binding_free(binding);
        forage_model_free(known);
        release(&second);
        release(&first);
        forage_dataset_free(log);
    }
}

static void models_that_cannot_be_gone_on_from(void **state)
{
    (void)state;
    forage_error error = {0};
    const forage_model_info *info = NULL;
    forage_model *popular = NULL;
    forage_dataset *log = random_log(8, 10, 10, 60);
    uint32_t rows[60];
    for (uint32_t row = 0; row < 60; row++)
        rows[row] = row;
    const forage_split split = {.train = rows, .train_count = 60};
    must(forage_model_find("popular", &info, &error), &error);
    must(forage_model_fit(info, NULL, log, &split, NULL, NULL, &popular, &error), &error);
    task t = {.log = log, .params = "embedding-size=16", .options = {.start = popular}};
    assert_int_equal(fit(&t, &error), FORAGE_UNSUPPORTED);
    says(&error, "lightgcn");
    says(&error, "popular");
    forage_model *narrow = torch_model(10, 10, 8, 1);
    t.options.start = narrow;
    assert_int_equal(fit(&t, &error), FORAGE_INVALID);
    says(&error, "embeddings of 8 numbers, not of 16");
    assert_string_equal(error.field, "embedding-size");
    forage_model *again = NULL;
    assert_int_equal(
        forage_model_fit(info, NULL, log, &split, &(forage_fit_options){.start = popular}, NULL, &again, &error),
        FORAGE_UNSUPPORTED);
    says(&error, "popular cannot go on");
    release(&t);
    forage_model_free(narrow);
    forage_model_free(popular);
    forage_dataset_free(log);
}

/* With one layer folding somebody in is what extending the model does; with more, their items' vectors would change
 * with their coming, too. */
static void who_is_folded_in_has_the_vector_of_an_extension(void **state)
{
    (void)state;
    forage_error error = {0};
    size_t before;
    forage_dataset *log = growing_log(&before);
    const uint32_t history[] = {18, 16, 14, 12, 10, 8, 6, 4, 2, 0};
    for (size_t layers = 1; layers < 4; layers++) {
        char params[128];
        (void)snprintf(params, sizeof params, "layers=%zu embedding-size=20 epochs=20 batch-size=64 weight=count",
                       layers);
        log->count = before;
        task old = {.log = log, .params = params};
        must(fit(&old, &error), &error);
        log->count = 420;
        task new = {.log = log, .params = params, .options = {.start = old.model}};
        (void)snprintf(params, sizeof params,
                       "layers=%zu embedding-size=20 epochs=1 batch-size=64 weight=count learning-rate=0", layers);
        /* Of the new rows, those of user 39 alone. */
        memmove(log->user + before, log->user + 410, 10 * sizeof *log->user);
        memmove(log->item + before, log->item + 410, 10 * sizeof *log->item);
        log->count = 410;
        must(fit(&new, &error), &error);
        forage_embedding user = vectors_of(new.model, FORAGE_OF_USER), item = vectors_of(old.model, FORAGE_OF_ITEM);
        forage_binding *binding = NULL;
        uint32_t items[28];
        float scores[28];
        size_t found, at = user.count - 1;
        double both = 0, ours = 0, theirs = 0;
        must(forage_model_bind(old.model, log, FORAGE_UNKNOWN_SKIP, NULL, &binding, &error), &error);
        must(forage_model_rank_history(binding, history, NULL, 10, 28, NULL, 0, items, scores, &found, &error), &error);
        assert_int_equal(found, 28);
        for (size_t r = 0; r < found; r++) {
            double want = 0, have = (double)scores[r];
            for (size_t j = 0; j < user.width; j++)
                want += (double)user.values[at * user.pitch + j] * (double)item.values[items[r] * item.pitch + j];
            if (layers == 1)
                assert_true(fabs(want - have) < 1e-6 * (1 + fabs(want)));
            both += want * have;
            ours += have * have;
            theirs += want * want;
        }
        assert_true(both / sqrt(ours * theirs) > (layers == 1 ? 0.999999 : 0.97));
        memmove(log->user + 410, log->user + before, 10 * sizeof *log->user);
        memmove(log->item + 410, log->item + before, 10 * sizeof *log->item);
        forage_binding_free(binding);
        release(&new);
        release(&old);
    }
    forage_dataset_free(log);
}

/* ---- files ---- */

static void the_authors_files_are_recognised(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_model *model = torch_model(5, 4, 6, 1);
    assert_string_equal(forage_model_info_of(model)->name, "lightgcn");
    assert_int_equal(forage_model_weight_count(model), 9 * 6);
    forage_embedding users = vectors_of(model, FORAGE_OF_USER), items = vectors_of(model, FORAGE_OF_ITEM);
    assert_true(users.count == 5 && items.count == 4 && users.width == 6);
    float *layer = layer_0(model);
    forage_dataset *log = log_create(5, 4, 0, false);
    forage_binding *binding = NULL;
    must(forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    for (uint32_t u = 0; u < 5; u++) { /* without a graph, what is scored by is layer 0 */
        for (uint32_t i = 0; i < 4; i++) {
            double want = 0;
            float have;
            for (size_t j = 0; j < 6; j++)
                want += (double)layer[u * 6 + j] * (double)layer[(5 + i) * 6 + j];
            must(forage_model_score_pairs(binding, &u, &i, 1, &have, NULL, &error), &error);
            assert_true(fabs((double)have - want) < 1e-5);
        }
    }
    forage_free(layer);
    forage_binding_free(binding);
    forage_dataset_free(log);
    forage_model_free(model);

    /* Not with numbers that scores would overflow from. */
    forage_model_free(torch_model(5, 4, 6, 1e11F));
    assert_int_equal(load_torch(5, 4, 6, 1e25F, &model, &error), FORAGE_FORMAT);
    assert_string_equal(error.field, "embedding_user.weight");
    says(&error, "no embedding is that large");
}

typedef enum damage {
    UNSORTED,
    TWICE,
    NO_ITEM,
    A_USER,
    FALLING,
    TOO_FAR,
    ENDS_EARLY,
    NOT_AT_0,
    NO_WEIGHT,
    BELOW_0,
    DAMAGES
} damage;

/* A model's file with its graph changed. */
static forage_status load_damaged(const forage_model *model, damage what, forage_error *error)
{
    static const char *const names[] = {"graph.offsets", "graph.nodes", "graph.weights"};
    size_t size, at[3];
    char *bytes = bytes_of(model, &size), *copy = array(size, 1);
    const char *path = scratch_path("damaged");
    nn_checkpoint *file = NULL;
    forage_model *loaded = NULL;
    forage_output *output = NULL;
    uint64_t offsets[4];
    uint32_t nodes[5];
    float weights[5];
    void *const tensors[] = {offsets, nodes, weights};
    static const size_t sizes[] = {sizeof offsets, sizeof nodes, sizeof weights};
    memcpy(copy, bytes, size);
    must(nn_checkpoint_parse(bytes, size, "model", &file, error), error);
    for (size_t i = 0; i < 3; i++) {
        const nn_tensor *tensor = nn_checkpoint_find(file, names[i]);
        assert_true(tensor && tensor->size == sizes[i]);
        at[i] = (size_t)(tensor->bytes - (const unsigned char *)bytes);
        memcpy(tensors[i], tensor->bytes, sizes[i]);
    }
    nn_checkpoint_free(file);
    assert_true(offsets[1] == 2 && nodes[0] == 3 && nodes[1] == 4); /* user 0 has items 0 and 1 */
    nodes[0] += what == UNSORTED;
    nodes[1] -= what == UNSORTED || what == TWICE;
    nodes[4] = what == NO_ITEM ? 6 : nodes[4];
    nodes[0] = what == A_USER ? 2 : nodes[0];
    offsets[1] = what == FALLING ? 5 : offsets[1];
    offsets[2] = what == TOO_FAR ? (uint64_t)1 << 63 : offsets[2];
    offsets[3] -= what == ENDS_EARLY;
    offsets[0] += what == NOT_AT_0;
    weights[2] = what == NO_WEIGHT ? 0 : what == BELOW_0 ? -1 : weights[2];
    for (size_t i = 0; i < 3; i++)
        memcpy(copy + at[i], tensors[i], sizes[i]);
    must(forage_output_open(path, &output, error), error);
    must(forage_output_write(output, copy, size, error), error);
    must(forage_output_commit(output, error), error);
    forage_free(copy);
    forage_status status = forage_model_load(path, NULL, &loaded, error);
    (void)remove(path);
    if (status == FORAGE_OK)
        same_bytes(model, loaded);
    forage_model_free(loaded);
    return status;
}

static void damaged_graphs_are_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = log_create(3, 3, 5, false);
    const uint32_t item[] = {0, 1, 0, 2, 1};
    for (size_t row = 0; row < 5; row++) {
        log->user[row] = row < 2 ? 0 : row < 4 ? 1 : 2;
        log->item[row] = item[row];
    }
    task t = {.log = log, .params = "epochs=1 embedding-size=4"};
    must(fit(&t, &error), &error);
    must(load_damaged(t.model, DAMAGES, &error), &error); /* nothing changed: it loads */
    for (int what = 0; what < DAMAGES; what++) {
        if (load_damaged(t.model, (damage)what, &error) != FORAGE_FORMAT)
            fail_msg("damage %d was not refused", what);
        says(&error, "not the edges of a graph");
        assert_string_equal(error.field, "graph.nodes");
    }
    release(&t);
    forage_dataset_free(log);
}

/* For PyTorch to read. */
static int write_files(const char *checkpoint, const char *path)
{
    enum { ALL = 25, KINDS = 19 };
    forage_error error = {0};
    forage_binding *binding = NULL;
    nn_checkpoint *file = NULL;
    uint32_t users[ALL * KINDS], items[ALL * KINDS];
    float scores[ALL * KINDS];
    forage_dataset *log = random_log(13, ALL, KINDS, 130);
    for (size_t row = 0; row < 130; row++)
        log->user[row] -= log->user[row] == 4; /* has nothing */
    task t = {.log = log,
              .params = "layers=2 embedding-size=12 epochs=30 batch-size=32 learning-rate=0.01 weight=count"};
    must(fit(&t, &error), &error);
    must(forage_model_save(t.model, checkpoint, &error), &error);
    must(forage_model_bind(t.model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    for (uint32_t i = 0; i < ALL * KINDS; i++) {
        users[i] = i / KINDS;
        items[i] = i % KINDS;
    }
    must(forage_model_score_pairs(binding, users, items, (size_t)ALL * KINDS, scores, NULL, &error), &error);
    must(nn_checkpoint_create(&file, &error), &error);
    must(nn_checkpoint_add(file, "scores", NN_F32, 2, (size_t[]){ALL, KINDS}, scores, &error), &error);
    must(nn_checkpoint_save(file, path, &error), &error);
    nn_checkpoint_free(file);
    forage_binding_free(binding);
    release(&t);
    forage_dataset_free(log);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fit_goes_on_from_a_model),
        cmocka_unit_test(strangers_among_themselves_learn),
        cmocka_unit_test(models_that_cannot_be_gone_on_from),
        cmocka_unit_test(who_is_folded_in_has_the_vector_of_an_extension),
        cmocka_unit_test(the_authors_files_are_recognised),
        cmocka_unit_test(damaged_graphs_are_refused),
    };
    if (argc == 3)
        return write_files(argv[1], argv[2]);
    return cmocka_run_group_tests_name("lightgcn-models", tests, NULL, NULL);
}
