/*
 * test_refit.c: models of sequences in a world that has grown: forage_model_extend, and fits that begin from a model.
 * With a learning rate of 0 a fit is where it began, so that an old log must come out as before, to the last digit that
 * counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "fit_log.h"

/* ---- logs ---- */

enum { USERS = 30, ITEMS = 24, MORE = 6, ROWS = 600, MOST = 1000 };

typedef struct world {
    size_t rows;
    bool times, backwards; /* rows and columns stand in the other order */
    const char *columns;   /* "": ids, times and clicks alone */
} world;

static const world before = {ROWS, true, false, "all"}, after = {MOST, true, true, "all"};

static const char *const shelves[] = {"cat", "dog", "fish", "bird"}, *const places[] = {"top", "left"};

static forage_dataset *log_from(const char *text, bool columns)
{
    const char *path = scratch_path("log");
    forage_dataset *dataset;
    forage_error error = {0};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    const forage_read_options options = {.format = FORAGE_FILE_CSV,
                                         .item_columns = columns ? "shelf,price" : NULL,
                                         .user_columns = columns ? "age" : NULL,
                                         .numeric = columns ? "price,age" : NULL};
    must(forage_dataset_load(path, &options, NULL, &dataset, &error), &error);
    (void)remove(path);
    return dataset;
}

/* What there is of a row in both worlds is the same in both, but for where it stands. Who is new, items on a new shelf
 * and dearer than all others among them, comes with the rows from ROWS on. */
static forage_dataset *log_of(const world *w)
{
    static char text[MOST * 64];
    size_t used = 0;
    bool all = w->columns[0] != '\0', turned = w->backwards;
    forage_append(text, sizeof text, &used, "user_id,item_id,clicked%s%s\n", w->times ? ",time" : "",
                  !all     ? ""
                  : turned ? ",place,age,price,shelf"
                           : ",shelf,price,age,place");
    for (size_t n = 0; n < w->rows; n++) {
        size_t row = turned && w->times ? w->rows - 1 - n : n, late = row < ROWS ? 0 : MORE;
        size_t user = row * 7 % (USERS + late), item = (row * 11 + row / 7) % (ITEMS + late), age = 20 + user % 9;
        const char *shelf = shelves[item >= ITEMS ? 3 : item % 3], *place = places[row % 2];
        double price = (double)(item * item % 17 + (item >= ITEMS ? 40 : 0)) + 0.5;
        forage_append(text, sizeof text, &used, "u%zu,i%zu,%d", user, item, (row * 5 + user) % 4 != 1);
        if (w->times)
            forage_append(text, sizeof text, &used, ",%zu", 10 * row);
        if (all && turned)
            forage_append(text, sizeof text, &used, ",%s,%zu,%g,%s", place, age, price, shelf);
        else if (all)
            forage_append(text, sizeof text, &used, ",%s,%g,%zu,%s", shelf, price, age, place);
        forage_append(text, sizeof text, &used, "\n");
    }
    return log_from(text, all);
}

/* ---- what is compared ---- */

static void score_log(const forage_model *model, const forage_dataset *log, float *mean)
{
    static uint32_t rows[MOST];
    forage_error error = {0};
    forage_binding *binding;
    for (uint32_t row = 0; row < log->count; row++)
        rows[row] = row;
    must(forage_model_bind(model, log, FORAGE_UNKNOWN_AVERAGE, NULL, &binding, &error), &error);
    must(forage_model_score(binding, rows, log->count, mean, NULL, &error), &error);
    forage_binding_free(binding);
}

/* `model` says of the rows of a log from `first` on what `other` says. */
static void check_scores_from(size_t first, const forage_model *model, const forage_model *other,
                              const forage_dataset *log)
{
    float have[MOST], want[MOST];
    score_log(model, log, have);
    score_log(other, log, want);
    for (size_t i = first; i < log->count; i++) {
        if (!(fabsf(have[i] - want[i]) <= 2e-6F * (1 + fabsf(want[i]))))
            fail_msg("row %zu: %g, not %g", i, (double)have[i], (double)want[i]);
    }
}

