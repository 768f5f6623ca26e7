/*
 * data.h: logs of events, the catalogue, and how they get in and out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_DATA_H
#define FORAGE_DATA_H

#include "forage/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ *
 * Columns and tables
 * ------------------------------------------------------------------ */

typedef enum forage_column_type {
    FORAGE_CATEGORICAL, /* one of a set of strings, kept as a code */
    FORAGE_NUMERIC,     /* a real number */
} forage_column_type;

typedef struct forage_column {
    char *name;
    forage_column_type type;
    uint32_t *codes;               /* categorical: index into `vocabulary`, FORAGE_NONE where missing */
    forage_vocabulary *vocabulary; /* categorical, else NULL */
    float *values;                 /* numeric: NaN where missing */
} forage_column;

/* Columns of equal length `rows`. */
typedef struct forage_table {
    size_t rows;
    size_t column_count;
    forage_column *columns;
} forage_table;

/* The column of that name, or NULL. */
FORAGE_API const forage_column *forage_table_find(const forage_table *table, const char *name);
/* Adds a column for table->rows rows, all of them missing, with an empty
 * vocabulary if it is categorical. `column` (may be NULL) is valid until the
 * next column is added. */
FORAGE_API forage_status forage_table_add(forage_table *table, const char *name, forage_column_type type,
                                          forage_column **column, forage_error *error);
/* Frees what the table holds and leaves it empty. */
FORAGE_API void forage_table_release(forage_table *table);

/* ------------------------------------------------------------------ *
 * Dataset: events, and the attributes of users and items
 *
 * Plain data: the fields may be read freely; change them only through the
 * functions that own them. Reading from several threads is fine. Every block
 * comes from forage_alloc and belongs to the dataset.
 * ------------------------------------------------------------------ */

typedef struct forage_dataset {
    /* Entities. Ids that are small plain numbers have index == number (see
     * forage_vocabulary_number), others are in order of appearance.
     * `users` is NULL in a log that names no users. */
    forage_vocabulary *users;
    forage_vocabulary *items;
    /* [users], [items]: 1 where the id really appeared (in the log or in a file of
     * attributes), 0 where it only fills a gap between numbers. NULL: all did. */
    uint8_t *user_known;
    uint8_t *item_known;

    /* Events, one per row, in the order of the log. At most FORAGE_MAX_ROWS. */
    size_t count;
    uint32_t *user;        /* [count], NULL when the log names no users */
    uint32_t *item;        /* [count] */
    float *value;          /* [count]: click, rating ...; NULL when each row simply happened (an implicit 1) */
    int64_t *time;         /* [count]: microseconds since 1970, or any rising number; NULL when absent */
    float *propensity;     /* [count]: probability with which the item was shown; NULL when absent */
    forage_table context;  /* further columns of each event (position, device ...) */
    bool time_is_calendar; /* `time` is microseconds since 1970 UTC; false: the numbers as the log has them */

    /* What the log calls them: "user_id", "product_id", "clicked" ... NULL where there is no such column. */
    char *user_name, *item_name, *value_name, *time_name, *propensity_name;

    /* Attributes: row == index of the entity. */
    forage_table user_attributes;
    forage_table item_attributes;

    /* Where validation and test events came from files of their own, these follow
     * the training events: rows [0, train_rows), then validation_rows, then test_rows.
     * All in train_rows otherwise. */
    size_t train_rows, validation_rows, test_rows;
} forage_dataset;

#define FORAGE_MAX_ROWS ((size_t)UINT32_MAX - 1)

/* An empty dataset, for a program that fills in events of its own. */
FORAGE_API forage_status forage_dataset_create(forage_dataset **dataset, forage_error *error);
/* Checks what every user of a dataset relies on: indices in range, finite values,
 * propensities in (0, 1], tables of the right length. FORAGE_INVALID says what is wrong. */
FORAGE_API forage_status forage_dataset_validate(const forage_dataset *dataset, forage_error *error);
/* Frees everything a dataset holds, and the dataset. NULL is fine. */
FORAGE_API void forage_dataset_free(forage_dataset *dataset);

