/*
 * Ranking a dataset's items through a model's catalogue; histories, neighbours, vectors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../must.h"
#include "model/front.h"
#include "vector_model.h"

enum { USERS = 150, ITEMS = 1300, WIDTH = 10, MOST = 1400 };

/* ---- a fitted model ---- */

static size_t no_scratch(const model_state *state)
{
    (void)state;
    return 1;
}

static void score_rows(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                       float *deviation)
{
    static const float nothing[WIDTH_MOST];
    const model_dot dot = dot_of(state);
    (void)scratch;
    for (size_t i = 0; i < examples->count; i++) {
        uint32_t user = examples->codes[0][i], item = examples->codes[1][i];
        const float *left = user == FORAGE_NONE ? state->average : state->user + user * state->pitch;
        const float *right = item == FORAGE_NONE ? nothing : state->item + item * state->pitch;
        model_dot_pairs(&dot, &left, &right, 1, mean + i);
        if (deviation)
            deviation[i] = NAN;
    }
}

static void get_vectors(const model_state *state, model_vectors *vectors)
{
    *vectors =
        (model_vectors){.users = state->user, .items = state->item, .width = state->width, .pitch = state->pitch};
}

static const model_type by_catalogue = {
    .info = {.name = "vectors", .capabilities = FORAGE_CAN_FIT | FORAGE_HAS_EMBEDDINGS},
    .scratch_size = no_scratch,
    .score = score_rows,
    .catalogue = &hooks,
    .vectors = get_vectors,
};

typedef struct fixture {
    model_state state;
    forage_field fields[2];
    forage_model model, pairs; /* the same, by its catalogue and by pairs */
    forage_dataset *log;
} fixture;

/* Ids "x0" ... in the order of `order` (any order where NULL). */
static forage_vocabulary *vocabulary(const char *letter, size_t count, forage_rng *rng)
{
    forage_vocabulary *made;
    forage_error error = {0};
    uint32_t order[MOST];
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    if (rng)
        forage_rng_permute(rng, order, count);
    must(forage_vocabulary_create(&made, &error), &error);
    for (size_t i = 0; i < count; i++) {
        char id[16];
        uint32_t index;
        int length = snprintf(id, sizeof id, "%s%u", letter, order[i]);
        must(forage_vocabulary_add(made, id, (size_t)length, &index, &error), &error);
    }
    return made;
}

/* A log with `more` users and items that the model has not met, in an order of its own if `shuffled`. */
static void set_up(fixture *f, forage_rng *rng, size_t more, bool shuffled, int threads)
{
    forage_error error = {0};
    *f = (fixture){0};
    model_create(&f->state, rng, USERS, ITEMS, WIDTH);
    f->fields[0] = (forage_field){.name = forage_strdup("user_id"),
                                  .owner = FORAGE_OF_USER,
                                  .is_id = true,
                                  .cardinality = USERS,
                                  .vocabulary = vocabulary("u", USERS, NULL)};
    f->fields[1] = (forage_field){.name = forage_strdup("item_id"),
                                  .owner = FORAGE_OF_ITEM,
                                  .is_id = true,
                                  .cardinality = ITEMS,
                                  .vocabulary = vocabulary("i", ITEMS, NULL)};
    f->model = (forage_model){.type = &by_catalogue, .schema = {2, f->fields}, .state = &f->state};
    must(forage_device_open("auto", threads, &f->model.device, &error), &error);
    static model_type plain;
    plain = by_catalogue;
    plain.catalogue = NULL;
    f->pairs = f->model;
    f->pairs.type = &plain;
    must(forage_dataset_create(&f->log, &error), &error);
    forage_vocabulary_free(f->log->users);
    forage_vocabulary_free(f->log->items);
    f->log->users = vocabulary("u", USERS + more, shuffled ? rng : NULL);
    f->log->items = vocabulary("i", ITEMS + more, shuffled ? rng : NULL);
    f->log->user_attributes.rows = USERS + more;
    f->log->item_attributes.rows = ITEMS + more;
    f->log->user = array(1, sizeof *f->log->user);
    f->log->item = array(1, sizeof *f->log->item);
    f->log->count = f->log->train_rows = f->log->context.rows = 1;
}

static void tear_down(fixture *f)
{
    for (size_t i = 0; i < 2; i++) {
        forage_free(f->fields[i].name);
        forage_vocabulary_free(f->fields[i].vocabulary);
    }
    forage_dataset_free(f->log);
    model_release(&f->state);
}