static void check_scores(const forage_model *model, const forage_model *other, const forage_dataset *log)
{
    check_scores_from(0, model, other, log);
}

/* The same of a refit, but for rows without a history, which sasrec scores by the average of those that train. */
static void check_refit(const forage_model *refit, const forage_model *model, const forage_dataset *log)
{
    bool average = strcmp(forage_model_info_of(model)->name, "sasrec") == 0;
    check_scores_from(average ? ROWS / 2 : 0, refit, model, log);
}

static const float *vector_of(const forage_embedding *embedding, const char *id)
{
    uint32_t code = forage_vocabulary_find(embedding->ids, id, strlen(id));
    return code == FORAGE_NONE ? NULL : embedding->values + code * embedding->pitch;
}

/* Who is known has their vector, to the bytes; who is new that of the average. */
static void check_items(const forage_model *model, const forage_model *old)
{
    forage_embedding now = vectors_of(model, FORAGE_OF_ITEM), was = vectors_of(old, FORAGE_OF_ITEM);
    double average[64] = {0};
    assert_int_equal(now.width, was.width);
    assert_int_equal(was.count, ITEMS);
    assert_int_equal(now.count, ITEMS + MORE);
    for (size_t i = 0; i < was.count; i++) {
        for (size_t j = 0; j < was.width; j++)
            average[j] += (double)was.values[i * was.pitch + j] / (double)was.count;
    }
    for (size_t i = 0; i < ITEMS + MORE; i++) {
        char id[24];
        (void)snprintf(id, sizeof id, "i%zu", i);
        const float *have = vector_of(&now, id), *want = vector_of(&was, id);
        assert_non_null(have);
        assert_true((want != NULL) == (i < ITEMS));
        for (size_t j = 0; j < was.width; j++)
            assert_true(want ? have[j] == want[j] : fabs((double)have[j] - average[j]) < 1e-6);
    }
}

typedef struct kind {
    const char *model, *params, *fields, *columns;
    bool times;
} kind;

/* All parts of both models: norms first and last; sums and pieces side by side; refusals; ids of users; places and
 * gaps; bags. */
static const kind kinds[] = {
    {"sasrec", "embedding-size=12 heads=2 max-length=6 batch-size=7 epochs=2", NULL, "", true},
    {"sasrec",
     "embedding-size=16 max-length=9 blocks=1 inner-size=20 norm=post activation=gelu input-scale=one epochs=2", NULL,
     "all", false},
    {"bst", "embedding-size=12 max-length=7 layers=9,5 epochs=2", NULL, "all", true},
    {"bst", "embedding-size=12 max-length=70 layers=9 epochs=2", NULL, "all", false},
    {"bst", "embedding-size=8 history=all max-length=7 layers=9,5 epochs=2", "all", "all", true},
    {"bst", "embedding-size=8 combine=concat readout=concat max-length=5 layers=9 position=order epochs=2", "all",
     "all", true},
    {"bst", "embedding-size=8 encoder=mean history=all layers=9,5 epochs=2", "price,item_id,place", "all", true},
    {"bst", "embedding-size=8 position=none readout=mean layers=9 epochs=2", NULL, "", true},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static forage_dataset *log_for(const kind *k, const world *w)
{
    world mine = *w;
    mine.columns = k->columns;
    mine.times = k->times;
    return log_of(&mine);
}

/* A fit with settings that come after, and outweigh, those of the kind. */
static forage_status fit_kind(const kind *k, const char *more, const forage_dataset *log, const forage_model *start,
                              forage_model **model, forage_error *error)
{
    char params[400];
    (void)snprintf(params, sizeof params, "%s %s", k->params, more);
    task t = {.kind = k->model, .log = log, .params = params, .options = {.start = start, .fields = k->fields}};
    forage_status status = fit(&t, error);
    *model = t.model;
    t.model = NULL;
    release(&t);
    return status;
}

static forage_model *fitted(const kind *k, const char *more, const forage_dataset *log, const forage_model *start)
{
    forage_error error = {0};
    forage_model *model;
    must(fit_kind(k, more, log, start, &model, &error), &error);
    return model;
}

static forage_model *extended(const forage_model *model, const forage_dataset *log)
{
    forage_error error = {0};
    forage_model *more;
    must(forage_model_extend(model, log, NULL, 0, "log", &more, &error), &error);
    return more;
}

/* ---- what is known stays ---- */

static void an_update_keeps_what_is_known(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        forage_dataset *old = log_for(&kinds[k], &before), *now = log_for(&kinds[k], &after);
        forage_model *model = fitted(&kinds[k], "", old, NULL), *same = extended(model, old),
                     *more = extended(model, now);
        same_bytes(model, same);
        check_items(more, model);
        check_scores(more, model, old);
        forage_model *again = extended(more, now);
        same_bytes(more, again);
        forage_model_free(model); /* the others stand alone */
        check_scores(same, more, old);
        forage_model *models[] = {same, more, again};
        for (size_t i = 0; i < 3; i++)
            forage_model_free(models[i]);
        forage_dataset_free(old);
        forage_dataset_free(now);
    }
}

