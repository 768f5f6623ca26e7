/*
 * test_lightgcn_fit.c: fits of LightGCN as users meet them: interrupted, in threads, in little time; and what odd logs
 * come to.
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

/* ---- interruption, threads ---- */

static const char *const kinds[] = {
    "loss=bpr layers=3 embedding-size=12 batch-size=20 epochs=3",
    "loss=softmax layers=0 embedding-size=16 batch-size=20 epochs=3 schedule=linear",
    "loss=bsl layers=2 embedding-size=33 batch-size=20 epochs=3",
};

/* Steps come 16 at a time, so that epochs of 20 and more are left in their middle. */
static void resumed_to_the_same_bytes(void **state)
{
    (void)state;
    forage_dataset *log = random_log(1, 40, 30, 700);
    for (size_t i = 0; i < 2 * 3; i++) {
        const task fresh = {.log = log, .train = i % 2 ? 600 : 700, .params = kinds[i / 2]};
        check_resumed(&fresh, 4);
    }
    forage_dataset_free(log);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    forage_dataset *log = random_log(2, 150, 100, 2500);
    for (size_t i = 0; i < 3; i++) {
        const task fresh = {.log = log, .train = 2200, .params = kinds[i]};
        check_threads(&fresh);
    }
    forage_dataset_free(log);
}

/* What else decides a fit's result is part of its state, too: the times behind the weights, the model at its start. */
static void the_state_of_another_fit_is_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    size_t calls = 0;
    const char *path = scratch_path("state");
    forage_progress progress = {stop, &calls};
    forage_dataset *log = random_log(1, 40, 30, 700);
    log->time = array(log->count, sizeof *log->time);
    for (size_t row = 0; row < log->count; row++)
        log->time[row] = (int64_t)row;
    task start = {.log = log, .params = kinds[0]}, other = {.log = log, .params = kinds[0], .train = 500};
    must(fit(&start, &error), &error);
    must(fit(&other, &error), &error);
    task part = {
        .log = log, .params = kinds[0], .options = {.state_path = path, .progress = &progress, .start = start.model}};
    assert_int_equal(fit(&part, &error), FORAGE_INTERRUPTED);
    part.options.resume = true;
    for (int i = 0; i < 2; i++) {
        part.options.start = i ? other.model : NULL;
        assert_int_equal(fit(&part, &error), FORAGE_INVALID);
        says(&error, "another model to begin from");
    }
    part.options.start = start.model;
    log->time[5]++;
    assert_int_equal(fit(&part, &error), FORAGE_INVALID);
    says(&error, "other data");
    log->time[5]--;
    part.options.progress = NULL;
    must(fit(&part, &error), &error);
    assert_true(part.report.resumed);
    (void)remove(path);
    release(&part);
    release(&start);
    release(&other);
    forage_dataset_free(log);
}

/* ---- validation, patience, time ---- */

static bool in_rows(const forage_dataset *log, size_t begin, size_t end, uint32_t user, uint32_t item)
{
    for (size_t row = begin; row < end; row++) {
        if (log->user[row] == user && log->item[row] == item && (!log->value || log->value[row] > 0))
            return true;
    }
    return false;
}

/* NDCG@20 plainly: all items that were trained on, but for those of the user's training rows. */
static double plain_ndcg(const forage_model *model, const forage_dataset *log, size_t train)
{
    forage_embedding users = vectors_of(model, FORAGE_OF_USER), items = vectors_of(model, FORAGE_OF_ITEM);
    double total = 0;
    size_t judged = 0;
    bool *trained = array(items.count, sizeof *trained);
    double *scores = array(items.count, sizeof *scores);
    for (size_t row = 0; row < train; row++)
        trained[log->item[row]] |= !log->value || log->value[row] > 0;
    for (uint32_t u = 0; u < users.count; u++) {
        size_t wanted = 0, findable = 0, seen = 0;
        double gain = 0, ideal = 0;
        for (uint32_t i = 0; i < items.count; i++) {
            bool want = in_rows(log, train, log->count, u, i), had = in_rows(log, 0, train, u, i);
            wanted += want;
            findable += want && trained[i];
            seen += had;
            scores[i] = had || !trained[i] ? -INFINITY : 0;
            for (size_t j = 0; j < users.width && scores[i] == 0; j++)
                scores[i] = 0;
            if (scores[i] == 0) {
                for (size_t j = 0; j < users.width; j++)
                    scores[i] += (double)users.values[u * users.pitch + j] * (double)items.values[i * items.pitch + j];
            }
        }
        if (!findable || !seen)
            continue;
        judged++;
        for (size_t r = 0; r < 20; r++) {
            uint32_t best = 0;
            for (uint32_t i = 0; i < items.count; i++)
                best = scores[i] > scores[best] ? i : best;
            ideal += r < wanted ? 1 / log2((double)r + 2) : 0;
            if (scores[best] > -INFINITY && in_rows(log, train, log->count, u, best))
                gain += 1 / log2((double)r + 2);
            scores[best] = -INFINITY;
        }
        total += gain / ideal;
    }
    forage_free(trained);
    forage_free(scores);
    return total / (double)judged;
}

