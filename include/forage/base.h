/*
 * Forage, an adaptive recommendation engine.
 *
 * base.h: what every other part stands on: status and error, memory, random
 * numbers, vocabularies of string ids, devices and parallel loops, numbers in
 * text, files written whole or not at all, progress.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_BASE_H
#define FORAGE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FORAGE_API __attribute__((__visibility__("default")))
#define FORAGE_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define FORAGE_API
#define FORAGE_PRINTF(text, first)
#endif

#define FORAGE_VERSION_MAJOR 0
#define FORAGE_VERSION_MINOR 1
#define FORAGE_VERSION_PATCH 0

/* The version of the library that is running, "0.1.0". */
FORAGE_API const char *forage_version(void);

/* ------------------------------------------------------------------ *
 * Status and error
 *
 * Every call that can fail returns a status. What a person needs to know
 * goes into an error object which the caller owns and may pass as NULL.
 * ------------------------------------------------------------------ */

/* One list makes the enum, the names and the texts. */
#define FORAGE_STATUS_LIST(X)                   \
    X(OK, "ok")                                 \
    X(INVALID, "invalid argument or option")    \
    X(NO_MEMORY, "not enough memory")           \
    X(IO, "input or output failed")             \
    X(FORMAT, "malformed input")                \
    X(UNKNOWN, "unknown name or id")            \
    X(UNSUPPORTED, "not supported here")        \
    X(DIVERGED, "numbers are no longer finite") \
    X(INTERRUPTED, "stopped on request")

typedef enum forage_status {
#define FORAGE_STATUS_ENUM(name, text) FORAGE_##name,
    FORAGE_STATUS_LIST(FORAGE_STATUS_ENUM)
#undef FORAGE_STATUS_ENUM
} forage_status;

/* "FORAGE_FORMAT"; "unknown status" for anything outside the list. */
FORAGE_API const char *forage_status_name(forage_status status);
/* "malformed input". */
FORAGE_API const char *forage_status_text(forage_status status);

/* What went wrong and where. Start it with `forage_error error = {0};`.
 * `line` and `column` count from 1, 0 means "no such position". */
typedef struct forage_error {
    forage_status status;
    char message[512];
    char file[256];
    uint64_t line;
    uint64_t column;
    char field[64];
} forage_error;

/* Fill `error` (unless NULL) and return `status`, so that a function can end
 * with `return forage_fail(error, FORAGE_INVALID, "...", ...)`. */
FORAGE_API forage_status forage_fail(forage_error *error, forage_status status, const char *format, ...)
    FORAGE_PRINTF(3, 4);
/* The same with a position. `file` and `field` may be NULL, `line` 0. */
FORAGE_API forage_status forage_fail_at(forage_error *error, forage_status status, const char *file, uint64_t line,
                                        const char *field, const char *format, ...) FORAGE_PRINTF(6, 7);
#ifdef __clang_analyzer__
/* So that a static analyser, which looks at one file at a time, knows that the status comes back as it went in. */
#define forage_fail(error, status, ...) (forage_fail(error, status, __VA_ARGS__), (status))
#define forage_fail_at(error, status, ...) (forage_fail_at(error, status, __VA_ARGS__), (status))
#endif
/* One line for a person, "log.csv:12: field 'clicked': 'abc' is not a number",
 * written to `buffer` (always terminated). Returns the full length as snprintf does. */
FORAGE_API size_t forage_error_text(const forage_error *error, char *buffer, size_t size);

/* Hand a failure up. */
#define FORAGE_TRY(expression)                           \
    do {                                                 \
        forage_status forage_try_status_ = (expression); \
        if (forage_try_status_ != FORAGE_OK)             \
            return forage_try_status_;                   \
    } while (0)
/* The same through a label that cleans up; `status` must be a local variable. */
#define FORAGE_TRY_GOTO(expression, label) \
    do {                                   \
        status = (expression);             \
        if (status != FORAGE_OK)           \
            goto label;                    \
    } while (0)

/* ------------------------------------------------------------------ *
 * Memory
 *
 * All memory of the library goes through these. Blocks are aligned to 64
 * bytes; sizes are count x size with the product checked. NULL on failure.
 * ------------------------------------------------------------------ */

FORAGE_API void *forage_alloc(size_t count, size_t size);
FORAGE_API void *forage_calloc(size_t count, size_t size);
/* Grows or shrinks `block`, which held `old_count` elements. On failure NULL,
 * and `block` is as it was. */
FORAGE_API void *forage_realloc(void *block, size_t old_count, size_t count, size_t size);
FORAGE_API void forage_free(void *block);
/* A copy of a string, of `length` bytes for the second. */
FORAGE_API char *forage_strdup(const char *text);
FORAGE_API char *forage_strndup(const char *text, size_t length);