static void a_refit_begins_there(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        forage_dataset *old = log_for(&kinds[k], &before), *now = log_for(&kinds[k], &after);
        forage_model *model = fitted(&kinds[k], "", old, NULL);
        forage_model *refit = fitted(&kinds[k], "learning-rate=0", now, model);
        check_items(refit, model);
        check_refit(refit, model, old);
        forage_model *models[] = {model, refit};
        for (size_t i = 0; i < 2; i++)
            forage_model_free(models[i]);
        forage_dataset_free(old);
        forage_dataset_free(now);
    }
}

/* Those whom the log does not name are left behind, and nothing else changes. */
static void a_refit_is_of_its_own_log(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        forage_dataset *all = log_for(&kinds[k], &after), *part = log_for(&kinds[k], &before);
        forage_model *model = fitted(&kinds[k], "", all, NULL),
                     *refit = fitted(&kinds[k], "learning-rate=0", part, model);
        assert_int_equal(vectors_of(model, FORAGE_OF_ITEM).count, ITEMS + MORE);
        assert_int_equal(vectors_of(refit, FORAGE_OF_ITEM).count, ITEMS);
        check_refit(refit, model, part);
        forage_model_free(model);
        forage_model_free(refit);
        forage_dataset_free(all);
        forage_dataset_free(part);
    }
}

/* ---- what is new ---- */

static void who_is_new_is_average(void **state)
{
    static const kind plain[] = {
        {"sasrec", "embedding-size=12 max-length=6 epochs=2", NULL, "", true},
        {"bst", "embedding-size=12 max-length=7 layers=9,5 epochs=2", "item_id,user_id", "", true},
    };
    (void)state;
    /* No history has a new item in it: as long as it is unknown it would not be there. */
    forage_dataset *now = log_from("user_id,item_id,clicked,time\nnew,new,0,9\nu1,i5,1,5\nu1,i2,1,6\nnew,i3,1,1\n"
                                   "u1,new,1,7\nu1,new,1,7\n",
                                   false);
    for (size_t k = 0; k < 2; k++) {
        forage_dataset *old = log_for(&plain[k], &before);
        forage_model *model = fitted(&plain[k], "", old, NULL), *more = extended(model, now);
        check_scores(more, model, now);
        forage_model_free(model);
        forage_model_free(more);
        forage_dataset_free(old);
    }
    forage_dataset_free(now);
}

/* An item that was refused has another vector, whose average is another one. */
static void refusals_have_their_own_average(void **state)
{
    enum { WIDTH = 8 };
    size_t count[2];
    (void)state;
    forage_dataset *old = log_for(&kinds[4], &before), *now = log_for(&kinds[4], &after);
    forage_model *model = fitted(&kinds[4], "", old, NULL), *more = extended(model, now);
    float *was = tensor_of(model, "item_embedding.weight", &count[0]),
          *have = tensor_of(more, "item_embedding.weight", &count[1]);
    assert_int_equal(count[0], 2 * ITEMS * WIDTH);
    assert_int_equal(count[1], 2 * (ITEMS + MORE) * WIDTH);
    for (size_t half = 0; half < 2; half++) {
        for (size_t j = 0; j < WIDTH; j++) {
            double sum = 0;
            for (size_t i = 0; i < ITEMS; i++)
                sum += (double)was[(half * ITEMS + i) * WIDTH + j];
            for (size_t i = ITEMS; i < ITEMS + MORE; i++)
                assert_true(fabs((double)have[(half * (ITEMS + MORE) + i) * WIDTH + j] - sum / ITEMS) < 1e-6);
        }
    }
    forage_free(was);
    forage_free(have);
    forage_model_free(model);
    forage_model_free(more);
    forage_dataset_free(old);
    forage_dataset_free(now);
}

