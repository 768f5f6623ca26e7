/*
 * Models that take in new users and items without another fit: LightGCN's against the sum of powers of a dense matrix.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../must.h"
#include "forage/forage.h"
#include "nn/checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WIDTH = 5, MOST = 64 };

static char folder[] = "/tmp/forage-extend-XXXXXX";

/* A log from text, read as a CSV file. */
static forage_dataset *log_of(const char *text)
{
    char path[300];
    forage_dataset *dataset;
    forage_error error = {0};
    snprintf(path, sizeof path, "%s/log", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    const forage_read_options options = {.format = FORAGE_FILE_CSV};
    must(forage_dataset_load(path, &options, NULL, &dataset, &error), &error);
    return dataset;
}

/* "name=value" pairs, joined by commas. */
static forage_status fit(const char *name, const char *settings, const forage_dataset *log, const forage_model *start,
                         forage_model **model, forage_error *error)
{
    const forage_model_info *info;
    forage_params *params;
    forage_split split;
    char text[256], *rest = text;
    must(forage_model_find(name, &info, error), error);
    must(forage_params_create(&info->table, &params, error), error);
    snprintf(text, sizeof text, "%s", settings);
    for (char *item; (item = strsep(&rest, ",")) && *item;) {
        char *value = strchr(item, '=');
        assert_non_null(value);
        *value++ = '\0';
        must(forage_params_set(params, item, value, error), error);
    }
    must(forage_split_parse("none", log, &split, error), error);
    const forage_fit_options options = {.seed = 3, .start = start};
    forage_status status = forage_model_fit(info, params, log, &split, &options, NULL, model, error);
    forage_split_release(&split);
    forage_params_free(params);
    return status;
}

static forage_model *graph_model(const char *settings, const forage_dataset *log)
{
    char all[200];
    forage_model *model;
    forage_error error = {0};
    snprintf(all, sizeof all, "embedding-size=5,epochs=2,batch-size=4,learning-rate=0.05,%s", settings);
    must(fit("lightgcn", all, log, NULL, &model, &error), &error);
    return model;
}

static forage_model *extended(const forage_model *model, const forage_dataset *log)
{
    forage_model *more;
    forage_error error = {0};
    must(forage_model_extend(model, log, NULL, 0, "log", &more, &error), &error);
    return more;
}

static forage_embedding vectors_of(const forage_model *model, forage_owner owner)
{
    forage_embedding embedding;
    forage_error error = {0};
    must(forage_model_embedding(model, owner, &embedding, &error), &error);
    return embedding;
}

static const float *vector_of(const forage_model *model, forage_owner owner, const char *id)
{
    forage_embedding embedding = vectors_of(model, owner);
    uint32_t code = forage_vocabulary_find(embedding.ids, id, strlen(id));
    if (code == FORAGE_NONE)
        fail_msg("the model does not know %s", id);
    return embedding.values + code * embedding.pitch;
}

static bool knows(const forage_model *model, forage_owner owner, const char *id)
{
    return forage_vocabulary_find(vectors_of(model, owner).ids, id, strlen(id)) != FORAGE_NONE;
}

/* ---- the oracle ---- */

/* What a model should be: layer 0 by id, edges by id. */
typedef struct world {
    size_t count[2];
    char ids[2][MOST][8]; /* users, items */
    double base[2][MOST][WIDTH];
    double weight[MOST][MOST];
} world;

static size_t place(world *w, int owner, const char *id)
{
    for (size_t i = 0; i < w->count[owner]; i++) {
        if (strcmp(w->ids[owner][i], id) == 0)
            return i;
    }
    size_t i = w->count[owner]++;
    assert_true(i < MOST);
    snprintf(w->ids[owner][i], sizeof w->ids[owner][i], "%s", id);
    return i;
}

/* Layer 0 of a fitted model, read from its file. */
static void read_base(world *w, const forage_model *model)
{
    static const char *const names[] = {"embedding_user.weight", "embedding_item.weight"};
    char path[300];
    nn_checkpoint *file;
    forage_error error = {0};
    snprintf(path, sizeof path, "%s/model", folder);
    must(forage_model_save(model, path, &error), &error);
    must(nn_checkpoint_load(path, &file, &error), &error);
    for (int owner = 0; owner < 2; owner++) {
        forage_embedding embedding = vectors_of(model, owner ? FORAGE_OF_ITEM : FORAGE_OF_USER);
        float table[MOST * WIDTH];
        size_t shape[2] = {embedding.count, WIDTH};
        must(nn_checkpoint_read_weights(file, names[owner], 2, shape, table, &error), &error);
        for (uint32_t i = 0; i < embedding.count; i++) {
            char buffer[24];
            size_t at = place(w, owner, forage_vocabulary_id(embedding.ids, i, buffer, NULL));
            for (size_t j = 0; j < WIDTH; j++)
                w->base[owner][at][j] = (double)table[i * WIDTH + j];
        }
    }
    nn_checkpoint_free(file);
}

typedef enum mode { BINARY, COUNT } mode;

/* Edges of a log: those that it names weigh what it says. */
static void add_log(world *w, const forage_dataset *log, mode how)
{
    double named[MOST][MOST] = {{0}};
    for (size_t row = 0; row < log->count; row++) {
        char user[24], item[24];
        size_t u = place(w, 0, forage_vocabulary_id(log->users, log->user[row], user, NULL));
        size_t i = place(w, 1, forage_vocabulary_id(log->items, log->item[row], item, NULL));
        if (!log->value || log->value[row] > 0)
            named[u][i] = how == COUNT ? named[u][i] + 1 : 1;
    }
    for (size_t u = 0; u < MOST; u++) {
        for (size_t i = 0; i < MOST; i++)
            w->weight[u][i] = named[u][i] > 0 ? named[u][i] : w->weight[u][i];
    }
}

/* One more layer: to = A from, users and items. */
static void apply(const world *w, double (*from)[MOST][WIDTH], double (*to)[MOST][WIDTH])
{
    double degree[2][MOST] = {{0}};
    memset(to, 0, 2 * sizeof *to);
    for (size_t u = 0; u < MOST; u++) {
        for (size_t i = 0; i < MOST; i++) {
            degree[0][u] += w->weight[u][i];
            degree[1][i] += w->weight[u][i];
        }
    }
    for (size_t u = 0; u < MOST; u++) {
        for (size_t i = 0; i < MOST; i++) {
            if (w->weight[u][i] == 0)
                continue;
            double value = w->weight[u][i] / sqrt(degree[0][u] * degree[1][i]);
            for (size_t j = 0; j < WIDTH; j++) {
                to[0][u][j] += value * from[1][i][j];
                to[1][i][j] += value * from[0][u][j];
            }
        }
    }
}

/* Has it edges, and do they lead to somebody with a vector? */
static bool placed(const world *w, double (*sum)[MOST][WIDTH], int owner, size_t at)
{
    bool edges = false, vector = false;
    for (size_t n = 0; n < MOST; n++)
        edges = edges || (owner ? w->weight[n][at] : w->weight[at][n]) > 0;
    for (size_t j = 0; j < WIDTH; j++)
        vector = vector || sum[owner][at][j] != 0;
    return edges && vector;
}

/* The model's vectors are the mean of layers 0 to `layers`; those of nobody in particular for who has no place. */
static void compare(const world *w, size_t layers, const forage_model *model)
{
    static double sum[2][MOST][WIDTH], layer[2][2][MOST][WIDTH];
    memcpy(sum, w->base, sizeof sum);
    memcpy(layer[0], w->base, sizeof sum);
    for (size_t k = 0; k < layers; k++) {
        apply(w, layer[k % 2], layer[(k + 1) % 2]);
        for (size_t n = 0; n < 2 * MOST; n++) {
            for (size_t j = 0; j < WIDTH; j++)
                sum[n / MOST][n % MOST][j] += layer[(k + 1) % 2][n / MOST][n % MOST][j];
        }
    }
    for (int owner = 0; owner < 2; owner++) {
        double average[WIDTH] = {0};
        size_t count = 0;
        for (size_t n = 0; n < w->count[owner]; n++) {
            count += placed(w, sum, owner, n);
            for (size_t j = 0; placed(w, sum, owner, n) && j < WIDTH; j++)
                average[j] += sum[owner][n][j];
        }
        for (size_t n = 0; n < w->count[owner]; n++) {
            const float *have = vector_of(model, owner ? FORAGE_OF_ITEM : FORAGE_OF_USER, w->ids[owner][n]);
            for (size_t j = 0; j < WIDTH; j++) {
                double want = placed(w, sum, owner, n) ? sum[owner][n][j] : average[j] / (double)count;
                if (fabs((double)have[j] - want / (double)(layers + 1)) > 1e-6)
                    fail_msg("%s %s, number %zu: %g, not %g", owner ? "item" : "user", w->ids[owner][n], j,
                             (double)have[j], want / (double)(layers + 1));
            }
        }
    }
}

/* ---- LightGCN ---- */

static const char old_log[] = "user_id,item_id\nann,hat\nann,coat\nbob,coat\nbob,sock\nbob,sock\ncid,hat\ncid,shoe\n"
                              "dan,sock\ndan,shoe\ndan,coat\n";
/* In another order; without cid and shoe's other users; with a user and two items that are new; bob met sock again, and
 * new met the new ones only. */
static const char new_log[] = "user_id,item_id\nzoe,sock\nzoe,cape\nbob,sock\nann,cape\nnew,cape\nnew,scarf\n"
                              "bob,sock\nbob,sock\n";

static void test_vectors(void **state)
{
    static const char *const layers[] = {"0", "1", "2", "3"};
    (void)state;
    forage_dataset *before = log_of(old_log), *after = log_of(new_log);
    for (size_t k = 0; k < 4; k++) {
        for (int how = BINARY; how <= COUNT; how++) {
            static world w;
            char settings[64];
            memset(&w, 0, sizeof w);
            snprintf(settings, sizeof settings, "layers=%s,weight=%s", layers[k], how == COUNT ? "count" : "binary");
            forage_model *model = graph_model(settings, before);
            read_base(&w, model);
            add_log(&w, before, (mode)how);
            compare(&w, k, model);
            add_log(&w, after, (mode)how);
            forage_model *more = extended(model, after);
            compare(&w, k, more);
            forage_model_free(model);
            forage_model_free(more);
        }
    }
    forage_dataset_free(before);
    forage_dataset_free(after);
}

static void check_codes(const forage_model *model, forage_owner owner, const char *const *ids, size_t count)
{
    forage_embedding embedding = vectors_of(model, owner);
    assert_int_equal(embedding.count, count);
    for (uint32_t i = 0; i < count; i++) {
        char buffer[24];
        assert_string_equal(forage_vocabulary_id(embedding.ids, i, buffer, NULL), ids[i]);
    }
}

static void test_places(void **state)
{
    static const char *const users[] = {"ann", "bob", "cid", "dan", "zoe", "new"};
    static const char *const items[] = {"hat", "coat", "sock", "shoe", "cape", "scarf"};
    (void)state;
    forage_dataset *before = log_of(old_log), *after = log_of(new_log);
    forage_model *model = graph_model("layers=1", before), *more = extended(model, after);
    check_codes(model, FORAGE_OF_USER, users, 4);
    check_codes(more, FORAGE_OF_USER, users, 6);
    check_codes(more, FORAGE_OF_ITEM, items, 6);
    /* What has nothing new around it is where it was: cid's items are hat and shoe. */
    assert_memory_equal(vector_of(more, FORAGE_OF_USER, "cid"), vector_of(model, FORAGE_OF_USER, "cid"),
                        WIDTH * sizeof(float));
    forage_model_free(model);
    forage_model_free(more);
    forage_dataset_free(before);
    forage_dataset_free(after);
}

/* A number that only filled a gap has learned nothing: what was drawn for it must not pass for knowledge. */
static void test_who_filled_a_gap(void **state)
{
    (void)state;
    forage_dataset *before = log_of("user_id,item_id\n0,0\n0,3\n2,3\n2,1\n4,0\n4,1\n");
    forage_dataset *after = log_of("user_id,item_id\n1,3\n3,0\n3,2\n0,2\n");
    for (int layers = 0; layers < 3; layers++) {
        static world w;
        char settings[32];
        memset(&w, 0, sizeof w);
        snprintf(settings, sizeof settings, "layers=%d", layers);
        forage_model *model = graph_model(settings, before), *more = extended(model, after);
        read_base(&w, model);
        for (size_t j = 0; j < WIDTH; j++) {
            assert_true(w.base[0][place(&w, 0, "1")][j] == 0 && w.base[0][place(&w, 0, "3")][j] == 0);
            assert_true(w.base[1][place(&w, 1, "2")][j] == 0 && w.base[1][place(&w, 1, "3")][j] != 0);
        }
        add_log(&w, before, BINARY);
        add_log(&w, after, BINARY);
        compare(&w, (size_t)layers, more);
        forage_model_free(model);
        forage_model_free(more);
    }
    forage_dataset_free(before);
    forage_dataset_free(after);
}

/* Numbers keep their places, as in fitting; a log with words makes words of them. */
static void test_numbers(void **state)
{
    (void)state;
    forage_dataset *before = log_of("user_id,item_id\n0,0\n0,5\n2,5\n2,1\n"), *less = log_of("user_id,item_id\n1,0\n"),
                   *gaps = log_of("user_id,item_id\n9,7\n1,5\n"), *words = log_of("user_id,item_id\nann,7\n2,hat\n");
    forage_model *model = graph_model("layers=1", before), *more = extended(model, less);
    assert_int_equal(vectors_of(more, FORAGE_OF_USER).count, 3);
    assert_int_equal(vectors_of(more, FORAGE_OF_ITEM).count, 6);
    forage_model_free(more);
    more = extended(model, gaps);
    assert_true(forage_vocabulary_numbered(vectors_of(more, FORAGE_OF_USER).ids));
    assert_int_equal(vectors_of(more, FORAGE_OF_USER).count, 10);
    assert_int_equal(vectors_of(more, FORAGE_OF_ITEM).count, 8);
    forage_model *most = extended(more, words);
    static const char *const users[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "ann"};
    static const char *const items[] = {"0", "1", "2", "3", "4", "5", "6", "7", "hat"};
    check_codes(most, FORAGE_OF_USER, users, 11);
    check_codes(most, FORAGE_OF_ITEM, items, 9);
    forage_model_free(most);
    forage_model_free(more);
    forage_model_free(model);
    forage_dataset_free(before);
    forage_dataset_free(less);
    forage_dataset_free(gaps);
    forage_dataset_free(words);
}

static void check_same(const forage_model *a, const forage_model *b)
{
    for (int owner = 0; owner < 2; owner++) {
        forage_embedding one = vectors_of(a, owner ? FORAGE_OF_ITEM : FORAGE_OF_USER),
                         two = vectors_of(b, owner ? FORAGE_OF_ITEM : FORAGE_OF_USER);
        assert_int_equal(one.count, two.count);
        assert_memory_equal(one.values, two.values, one.count * one.pitch * sizeof(float));
    }
}

/* The same log again changes nothing; new events after old ones are all of them; the file brings back the same. */
static void test_again(void **state)
{
    char both_text[sizeof old_log + sizeof new_log], path[300];
    forage_error error = {0};
    (void)state;
    snprintf(both_text, sizeof both_text, "%s%s", old_log, strchr(new_log, '\n') + 1);
    forage_dataset *before = log_of(old_log), *after = log_of(new_log), *both = log_of(both_text);
    forage_model *model = graph_model("layers=2", before), *again = extended(model, before), *read;
    check_same(model, again);
    forage_model *more = extended(model, after), *all = extended(model, both);
    check_same(more, all);
    snprintf(path, sizeof path, "%s/more", folder);
    must(forage_model_save(more, path, &error), &error);
    must(forage_model_load(path, NULL, &read, &error), &error);
    check_same(more, read);
    forage_model *twice = extended(read, after);
    check_same(more, twice);
    forage_model *models[] = {model, again, more, all, read, twice};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        forage_model_free(models[i]);
    forage_dataset_free(before);
    forage_dataset_free(after);
    forage_dataset_free(both);
}

/* Some rows of a log; rows without a choice make an id known, who is then average. */
static void test_rows(void **state)
{
    const uint32_t rows[] = {1, 3};
    forage_error error = {0};
    (void)state;
    forage_dataset *before = log_of(old_log),
                   *after = log_of("user_id,item_id,clicked\nzoe,hat,1\nmax,coat,1\nmax,hat,1\neve,cape,0\n");
    forage_model *model = graph_model("layers=1", before), *more;
    must(forage_model_extend(model, after, rows, 2, NULL, &more, &error), &error);
    assert_true(knows(more, FORAGE_OF_USER, "max") && knows(more, FORAGE_OF_USER, "eve"));
    assert_false(knows(more, FORAGE_OF_USER, "zoe"));
    assert_true(knows(more, FORAGE_OF_ITEM, "cape"));
    static world w;
    memset(&w, 0, sizeof w);
    read_base(&w, model);
    add_log(&w, before, BINARY);
    w.weight[place(&w, 0, "max")][place(&w, 1, "coat")] = 1;
    (void)place(&w, 0, "eve");
    (void)place(&w, 1, "cape");
    compare(&w, 1, more);
    forage_model_free(model);
    forage_model_free(more);
    forage_dataset_free(before);
    forage_dataset_free(after);
}

static void test_what_cannot_be(void **state)
{
    const uint32_t beyond = 12;
    (void)state;
    forage_dataset *log = log_of(old_log), *nobody = log_of("item_id\nhat\n");
    forage_model *graph = graph_model("layers=1", log), *popular, *more;
    forage_error error = {0};
    must(fit("popular", "", log, NULL, &popular, &error), &error);
    assert_int_equal(forage_model_extend(popular, log, NULL, 0, NULL, &more, &error), FORAGE_UNSUPPORTED);
    assert_null(more);
    says(&error, "popular cannot take in new users and items");
    assert_int_equal(forage_model_extend(graph, nobody, NULL, 0, "log", &more, &error), FORAGE_FORMAT);
    assert_null(more);
    says(&error, "names no users");
    assert_int_equal(forage_model_extend(graph, log, &beyond, 1, NULL, &more, &error), FORAGE_INVALID);
    assert_null(more);
    says(&error, "row 13");
    forage_model_free(graph);
    forage_model_free(popular);
    forage_dataset_free(log);
    forage_dataset_free(nobody);
}

/* ---- a fit that begins from a model ---- */

/* With steps of size 0 the fit is where it began: the old layer 0, the new log's ids and edges alone. Everyone new met
 * something that leads to somebody known, else they would be drawn. */
static void test_where_a_refit_begins(void **state)
{
    static const char *const settings = "embedding-size=5,epochs=1,learning-rate=0,layers=2,loss=";
    static const char *const losses[] = {"bpr", "softmax", "bsl"};
    char log_text[sizeof new_log + 20];
    forage_error error = {0};
    (void)state;
    snprintf(log_text, sizeof log_text, "%sann,scarf\n", new_log);
    forage_dataset *before = log_of(old_log), *after = log_of(log_text);
    forage_model *model = graph_model("layers=2", before);
    for (size_t l = 0; l < 3; l++) {
        static world all, w;
        char text[128];
        forage_model *refit;
        snprintf(text, sizeof text, "%s%s", settings, losses[l]);
        must(fit("lightgcn", text, after, model, &refit, &error), &error);
        assert_false(knows(refit, FORAGE_OF_USER, "cid"));
        memset(&all, 0, sizeof all);
        memset(&w, 0, sizeof w);
        read_base(&all, model);
        add_log(&w, after, BINARY);
        for (int owner = 0; owner < 2; owner++) {
            for (size_t n = 0; n < w.count[owner]; n++)
                memcpy(w.base[owner][n], all.base[owner][place(&all, owner, w.ids[owner][n])], sizeof w.base[owner][n]);
        }
        compare(&w, 2, refit);
        forage_model_free(refit);
    }
    forage_model_free(model);
    forage_dataset_free(before);
    forage_dataset_free(after);
}

/* Without layers someone new begins with nothing at all; learning must still come out of that as numbers. */
static void test_refits_learn(void **state)
{
    static const char *const losses[] = {"bpr", "softmax", "bsl"};
    forage_error error = {0};
    (void)state;
    forage_dataset *before = log_of(old_log), *after = log_of(new_log);
    for (size_t l = 0; l < 6; l++) {
        char text[128], *first = text;
        forage_model *model, *refit;
        snprintf(text, sizeof text, "layers=%d,loss=%s", l < 3 ? 0 : 1, losses[l % 3]);
        model = graph_model(first, before);
        snprintf(text, sizeof text, "embedding-size=5,epochs=20,learning-rate=0.05,layers=%d,loss=%s", l < 3 ? 0 : 1,
                 losses[l % 3]);
        must(fit("lightgcn", text, after, model, &refit, &error), &error);
        forage_embedding users = vectors_of(refit, FORAGE_OF_USER);
        float length = 0;
        for (size_t i = 0; i < users.count * users.pitch; i++) {
            assert_true(isfinite(users.values[i]));
            length += users.values[i] * users.values[i];
        }
        assert_true(length > 0);
        forage_model_free(model);
        forage_model_free(refit);
    }
    forage_dataset_free(before);
    forage_dataset_free(after);
}

static void test_refits_that_cannot_be(void **state)
{
    (void)state;
    forage_dataset *log = log_of(old_log);
    forage_model *graph = graph_model("layers=1", log), *popular, *more;
    forage_error error = {0};
    must(fit("popular", "", log, NULL, &popular, &error), &error);
    assert_int_equal(fit("lightgcn", "embedding-size=6", log, graph, &more, &error), FORAGE_INVALID);
    assert_null(more);
    says(&error, "embeddings of 5 numbers, not of 6");
    assert_int_equal(fit("lightgcn", "", log, popular, &more, &error), FORAGE_UNSUPPORTED);
    says(&error, "a fit of lightgcn cannot begin from a model of popular");
    assert_int_equal(fit("popular", "", log, popular, &more, &error), FORAGE_UNSUPPORTED);
    says(&error, "popular cannot go on from a fitted model");
    forage_model_free(graph);
    forage_model_free(popular);
    forage_dataset_free(log);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"log", "model", "more"};
    char path[300];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),        cmocka_unit_test(test_places),
        cmocka_unit_test(test_numbers),        cmocka_unit_test(test_who_filled_a_gap),
        cmocka_unit_test(test_again),          cmocka_unit_test(test_rows),
        cmocka_unit_test(test_what_cannot_be), cmocka_unit_test(test_where_a_refit_begins),
        cmocka_unit_test(test_refits_learn),   cmocka_unit_test(test_refits_that_cannot_be),
    };
    return cmocka_run_group_tests_name("extend", tests, make_folder, remove_folder);
}