static void patience_stops_and_keeps_the_best(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(4, 60, 80, 500);
    log->value = array(log->count, sizeof *log->value);
    for (size_t row = 0; row < log->count; row++)
        log->value[row] = row % 9 ? 1 : row % 2 ? 0 : -1; /* was seen, was not chosen */
    for (size_t i = 0; i < 2; i++) {
        task t = {.log = log,
                  .train = 400,
                  .params = i ? "loss=bpr epochs=300 patience=5 batch-size=64 learning-rate=0.02"
                              : "epochs=300 patience=5 batch-size=64 learning-rate=0.02"};
        must(fit(&t, &error), &error);
        assert_true(t.report.stopped_early && t.report.epoch_count < 300);
        assert_int_equal(t.report.epoch_count, t.report.best_epoch + 5);
        double best = t.report.epochs[t.report.best_epoch - 1].validation_metric;
        for (size_t e = 0; e < t.report.epoch_count; e++)
            assert_true(t.report.epochs[e].validation_metric <= best && isnan(t.report.epochs[e].validation_loss));
        assert_true(fabs(plain_ndcg(t.model, log, 400) - best) < 1e-9);
        release(&t);
    }
    forage_dataset_free(log);
}

static void a_limit_of_time_ends_it(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(5, 90, 80, 2000);
    for (size_t i = 0; i < 3; i++) {
        task t = {.log = log,
                  .train = i ? 1800 : 0,
                  .params = i ? "epochs=100000 batch-size=100 embedding-size=16"
                              : "epochs=100000 batch-size=100 loss=bpr embedding-size=16",
                  .options = {.seconds_limit = i == 2 ? 1e-9 : 0.1}};
        double before = forage_clock();
        must(fit(&t, &error), &error);
        assert_true(forage_clock() - before < 20); /* a busy machine; all epochs would take an hour */
        assert_true(t.report.out_of_time && !t.report.stopped_early && t.report.epoch_count < 100000);
        if (i) {
            double best = -1;
            for (size_t e = 0; e < t.report.epoch_count; e++)
                best = fmax(best, t.report.epochs[e].validation_metric);
            assert_true(plain_ndcg(t.model, log, 1800) >= best - 1e-9);
        }
        release(&t);
    }
    forage_dataset_free(log);
}

/* ---- odd logs ---- */

static void duplicates_make_one_edge(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *twice = log_create(9, 7, 40, false), *once = log_create(9, 7, 20, false);
    for (size_t row = 0; row < 20; row++) {
        once->user[row] = (uint32_t)(row * 4 % 9);
        once->item[row] = (uint32_t)(row * 3 % 7);
        for (size_t copy = 0; copy < 2; copy++) {
            twice->user[2 * row + copy] = once->user[row];
            twice->item[2 * row + copy] = once->item[row];
        }
    }
    for (size_t i = 0; i < 2; i++) {
        task a = {.log = twice, .params = i ? "epochs=5 weight=count" : "epochs=5"};
        task b = {.log = once, .params = a.params};
        must(fit(&a, &error), &error);
        must(fit(&b, &error), &error);
        size_t counts[2];
        float *weights[2] = {tensor_of(a.model, "graph.weights", &counts[0]),
                             tensor_of(b.model, "graph.weights", &counts[1])};
        assert_true(counts[0] == 20 && counts[1] == 20);
        for (size_t e = 0; e < 20; e++)
            assert_true(weights[1][e] == 1 && weights[0][e] == (i ? 2 : 1));
        if (i == 0)
            same_bytes(a.model, b.model);
        forage_free(weights[0]);
        forage_free(weights[1]);
        release(&a);
        release(&b);
    }
    forage_dataset_free(once);
    forage_dataset_free(twice);
}