/* ------------------------------------------------------------------ *
 * Requests and feedback: what flows between a shop and what decides for it
 * ------------------------------------------------------------------ */

/* Who and what there is. Users and items are numbers below `users` and `items`; both grow as new ones
 * turn up, and so do the tables' rows. All pointers are borrowed. */
typedef struct forage_catalogue {
    size_t users, items;
    const forage_table *user_attributes; /* row == user; may have no columns; NULL: the same */
    const forage_table *item_attributes;
    const forage_table *context;                  /* the columns that a request carries; its rows are not looked at */
    const forage_vocabulary *user_ids, *item_ids; /* for messages and reports; NULL: the numbers are the ids */
} forage_catalogue;

/* A moment at which items must be chosen. Everything is borrowed for the time of the call. */
typedef struct forage_request {
    uint64_t id;                /* of the decision that answers it: given by the caller, each once */
    uint32_t user;              /* FORAGE_NONE: unknown */
    int64_t time;               /* microseconds, or any rising number (visits) */
    const uint32_t *codes;      /* [context columns] of categorical ones, FORAGE_NONE where missing */
    const float *values;        /* [context columns] of numeric ones, NaN where missing */
    const uint32_t *candidates; /* [candidate_count] items, each once; NULL: all items of the catalogue */
    size_t candidate_count;
    size_t positions; /* items to choose */
} forage_request;

/* What became of one item of a decision. */
typedef struct forage_feedback {
    uint64_t decision; /* request.id */
    size_t position;   /* of the item in the slate, from 0 */
    float reward;
} forage_feedback;

/* ------------------------------------------------------------------ *
 * Reading files
 *
 * docs/data.md describes every format, the names by which columns are found,
 * and how a column's type is decided.
 * ------------------------------------------------------------------ */

#define FORAGE_FILE_FORMAT_LIST(X)                                             \
    X(AUTO, "auto", "by the file's name, then by looking at its first lines")  \
    X(CSV, "csv", "comma-separated with a header (also ; or |)")               \
    X(TSV, "tsv", "tab-separated with a header")                               \
    X(RECBOLE, "recbole", "RecBole atomic files: tab-separated, typed header") \
    X(ADJACENCY, "adjacency", "a user and all its items on each line")         \
    X(PAIRS, "pairs", "a user and an item on each line, in order of time")     \
    X(JSONL, "jsonl", "JSON Lines: one object on each line")                   \
    X(WORDS, "words", "a table without quotes: words between blanks or tabs")  \
    X(BINARY, "binary", "a binary log of Forage's own, .forage")

typedef enum forage_file_format {
#define FORAGE_FILE_FORMAT_ENUM(name, word, text) FORAGE_FILE_##name,
    FORAGE_FILE_FORMAT_LIST(FORAGE_FILE_FORMAT_ENUM)
#undef FORAGE_FILE_FORMAT_ENUM
} forage_file_format;

/* "csv" and so on; "unknown" outside the list. */
FORAGE_API const char *forage_file_format_name(forage_file_format format);
/* The format of that word; fails with a message that lists them. */
FORAGE_API forage_status forage_file_format_find(const char *word, forage_file_format *format, forage_error *error);

/* What a column of a log is for. */
typedef enum forage_role {
    FORAGE_ROLE_IGNORED,
    FORAGE_ROLE_USER,
    FORAGE_ROLE_ITEM,
    FORAGE_ROLE_VALUE,
    FORAGE_ROLE_TIME,
    FORAGE_ROLE_PROPENSITY,
    FORAGE_ROLE_CONTEXT,
    FORAGE_ROLE_USER_ATTRIBUTE, /* the same in all rows of a user */
    FORAGE_ROLE_ITEM_ATTRIBUTE, /* the same in all rows of an item */
} forage_role;

/* "user", "item attribute" ... */
FORAGE_API const char *forage_role_name(forage_role role);

/* All zero means: find out. Lists are names joined by commas. Strings are only
 * looked at during the call that takes the options. */
