/*
 * The generators against NumPy's own numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "golden.h"
#include "sha256.h"

/* ---- numpy_default_rng.json: all calls on one generator, in the file's order ---- */

static void check_real(const json_t *text, double value)
{
    assert_true(strtod(json_string_value(text), NULL) == value);
}

static void check_raw(uint64_t seed, const json_t *raw)
{
    forage_rng rng;
    uint64_t draws[64];
    forage_rng_seed(&rng, seed);
    assert_true(json_array_size(raw) > 0);
    for (size_t i = 0; i < json_array_size(raw); i++) /* to 53 bits; long_streams_are_numpys sees all */
        assert_true(json_number_value(json_array_get(raw, i)) == (double)forage_rng_u64(&rng));

    /* In blocks of every length the stream is the same, and advancing is drawing. */
    for (size_t count = 0; count <= 64; count++) {
        forage_rng one, skipped;
        forage_rng_seed(&rng, seed);
        forage_rng_seed(&one, seed);
        forage_rng_seed(&skipped, seed);
        forage_rng_fill(&rng, draws, count);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(draws[i], forage_rng_u64(&one));
        forage_rng_advance(&skipped, count);
        assert_memory_equal(&rng, &one, sizeof rng);
        assert_memory_equal(&rng, &skipped, sizeof rng);
    }
}

static void check_whole(forage_rng *rng, const json_t *array, uint64_t bound)
{
    assert_true(json_array_size(array) > 0);
    for (size_t i = 0; i < json_array_size(array); i++)
        assert_int_equal(forage_rng_integers(rng, bound), (int64_t)json_number_value(json_array_get(array, i)));
}

static void check_binomials(forage_rng *rng, const json_t *object)
{
    const json_t *pairs = json_object_get(object, "binomial_1_p"), *twenty = json_object_get(object, "binomial_20_0.3");
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i), *values = json_array_get(pair, 1);
        double p = json_number_value(json_array_get(pair, 0));
        for (size_t k = 0; k < json_array_size(values); k++)
            assert_int_equal(forage_rng_binomial(rng, 1, p), (int64_t)json_number_value(json_array_get(values, k)));
    }
    for (size_t i = 0; i < json_array_size(twenty); i++)
        assert_int_equal(forage_rng_binomial(rng, 20, 0.3), (int64_t)json_number_value(json_array_get(twenty, i)));
}

static void check_seed(uint64_t seed, const json_t *object)
{
    const json_t *reals = json_object_get(object, "random"), *order = json_object_get(object, "permutation_10_list");
    const json_t *normals = json_object_get(object, "normal");
    uint32_t values[10];
    forage_rng rng;

    check_raw(seed, json_object_get(object, "raw_u64"));
    forage_rng_seed(&rng, seed);
    for (size_t i = 0; i < json_array_size(reals); i++)
        check_real(json_array_get(reals, i), forage_rng_double(&rng));
    check_whole(&rng, json_object_get(object, "integers_0_1000"), 1000);
    check_whole(&rng, json_object_get(object, "integers_0_50_array"), 50);
    check_whole(&rng, json_object_get(object, "integers_0_2^40"), (uint64_t)1 << 40);
    check_whole(&rng, json_object_get(object, "choice_of_4"), 4);
    for (uint32_t i = 0; i < 10; i++)
        values[i] = i;
    forage_rng_permute(&rng, values, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(values[i], (int64_t)json_number_value(json_array_get(order, i)));
    check_binomials(&rng, object);
    for (size_t i = 0; i < json_array_size(normals); i++)
        check_real(json_array_get(normals, i), forage_rng_normal(&rng));
    check_real(json_object_get(object, "random_after"), forage_rng_double(&rng));
}

static void first_numbers_are_numpys(void **state)
{
    (void)state;
    json_t *root = golden_load("numpy_default_rng.json", JSON_DECODE_INT_AS_REAL);
    const char *seed;
    json_t *object;
    size_t seeds = 0;
    json_object_foreach(json_object_get(root, "seeds"), seed, object)
    {
        check_seed(strtoull(seed, NULL, 10), object);
        seeds++;
    }
    assert_true(seeds >= 4);
    json_decref(root);
}

/* ---- numpy_streams.json: long stretches ---- */

static void check_digest(const char *wanted, const void *bytes, size_t size)
{
    char hex[65];
    sha256_of(bytes, size, hex);
    assert_string_equal(hex, wanted);
}

static void check_stream(const json_t *object)
{
    enum {
        NORMALS = 100000,
        BINOMIALS = 2000,
        INTEGERS = 1000,
        ORDER = 10000,
        REALS = 1000,
        EXPONENTIALS = 20000,
        GAMMAS = 2000
    };
    static double reals[NORMALS];
    static int64_t counts[BINOMIALS];
    static uint64_t wholes[INTEGERS];
    static uint32_t order[ORDER];
    const json_t *list;
    forage_rng rng, spawned;

    forage_rng_seed(&rng, golden_whole(object, "seed"));
    for (size_t i = 0; i < NORMALS; i++)
        reals[i] = forage_rng_normal(&rng);
    check_digest(golden_text(object, "normal"), reals, sizeof reals);
    list = json_object_get(object, "binomial");
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *entry = json_array_get(list, k);
        for (size_t i = 0; i < BINOMIALS; i++)
            counts[i] = forage_rng_binomial(&rng, json_integer_value(json_object_get(entry, "n")),
                                            json_number_value(json_object_get(entry, "p")));
        check_digest(golden_text(entry, "sha256"), counts, sizeof counts);
    }
    list = json_object_get(object, "integers");
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *entry = json_array_get(list, k);
        for (size_t i = 0; i < INTEGERS; i++)
            wholes[i] = forage_rng_integers(&rng, golden_whole(entry, "bound"));
        check_digest(golden_text(entry, "sha256"), wholes, sizeof wholes);
    }
    for (uint32_t i = 0; i < ORDER; i++)
        order[i] = i;
    forage_rng_permute(&rng, order, ORDER);
    check_digest(golden_text(object, "permutation"), order, sizeof order);
    for (size_t i = 0; i < REALS; i++)
        reals[i] = forage_rng_double(&rng);
    check_digest(golden_text(object, "random"), reals, REALS * sizeof *reals);
    for (size_t i = 0; i < EXPONENTIALS; i++)
        reals[i] = forage_rng_exponential(&rng);
    check_digest(golden_text(object, "exponential"), reals, EXPONENTIALS * sizeof *reals);
    list = json_object_get(object, "gamma");
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *entry = json_array_get(list, k);
        for (size_t i = 0; i < GAMMAS; i++)
            reals[i] = forage_rng_gamma(&rng, json_number_value(json_object_get(entry, "shape")));
        check_digest(golden_text(entry, "sha256"), reals, GAMMAS * sizeof *reals);
    }
    list = json_object_get(object, "beta");
    assert_true(json_array_size(list) > 0);
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *entry = json_array_get(list, k);
        for (size_t i = 0; i < GAMMAS; i++)
            reals[i] = forage_rng_beta(&rng, json_number_value(json_object_get(entry, "a")),
                                       json_number_value(json_object_get(entry, "b")));
        check_digest(golden_text(entry, "sha256"), reals, GAMMAS * sizeof *reals);
    }
    forage_rng_seed_stream(&spawned, golden_whole(object, "seed"), 7);
    assert_int_equal(forage_rng_u64(&spawned), golden_whole(object, "spawned"));
}

