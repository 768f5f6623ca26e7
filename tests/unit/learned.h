/*
 * learned.h: which numbers of a block of values are weights, and which are padding that stays zero. Include after
 * cmocka.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LEARNED_H
#define LEARNED_H

#include "nn/nn.h"

/* Ones where encoder->values has weights, else zeros: what is left of ones that went through a file. The caller frees
 * it. */
static inline float *learned_of(const nn_encoder *encoder)
{
    forage_error error = {0};
    nn_checkpoint *file = NULL;
    float *packed = NULL, *ones = forage_alloc(encoder->value_count, sizeof *ones);
    float *learned = forage_calloc(encoder->value_count, sizeof *learned);
    assert_true(ones && learned);
    for (size_t i = 0; i < encoder->value_count; i++)
        ones[i] = 1;
    assert_int_equal(nn_checkpoint_create(&file, &error), FORAGE_OK);
    assert_int_equal(nn_encoder_save(encoder, ones, "", file, &packed, &error), FORAGE_OK);
    assert_int_equal(nn_encoder_load(encoder, file, "", learned, &error), FORAGE_OK);
    size_t count = 0;
    for (size_t i = 0; i < encoder->value_count; i++)
        count += learned[i] == 1;
    assert_int_equal(count, encoder->weight_count);
    nn_checkpoint_free(file);
    forage_free(packed);
    forage_free(ones);
    return learned;
}

/* The same of a network's values; its tables have a row more, the average of the others, which is no weight. */
static inline float *learned_of_mlp(const nn_mlp *mlp)
{
    forage_error error = {0};
    nn_checkpoint *file = NULL;
    float *packed = NULL, *ones = forage_alloc(mlp->value_count, sizeof *ones);
    float *learned = forage_calloc(mlp->value_count, sizeof *learned);
    assert_true(ones && learned);
    for (size_t i = 0; i < mlp->value_count; i++)
        ones[i] = 1;
    assert_int_equal(nn_checkpoint_create(&file, &error), FORAGE_OK);
    assert_int_equal(nn_mlp_save(mlp, ones, "", file, &packed, &error), FORAGE_OK);
    assert_int_equal(nn_mlp_load(mlp, file, "", learned, &error), FORAGE_OK);
    size_t count = 0;
    for (size_t i = 0; i < mlp->value_count; i++)
        count += learned[i] == 1;
    assert_int_equal(count, mlp->weight_count);
    nn_checkpoint_free(file);
    forage_free(packed);
    forage_free(ones);
    return learned;
}

#endif