typedef struct forage_read_options {
    forage_file_format format;
    char delimiter;     /* 0: by the format */
    bool no_quotes;     /* quotation marks are ordinary characters */
    const char *header; /* names of the columns of a file that has no header line */
    bool no_header;     /* there is no header line: columns are named "1", "2" ... */

    /* Names of columns; NULL: the usual names; "" for user, value, time, propensity: there is none. */
    const char *user, *item, *value, *time, *propensity;
    /* Lists that overrule what would be done with a column. */
    const char *context, *user_columns, *item_columns, *ignore;
    const char *categorical, *numeric;

    /* Further files for forage_dataset_load: attributes joined by id (any format; needs a
     * column with the id), events of validation and test. NULL: none (but a RecBole .inter file
     * finds its .user and .item beside it; "" forbids that). */
    const char *user_attributes, *item_attributes;
    const char *validation, *test;

    size_t record_limit; /* longest line or quoted record, bytes; 0: 1 MiB */
} forage_read_options;

/* Reads a log into memory. Memory per row: 4 bytes each for item, user, value and
 * propensity and every context column, 8 for time; at most twice that while it grows.
 * Errors name file, line and field. Calls progress with bytes. On failure *dataset is NULL. */
FORAGE_API forage_status forage_dataset_load(const char *path, const forage_read_options *options,
                                             const forage_progress *progress, forage_dataset **dataset,
                                             forage_error *error);

/* Reads a labelled table, the usual form of a classification problem: the label becomes the item, all other columns
 * context. `label`: the name of its column, "first", "last", or its number from 1; NULL: "last". Any format (AUTO takes
 * words between blanks for a table), with a header or without: a first line with a number, or the same word twice, is
 * data. Columns of numbers are numeric, however few differ; "?" is a missing number, and a category among words; blanks
 * around a field do not count. Of the options, names of roles and files of attributes are not looked at. */
FORAGE_API forage_status forage_dataset_load_labelled(const char *path, const char *label,
                                                      const forage_read_options *options,
                                                      const forage_progress *progress, forage_dataset **dataset,
                                                      forage_error *error);

/* Bytes of a text; not terminated. */
typedef struct forage_text {
    const char *bytes;
    size_t length;
} forage_text;

/* Some rows of a file as text, by column: field (row r, column c) is fields[c * stride + r]. */
typedef struct forage_rows {
    size_t count;
    size_t column_count;
    size_t stride;
    const forage_text *fields;
    const uint64_t *lines; /* [count] line of the file where the row begins */
} forage_rows;

typedef struct forage_reader_column {
    const char *name;
    forage_role role;
    int declared_type; /* a forage_column_type that the file or the options declare, or -1 */
} forage_reader_column;

/* Streams any format in batches of rows, in bounded memory. One thread at a time. */
typedef struct forage_reader forage_reader;

/* Opens, recognises the format, reads the header. `path` "-" is standard input. */
FORAGE_API forage_status forage_reader_open(const char *path, const forage_read_options *options,
                                            forage_reader **reader, forage_error *error);
FORAGE_API void forage_reader_free(forage_reader *reader);
FORAGE_API forage_file_format forage_reader_format(const forage_reader *reader);
FORAGE_API const forage_reader_column *forage_reader_columns(const forage_reader *reader, size_t *count);
/* The next rows, valid until the next call; rows->count 0 at the end. */
FORAGE_API forage_status forage_reader_next(forage_reader *reader, forage_rows *rows, forage_error *error);
/* Bytes read so far, and the size of the file (0 when unknown). */
FORAGE_API uint64_t forage_reader_position(const forage_reader *reader, uint64_t *total);

/* ------------------------------------------------------------------ *
 * Writing files
 * ------------------------------------------------------------------ */

/* Writes rows as CSV, TSV, JSON Lines or a RecBole file. The file appears under
 * its name only by forage_writer_commit. One thread at a time. */
typedef struct forage_writer forage_writer;

