/*
 * test_divergence.c: fits whose loss runs away: they stop, say where and why, and hand out the best model before that.
 *
 * The learning rate rises in a line to one that no fit survives, so that all goes well at first.
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
#include "model/training.h"

enum { USERS = 60, ITEMS = 20, TURNS = 14, EPOCHS = 100 };

/* Users go through the items in steps of one or two; where there are refusals, some items are refused by all. */
static forage_dataset *walks(bool refusals)
{
    forage_dataset *log = log_create(USERS, ITEMS, (size_t)USERS * TURNS, false);
    if (refusals)
        log->value = array(log->count, sizeof *log->value);
    for (size_t row = 0; row < log->count; row++) {
        size_t user = row % USERS, at = row / USERS;
        log->user[row] = (uint32_t)user;
        log->item[row] = (uint32_t)((user / 2 * 7 + at * (1 + user % 2)) % ITEMS);
        if (refusals)
            log->value[row] = log->item[row] % 3 != 0;
    }
    return log;
}

typedef struct subject {
    const char *kind, *params;
    bool refusals;
    double rate; /* at the end */
} subject;

static const subject subjects[] = {
    {"sasrec", "embedding-size=16 max-length=8 batch-size=20 dropout=0.1 patience=0", false, 10},
    {"sasrec", "loss=bce embedding-size=8 max-length=8 batch-size=20 patience=0", false, 10},
    {"bst", "size=full embedding-size=8 max-length=8 batch-size=64 layers=32,16 patience=0", true, 3},
    {"bst", "size=full embedding-size=4 heads=4 inner=8 max-length=8 batch-size=300 layers=32,16 patience=100", true,
     3},
    {"embedding-mlp",
     "embedding-size=8 layers=32,16 batch-size=32 decay=decoupled weight-decay=0.3 embedding-decay=0.3 patience=100",
     true, 10},
    {"embedding-mlp",
     "embedding-size=8 layers=32,16 batch-size=32 decay=decoupled weight-decay=0.3 embedding-decay=0.3", true, 10},
};

enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static task begin(const subject *s, const forage_dataset *log, bool validates, size_t epochs, char text[400])
{
    double rate = s->rate * (double)epochs / EPOCHS;
    (void)snprintf(text, 400, "%s epochs=%zu learning-rate=%.17g warmup=1", s->params, epochs, rate);
    size_t last = 2 * (size_t)USERS;
    return (task){.kind = s->kind, .log = log, .train = validates ? log->count - last : 0, .params = text};
}

static double number_after(const forage_error *error, const char *words)
{
    says(error, words);
    return strtod(strstr(error->message, words) + strlen(words), NULL);
}

static void close_tables(const forage_model *a, const forage_model *b, const char *what)
{
    size_t counts[2];
    float *tables[2] = {tensor_of(a, "item_embedding.weight", &counts[0]),
                        tensor_of(b, "item_embedding.weight", &counts[1])};
    assert_int_equal(counts[0], counts[1]);
    for (size_t i = 0; i < counts[0]; i++) {
        if (!(fabs((double)(tables[0][i] - tables[1][i])) < 1e-3))
            fail_msg("%s: number %zu is %g, not %g", what, i, (double)tables[0][i], (double)tables[1][i]);
    }
    forage_free(tables[0]);
    forage_free(tables[1]);
}

static void the_last_good_model_is_handed_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * SUBJECTS; i++) {
        const subject *s = &subjects[i / 2];
        forage_error error = {0};
        forage_dataset *log = walks(s->refusals);
        char text[2][400];
        task t = begin(s, log, i % 2, EPOCHS, text[0]);
        t.options.keep_good = true;
        t.threads = 2;
        assert_int_equal(fit(&t, &error), FORAGE_DIVERGED);
        size_t best = t.report.best_epoch;
        print_message("# %s: %s\n", s->params, error.message);
        says(&error, "smaller learning rate");
        assert_true(number_after(&error, "learning rate of ") == s->rate);
        const char *place = strstr(error.message, "in epoch ") ? "in epoch " : "after epoch ";
        assert_true(number_after(&error, place) > (double)best);
        assert_true(best > 0 && best <= t.report.epoch_count);
        assert_true(number_after(&error, "the best epoch before that is ") == (double)best);
        assert_non_null(t.model);
        const forage_epoch *kept = &t.report.epochs[best - 1];
        double told = number_after(&error, i % 2 == 0    ? "train loss of "
                                           : s->refusals ? "validation loss of "
                                                         : "of 0");
        if (i % 2 && s->refusals) {
            assert_true(fabs(told - kept->validation_loss) < 1e-4 && told < 0.7);
            assert_true(fabs(loss_of(t.model, log, t.train) - kept->validation_loss) < 1e-4);
        }
        for (size_t e = 0; e < t.report.epoch_count; e++) {
            if (i % 2)
                assert_true(s->refusals ? t.report.epochs[e].validation_loss >= kept->validation_loss
                                        : t.report.epochs[e].validation_metric <= kept->validation_metric);
        }
        /* The same as one whose epochs end there, and that has the same learning rate up to there. */
        task until = begin(s, log, i % 2, best, text[1]);
        must(fit(&until, &error), &error);
        assert_int_equal(until.report.best_epoch, best);
        close_tables(t.model, until.model, s->params);
        release(&until);
        release(&t);
        forage_dataset_free(log);
    }
}