/* For tests of failure: the `nth` allocation from now fails (1 = the next),
 * and every later one too until it is called again; 0 switches it off.
 * Returns how many allocations were asked for since the last call.
 * Process-wide; not for concurrent use. */
FORAGE_API uint64_t forage_alloc_fail_at(uint64_t nth);

/* ------------------------------------------------------------------ *
 * Random numbers: NumPy's, bit for bit
 *
 * `forage_rng` is numpy.random.default_rng: PCG64 (XSL-RR 128/64; O'Neill
 * 2014) seeded by SeedSequence. Each function consumes the stream exactly as
 * the NumPy function named beside it, so a notebook and Forage that share a
 * seed see the same numbers. A generator belongs to one thread at a time.
 * ------------------------------------------------------------------ */

typedef struct forage_rng {
    uint64_t state_high, state_low;
    uint64_t increment_high, increment_low;
    uint32_t spare; /* the half of a 64-bit draw that a 32-bit draw left over */
    uint32_t has_spare;
} forage_rng;

/* default_rng(seed). */
FORAGE_API void forage_rng_seed(forage_rng *rng, uint64_t seed);
/* default_rng(SeedSequence(seed, spawn_key=(stream,))): an independent stream
 * of the same seed, for a second purpose or another worker. */
FORAGE_API void forage_rng_seed_stream(forage_rng *rng, uint64_t seed, uint32_t stream);
/* bit_generator.random_raw() */
FORAGE_API uint64_t forage_rng_u64(forage_rng *rng);
/* bit_generator.random_raw(count): `count` draws at once, several times faster than one by one. */
FORAGE_API void forage_rng_fill(forage_rng *rng, uint64_t *draws, size_t count);
/* bit_generator.advance(steps): as if `steps` 64-bit draws had been made; forgets a spare half, as NumPy does. */
FORAGE_API void forage_rng_advance(forage_rng *rng, uint64_t steps);
/* The 32-bit draw of the bit generator: low half first, then the high half. */
FORAGE_API uint32_t forage_rng_u32(forage_rng *rng);
/* random(): [0, 1), 53 bits. */
FORAGE_API double forage_rng_double(forage_rng *rng);
/* integers(0, bound), bound > 0 (Lemire's method, as in NumPy). Also choice() among `bound`. */
FORAGE_API uint64_t forage_rng_integers(forage_rng *rng, uint64_t bound);
/* The draw of shuffle() and permutation() for a number in [0, limit]: by masking, so not that of integers(). */
FORAGE_API uint64_t forage_rng_interval(forage_rng *rng, uint64_t limit);
/* binomial(n, p), 0 <= p <= 1. */
FORAGE_API int64_t forage_rng_binomial(forage_rng *rng, int64_t n, double p);
/* standard_normal() (ziggurat). */
FORAGE_API double forage_rng_normal(forage_rng *rng);
/* standard_exponential() (ziggurat). */
FORAGE_API double forage_rng_exponential(forage_rng *rng);
/* standard_gamma(shape), shape >= 0. */
FORAGE_API double forage_rng_gamma(forage_rng *rng, double shape);
/* beta(a, b), both above 1e-100 (where powers underflow, below about 0.001, as NumPy 1.25 and later do it). */
FORAGE_API double forage_rng_beta(forage_rng *rng, double a, double b);
/* permutation() of an array in place. */
FORAGE_API void forage_rng_permute(forage_rng *rng, uint32_t *values, size_t count);

/* numpy.random.RandomState: MT19937, the legacy generator, which scikit-learn
 * still uses for its splits. */
typedef struct forage_mt19937 {
    uint32_t key[624];
    uint32_t position;
} forage_mt19937;

/* RandomState(seed). */
FORAGE_API void forage_mt19937_seed(forage_mt19937 *rng, uint32_t seed);
FORAGE_API uint32_t forage_mt19937_u32(forage_mt19937 *rng);
/* permutation() of an array in place. */
FORAGE_API void forage_mt19937_permute(forage_mt19937 *rng, uint32_t *values, size_t count);

/* ------------------------------------------------------------------ *
 * Vocabulary: string ids to dense indices and back
 *
 * Ids that are plain decimal numbers ("0", "17", never "007") are kept as
 * numbers, without a hash entry, for as long as all ids are such and the
 * largest stays in proportion to their count; then the index of id "17" may
 * be made 17 (see forage_vocabulary_number).
 * Not safe for concurrent writing; concurrent reading is.
 * ------------------------------------------------------------------ */

typedef struct forage_vocabulary forage_vocabulary;

#define FORAGE_NONE UINT32_MAX /* no such index */

FORAGE_API forage_status forage_vocabulary_create(forage_vocabulary **vocabulary, forage_error *error);
FORAGE_API void forage_vocabulary_free(forage_vocabulary *vocabulary);
/* The index of `id` (any bytes, need not be terminated), added if new, in order of appearance. */
FORAGE_API forage_status forage_vocabulary_add(forage_vocabulary *vocabulary, const char *id, size_t length,
                                               uint32_t *index, forage_error *error);