/* `format` AUTO: by the name's ending (.csv, .tsv, .jsonl, .inter, .user, .item), CSV otherwise.
 * Columns with the role IGNORED are left out. `path` "-" is standard output. */
FORAGE_API forage_status forage_writer_open(const char *path, forage_file_format format,
                                            const forage_reader_column *columns, size_t column_count,
                                            forage_writer **writer, forage_error *error);
/* `rows` with the columns that were given to open. */
FORAGE_API forage_status forage_writer_rows(forage_writer *writer, const forage_rows *rows, forage_error *error);
/* Finishes and frees the writer, on failure too. */
FORAGE_API forage_status forage_writer_commit(forage_writer *writer, forage_error *error);
FORAGE_API void forage_writer_discard(forage_writer *writer);

/* Writes a whole dataset as a binary log (docs/data.md describes the format), which reads back as the same dataset,
 * fast: ids, attributes, times and which rows validate and test included. FORAGE_INVALID for a dataset that is not
 * sound or has no rows. */
FORAGE_API forage_status forage_dataset_save(const forage_dataset *dataset, const char *path,
                                             const forage_progress *progress, forage_error *error);

/* ------------------------------------------------------------------ *
 * Converting and summing up, without the rows in memory
 * ------------------------------------------------------------------ */

typedef struct forage_column_summary {
    char *name;
    forage_role role;
    forage_column_type type;
    uint64_t distinct; /* categorical: different values; 0 when they were too many to count */
    uint64_t missing;
    double minimum, maximum; /* numeric; NaN without any value */
} forage_column_summary;

typedef struct forage_summary {
    forage_file_format format;
    uint64_t rows, users, items;
    bool binary;       /* all values are 0 or 1: `value_mean` is the click rate */
    double value_mean; /* NaN when there is no value column */
    bool has_time, time_is_calendar;
    int64_t first_time, last_time; /* as in forage_dataset.time */
    size_t column_count;
    forage_column_summary *columns;
} forage_summary;

FORAGE_API void forage_summary_release(forage_summary *summary);

/* What a conversion writes; all NULL: it only checks. */
typedef struct forage_convert_target {
    const char *output; /* the log, as `format` (see forage_writer_open) */
    forage_file_format format;
    const char *catalogue;  /* items with their attributes: CSV, or by the name's ending */
    const char *population; /* users with theirs */
} forage_convert_target;

/* Reads and checks a log of any format, row by row, with its files of attributes, and writes it.
 * Columns come in the order user, item, value, time, propensity, others; a role's column that has none of the
 * usual names gets one. RecBole's format puts attributes into .user and .item files beside the .inter
 * file, and reads the input twice. options->validation and ->test are not looked at. Memory grows with the
 * number of different ids, not with rows. `target` and `summary` may be NULL; free the latter with
 * forage_summary_release. */
FORAGE_API forage_status forage_convert(const char *input, const forage_read_options *options,
                                        const forage_convert_target *target, const forage_progress *progress,
                                        forage_summary *summary, forage_error *error);

/* ------------------------------------------------------------------ *
 * Splits: which rows train, which validate, which test
 * ------------------------------------------------------------------ */

typedef struct forage_split {
    uint32_t *train, *validation, *test; /* rows of the dataset */
    size_t train_count, validation_count, test_count;
} forage_split;

/* Splits by a specification:
 *
 *   none                  all rows train
 *   sklearn:0.2:42        scikit-learn's train_test_split(test_size=0.2, random_state=42): the
 *                         same rows in the same order; its "test" rows are the validation rows
 *   random:0.2:42         numpy.random.default_rng(42).permutation: the first 20 % validate
 *   time:0.2              the latest 20 % validate (rows of the same time in order of the log)
 *   tail:0.2              the last 20 % of the rows validate
 *   leave-last-out        of each user with three or more events, by time if the log has it, else in
 *                         order of the log: the last is test, the one before it validation
 *   leave-last-time-out   of each user with events at three or more times: all events of the last time are
 *                         test, those of the time before it validation
 *   files                 the files that the dataset was loaded from
 *   file:PATH             PATH has one line per event: train, validation, test, or - for neither
 *
 * A dataset with rows of validation or test from files of their own takes only the last two.
 *
 * A size is a fraction below 1, rounded up to rows as scikit-learn does, or a number of rows.
 * "0.1,0.2" gives validation and test (test is cut first). A seed left out is 0.
 * sklearn takes one size only. Free with forage_split_release. */
