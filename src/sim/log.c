/*
 * log.c: visits, catalogue and population as CSV files.
 *
 * The file is written from a block of visits at a time, so memory does not
 * grow with its length. What follows a user's number in a row depends on the
 * item and the click alone, and is made once per item where items are few.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/simulator.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 4096, NUMBER = 10, SHORT = 32, TAIL_ROOM = 64, MAX_TAILS = 1 << 16, REPORT_BLOCKS = 64 };

/* ---- Text ---- */

char *sim_put_field(char *to, const char *text)
{
    if (!strpbrk(text, ",\"\r\n") && text[0] != ' ' && text[0] != '\0') {
        size_t length = strlen(text);
        memcpy(to, text, length);
        return to + length;
    }
    *to++ = '"';
    for (; *text; text++) {
        if (*text == '"')
            *to++ = '"';
        *to++ = *text;
    }
    *to++ = '"';
    return to;
}

/* Two digits at a time, from the last to the first. */
static inline char *put_number(char *to, uint32_t number)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
        "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
        "9899";
    size_t length = 1u + (number >= 10) + (number >= 100) + (number >= 1000) + (number >= 10000) + (number >= 100000) +
                    (number >= 1000000) + (number >= 10000000) + (number >= 100000000) + (number >= 1000000000);
    char *end = to + length, *at = end;
    for (; number >= 100; number /= 100) {
        at -= 2;
        memcpy(at, pairs + 2 * (number % 100), 2);
    }
    if (number >= 10)
        memcpy(to, pairs + 2 * number, 2);
    else
        *to = (char)('0' + number);
    return end;
}

/* ---- The log ---- */

/* The end of a row: ",22,0,Dog Food\n". */
typedef struct tail {
    uint8_t length, click_at; /* length 0: longer than fits here */
    char text[TAIL_ROOM - 2];
} tail;

typedef struct log_writer {
    const forage_simulator *s;
    char **fields;    /* [category_count + 1]: ",NAME\n" of each category, in at least SHORT bytes */
    size_t *lengths;  /* [category_count + 1]: of the fields */
    tail *tails;      /* [item_count], NULL where items are many */
    char *text;       /* rows of one block */
    uint32_t *user;   /* [BLOCK] */
    uint32_t *item;   /* [BLOCK] */
    uint8_t *click;   /* [BLOCK] */
    double *surprise; /* [persona][category_count + 1][click]: -log of the probability */
} log_writer;

static void release(log_writer *w)
{
    for (size_t c = 0; w->fields && c <= w->s->category_count; c++)
        forage_free(w->fields[c]);
    forage_free(w->fields);
    forage_free(w->lengths);
    forage_free(w->tails);
    forage_free(w->text);
    forage_free(w->user);
    forage_free(w->item);
    forage_free(w->click);
    forage_free(w->surprise);
}

/* All between the user and the end of the row. Returns the end. */
static char *put_rest(char *to, const log_writer *w, uint32_t item, char click)
{
    size_t category = w->s->category[item], length = w->lengths[category];
    *to++ = ',';
    to = put_number(to, item);
    *to++ = ',';
    *to++ = click;
    memcpy(to, w->fields[category], SHORT); /* a few moves; the room is there */
    if (length > SHORT)
        memcpy(to + SHORT, w->fields[category] + SHORT, length - SHORT);
    return to + length;
}

static void make_tail(tail *t, const log_writer *w, uint32_t item)
{
    char row[NUMBER + 3 + 2 * 256 + SHORT];
    size_t length = (size_t)(put_rest(row, w, item, '0') - row);
    t->length = 0;
    if (length > sizeof t->text)
        return;
    memcpy(t->text, row, length);
    t->length = (uint8_t)length;
    t->click_at = 2;
    while (t->text[t->click_at - 1] != ',')
        t->click_at++;
}

static bool prepare(log_writer *w, const forage_simulator *s)
{
    size_t row = s->category_count + 1, longest = 0;
    w->s = s;
    w->fields = forage_calloc(row, sizeof *w->fields);
    w->lengths = forage_calloc(row, sizeof *w->lengths);
    if (!w->fields || !w->lengths)
        return false;
    for (size_t c = 0; c < row; c++) {
        const char *name = c < s->category_count ? s->categories[c] : "";
        size_t room = 2 * strlen(name) + 4 + SHORT;
        char *end;
        w->fields[c] = forage_calloc(room, 1);
        if (!w->fields[c])
            return false;
        end = w->fields[c];
        *end++ = ',';
        end = c < s->category_count ? sim_put_field(end, name) : end;
        *end++ = '\n';
        w->lengths[c] = (size_t)(end - w->fields[c]);
        longest = room > longest ? room : longest;
    }
    w->text = forage_alloc(BLOCK, 2 * NUMBER + 5 + longest + TAIL_ROOM);
    w->user = forage_alloc(BLOCK, sizeof *w->user);
    w->item = forage_alloc(BLOCK, sizeof *w->item);
    w->click = forage_alloc(BLOCK, sizeof *w->click);
    w->surprise = forage_alloc(2 * row, s->persona_count * sizeof *w->surprise);
    w->tails = s->item_count <= MAX_TAILS ? forage_alloc(s->item_count, sizeof *w->tails) : NULL;
    if (!w->text || !w->user || !w->item || !w->click || !w->surprise)
        return false;
    for (size_t i = 0; w->tails && i < s->item_count; i++)
        make_tail(&w->tails[i], w, (uint32_t)i);
    for (size_t i = 0; i < row * s->persona_count; i++) {
        w->surprise[2 * i] = -log1p(-s->rates[i]);
        w->surprise[2 * i + 1] = -log(s->rates[i]);
    }
    return true;
}