static void long_streams_are_numpys(void **state)
{
    (void)state;
    json_t *root = golden_load("numpy_streams.json", 0);
    const json_t *streams = json_object_get(root, "streams");
    assert_true(json_array_size(streams) > 0);
    for (size_t i = 0; i < json_array_size(streams); i++)
        check_stream(json_array_get(streams, i));
    json_decref(root);
}

/* ---- RandomState ---- */

static void legacy_permutations_are_numpys(void **state)
{
    (void)state;
    static uint32_t order[65537];
    json_t *root = golden_load("numpy_streams.json", 0);
    const json_t *legacy = json_object_get(root, "legacy");
    assert_true(json_array_size(legacy) > 0);
    for (size_t i = 0; i < json_array_size(legacy); i++) {
        const json_t *entry = json_array_get(legacy, i);
        size_t count = golden_whole(entry, "count");
        forage_mt19937 rng;
        for (uint32_t k = 0; k < count; k++)
            order[k] = k;
        forage_mt19937_seed(&rng, (uint32_t)golden_whole(entry, "seed"));
        forage_mt19937_permute(&rng, order, count);
        check_digest(golden_text(entry, "sha256"), order, count * sizeof *order);
    }
    json_decref(root);
}

/* Rows as scikit-learn's ShuffleSplit cuts them: the first of the permutation validate. */
static void legacy_split_is_scikit_learns(void **state)
{
    (void)state;
    json_t *root = golden_load("sklearn_split.json", 0);
    uint32_t rows = (uint32_t)golden_whole(root, "rows"), validation = (uint32_t)golden_whole(root, "n_val");
    uint32_t *order = forage_alloc(rows, sizeof *order);
    const char *keys[] = {"sha256_val_rows_joined_by_comma", "sha256_train_rows_joined_by_comma"};
    forage_mt19937 rng;

    assert_non_null(order);
    for (uint32_t i = 0; i < rows; i++)
        order[i] = i;
    forage_mt19937_seed(&rng, (uint32_t)golden_whole(root, "random_state"));
    forage_mt19937_permute(&rng, order, rows);
    for (int part = 0; part < 2; part++) {
        uint32_t first = part ? validation : 0, end = part ? rows : validation;
        char text[16], hex[65];
        sha256 h;
        sha256_start(&h);
        for (uint32_t i = first; i < end; i++)
            sha256_add(&h, text, (size_t)snprintf(text, sizeof text, i > first ? ",%u" : "%u", order[i]));
        sha256_end(&h, hex);
        assert_string_equal(hex, golden_text(root, keys[part]));
    }
    forage_free(order);
    json_decref(root);
}

static void certain_outcomes_draw_nothing(void **state)
{
    (void)state;
    forage_rng rng, before;
    forage_rng_seed(&rng, 1);
    before = rng;
    assert_int_equal(forage_rng_binomial(&rng, 5, 0.0), 0);
    assert_int_equal(forage_rng_binomial(&rng, 0, 0.5), 0);
    assert_int_equal(forage_rng_integers(&rng, 1), 0);
    assert_int_equal(forage_rng_interval(&rng, 0), 0);
    forage_rng_permute(&rng, NULL, 0);
    assert_memory_equal(&rng, &before, sizeof rng);
    assert_int_equal(forage_rng_binomial(&rng, 5, 1.0), 5); /* draws, as NumPy does */
    assert_memory_not_equal(&rng, &before, sizeof rng);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_numbers_are_numpys),       cmocka_unit_test(long_streams_are_numpys),
        cmocka_unit_test(legacy_permutations_are_numpys), cmocka_unit_test(legacy_split_is_scikit_learns),
        cmocka_unit_test(certain_outcomes_draw_nothing),
    };
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
