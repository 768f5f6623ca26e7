/*
 * test_encoder_scoring.c: transformer blocks scored whole, by their last tokens and one token at a time; their kernels,
 * checkpoints, bad input and memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "encoder_case.h"

/* ---- scoring ---- */

static void any_way_of_scoring_gives_the_same_bytes(void **state)
{
    (void)state;
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)best_isa(); isa++) {
        for (size_t which = 0; which < 16; which++) {
            forage_rng rng;
            forage_rng_seed(&rng, which);
            nn_encoder_spec spec = spec_of(which);
            spec.length = which % 2 ? 12 : 70;
            nn_encoder *encoder = encoder_of(&spec, (forage_isa)isa);
            draw_weights(encoder, &rng);
            size_t lengths[RAGGED];
            memcpy(lengths, ragged, sizeof lengths);
            lengths[5] = spec.length;
            batch b;
            make_batch(&b, encoder, lengths, RAGGED, &rng);
            size_t s = encoder->stride, row = s * sizeof(float);
            float *all = floats(b.tokens * s), *x = floats(b.tokens * s), *last = floats(RAGGED * s);
            void *scratch = scratch_of(encoder, b.tokens);
            memcpy(all, b.x, b.tokens * row);
            nn_encoder_run(encoder, &b.pack, scratch, all);
            memcpy(x, b.x, b.tokens * row);
            nn_encoder_last(encoder, &b.pack, scratch, x, last);
            nn_cache *cache = NULL;
            forage_error error = {0};
            if (spec.causal)
                must(nn_cache_create(encoder, &cache, &error), &error);
            for (size_t i = 0; i < RAGGED; i++) {
                size_t first = b.starts[i], count = lengths[i];
                uint32_t starts[2] = {0, (uint32_t)count};
                nn_pack one = {.count = 1, .starts = starts};
                float zero[64] = {0};
                assert_memory_equal(last + i * s, count ? all + (first + count - 1) * s : zero, row);
                memcpy(x, b.x + first * s, count * row);
                nn_encoder_run(encoder, &one, scratch, x);
                assert_memory_equal(x, all + first * s, count * row);
                for (size_t t = 0; spec.causal && t < count; t++) {
                    nn_cache_append(encoder, cache, b.x + (first + t) * s, x);
                    assert_memory_equal(x, all + (first + t) * s, row);
                    assert_int_equal(nn_cache_length(cache), t + 1);
                }
                if (spec.causal)
                    nn_cache_clear(cache);
            }
            nn_cache_free(cache);
            forage_free(scratch);
            forage_free(all);
            forage_free(x);
            forage_free(last);
            forage_free(b.x);
            nn_encoder_free(encoder);
        }
    }
}

static void a_causal_encoder_sees_no_future(void **state)
{
    (void)state;
    for (size_t which = 0; which < 16; which++) {
        forage_rng rng;
        forage_rng_seed(&rng, which);
        nn_encoder_spec spec = spec_of(which);
        nn_encoder *encoder = encoder_of(&spec, best_isa());
        draw_weights(encoder, &rng);
        static const size_t lengths[] = {12, 12};
        batch b;
        make_batch(&b, encoder, lengths, 2, &rng);
        size_t s = encoder->stride;
        float *before = floats(b.tokens * s);
        void *scratch = scratch_of(encoder, b.tokens);
        memcpy(before, b.x, b.tokens * s * sizeof *before);
        float *after = floats(b.tokens * s);
        memcpy(after, b.x, b.tokens * s * sizeof *after);
        draw(&rng, encoder, after + 7 * s, 1, 9);
        nn_encoder_run(encoder, &b.pack, scratch, before);
        nn_encoder_run(encoder, &b.pack, scratch, after);
        size_t same = spec.causal ? 7 : 0;
        assert_memory_equal(before, after, same * s * sizeof *before);
        assert_memory_equal(before + 12 * s, after + 12 * s, 12 * s * sizeof *before);
        for (size_t t = same; t < 12; t++)
            assert_memory_not_equal(before + t * s, after + t * s, s * sizeof *before);
        forage_free(scratch);
        forage_free(before);
        forage_free(after);
        forage_free(b.x);
        nn_encoder_free(encoder);
    }
}

/* ---- kernels ---- */