/* ---- learning on ---- */

static double first_loss(const kind *k, const forage_dataset *log, const forage_model *start)
{
    forage_error error = {0};
    char params[400];
    (void)snprintf(params, sizeof params, "%s epochs=1 learning-rate=0.003 dropout=0", k->params);
    task t = {.kind = k->model, .log = log, .params = params, .options = {.start = start, .fields = k->fields}};
    must(fit(&t, &error), &error);
    double loss = t.report.epochs[0].train_loss;
    release(&t);
    return loss;
}

static void what_was_learned_is_worth_it(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        forage_dataset *old = log_for(&kinds[k], &before), *now = log_for(&kinds[k], &after);
        forage_model *model = fitted(&kinds[k], "epochs=12 learning-rate=0.003 dropout=0", old, NULL);
        double afresh = first_loss(&kinds[k], now, NULL), on = first_loss(&kinds[k], now, model);
        if (!(on < 0.97 * afresh))
            fail_msg("%s: a first loss of %g, of %g afresh", kinds[k].params, on, afresh);
        forage_model_free(model);
        forage_dataset_free(old);
        forage_dataset_free(now);
    }
}

static void it_is_resumed_in_any_number_of_threads(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        char params[400];
        (void)snprintf(params, sizeof params, "%s epochs=3", kinds[k].params);
        forage_dataset *old = log_for(&kinds[k], &before), *now = log_for(&kinds[k], &after);
        forage_model *model = fitted(&kinds[k], "", old, NULL);
        task fresh = {.kind = kinds[k].model, .log = now, .train = 900, .params = params, .options = {.start = model}};
        if (!kinds[k].fields)
            check_resumed(&fresh, 2);
        fresh.options.fields = kinds[k].fields;
        check_threads(&fresh);
        forage_model_free(model);
        forage_dataset_free(old);
        forage_dataset_free(now);
    }
}

/* ---- what does not fit together ---- */

