/*
 * test_click_fit.c: fits of click models where steps are long: they come back inside an epoch, go on from there to the
 * same bytes, and end in time.
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

static forage_dataset *clicks(uint64_t seed, size_t rows)
{
    forage_dataset *log = random_log(seed, 60, 40, rows);
    forage_rng rng;
    forage_rng_seed(&rng, seed + 100);
    log->value = array(rows, sizeof *log->value);
    for (size_t row = 0; row < rows; row++)
        log->value[row] = forage_rng_double(&rng) < 0.2 ? 1 - (float)(log->item[row] % 2) : (float)(log->item[row] % 2);
    return log;
}

/* An epoch of these takes several calls of fit_step, whatever the machine. */
static void stopped_inside_an_epoch(void **state)
{
    (void)state;
    static const char *const subjects[][2] = {
        {"bst", "size=full embedding-size=8 epochs=2 batch-size=64 schedule=cosine warmup=0.1 dropout=0.1 "
                "averaging=0.6"},
        {"bst", "history=all position=order embedding-size=32 inner=128 blocks=2 layers=1024,512,256 epochs=1 "
                "batch-size=64 embedding-updates=lazy layer-dropout=0.1"},
        {"embedding-mlp", "embedding-size=32 layers=1024,1024 epochs=1 batch-size=64 schedule=linear dropout=0.1 "
                          "patience=1"},
    };
    forage_dataset *log = clicks(1, 1800);
    for (size_t i = 0; i < 3; i++) {
        const task fresh = {.kind = subjects[i][0], .log = log, .train = 1000, .params = subjects[i][1]};
        check_resumed(&fresh, 2);
    }
    forage_dataset_free(log);
}

/* The vectors of items after so many epochs, by the caller to free. */
static float *items_after(const forage_dataset *log, size_t train, const char *params, size_t *count)
{
    forage_error error = {0};
    forage_embedding found;
    task t = {.kind = "bst", .log = log, .train = train, .params = params};
    must(fit(&t, &error), &error);
    must(forage_model_embedding(t.model, FORAGE_OF_ITEM, &found, &error), &error);
    *count = found.count * found.width;
    float *copy = array(*count, sizeof *copy);
    for (size_t i = 0; i < found.count; i++)
        memcpy(copy + i * found.width, found.values + i * found.pitch, found.width * sizeof *copy);
    release(&t);
    return copy;
}

/* Three epochs' ends, the older ones counting less: with rows that validate, and without. */
static void what_is_kept_is_an_average(void **state)
{
    (void)state;
    static const char *const params[] = {"epochs=1 averaging=0 ", "epochs=2 averaging=0 ", "epochs=3 averaging=0 ",
                                         "epochs=3 averaging=0.75 "};
    forage_dataset *log = clicks(3, 600);
    for (size_t train = 0; train <= 400; train += 400) {
        float *vectors[4];
        size_t count = 0;
        double apart = 0;
        for (size_t i = 0; i < 4; i++) {
            char text[160];
            (void)snprintf(text, sizeof text,
                           "%s warmup=0 patience=0 batch-size=32 embedding-size=8 learning-rate=0.01", params[i]);
            vectors[i] = items_after(log, train, text, &count);
        }
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            double mean = 0.75 * (0.75 * vectors[0][i] + 0.25 * vectors[1][i]) + 0.25 * vectors[2][i];
            assert_true(fabs(vectors[3][i] - mean) < 1e-6);
            apart = fmax(apart, fabs(vectors[2][i] - mean));
        }
        assert_true(apart > 1e-3);
        for (size_t i = 0; i < 4; i++)
            forage_free(vectors[i]);
    }
    forage_dataset_free(log);
}

/* All epochs would take hours. */
static void a_limit_of_time_ends_it(void **state)
{
    (void)state;
    static const char *const kinds[] = {"bst", "embedding-mlp"};
    static const double limits[] = {1e-9, 0.1, 0.1};
    forage_dataset *log = clicks(2, 1500);
    for (size_t i = 0; i < 6; i++) {
        forage_error error = {0};
        task t = {.kind = kinds[i / 3],
                  .log = log,
                  .train = i % 3 == 1 ? 0 : 1200,
                  .params = "epochs=100000 patience=100000 batch-size=16 learning-rate=0.003 schedule=cosine",
                  .options = {.seconds_limit = limits[i % 3]}};
        double before = forage_clock();
        must(fit(&t, &error), &error);
        assert_true(forage_clock() - before < 20); /* a busy machine */
        assert_true(t.report.out_of_time && !t.report.stopped_early);
        assert_true(t.report.epoch_count > 0 && t.report.epoch_count < 100000); /* one that was cut short counts */
        if (i % 3 == 0)
            assert_int_equal(t.report.epoch_count, 1);
        for (size_t e = 0; e < t.report.epoch_count; e++)
            assert_true(t.report.epochs[e].train_loss > 0 && t.report.epochs[e].train_loss < 2);
        double best = INFINITY;
        for (size_t e = 0; e < t.report.epoch_count; e++)
            best = fmin(best, t.report.epochs[e].validation_loss);
        if (i % 3 == 1)
            assert_true(isinf(best));
        else if (isfinite(best)) { /* else there was no time to validate */
            assert_true(fabs(loss_of(t.model, log, 1200) - best) < 1e-4);
        }
        release(&t);
    }
    forage_dataset_free(log);
}

static void time_is_shared_out(void **state)
{
    (void)state;
    const model_fit_input unlimited = {0}, limited = {.seconds = 1000};
    model_pace pace = model_pace_begin(&unlimited);
    pace.started -= 500;
    assert_true(model_pace_share(&pace, 0.1) == 0.1 && model_pace_share(&pace, 1.5) == 1);
    assert_false(model_pace_late(&pace));
    pace = model_pace_begin(&limited);
    pace.started -= 500; /* so many seconds ago */
    assert_true(fabs(model_pace_share(&pace, 0.1) - 0.5) < 0.1 && model_pace_share(&pace, 0.9) == 0.9);
    assert_false(model_pace_late(&pace));
    model_pace_step(&pace, forage_clock() - 300); /* it took that long */
    model_pace_step(&pace, forage_clock());
    assert_true(pace.step >= 300);
    assert_false(model_pace_late(&pace));
    model_pace_end(&pace, forage_clock() - 300);
    assert_true(model_pace_late(&pace));
    pace = (model_pace){.started = forage_clock() - 2000, .limit = 1000};
    assert_true(model_pace_share(&pace, 0.1) == 1 && model_pace_late(&pace) && model_pace_over(&pace));
    pace.limit = 3000;
    assert_false(model_pace_over(&pace));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_inside_an_epoch),
        cmocka_unit_test(what_is_kept_is_an_average),
        cmocka_unit_test(a_limit_of_time_ends_it),
        cmocka_unit_test(time_is_shared_out),
    };
    return cmocka_run_group_tests_name("click-fit", tests, NULL, NULL);
}