/* The index of `id`, or FORAGE_NONE. */
FORAGE_API uint32_t forage_vocabulary_find(const forage_vocabulary *vocabulary, const char *id, size_t length);
FORAGE_API size_t forage_vocabulary_count(const forage_vocabulary *vocabulary);
/* The id at `index` (< count), terminated; `length` may be NULL. Numbered ids are
 * written into `buffer` (at least 24 bytes), others are returned where they lie. */
FORAGE_API const char *forage_vocabulary_id(const forage_vocabulary *vocabulary, uint32_t index, char buffer[24],
                                            size_t *length);
/* True when index == number for every id: ids "0" ... "count-1". */
FORAGE_API bool forage_vocabulary_numbered(const forage_vocabulary *vocabulary);
/* If all ids are plain numbers and the largest is below 4 x count + 1024:
 * makes index == number (numbers that never appeared become ids too), fills
 * `*map` (old count entries: old index -> new index; the caller frees it with
 * forage_free) and returns FORAGE_OK; else leaves everything as it was and
 * sets *map to NULL. */
FORAGE_API forage_status forage_vocabulary_number(forage_vocabulary *vocabulary, uint32_t **map, forage_error *error);
/* A vocabulary of the ids "0" ... "count-1", which takes no memory for them. */
FORAGE_API forage_status forage_vocabulary_create_numbered(size_t count, forage_vocabulary **vocabulary,
                                                           forage_error *error);

/* ------------------------------------------------------------------ *
 * Devices and parallel loops
 * ------------------------------------------------------------------ */

typedef enum forage_isa {
    FORAGE_ISA_PORTABLE, /* plain C, the reference */
    FORAGE_ISA_AVX2,     /* AVX2 + FMA */
    FORAGE_ISA_AVX512,   /* AVX-512 F, BW, DQ, VL */
} forage_isa;

/* Where a run computes; named at its start and passed along. */
typedef struct forage_device {
    char name[64]; /* "CPU (AVX-512), 2 threads" */
    forage_isa isa;
    int threads; /* at least 1 */
} forage_device;

/* `name`: "auto" or "cpu" (what this CPU offers), or "cpu:portable", "cpu:avx2",
 * "cpu:avx512" to hold it to less. `threads` 0 means one for every core that
 * this process may use. */
FORAGE_API forage_status forage_device_open(const char *name, int threads, forage_device *device, forage_error *error);

/* Calls work(context, chunk, worker) once for each chunk in [0, chunks), on up to
 * `threads` threads of the library's pool. `worker` in [0, threads) says whose scratch space to
 * use. Results must not depend on which worker does a chunk: write per chunk,
 * reduce afterwards in order of chunks. */
typedef void forage_work(void *context, size_t chunk, int worker);
FORAGE_API void forage_parallel_for(int threads, size_t chunks, forage_work *work, void *context);

/* Monotonic clock, seconds. */
FORAGE_API double forage_clock(void);
/* Memory that this process may still take, bytes: what the machine has free, within the limits of the process and of
 * its control group (0 where unknown). */
FORAGE_API uint64_t forage_available_memory(void);
/* Peak resident memory of this process so far, bytes (0 where unknown). */
FORAGE_API uint64_t forage_peak_memory(void);

/* ------------------------------------------------------------------ *
 * Numbers in text: the same in every locale
 * ------------------------------------------------------------------ */

/* The whole of `text` must be the number. True on success. Reals may be written
 * "1", "-0.5", "1e-3", "nan", "inf". Correctly rounded. */
FORAGE_API bool forage_parse_real(const char *text, size_t length, double *value);
FORAGE_API bool forage_parse_u64(const char *text, size_t length, uint64_t *value);
FORAGE_API bool forage_parse_i64(const char *text, size_t length, int64_t *value);
/* The shortest text that reads back as the same double; returns its length. "nan", "inf", "-inf" for those. */
FORAGE_API size_t forage_format_real(double value, char buffer[32]);

/* Appends to a text as snprintf would; *used counts what there was to write, even beyond `size`. */
FORAGE_API void forage_append(char *buffer, size_t size, size_t *used, const char *format, ...) FORAGE_PRINTF(4, 5);

/* ------------------------------------------------------------------ *
 * Parameters: tables of what is possible, and checked values
 * ------------------------------------------------------------------ */

typedef enum forage_param_type {
    FORAGE_PARAM_INTEGER,
    FORAGE_PARAM_REAL,
    FORAGE_PARAM_BOOLEAN, /* true, false */
    FORAGE_PARAM_CHOICE,  /* one of `choices`, "a|b|c" */
    FORAGE_PARAM_LIST,    /* integers joined by commas: "64,32" */
    FORAGE_PARAM_TEXT,
} forage_param_type;