/* Runs everything that is not a product on numbers of `seed`; returns what came out. */
static float *kernel_results(const nn_kernels *kernels, size_t width, uint64_t seed, size_t *count)
{
    enum { ROWS = 19, ARRAYS = 33 };
    size_t stride = nn_padded(width), size = ROWS * stride;
    float *room = floats(ARRAYS * size), *a[ARRAYS];
    uint32_t keys[128];
    forage_rng rng;
    forage_rng_seed(&rng, seed);
    for (size_t i = 0; i < ARRAYS; i++) {
        a[i] = room + i * size;
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t j = 0; j < width; j++)
                a[i][r * stride + j] = (float)(3 * forage_rng_normal(&rng));
        }
    }
    for (size_t i = 0; i < 128; i++)
        keys[i] = (uint32_t)forage_rng_integers(&rng, UINT32_MAX);
    const nn_drop drop = {.keys = keys, .threshold = 1000000000, .scale = 1.3F};
    kernels->norm(ROWS, width, stride, 1e-5F, a[0], a[1], a[2], a[3], a[4], a[5]);
    kernels->norm_back(ROWS, width, stride, a[0], a[3], a[4], a[6], a[7], a[8], NULL);
    kernels->norm_back(ROWS, width, stride, a[0], a[3], a[4], a[9], a[7], a[8], a[10]);
    kernels->bias(ROWS, stride, a[0], a[11]);
    kernels->bias_leaky(ROWS, stride, 0.01F, a[0], a[12]);
    kernels->bias_gelu(ROWS, stride, a[0], a[13], a[14]);
    kernels->residual(ROWS, stride, a[0], &drop, a[1], a[2], a[15]);
    kernels->residual_back(ROWS, stride, &drop, a[1], a[0], a[16]);
    kernels->mask_leaky(ROWS, stride, 1.2F, 0.01F, a[12], a[17], a[0]);
    kernels->slope_back(ROWS, stride, a[13], a[18], a[0]);
    kernels->add_rows(ROWS, stride, a[2], a[0]);
    kernels->attention(ROWS, 3, true, stride, 0.7F, NULL, a[19], NULL);
    kernels->attention(ROWS, 0, width > ROWS, stride, 0.7F, &drop, a[20], a[21]);
    kernels->attention_back(ROWS, width > ROWS, stride, 0.6F, 1.3F, a[20], a[22]);
    kernels->attention_one(ROWS * stride, 0.7F, a[24]);
    kernels->turn(ROWS, width, stride, a[2], 48, a[29]); /* takes three and more */
    kernels->softmax(ROWS, 1, width > ROWS, stride, 0.7F, a[26]);
    kernels->drop_marked(ROWS, stride, &drop, a[26], a[27]);
    kernels->softmax_back(ROWS, stride, 0.6F, 1.3F, a[26], a[28]);
    kernels->drop(ROWS, stride, &drop, a[23]);
    *count = ARRAYS * size;
    return room;
}

static void every_instruction_set_gives_the_same_bytes(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 7, 16, 33, 64, 100};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        size_t count;
        float *want = kernel_results(nn_kernels_for(FORAGE_ISA_PORTABLE), widths[w], w, &count);
        for (size_t i = 0; i < count; i++)
            assert_true(isfinite(want[i]));
        for (int isa = FORAGE_ISA_PORTABLE + 1; isa <= (int)best_isa(); isa++) {
            float *have = kernel_results(nn_kernels_for((forage_isa)isa), widths[w], w, &count);
            compare("kernels", have, want, count, 0);
            assert_memory_equal(have, want, count * sizeof *have);
            forage_free(have);
        }
        forage_free(want);
    }
}