static forage_binding *bind_to(const forage_model *model, const fixture *f, forage_unknown unknown)
{
    forage_binding *binding;
    forage_error error = {0};
    must(forage_model_bind(model, f->log, unknown, "log.csv", &binding, &error), &error);
    return binding;
}

static uint32_t index_of(const forage_vocabulary *ids, const char *id)
{
    uint32_t index = forage_vocabulary_find(ids, id, strlen(id));
    assert_true(index != FORAGE_NONE);
    return index;
}

/* ---- rankings ---- */

static void compare(forage_binding *binding, forage_binding *plain, size_t users, forage_rng *rng)
{
    enum { K = 25 };
    static uint32_t ids[USERS + 20], lists[(USERS + 20) * 40], items[2][(USERS + 20) * K];
    static float scores[2][(USERS + 20) * K];
    size_t offsets[USERS + 21] = {0}, found[2][USERS + 20], one[2];
    forage_error error = {0};
    for (uint32_t u = 0; u < users; u++) {
        ids[u] = u % 11 == 3 ? FORAGE_NONE : u;
        offsets[u + 1] = offsets[u];
        for (uint32_t item = 0; item < ITEMS && offsets[u + 1] < offsets[u] + 40; item++) {
            if (forage_rng_integers(rng, 30) == 0)
                lists[offsets[u + 1]++] = item;
        }
    }
    const forage_seen seen = {users - 3, offsets, lists};
    for (int i = 0; i < 2; i++)
        must(forage_model_rank_users(i ? plain : binding, ids, users, K, &seen, NULL, items[i], scores[i], found[i],
                                     &error),
             &error);
    assert_memory_equal(items[0], items[1], users * K * sizeof(uint32_t));
    assert_memory_equal(scores[0], scores[1], users * K * sizeof(float));
    assert_memory_equal(found[0], found[1], users * sizeof(size_t));
    for (uint32_t u = 0; u < users; u += 7) {
        for (int i = 0; i < 2; i++)
            must(forage_model_rank(i ? plain : binding, ids[u], K, lists + offsets[u], offsets[u + 1] - offsets[u],
                                   items[i], scores[i], &one[i], &error),
                 &error);
        assert_true(one[0] == one[1]);
        assert_memory_equal(items[0], items[1], K * sizeof(uint32_t));
        assert_memory_equal(scores[0], scores[1], K * sizeof(float));
    }
}

static void test_like_pairs(void **unused)
{
    static const forage_unknown policies[] = {FORAGE_UNKNOWN_ERROR, FORAGE_UNKNOWN_SKIP, FORAGE_UNKNOWN_AVERAGE};
    forage_rng rng;
    (void)unused;
    forage_rng_seed(&rng, 11);
    for (int trial = 0; trial < 12; trial++) {
        fixture f;
        forage_unknown unknown = policies[trial % 3];
        size_t more = unknown == FORAGE_UNKNOWN_ERROR ? 0 : 20;
        set_up(&f, &rng, more, trial & 1, 1 + trial % 4);
        forage_binding *binding = bind_to(&f.model, &f, unknown), *plain = bind_to(&f.pairs, &f, unknown);
        forage_error error = {0};
        forage_alloc_fail_at(0);
        compare(binding, plain, USERS + more, &rng);
        assert_int_equal(forage_alloc_fail_at(0), 0);
        /* With a mask: of a category, say. Under AVERAGE, the unknown ones taken out too. */
        bool available[ITEMS + 20] = {0};
        for (size_t i = 0; i < ITEMS + more; i++) {
            char buffer[24];
            bool known = strtoul(forage_vocabulary_id(f.log->items, (uint32_t)i, buffer, NULL) + 1, NULL, 10) < ITEMS;
            available[i] = forage_rng_integers(&rng, 40) <= (uint64_t)trial && (known || trial < 6);
        }
        must(forage_binding_available(binding, available, &error), &error);
        must(forage_binding_available(plain, available, &error), &error);
        compare(binding, plain, USERS + more, &rng);
        must(forage_binding_available(binding, NULL, &error), &error);
        must(forage_binding_available(plain, NULL, &error), &error);
        compare(binding, plain, USERS + more, &rng);
        forage_binding_free(binding);
        forage_binding_free(plain);
        tear_down(&f);
    }
}