/* Users without items, items that occur in the test alone, numbers that only fill a gap: the average of the others. */
static void who_has_no_edges_is_average(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = log_create(12, 10, 60, false);
    for (size_t row = 0; row < 60; row++) {
        log->user[row] = (uint32_t)(row * 7 % 11 / 2 * 2); /* even ones */
        log->item[row] = (uint32_t)(row * 5 % 9);
    }
    log->user[59] = 11; /* beyond the training rows */
    log->item[59] = 9;
    task t = {.log = log, .train = 59, .params = "epochs=5 embedding-size=8"};
    must(fit(&t, &error), &error);
    assert_true(isnan(t.report.epochs[4].validation_metric)); /* nobody to judge by */
    for (int kind = 0; kind < 2; kind++) {
        forage_embedding vectors = vectors_of(t.model, kind ? FORAGE_OF_ITEM : FORAGE_OF_USER);
        double average[8] = {0};
        size_t known = 0;
        for (size_t i = 0; i < vectors.count; i++) {
            bool has_edges = kind ? i < 9 : i % 2 == 0 && i < 11;
            known += has_edges;
            for (size_t j = 0; j < 8 && has_edges; j++)
                average[j] += (double)vectors.values[i * vectors.pitch + j];
        }
        for (size_t i = 0; i < vectors.count; i++) {
            bool has_edges = kind ? i < 9 : i % 2 == 0 && i < 11;
            for (size_t j = 0; j < 8 && !has_edges; j++)
                assert_true(fabs((double)vectors.values[i * vectors.pitch + j] - average[j] / (double)known) < 1e-6);
        }
    }
    release(&t);
    forage_dataset_free(log);
}

static void half_lives_need_times(void **state)
{
    (void)state;
    forage_error error = {0};
    const int64_t day = (int64_t)86400 * 1000000;
    forage_dataset *log = log_create(3, 3, 4, false);
    log->user[1] = log->item[1] = 1;
    log->user[2] = log->item[2] = 2;
    log->user[3] = log->item[3] = 2;
    task t = {.log = log, .params = "epochs=1 half-life=10 batch-size=2"};
    assert_int_equal(fit(&t, &error), FORAGE_INVALID);
    says(&error, "half-life");
    says(&error, "times");
    log->time = array(4, sizeof *log->time);
    for (int calendar = 0; calendar < 2; calendar++) {
        const int64_t ages[] = {20, 5, 100, 0};
        size_t count;
        log->time_is_calendar = calendar != 0;
        for (size_t row = 0; row < 4; row++)
            log->time[row] = 1000 * day - ages[row] * (calendar ? day : 1);
        must(fit(&t, &error), &error);
        float *weights = tensor_of(t.model, "graph.weights", &count);
        assert_int_equal(count, 3);
        assert_true(weights[0] == 0.25F && fabsf(weights[1] - 0.70710678F) < 1e-6F && weights[2] == 1);
        forage_free(weights);
        release(&t);
    }
    forage_dataset_free(log);
}

static void logs_without_edges_are_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = log_create(3, 3, 6, false);
    log->value = array(6, sizeof *log->value);
    for (size_t row = 0; row < 6; row++)
        log->value[row] = row % 2 ? -1 : 0;
    task t = {.log = log, .params = "epochs=1"};
    assert_int_equal(fit(&t, &error), FORAGE_FORMAT);
    says(&error, "no edges");
    log->value[2] = NAN;
    assert_int_equal(fit(&t, &error), FORAGE_FORMAT);
    says(&error, "row 3");
    log->value[2] = 4; /* one edge is enough */
    must(fit(&t, &error), &error);
    release(&t);
    forage_dataset_free(log);
}

static void allocations_may_fail(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(14, 9, 8, 60);
    for (size_t i = 0; i < 3; i++) {
        const char *path = scratch_path("state");
        task start = {.log = log, .train = 50, .params = kinds[i]};
        must(fit(&start, &error), &error);
        for (uint64_t nth = 1;; nth++) {
            task t = {.log = log,
                      .train = 50,
                      .params = kinds[i],
                      .fail_at = nth,
                      .options = {.start = start.model, .state_path = path, .state_every = 1}};
            error = (forage_error){0};
            forage_status status = fit(&t, &error);
            release(&t);
            if (t.asked < nth) {
                must(status, &error);
                assert_true(nth > 40);
                break;
            }
            assert_int_equal(status, FORAGE_NO_MEMORY);
            assert_true(error.status == FORAGE_NO_MEMORY && error.message[0]);
        }
        (void)remove(path);
        release(&start);
    }
    forage_dataset_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumed_to_the_same_bytes),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(the_state_of_another_fit_is_refused),
        cmocka_unit_test(patience_stops_and_keeps_the_best),
        cmocka_unit_test(a_limit_of_time_ends_it),
        cmocka_unit_test(duplicates_make_one_edge),
        cmocka_unit_test(who_has_no_edges_is_average),
        cmocka_unit_test(half_lives_need_times),
        cmocka_unit_test(logs_without_edges_are_refused),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("lightgcn-fit", tests, NULL, NULL);
}