/* One parameter of a model, a policy, an agent: feeds the command line, files, HTTP and docs alike. */
typedef struct forage_param {
    const char *name; /* "learning-rate" */
    forage_param_type type;
    const char *default_value; /* as text */
    double minimum, maximum;   /* inclusive, for numbers and list entries */
    const char *choices;
    const char *doc; /* one line */
} forage_param;

/* Where parameter `when` has the value `is`, parameter `name` that nobody set has `value` instead of its default. */
typedef struct forage_preset {
    const char *when, *is;
    const char *name, *value;
} forage_preset;

typedef struct forage_param_table {
    const char *owner; /* whose they are, for messages: "embedding-mlp" */
    const forage_param *params;
    size_t count;
    const forage_preset *presets;
    size_t preset_count;
} forage_param_table;

/* One value for each parameter of a table; checked when it is set. */
typedef struct forage_params forage_params;

/* All defaults. */
FORAGE_API forage_status forage_params_create(const forage_param_table *table, forage_params **params,
                                              forage_error *error);
/* The same values, and the same memory of who set them. */
FORAGE_API forage_status forage_params_copy(const forage_params *params, forage_params **copy, forage_error *error);
/* NULL is fine. */
FORAGE_API void forage_params_free(forage_params *params);
/* Sets a parameter from text, and those that nobody set as its presets say. FORAGE_UNKNOWN for a name that the table
 * has not (the message lists those it has), FORAGE_INVALID for a value outside what is possible (the message says what
 * is). */
FORAGE_API forage_status forage_params_set(forage_params *params, const char *name, const char *value,
                                           forage_error *error);
/* The value as text, in one spelling ("0.001" for "1e-3"); NULL for an unknown name. Valid until it is set again. */
FORAGE_API const char *forage_params_text(const forage_params *params, const char *name);
/* "a number, 0 to 1", "one of a|b": what a parameter takes, for a person; as snprintf. */
FORAGE_API size_t forage_param_possible(const forage_param *param, char *buffer, size_t size);
/* Typed values. The name must exist with that type: otherwise 0, false, NULL. */
FORAGE_API int64_t forage_params_integer(const forage_params *params, const char *name);
FORAGE_API double forage_params_real(const forage_params *params, const char *name);
FORAGE_API bool forage_params_boolean(const forage_params *params, const char *name);
FORAGE_API const int64_t *forage_params_list(const forage_params *params, const char *name, size_t *count);
FORAGE_API const forage_param_table *forage_params_table(const forage_params *params);

/* ------------------------------------------------------------------ *
 * Files
 * ------------------------------------------------------------------ */

/* A buffered file that appears under its name whole or not at all: bytes go to
 * a temporary neighbour, commit syncs and renames it. Path "-" is standard
 * output; devices and pipes are written directly. */
typedef struct forage_output forage_output;

FORAGE_API forage_status forage_output_open(const char *path, forage_output **output, forage_error *error);
FORAGE_API forage_status forage_output_write(forage_output *output, const void *bytes, size_t size,
                                             forage_error *error);
FORAGE_API forage_status forage_output_print(forage_output *output, forage_error *error, const char *format, ...)
    FORAGE_PRINTF(3, 4);
/* Finishes and frees `output`, on failure too; then nothing is left of it. */
FORAGE_API forage_status forage_output_commit(forage_output *output, forage_error *error);
/* Drops what was written and frees `output`; NULL is fine. */
FORAGE_API void forage_output_discard(forage_output *output);

/* Reads a whole file of at most `limit` bytes into a new block (forage_free),
 * with a NUL behind the last byte that `size` does not count. */
FORAGE_API forage_status forage_read_file(const char *path, size_t limit, char **bytes, size_t *size,
                                          forage_error *error);

/* XXH64 of the bytes: the checksum of binary files, and of results in benchmarks. */
FORAGE_API uint64_t forage_checksum(const void *bytes, size_t size, uint64_t seed);

/* ------------------------------------------------------------------ *
 * Progress
 *
 * The library never prints. Long work calls `report` now and then; when that
 * returns false the work stops with FORAGE_INTERRUPTED and leaves everything
 * in a documented state. A NULL pointer to this means "no one is watching".
 * ------------------------------------------------------------------ */

typedef struct forage_progress {
    /* `total` 0 when unknown; `note` (may be NULL) is a short text such as "loss 0.41". */
    bool (*report)(void *context, const char *stage, uint64_t done, uint64_t total, const char *note);
    void *context;
} forage_progress;

/* Calls progress->report if there is one. */
FORAGE_API bool forage_progress_report(const forage_progress *progress, const char *stage, uint64_t done,
                                       uint64_t total, const char *note);

#ifdef __cplusplus
}
#endif

#endif