static void test_unknown_ids(void **unused)
{
    forage_rng rng;
    fixture f;
    uint32_t items[3], user;
    float scores[3];
    size_t found;
    (void)unused;
    forage_rng_seed(&rng, 12);
    set_up(&f, &rng, 2, true, 2);
    forage_error error = {0};
    forage_binding *binding = bind_to(&f.model, &f, FORAGE_UNKNOWN_ERROR);
    assert_int_equal(forage_model_rank(binding, 0, 3, NULL, 0, items, scores, &found, &error), FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, "'i130"));
    bool available[ITEMS + 2];
    memset(available, true, sizeof available);
    available[index_of(f.log->items, "i1300")] = available[index_of(f.log->items, "i1301")] = false;
    must(forage_binding_available(binding, available, &error), &error);
    user = index_of(f.log->users, "u151");
    assert_int_equal(forage_model_rank_users(binding, &user, 1, 3, NULL, NULL, items, scores, &found, &error),
                     FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, "'u151'"));
    user = USERS + 2;
    assert_int_equal(forage_model_rank(binding, user, 3, NULL, 0, items, scores, &found, &error), FORAGE_INVALID);
    forage_binding_free(binding);
    tear_down(&f);
}

/* ---- histories ---- */

static void test_histories(void **unused)
{
    enum { K = 12 };
    forage_rng rng;
    fixture f;
    static const char *const ids[] = {"i900", "i3", "i77", "i3"};
    static const float weights[] = {2, 1, 3, 4};
    uint32_t history[5], items[K], wanted[K];
    float scores[K], wanted_scores[K];
    size_t found, wanted_found;
    forage_error error = {0};
    (void)unused;
    forage_rng_seed(&rng, 13);
    set_up(&f, &rng, 1, true, 2);
    for (size_t i = 0; i < 4; i++)
        history[i] = index_of(f.log->items, ids[i]);
    history[4] = index_of(f.log->items, "i1300");
    forage_binding *binding = bind_to(&f.model, &f, FORAGE_UNKNOWN_SKIP);
    for (int weighted = 0; weighted < 2; weighted++) {
        /* What this history sums up to, as if it were user 0's vector. */
        for (size_t j = 0; j < WIDTH; j++) {
            const float *item = f.state.item + j;
            float w[4] = {1, 1, 1, 1};
            if (weighted)
                memcpy(w, weights, sizeof w);
            f.state.user[j] = w[0] * item[900 * f.state.pitch] + (w[1] + w[3]) * item[3 * f.state.pitch] +
                              w[2] * item[77 * f.state.pitch];
        }
        const uint32_t *excluded = history; /* one alone rises */
        must(forage_model_rank(binding, index_of(f.log->users, "u0"), K, excluded, 1, wanted, wanted_scores,
                               &wanted_found, &error),
             &error);
        forage_alloc_fail_at(0);
        must(forage_model_rank_history(binding, history, weighted ? weights : NULL, weighted ? 4 : 5, K, excluded, 1,
                                       items, scores, &found, &error),
             &error);
        assert_int_equal(forage_alloc_fail_at(0), 0);
        assert_int_equal(found, wanted_found);
        assert_memory_equal(items, wanted, sizeof items);
        assert_memory_equal(scores, wanted_scores, sizeof scores);
    }
    /* Nothing known: the average user, also after histories that were refused. */
    static const float bad[] = {1, NAN, 1, 1};
    uint32_t beyond[2] = {history[0], ITEMS + 1};
    assert_int_equal(forage_model_rank_history(binding, history, bad, 4, K, NULL, 0, items, scores, &found, &error),
                     FORAGE_INVALID);
    assert_non_null(strstr(error.message, "item 2"));
    assert_int_equal(forage_model_rank_history(binding, beyond, NULL, 2, K, NULL, 0, items, scores, &found, &error),
                     FORAGE_INVALID);
    must(forage_model_rank_history(binding, NULL, NULL, 0, K, NULL, 0, items, scores, &found, &error), &error);
    must(forage_model_rank(binding, FORAGE_NONE, K, NULL, 0, wanted, wanted_scores, &wanted_found, &error), &error);
    assert_memory_equal(items, wanted, sizeof items);
    forage_binding_free(binding);

    binding = bind_to(&f.model, &f, FORAGE_UNKNOWN_AVERAGE); /* i1300 would have to be ranked */
    assert_int_equal(forage_model_rank_history(binding, history, NULL, 4, K, NULL, 0, items, scores, &found, &error),
                     FORAGE_UNSUPPORTED);
    bool available[ITEMS + 1];
    memset(available, true, sizeof available);
    available[history[4]] = false;
    must(forage_binding_available(binding, available, &error), &error);
    must(forage_model_rank_history(binding, history, NULL, 5, K, NULL, 0, items, scores, &found, &error), &error);
    forage_binding_free(binding);

    binding = bind_to(&f.model, &f, FORAGE_UNKNOWN_ERROR);
    must(forage_binding_available(binding, available, &error), &error);
    assert_int_equal(forage_model_rank_history(binding, history, NULL, 5, K, NULL, 0, items, scores, &found, &error),
                     FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, "'i1300'"));
    forage_binding_free(binding);
    binding = bind_to(&f.pairs, &f, FORAGE_UNKNOWN_SKIP);
    assert_int_equal(forage_model_rank_history(binding, history, NULL, 4, K, NULL, 0, items, scores, &found, &error),
                     FORAGE_UNSUPPORTED);
    assert_non_null(strstr(error.message, "vectors"));
    forage_binding_free(binding);
    tear_down(&f);
}