/* One block as text. Returns its length. */
static size_t format_block(const log_writer *w, size_t count)
{
    char *to = w->text;
    for (size_t i = 0; i < count; i++) {
        uint32_t item = w->item[i];
        const tail *t = w->tails ? &w->tails[item] : NULL;
        to = put_number(to, w->user[i]);
        if (t && t->length) {
            /* A copy of constant length is a few moves; the text has room for what is too much. */
            memcpy(to, t->text, sizeof t->text);
            to[t->click_at] = (char)('0' + w->click[i]);
            to += t->length;
        } else {
            to = put_rest(to, w, item, (char)('0' + w->click[i]));
        }
    }
    return (size_t)(to - w->text);
}

static void sum_up(const log_writer *w, size_t count, forage_log_summary *sums)
{
    size_t row = w->s->category_count + 1, clicks = 0;
    double loss = 0.0;
    for (size_t i = 0; i < count; i++) {
        size_t cell = w->s->persona[w->user[i]] * row + w->s->category[w->item[i]];
        clicks += w->click[i];
        loss += w->surprise[2 * cell + w->click[i]];
    }
    sums->rows += count;
    sums->clicks += clicks;
    sums->log_loss += loss;
}

static forage_status write_rows(forage_simulator *s, log_writer *w, uint64_t count, forage_output *output,
                                const forage_progress *progress, forage_log_summary *sums, forage_error *error)
{
    static const char header[] = "user_id,product_id,clicked,category\n";
    if (output)
        FORAGE_TRY(forage_output_write(output, header, sizeof header - 1, error));
    for (uint64_t done = 0, block = 0; done < count; block++) {
        size_t part = count - done < BLOCK ? (size_t)(count - done) : BLOCK;
        if (block % REPORT_BLOCKS == 0 && !forage_progress_report(progress, "simulating", done, count, NULL))
            return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
        forage_simulator_visits(s, part, w->user, w->item, w->click);
        sum_up(w, part, sums);
        if (output)
            FORAGE_TRY(forage_output_write(output, w->text, format_block(w, part), error));
        done += part;
    }
    forage_progress_report(progress, "simulating", count, count, NULL);
    return FORAGE_OK;
}

forage_status forage_simulator_write_log(forage_simulator *s, uint64_t count, const char *path,
                                         const forage_progress *progress, forage_log_summary *summary,
                                         forage_error *error)
{
    log_writer writer = {0};
    forage_log_summary sums = {0};
    forage_output *output = NULL;
    forage_status status;

    if (!prepare(&writer, s)) {
        release(&writer);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to write a log");
    }
    if (path)
        FORAGE_TRY_GOTO(forage_output_open(path, &output, error), done);
    status = write_rows(s, &writer, count, output, progress, &sums, error);
    if (status == FORAGE_OK && output)
        status = forage_output_commit(output, error);
    else
        forage_output_discard(output);
done:
    release(&writer);
    sums.log_loss = sums.rows ? sums.log_loss / (double)sums.rows : NAN;
    if (summary)
        *summary = sums;
    return status;
}

/* ---- Catalogue and population ---- */

/* "HEADER", then for each index its name out of `names` (beyond them an empty field). */
static forage_status write_pairs(const char *path, const char *header, const uint16_t *values, size_t count,
                                 char *const *names, size_t name_count, forage_error *error)
{
    forage_output *output;
    forage_status status;
    char row[NUMBER + 2 * 256 + 8];

    FORAGE_TRY(forage_output_open(path, &output, error));
    status = forage_output_write(output, header, strlen(header), error);
    for (size_t i = 0; i < count && status == FORAGE_OK; i++) {
        char *end = put_number(row, (uint32_t)i);
        *end++ = ',';
        if (values[i] < name_count)
            end = sim_put_field(end, names[values[i]]);
        *end++ = '\n';
        status = forage_output_write(output, row, (size_t)(end - row), error);
    }
    if (status == FORAGE_OK)
        return forage_output_commit(output, error);
    forage_output_discard(output);
    return status;
}

forage_status forage_simulator_write_catalogue(const forage_simulator *s, const char *path, forage_error *error)
{
    return write_pairs(path, "product_id,category\n", s->category, s->item_count, s->categories, s->category_count,
                       error);
}

forage_status forage_simulator_write_population(const forage_simulator *s, const char *path, forage_error *error)
{
    return write_pairs(path, "user_id,persona\n", s->persona, s->user_count, s->personas, s->persona_count, error);
}