FORAGE_API forage_status forage_split_parse(const char *spec, const forage_dataset *dataset, forage_split *split,
                                            forage_error *error);
FORAGE_API void forage_split_release(forage_split *split);

/* ------------------------------------------------------------------ *
 * Histories: what each user did, in order
 * ------------------------------------------------------------------ */

/* Rows by user in compressed rows: those of user u are rows[offsets[u]] up to rows[offsets[u + 1]], oldest first: by
 * time, and among events of the same time, or in a log without times, in order of the log. Repetitions are kept. Plain
 * data, not to be changed; reading from several threads is fine. */
typedef struct forage_histories {
    size_t users;
    size_t *offsets; /* [users + 1] */
    uint32_t *rows;  /* [offsets[users]] of the dataset */
} forage_histories;

/* The histories of all users of `dataset` in `count` of its rows, in any order (`rows` NULL: in all rows);
 * `positive_only` takes rows with a value above 0 alone. O(n), and O(n log n) where the log is not in order of time; 4
 * bytes for each row, twice that while it sorts. FORAGE_INVALID for a log that names no users, and for a row that it
 * has not. Release it afterwards. */
FORAGE_API forage_status forage_histories_create(const forage_dataset *dataset, const uint32_t *rows, size_t count,
                                                 bool positive_only, forage_histories *histories, forage_error *error);
FORAGE_API void forage_histories_release(forage_histories *histories);
/* How many entries of user's history, its first ones, came before row `row` of the same dataset: strictly earlier by
 * time (what happened at the same time is not before it), or, in a log without times, in a row further up. The row
 * need not be among the histories', nor the user's. O(log n). */
FORAGE_API size_t forage_histories_before(const forage_histories *histories, const forage_dataset *dataset,
                                          uint32_t user, uint32_t row);

/* Turns a log of what users chose into one of impressions with clicks, by the recipe of Deep Interest Networks (Zhou et
 * al. 2018): at each place of a user's history the item that they chose, clicked 1, and beside it one that they never
 * chose, uniformly drawn, clicked 0. Both rows have the place, from 1, as their `time`, so neither is in the other's
 * history; rows are user by user. DIN makes examples from the second place on; here the first has its two rows as well,
 * with nothing before them, or the first choice would be missing in all histories. Choices are the rows with a value
 * above 0. Attributes stay; propensities, context columns and the log's own times are dropped. User u draws from the
 * stream (seed, u). The split leave-last-time-out tests by the last place. FORAGE_INVALID for a log without users or
 * choices, for one with parts of its own, and where somebody chose every item; the dataset is then as it was. */
FORAGE_API forage_status forage_dataset_impressions(forage_dataset *dataset, uint64_t seed, forage_error *error);

/* A moment of a log, from a text as its column of times has them: a date in a log of dates, else a number (one with
 * decimals is seconds, kept as microseconds). FORAGE_INVALID for a text of another kind, for a dataset without times
 * and for a moment before all of its events. Any thread. */
FORAGE_API forage_status forage_time_parse(const char *text, const forage_dataset *dataset, int64_t *time,
                                           forage_error *error);
/* The dataset as it was at that moment: drops the events later than `now`, in place; the others, all users and items
 * and their attributes stay as they are. Returns how many were dropped; none in a dataset without times. */
FORAGE_API size_t forage_dataset_until(forage_dataset *dataset, int64_t now);

/* ------------------------------------------------------------------ *
 * Graphs: who met what, as a bipartite graph
 * ------------------------------------------------------------------ */