/* ---- neighbours ---- */

static double cosine(const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0;
    for (size_t j = 0; j < WIDTH; j++) {
        dot += (double)a[j] * (double)b[j];
        aa += (double)a[j] * (double)a[j];
        bb += (double)b[j] * (double)b[j];
    }
    return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
}

/* Every entity of the dataset that is not in the list must be no closer than the last that is. */
static void check_neighbours(const fixture *f, forage_owner owner, uint32_t index, const bool *out, size_t k,
                             const uint32_t *list, const float *cosines, size_t found)
{
    bool user = owner == FORAGE_OF_USER, listed[MOST] = {0};
    const forage_vocabulary *ours = f->fields[user ? 0 : 1].vocabulary, *theirs = user ? f->log->users : f->log->items;
    const float *vectors = user ? f->state.user : f->state.item;
    size_t possible = 0, count = forage_vocabulary_count(theirs);
    double real[MOST] = {0};
    uint32_t own = FORAGE_NONE;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < count; i++) {
            char buffer[24];
            size_t length;
            const char *id = forage_vocabulary_id(theirs, i, buffer, &length);
            uint32_t code = forage_vocabulary_find(ours, id, length);
            if (i == index)
                own = code;
            real[i] = code == FORAGE_NONE || i == index || out[i] ? NAN
                      : pass ? cosine(vectors + own * f->state.pitch, vectors + code * f->state.pitch)
                             : 0;
            possible += pass && !isnan(real[i]);
        }
    }
    assert_int_equal(found, possible < k ? possible : k);
    for (size_t i = 0; i < found; i++) {
        assert_true(list[i] < count && !listed[list[i]]);
        listed[list[i]] = true;
        assert_true(fabs(real[list[i]] - (double)cosines[i]) < 1e-6);
        assert_true(i == 0 || cosines[i - 1] > cosines[i] || (cosines[i - 1] == cosines[i] && list[i - 1] < list[i]));
    }
    for (uint32_t i = 0; found && i < count; i++)
        assert_true(listed[i] || isnan(real[i]) || real[i] < (double)cosines[found - 1] + 1e-6);
}

