/*
 * A small shop for tests of pipelines: six items of three categories, four users, two columns of context.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_PIPELINE_SHOP_H
#define TESTS_PIPELINE_SHOP_H

#include "forage/pipeline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SHOP_ITEMS = 6, SHOP_USERS = 4 };

typedef struct tiny_shop {
    forage_table items, users, context;
    forage_catalogue catalogue;
} tiny_shop;

static void shop_column(forage_table *table, const char *name, const char *const *words, size_t count,
                        const uint32_t *codes)
{
    forage_column *column;
    uint32_t code;
    assert_int_equal(forage_table_add(table, name, FORAGE_CATEGORICAL, &column, NULL), FORAGE_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(forage_vocabulary_add(column->vocabulary, words[i], strlen(words[i]), &code, NULL), FORAGE_OK);
    for (size_t row = 0; codes && row < table->rows; row++)
        column->codes[row] = codes[row];
}

static void shop_numbers(forage_table *table, const char *name, const float *values)
{
    forage_column *column;
    assert_int_equal(forage_table_add(table, name, FORAGE_NUMERIC, &column, NULL), FORAGE_OK);
    for (size_t row = 0; values && row < table->rows; row++)
        column->values[row] = values[row];
}

/* category: cat dog fish dog cat -; price 1 ... 6; users' city and age; context device and hour. */
static void shop_open(tiny_shop *shop)
{
    static const char *const categories[] = {"cat", "dog", "fish"}, *const cities[] = {"Rome", "Oslo"};
    static const char *const devices[] = {"phone", "desk"};
    static const uint32_t category[] = {0, 1, 2, 1, 0, FORAGE_NONE}, city[] = {0, 1, 1, FORAGE_NONE};
    static const float price[] = {1, 2, 3, 4, 5, 6}, age[] = {20, 30, NAN, 60};
    memset(shop, 0, sizeof *shop);
    shop->items.rows = SHOP_ITEMS;
    shop->users.rows = SHOP_USERS;
    shop_column(&shop->items, "category", categories, 3, category);
    shop_numbers(&shop->items, "price", price);
    shop_column(&shop->users, "city", cities, 2, city);
    shop_numbers(&shop->users, "age", age);
    shop_column(&shop->context, "device", devices, 2, NULL);
    shop_numbers(&shop->context, "hour", NULL);
    shop->catalogue = (forage_catalogue){.users = SHOP_USERS,
                                         .items = SHOP_ITEMS,
                                         .user_attributes = &shop->users,
                                         .item_attributes = &shop->items,
                                         .context = &shop->context};
}

static void shop_close(tiny_shop *shop)
{
    forage_table_release(&shop->items);
    forage_table_release(&shop->users);
    forage_table_release(&shop->context);
}

/* The pipeline "p" of a body of YAML, indented by two. */
static forage_pipeline_spec *shop_spec(const char *body)
{
    char text[4096];
    forage_pipeline_spec **specs, *spec;
    forage_error error = {0};
    size_t count;
    snprintf(text, sizeof text, "pipelines:\n p:\n%s", body);
    if (forage_pipeline_specs_parse(text, strlen(text), "t.yaml", &specs, &count, &error) != FORAGE_OK)
        fail_msg("%s: %s", text, error.message);
    assert_int_equal(count, 1);
    spec = specs[0];
    forage_free(specs);
    return spec;
}

#endif