/* Without the option, and where nothing was good. */
static void nothing_is_handed_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * SUBJECTS; i++) {
        const subject *s = &subjects[i / 2];
        forage_error error = {0};
        forage_dataset *log = walks(s->refusals);
        char text[400];
        task t = begin(s, log, false, EPOCHS, text);
        if (i % 2) { /* diverges at once */
            (void)snprintf(text, sizeof text, "%s epochs=20 learning-rate=10", s->params);
            t.options.keep_good = true;
        }
        assert_int_equal(fit(&t, &error), FORAGE_DIVERGED);
        assert_null(t.model);
        says(&error, i % 2 ? "nothing is kept" : "the best epoch before that");
        assert_int_equal(t.report.best_epoch == 0, i % 2);
        release(&t);
        forage_dataset_free(log);
    }
}

/* What is kept is part of the state: a fit that is stopped at every occasion keeps the same model. */
static void interruption_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        const subject *s = &subjects[i];
        forage_error error[2] = {{0}};
        forage_dataset *log = walks(s->refusals);
        char text[400];
        size_t calls = 0;
        const char *path = scratch_path("state");
        forage_progress progress = {stop, &calls};
        forage_status status = FORAGE_INTERRUPTED;
        task whole = begin(s, log, i % 2, EPOCHS, text), part;
        whole.options.keep_good = true;
        assert_int_equal(fit(&whole, &error[0]), FORAGE_DIVERGED);
        (void)remove(path);
        while (status == FORAGE_INTERRUPTED) {
            part = begin(s, log, i % 2, EPOCHS, text);
            part.options =
                (forage_fit_options){.state_path = path, .resume = true, .progress = &progress, .keep_good = true};
            status = fit(&part, &error[1]);
            if (status == FORAGE_INTERRUPTED)
                release(&part);
        }
        assert_int_equal(status, FORAGE_DIVERGED);
        assert_non_null(part.model);
        assert_true(calls > 2);
        assert_string_equal(error[0].message, error[1].message);
        same_bytes(whole.model, part.model);
        (void)remove(path);
        release(&whole);
        release(&part);
        forage_dataset_free(log);
    }
}

/* ---- the guard alone ---- */

static void what_is_a_divergence(void **state)
{
    (void)state;
    const model_guard guard = {.guess = 1, .rate = 0.5}; /* 20 is the limit */
    forage_error error = {0};
    double running = 1;
    assert_int_equal(model_guard_step(&guard, 20, 256, &running, 1, 1, &error), FORAGE_OK);
    assert_int_equal(model_guard_step(&guard, 20.1, 1000, &running, 7, 9, &error), FORAGE_DIVERGED);
    says(&error, "risen to 20.1 in epoch 7, step 9, where guessing costs 1; the learning rate of 0.5");
    running = 1; /* one odd row is none, many are */
    assert_int_equal(model_guard_step(&guard, 3000, 1, &running, 1, 1, &error), FORAGE_OK);
    assert_int_equal(model_guard_step(&guard, 3000, 1, &running, 1, 2, &error), FORAGE_DIVERGED);
    running = 1;
    assert_int_equal(model_guard_step(&guard, NAN, 1, &running, 1, 2, &error), FORAGE_DIVERGED);
    says(&error, "no longer a number in epoch 1, step 2");
    assert_int_equal(model_guard_step(&guard, INFINITY, 1, &running, 1, 2, &error), FORAGE_DIVERGED);
    /* Validation rows may be far off from the beginning. */
    assert_int_equal(model_guard_validation(&guard, 1e9, INFINITY, 1, &error), FORAGE_OK);
    assert_int_equal(model_guard_validation(&guard, 20, 0.5, 2, &error), FORAGE_OK);
    assert_int_equal(model_guard_validation(&guard, 30, 2, 2, &error), FORAGE_OK);
    assert_int_equal(model_guard_validation(&guard, 31, 2, 3, &error), FORAGE_DIVERGED);
    says(&error, "validation loss has risen to 31 after epoch 3");
    assert_int_equal(model_guard_validation(&guard, NAN, INFINITY, 3, &error), FORAGE_DIVERGED);
    says(&error, "no longer a number");
    assert_int_equal(model_guard_validation(&guard, INFINITY, INFINITY, 3, &error), FORAGE_DIVERGED);
    assert_true(model_guard_worth(&guard, 0.7, 2) == 0.7 && isinf(model_guard_worth(&guard, 0.7, 2.1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_divergence),
        cmocka_unit_test(the_last_good_model_is_handed_out),
        cmocka_unit_test(nothing_is_handed_out),
        cmocka_unit_test(interruption_changes_nothing),
    };
    return cmocka_run_group_tests_name("divergence", tests, NULL, NULL);
}