static void other_shapes_are_refused(void **state)
{
    static const struct {
        size_t kind;
        const char *params, *field, *says; /* NULL: it is none */
    } others[] = {
        {0, "embedding-size=14", "embedding-size", "fitted with 12, not with 14"},
        {0, "heads=3", "heads", "fitted with 2, not with 3"},
        {0, "max-length=7", "max-length", "fitted with 6, not with 7"},
        {0, "blocks=1", "blocks", "fitted with 2, not with 1"},
        {0, "inner-size=13", "inner-size", "fitted with 12, not with 13"},
        {0, "inner-size=12", NULL, NULL},
        {0, "activation=gelu", "activation", "fitted with relu, not with gelu"},
        {0, "norm=post", "norm", "fitted with pre, not with post"},
        {0, "input-scale=one", "input-scale", "fitted with root, not with one"},
        {0, "loss=bce", NULL, NULL},
        {2, "encoder=mean", "encoder", "fitted with transformer, not with mean"},
        {2, "history=all", "history", "fitted with positive, not with all"},
        {2, "combine=concat", "combine", "fitted with sum, not with concat"},
        {2, "readout=mean", "readout", "fitted with target, not with mean"},
        {2, "max-length=8", "max-length", "fitted with 7, not with 8"},
        {2, "embedding-size=14", "embedding-size", "fitted with 12, not with 14"},
        {2, "blocks=2", "blocks", "fitted with 1, not with 2"},
        {2, "heads=3", "heads", "fitted with 2, not with 3"},
        {2, "inner=65", "inner", "fitted with 64, not with 65"},
        {2, "layers=9", "layers", "fitted with 9,5, not with 9"},
        {2, "position=order", "position", "fitted with time, not with order"},
        {2, "position=time", NULL, NULL},
        {7, "position=auto", "position", "fitted with none, not with auto"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const kind *k = &kinds[others[i].kind];
        forage_error error = {0};
        forage_dataset *log = log_for(k, &before);
        forage_model *model = fitted(k, "", log, NULL), *refit;
        forage_status status = fit_kind(k, others[i].params, log, model, &refit, &error);
        assert_int_equal(status, others[i].field ? FORAGE_INVALID : FORAGE_OK);
        assert_true((refit == NULL) == (others[i].field != NULL));
        if (others[i].field) {
            assert_string_equal(error.field, others[i].field);
            says(&error, others[i].says);
        }
        forage_model_free(model);
        forage_model_free(refit);
        forage_dataset_free(log);
    }
}

static void other_logs_are_refused(void **state)
{
    forage_error error = {0};
    forage_model *refit;
    (void)state;
    forage_dataset *log = log_for(&kinds[2], &before), *bare = log_for(&kinds[7], &before);
    world w = before;
    w.times = false;
    forage_dataset *timeless = log_of(&w);
    forage_model *model = fitted(&kinds[2], "", log, NULL), *next = fitted(&kinds[0], "", log, NULL);
    /* Columns that the model reads, by rule or because they are named; times; another model. */
    assert_int_equal(fit_kind(&kinds[2], "", bare, model, &refit, &error), FORAGE_UNKNOWN);
    assert_string_equal(error.field, "age");
    kind named = kinds[2];
    named.fields = "item_id,shelf";
    assert_int_equal(fit_kind(&named, "", log, model, &refit, &error), FORAGE_INVALID);
    assert_string_equal(error.field, "fields");
    says(&error, "reads item_id,age,shelf,price,place");
    says(&error, "not item_id,shelf");
    assert_int_equal(fit_kind(&kinds[2], "", timeless, model, &refit, &error), FORAGE_INVALID);
    assert_string_equal(error.field, "position");
    says(&error, "does not say when its events were, by which the model to go on from knows them");
    assert_int_equal(fit_kind(&kinds[2], "", log, next, &refit, &error), FORAGE_UNSUPPORTED);
    says(&error, "a fit of bst cannot begin from a model of sasrec");
    assert_null(refit);
    forage_model *models[] = {model, next};
    for (size_t i = 0; i < 2; i++)
        forage_model_free(models[i]);
    forage_dataset_free(log);
    forage_dataset_free(bare);
    forage_dataset_free(timeless);
}

/* A model that tells events by their order goes on so in a log that knows times. */
static void places_stay_places(void **state)
{
    size_t count;
    (void)state;
    forage_dataset *old = log_for(&kinds[3], &before);
    forage_model *model = fitted(&kinds[3], "", old, NULL), *refit;
    world w = after;
    forage_dataset *now = log_of(&w);
    refit = fitted(&kinds[3], "learning-rate=0", now, model);
    float *places_now = tensor_of(refit, "sequence_position.weight", &count);
    assert_int_equal(count, 71 * 12);
    check_refit(refit, model, old);
    forage_free(places_now);
    forage_model_free(model);
    forage_model_free(refit);
    forage_dataset_free(old);
    forage_dataset_free(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_keeps_what_is_known),
        cmocka_unit_test(a_refit_begins_there),
        cmocka_unit_test(a_refit_is_of_its_own_log),
        cmocka_unit_test(who_is_new_is_average),
        cmocka_unit_test(refusals_have_their_own_average),
        cmocka_unit_test(what_was_learned_is_worth_it),
        cmocka_unit_test(it_is_resumed_in_any_number_of_threads),
        cmocka_unit_test(other_shapes_are_refused),
        cmocka_unit_test(other_logs_are_refused),
        cmocka_unit_test(places_stay_places),
    };
    return cmocka_run_group_tests_name("refit", tests, NULL, NULL);
}