/* Users and items as nodes: user u is node u, item i is node users + i. Every edge is there in both directions, in
 * compressed rows: the neighbours of node n are neighbours[offsets[n]] up to neighbours[offsets[n + 1]], rising, each
 * once. Plain data, not to be changed; reading from several threads is fine. */
typedef struct forage_graph {
    size_t users, items;
    size_t edges;         /* pairs of a user and an item; half the entries of the arrays below */
    size_t *offsets;      /* [users + items + 1] */
    uint32_t *neighbours; /* [2 x edges] nodes */
    float *weights;       /* [2 x edges], above 0 */
} forage_graph;

/* The events that edges are made of: codes, not ids. An event with a value not above 0 (shown, but not
 * clicked) or a code of FORAGE_NONE makes no edge. */
typedef struct forage_graph_events {
    size_t users, items; /* codes are below these */
    size_t count;
    const uint32_t *user, *item; /* [count] */
    const float *value;          /* [count]; NULL: each counts 1 */
    const int64_t *time;         /* [count]; needed for a half-life alone */
} forage_graph_events;

typedef enum forage_edge_weight {
    FORAGE_EDGE_BINARY, /* 1, however often the two met */
    FORAGE_EDGE_COUNT,  /* how often they met */
    FORAGE_EDGE_VALUE,  /* the sum of the events' values */
} forage_edge_weight;

typedef struct forage_graph_options {
    forage_edge_weight weight;
    /* Above 0: an event counts 2^(-age / half_life) of its weight, its age being the time from it to the latest event
     * that makes an edge; an edge of weight BINARY counts as much as its latest event. In the unit of `time`. However
     * old it is, and whatever its value, an event counts 1e-30 to 1e30. */
    double half_life;
} forage_graph_options;

/* Builds the graph of some events: repeated ones become one edge. `options` NULL means all zero. O(events + nodes) but
 * for the sorting of each node's neighbours. FORAGE_INVALID for a code out of range, a value that is no finite number,
 * or a half-life without times. Release it afterwards. */
FORAGE_API forage_status forage_graph_create(const forage_graph_events *events, const forage_graph_options *options,
                                             forage_graph *graph, forage_error *error);
FORAGE_API void forage_graph_release(forage_graph *graph);
/* Does an edge join two nodes, in either order? By halving node's neighbours: O(log of their number), so name the one
 * that has fewer first where it matters. False for a node that the graph does not have. */
FORAGE_API bool forage_graph_has(const forage_graph *graph, size_t node, size_t other);
/* Symmetric normalisation without self loops (He et al. 2020, equation 3): values[2 x edges], beside graph->weights,
 * become w_ui / sqrt(D_u D_i), D being the sum of a node's weights. */
FORAGE_API forage_status forage_graph_normalise(const forage_graph *graph, float *values, forage_error *error);

/* Whose paths: those of a user of the graph; or, with `user` FORAGE_NONE, of someone of whom nothing but a history is
 * known: `count` items, each once, with weights above 0 (NULL: 1 each), as edges that the graph does not have. */
typedef struct forage_path_start {
    uint32_t user;
    const uint32_t *items; /* [count] */
    const float *weights;  /* [count] */
    size_t count;
} forage_path_start;

/* All paths through one of the items that somebody chose. */
typedef struct forage_path {
    uint32_t item;   /* j: what they chose */
    size_t users;    /* how many others, v, chose both j and the item in question */
    double strength; /* see below */
    double share;    /* of the strength of the paths through all j */
} forage_path;

/* Why `item` for somebody: "because you chose j, and so did others who chose this". The strength of the paths u - j - v
 * - item, over the items j of user u (but for `item` itself) and the other users v who have both, is
 *
 *   s(j) = A_uj  sum over v of A_jv A_v,item        A: `values`, by forage_graph_normalise
 *
 * which is what j adds to entry (u, item) of A^3: the first that graph convolution brings them together by. For a
 * history A_uj is w_j / sqrt(W (D_j + w_j)), W the sum of its weights and D_j that of j's in the graph: that of a new
 * user who has these edges. The `k` strongest come first in paths[k], then lower j; *found of them, 0 where nobody has
 * chosen such a j and the item. Work is at most O(sum over j of m log M), m and M being the smaller and the larger of
 * the numbers of users of j and of the item, and k insertions; nothing is allocated, and threads may share the graph.
 * FORAGE_INVALID for a user or an item that the graph has not, and for weights that are not above 0. */