static void test_neighbours(void **unused)
{
    enum { K = 9 };
    forage_rng rng;
    (void)unused;
    forage_rng_seed(&rng, 14);
    for (int trial = 0; trial < 4; trial++) {
        fixture f;
        uint32_t list[K], far[ITEMS + 5];
        float cosines[K], all[ITEMS + 5];
        size_t found;
        bool out[MOST] = {0};
        forage_error error = {0};
        set_up(&f, &rng, 5, trial & 1, 1 + trial);
        memset(f.state.item + 5 * f.state.pitch, 0, WIDTH * sizeof(float));
        forage_binding *binding = bind_to(&f.model, &f, FORAGE_UNKNOWN_SKIP);
        for (uint32_t i = 0; i < 40; i++) {
            must(forage_model_similar(binding, FORAGE_OF_ITEM, i, K, NULL, 0, list, cosines, &found, &error), &error);
            if (found)
                check_neighbours(&f, FORAGE_OF_ITEM, i, out, K, list, cosines, found);
            must(forage_model_similar(binding, FORAGE_OF_USER, i, K, NULL, 0, list, cosines, &found, &error), &error);
            if (found)
                check_neighbours(&f, FORAGE_OF_USER, i, out, K, list, cosines, found);
        }
        uint32_t stranger = index_of(f.log->items, "i1302"), zero = index_of(f.log->items, "i5");
        must(forage_model_similar(binding, FORAGE_OF_ITEM, stranger, K, NULL, 0, list, cosines, &found, &error),
             &error);
        assert_true(found == 0 && list[0] == FORAGE_NONE && isnan(cosines[K - 1]));
        must(forage_model_similar(binding, FORAGE_OF_ITEM, zero, K, NULL, 0, list, cosines, &found, &error), &error);
        assert_true(found == K && cosines[0] == 0);
        bool available[ITEMS + 5] = {0};
        for (size_t i = 0; i < ITEMS + 5; i++)
            out[i] = !(available[i] = i % 9 == 2);
        must(forage_binding_available(binding, available, &error), &error);
        const uint32_t excluded[] = {11, 20};
        out[11] = out[20] = true;
        forage_alloc_fail_at(0);
        must(forage_model_similar(binding, FORAGE_OF_ITEM, 3, ITEMS + 5, excluded, 2, far, all, &found, &error),
             &error);
        assert_int_equal(forage_alloc_fail_at(0), 0);
        check_neighbours(&f, FORAGE_OF_ITEM, 3, out, ITEMS + 5, far, all, found);
        assert_int_equal(
            forage_model_similar(binding, FORAGE_OF_USER, USERS + 5, K, NULL, 0, list, cosines, &found, &error),
            FORAGE_INVALID);
        assert_int_equal(forage_model_similar(binding, FORAGE_OF_CONTEXT, 0, K, NULL, 0, list, cosines, &found, &error),
                         FORAGE_INVALID);
        forage_binding_free(binding);
        binding = bind_to(&f.model, &f, FORAGE_UNKNOWN_ERROR);
        assert_int_equal(
            forage_model_similar(binding, FORAGE_OF_ITEM, stranger, K, NULL, 0, list, cosines, &found, &error),
            FORAGE_UNKNOWN);
        assert_non_null(strstr(error.message, "'i1302'"));
        /* Whichever allocation fails, nothing is lost and the next call works. */
        for (uint64_t nth = 1; nth < 7; nth++) {
            forage_alloc_fail_at(nth);
            forage_status status =
                forage_model_similar(binding, FORAGE_OF_USER, 0, K, NULL, 0, list, cosines, &found, &error);
            forage_alloc_fail_at(0);
            assert_int_equal(status, FORAGE_NO_MEMORY);
        }
        must(forage_model_similar(binding, FORAGE_OF_USER, 0, K, NULL, 0, list, cosines, &found, &error), &error);
        forage_binding_free(binding);
        tear_down(&f);
    }
}

static void test_embeddings(void **unused)
{
    forage_rng rng;
    fixture f;
    forage_embedding embedding;
    forage_error error = {0};
    (void)unused;
    forage_rng_seed(&rng, 15);
    set_up(&f, &rng, 0, false, 1);
    must(forage_model_embedding(&f.model, FORAGE_OF_ITEM, &embedding, &error), &error);
    assert_true(embedding.count == ITEMS && embedding.width == WIDTH && embedding.pitch >= WIDTH);
    assert_true(embedding.values == f.state.item && embedding.ids == f.fields[1].vocabulary);
    must(forage_model_embedding(&f.model, FORAGE_OF_USER, &embedding, &error), &error);
    assert_true(embedding.count == USERS && embedding.values == f.state.user);
    model_type bare = by_catalogue;
    bare.vectors = NULL;
    f.model.type = &bare;
    assert_int_equal(forage_model_embedding(&f.model, FORAGE_OF_USER, &embedding, &error), FORAGE_UNSUPPORTED);
    assert_non_null(strstr(error.message, "users"));
    tear_down(&f);
}

/* Binding a model that has a catalogue: whichever allocation fails, nothing is left. */
static void test_no_memory(void **unused)
{
    forage_rng rng;
    fixture f;
    (void)unused;
    forage_rng_seed(&rng, 16);
    set_up(&f, &rng, 0, true, 2);
    for (uint64_t nth = 1;; nth++) {
        forage_binding *binding;
        forage_error error = {0};
        forage_alloc_fail_at(nth);
        forage_status status = forage_model_bind(&f.model, f.log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error);
        forage_alloc_fail_at(0);
        forage_binding_free(binding);
        if (status == FORAGE_OK)
            break;
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_true(!binding && error.message[0]);
    }
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_pairs), cmocka_unit_test(test_unknown_ids), cmocka_unit_test(test_histories),
        cmocka_unit_test(test_neighbours), cmocka_unit_test(test_embeddings),  cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("retrieval", tests, NULL, NULL);
}