static void gelu_is_that_of_the_normal_distribution(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    static float z[COUNT], zero[COUNT], slope[COUNT], y[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        z[i] = y[i] = 0.01F * (float)i - 20;
    nn_kernels_for(best_isa())->bias_gelu(1, COUNT, zero, slope, y);
    for (size_t i = 0; i < COUNT; i++) {
        double of = (double)z[i], p = 0.5 * erfc(-of / sqrt(2)), density = exp(-of * of / 2) / sqrt(2 * acos(-1));
        assert_true(fabs((double)y[i] - of * p) <= 2e-7 * fmax(1, fabs(of)));
        assert_true(fabs((double)slope[i] - (p + of * density)) <= 5e-7);
    }
}

/* ---- bad input and memory ---- */

static void specs_are_checked(void **state)
{
    (void)state;
    const nn_encoder_spec good = {.width = 8, .heads = 2, .inner = 8, .blocks = 1, .length = 4, .epsilon = 1e-5};
    struct {
        nn_encoder_spec spec;
        const char *message;
    } cases[9];
    for (size_t i = 0; i < 9; i++)
        cases[i].spec = good;
    cases[0].spec.width = 0, cases[0].message = "an encoder of width 0; it takes 1 to 1024";
    cases[1].spec.width = 1025, cases[1].message = "an encoder of width 1025; it takes 1 to 1024";
    cases[2].spec.heads = 3, cases[2].message = "3 heads do not divide a width of 8";
    cases[3].spec.heads = 0, cases[3].message = "0 heads do not divide a width of 8";
    cases[4].spec.inner = 5000, cases[4].message = "5000 inner units; an encoder has 1 to 4096";
    cases[5].spec.blocks = 0, cases[5].message = "0 blocks; an encoder has 1 to 64";
    cases[6].spec.length = 5000, cases[6].message = "sequences of 5000 tokens; an encoder takes 1 to 4096";
    cases[7].spec.epsilon = 0, cases[7].message = "an epsilon of 0 in norms; it lies between 0 and 1";
    cases[8].spec.epsilon = NAN, cases[8].message = "an epsilon of nan in norms; it lies between 0 and 1";
    for (size_t i = 0; i < 9; i++) {
        forage_error error = {0};
        nn_encoder *encoder = NULL;
        assert_int_equal(nn_encoder_create(&cases[i].spec, best_isa(), &encoder, &error), FORAGE_INVALID);
        assert_null(encoder);
        assert_string_equal(error.message, cases[i].message);
    }
    forage_error error = {0};
    nn_encoder *encoder = encoder_of(&good, best_isa());
    nn_cache *cache = NULL;
    assert_int_equal(nn_cache_create(encoder, &cache, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "causal"));
    nn_tape *tape = NULL;
    assert_int_equal(nn_tape_create(encoder, SIZE_MAX / 2, 1, &tape, &error), FORAGE_NO_MEMORY);
    assert_null(tape);
    assert_true(nn_tape_memory(encoder, 1000) > 1000 * 8 * 16 * 4);
    nn_encoder_free(encoder);
}

static void checkpoints_come_back(void **state)
{
    (void)state;
    for (size_t which = 0; which < 8; which++) {
        forage_rng rng;
        forage_rng_seed(&rng, which);
        forage_error error = {0};
        nn_encoder_spec spec = spec_of(which);
        nn_encoder *encoder = encoder_of(&spec, best_isa());
        draw_weights(encoder, &rng);
        nn_checkpoint *file = NULL;
        float *packed = NULL, *back = floats(encoder->value_count);
        must(nn_checkpoint_create(&file, &error), &error);
        must(nn_encoder_save(encoder, encoder->values, "e.", file, &packed, &error), &error);
        must(nn_encoder_load(encoder, file, "e.", back, &error), &error);
        assert_memory_equal(back, encoder->values, encoder->value_count * sizeof *back);
        const nn_tensor *in = nn_checkpoint_find(file, "e.layers.0.self_attn.in_proj_weight");
        assert_true(in && in->shape[0] == 3 * spec.width && in->shape[1] == spec.width);
        size_t numbers = 0;
        for (size_t i = 0; i < nn_checkpoint_count(file); i++)
            numbers += nn_checkpoint_at(file, i)->size / sizeof(float);
        assert_int_equal(numbers, encoder->weight_count);
        assert_int_equal(nn_encoder_load(encoder, file, "f.", back, &error), FORAGE_FORMAT);
        assert_non_null(strstr(error.message, "f.layers.0.self_attn.in_proj_weight") ||
                        strstr(error.field, "f.layers.0.self_attn.in_proj_weight"));
        nn_checkpoint_free(file);
        forage_free(packed);
        forage_free(back);
        nn_encoder_free(encoder);
    }
}

static forage_status make_everything(nn_encoder **encoder, nn_tape **tape, nn_cache **cache, nn_checkpoint **file,
                                     float **packed, forage_error *error)
{
    nn_encoder_spec spec = spec_of(1);
    FORAGE_TRY(nn_encoder_create(&spec, best_isa(), encoder, error));
    FORAGE_TRY(nn_tape_create(*encoder, 40, 4, tape, error));
    FORAGE_TRY(nn_cache_create(*encoder, cache, error));
    FORAGE_TRY(nn_checkpoint_create(file, error));
    FORAGE_TRY(nn_encoder_save(*encoder, (*encoder)->values, "", *file, packed, error));
    return nn_encoder_load(*encoder, *file, "", (*encoder)->values, error);
}

static void allocations_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        forage_error error = {0};
        nn_encoder *encoder = NULL;
        nn_tape *tape = NULL;
        nn_cache *cache = NULL;
        nn_checkpoint *file = NULL;
        float *packed = NULL;
        forage_alloc_fail_at(nth);
        forage_status status = make_everything(&encoder, &tape, &cache, &file, &packed, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        nn_cache_free(cache);
        nn_tape_free(tape);
        nn_encoder_free(encoder);
        nn_checkpoint_free(file);
        forage_free(packed);
        if (status == FORAGE_OK) {
            assert_true(asked < nth && nth > 15);
            return;
        }
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_true(error.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_way_of_scoring_gives_the_same_bytes),
        cmocka_unit_test(a_causal_encoder_sees_no_future),
        cmocka_unit_test(every_instruction_set_gives_the_same_bytes),
        cmocka_unit_test(gelu_is_that_of_the_normal_distribution),
        cmocka_unit_test(specs_are_checked),
        cmocka_unit_test(checkpoints_come_back),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("encoder-scoring", tests, NULL, NULL);
}
