/*
 * Which items forage recommend ranks, and what someone has met.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/recommend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char BLANKS[] = " \t";

/* Numbers that only fill a gap among the items' ids are no items. */
static bool has_item(const recommendation *r, const char *id, size_t length, uint32_t *item)
{
    *item = forage_vocabulary_find(r->dataset->items, id, length);
    return *item != FORAGE_NONE && (!r->dataset->item_known || r->dataset->item_known[*item]);
}

/* An item that the log has; the message names the option. */
static forage_status find_item(const recommendation *r, const char *option, const char *id, size_t length,
                               uint32_t *item, forage_error *error)
{
    if (has_item(r, id, length, item))
        return FORAGE_OK;
    return forage_fail_at(error, FORAGE_UNKNOWN, r->data, 0, r->dataset->item_name,
                          "option --%s: there is no item '%.*s' in the log", option, (int)(length < 100 ? length : 100),
                          id);
}

/* ---- --history ---- */

static int rising(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static size_t commas(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == ',';
    return count;
}

/* An item of --history, without the blanks around it, unless its id has some. */
static forage_status add_to_history(recommendation *r, const char *text, size_t length, forage_error *error)
{
    uint32_t *item = &r->past[r->past_count];
    if (!has_item(r, text, length, item)) {
        size_t before = strspn(text, BLANKS);
        before = before < length ? before : length;
        text += before;
        length -= before;
        while (length && strchr(BLANKS, text[length - 1]))
            length--;
    }
    if (!length)
        return forage_fail(error, FORAGE_INVALID,
                           "option --history: an item is missing before, behind or between commas; --history '' alone "
                           "is for someone of whom nothing is known");
    bool skips = r->unknown == FORAGE_UNKNOWN_SKIP || r->unknown == FORAGE_UNKNOWN_FOLD_IN;
    if (skips && !has_item(r, text, length, item))
        return FORAGE_OK;
    FORAGE_TRY(find_item(r, "history", text, length, item, error));
    r->past_count++;
    return FORAGE_OK;
}

forage_status recommend_find_history(recommendation *r, forage_error *error)
{
    size_t most = 0, kept = 0;
    for (size_t i = 0; i < r->history.count; i++)
        most += commas(r->history.values[i]) + 1;
    if (!most)
        return FORAGE_OK;
    r->past = forage_alloc(most, sizeof *r->past);
    r->listed = forage_alloc(most, sizeof *r->listed);
    if (!r->past || !r->listed)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a history of %zu items", most);
    for (size_t i = 0; i < r->history.count; i++) {
        const char *text = r->history.values[i];
        if (r->history.count == 1 && !text[strspn(text, BLANKS)])
            break; /* nothing is known yet */
        for (size_t length;; text += length + 1) {
            bool whole = forage_vocabulary_find(r->dataset->items, text, strlen(text)) != FORAGE_NONE;
            length = whole ? strlen(text) : strcspn(text, ","); /* an id may have commas in it */
            FORAGE_TRY(add_to_history(r, text, length, error));
            if (!text[length])
                break;
        }
    }
    memcpy(r->listed, r->past, r->past_count * sizeof *r->past);
    r->listed_count = r->past_count;
    qsort(r->past, r->past_count, sizeof *r->past, rising);
    for (size_t i = 0; i < r->past_count; i++) {
        if (!kept || r->past[kept - 1] != r->past[i])
            r->past[kept++] = r->past[i];
    }
    r->past_count = kept;
    if (!r->reads_history) {
        memcpy(r->listed, r->past, kept * sizeof *r->past);
        r->listed_count = kept;
    }
    return FORAGE_OK;
}

/* ---- --only and --exclude ---- */

static forage_status no_attribute(const recommendation *r, const char *text, size_t length, forage_error *error)
{
    const forage_table *table = &r->dataset->item_attributes;
    char names[300] = "";
    size_t used = 0;
    for (size_t c = 0; c < table->column_count; c++)
        forage_append(names, sizeof names, &used, "%s%.60s", c ? ", " : "", table->columns[c].name);
    return forage_fail_at(error, FORAGE_UNKNOWN, r->data, 0, NULL,
                          "option --only: items have no attribute '%.*s'; they have: %s",
                          (int)(length < 60 ? length : 60), text, names[0] ? names : "none at all");
}

/* Adds the items that `text`, NAME=VALUE, speaks of; *column says of which attribute it is. */
static forage_status add_matches(const recommendation *r, const char *text, bool *matches, size_t *column,
                                 forage_error *error)
{
    const forage_table *table = &r->dataset->item_attributes;
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return forage_fail(error, FORAGE_INVALID, "option --only: '%.100s' is not NAME=VALUE", text);
    const char *value = equals + 1;
    size_t length = (size_t)(equals - text), c = 0;
    while (c < table->column_count &&
           (strlen(table->columns[c].name) != length || memcmp(table->columns[c].name, text, length) != 0))
        c++;
    if (c == table->column_count)
        return no_attribute(r, text, length, error);
    const forage_column *found = &table->columns[c];
    uint32_t code = FORAGE_NONE;
    double number = NAN;
    if (found->type == FORAGE_CATEGORICAL)
        code = forage_vocabulary_find(found->vocabulary, value, strlen(value));
    else if (!forage_parse_real(value, strlen(value), &number) || !isfinite(number))
        return forage_fail(error, FORAGE_INVALID, "option --only: '%.60s' is a number, and '%.60s' is none",
                           found->name, value);
    if (found->type == FORAGE_CATEGORICAL && code == FORAGE_NONE)
        return forage_fail_at(error, FORAGE_UNKNOWN, r->data, 0, NULL,
                              "option --only: no item of the log has '%.60s' as its %.60s", value, found->name);
    for (size_t item = 0; item < table->rows; item++) {
        if (found->type == FORAGE_CATEGORICAL ? found->codes[item] == code : found->values[item] == (float)number)
            matches[item] = true;
    }
    *column = c;
    return FORAGE_OK;
}

/* Clears what does not match; the options may come in any order. */
static forage_status keep_only(const recommendation *r, bool *allowed, forage_error *error)
{
    size_t items = forage_vocabulary_count(r->dataset->items), columns = r->dataset->item_attributes.column_count;
    bool *matches = forage_alloc(items + 1, sizeof *matches);
    size_t *of = forage_alloc(r->only.count + 1, sizeof *of);
    forage_status status = FORAGE_OK;
    if (!matches || !of) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory to choose among %zu items", items);
        goto end;
    }
    for (size_t i = 0; i < r->only.count; i++)
        FORAGE_TRY_GOTO(add_matches(r, r->only.values[i], matches, &of[i], error), end);
    for (size_t c = 0; c < columns; c++) {
        bool asked = false;
        memset(matches, 0, items * sizeof *matches);
        for (size_t i = 0; i < r->only.count; i++) {
            if (of[i] != c)
                continue;
            asked = true;
            FORAGE_TRY_GOTO(add_matches(r, r->only.values[i], matches, &of[i], error), end);
        }
        for (size_t item = 0; asked && item < items; item++)
            allowed[item] = allowed[item] && matches[item];
    }
end:
    forage_free(matches);
    forage_free(of);
    return status;
}

forage_status recommend_filter(recommendation *r, forage_error *error)
{
    size_t items = forage_vocabulary_count(r->dataset->items);
    forage_status status = FORAGE_OK;
    if (!r->only.count && !r->exclude.count)
        return FORAGE_OK;
    bool *allowed = forage_alloc(items + 1, sizeof *allowed);
    if (!allowed)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to choose among %zu items", items);
    memset(allowed, true, items * sizeof *allowed);
    if (r->only.count)
        FORAGE_TRY_GOTO(keep_only(r, allowed, error), end);
    for (size_t i = 0; i < r->exclude.count; i++) {
        uint32_t item;
        FORAGE_TRY_GOTO(find_item(r, "exclude", r->exclude.values[i], strlen(r->exclude.values[i]), &item, error), end);
        allowed[item] = false;
    }
    status = forage_binding_available(r->binding, allowed, error);
end:
    forage_free(allowed);
    return status;
}