FORAGE_API forage_status forage_graph_paths(const forage_graph *graph, const float *values,
                                            const forage_path_start *start, uint32_t item, size_t k, forage_path *paths,
                                            size_t *found, forage_error *error);

/* ------------------------------------------------------------------ *
 * Configuration: YAML files as a tree that knows its lines
 *
 * Files are taken as hostile: at most 4 MiB, 16 levels and 100,000 values,
 * no anchors and aliases, no key twice. Errors name file, line and key.
 * Reading a tree from several threads is fine.
 * ------------------------------------------------------------------ */

typedef struct forage_config forage_config;
typedef struct forage_config_node forage_config_node; /* belongs to its forage_config */

typedef enum forage_config_kind { FORAGE_CONFIG_TEXT, FORAGE_CONFIG_LIST, FORAGE_CONFIG_MAP } forage_config_kind;

FORAGE_API forage_status forage_config_load(const char *path, forage_config **config, forage_error *error);
/* From memory; `file` is what errors call it. */
FORAGE_API forage_status forage_config_parse(const char *text, size_t size, const char *file, forage_config **config,
                                             forage_error *error);
FORAGE_API void forage_config_free(forage_config *config);

/* The document's own value; never NULL. */
FORAGE_API const forage_config_node *forage_config_root(const forage_config *config);
FORAGE_API forage_config_kind forage_config_kind_of(const forage_config_node *node);
/* Entries of a list or map, 0 of a text. */
FORAGE_API size_t forage_config_count(const forage_config_node *node);
/* Entry `index` (< count) in the file's order. */
FORAGE_API const forage_config_node *forage_config_at(const forage_config_node *node, size_t index);
/* The key under which `node` stands in its map, NULL elsewhere. */
FORAGE_API const char *forage_config_key(const forage_config_node *node);
/* The line of the file on which `node` begins, from 1. */
FORAGE_API uint64_t forage_config_line(const forage_config_node *node);
/* The value of `key` in a map, NULL when absent or `map` is no map. */
FORAGE_API const forage_config_node *forage_config_find(const forage_config_node *map, const char *key);

/* Fills the error with the place of `node` and returns `status`. */
FORAGE_API forage_status forage_config_fail(const forage_config_node *node, forage_status status, forage_error *error,
                                            const char *format, ...) FORAGE_PRINTF(4, 5);
/* `node` must be of that kind. */
FORAGE_API forage_status forage_config_want(const forage_config_node *node, forage_config_kind kind,
                                            forage_error *error);
/* `node` must be a map whose keys are all among `keys` ("name,seed,users"). The message lists
 * what is possible. */
FORAGE_API forage_status forage_config_check_keys(const forage_config_node *node, const char *keys,
                                                  forage_error *error);
/* The value of `key`, which must be there. */
FORAGE_API forage_status forage_config_need(const forage_config_node *map, const char *key,
                                            const forage_config_node **node, forage_error *error);
/* Values of text nodes. `*text` lives as long as the tree. Numbers must lie in [minimum, maximum];
 * whole numbers may be written 200_000. */
FORAGE_API forage_status forage_config_text(const forage_config_node *node, const char **text, forage_error *error);
FORAGE_API forage_status forage_config_real(const forage_config_node *node, double minimum, double maximum,
                                            double *value, forage_error *error);
FORAGE_API forage_status forage_config_whole(const forage_config_node *node, uint64_t minimum, uint64_t maximum,
                                             uint64_t *value, forage_error *error);
/* "true" or "false". */
FORAGE_API forage_status forage_config_boolean(const forage_config_node *node, bool *value, forage_error *error);

#ifdef __cplusplus
}
#endif

#endif
