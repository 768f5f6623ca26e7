/*
 * test_sasrec_fit.c: fits of the next-item transformer as users meet them: what they learn, interrupted, in threads, in
 * little time; odd logs, other programs' files.
 *
 *     test_sasrec_fit                      runs the tests
 *     test_sasrec_fit CHECKPOINT SCORES    fits a model, writes it, and histories with the scores behind them, for
 * PyTorch
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

/* Half of them draw negatives; all kinds of epochs that end in a smaller batch. */
static const char *const kinds[] = {
    "embedding-size=12 heads=2 max-length=6 batch-size=7 epochs=3",
    "loss=sampled negatives=16 sampling=popularity embedding-size=16 max-length=9 batch-size=16 epochs=3 "
    "schedule=cosine warmup=0.2 embedding-updates=lazy",
    "loss=bce embedding-size=8 max-length=50 batch-size=5 epochs=3 norm=post activation=gelu clip=0.1 parts=last",
    "loss=gbce negatives=8 embedding-size=20 heads=4 blocks=1 max-length=7 batch-size=8 epochs=3 weight-decay=0.1 "
    "embedding-decay=0.01 decay=decoupled dropout=0",
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- what it learns ---- */

/* Users go through the items in steps of one, or of two: the last item does not say what comes next, the last two do.
 */
static forage_dataset *walks(size_t users, size_t items, size_t length)
{
    forage_dataset *log = log_create(users, items, users * length, false);
    for (size_t row = 0; row < log->count; row++) {
        size_t user = row % users, at = row / users;
        log->user[row] = (uint32_t)user;
        log->item[row] = (uint32_t)((user / 2 * 7 + at * (1 + user % 2)) % items);
    }
    return log;
}

static void order_tells_what_comes_next(void **state)
{
    (void)state;
    enum { ITEMS = 20 };
    forage_error error = {0};
    forage_dataset *log = walks(200, ITEMS, 8);
    static const char *const losses[] = {"softmax epochs=40", "sampled negatives=10 epochs=40",
                                         "bce negatives=8 epochs=60", "gbce negatives=19 epochs=120"};
    for (size_t l = 0; l < 4; l++) {
        char params[200];
        forage_binding *binding = NULL;
        size_t right = 0, found;
        (void)snprintf(params, sizeof params,
                       "loss=%s embedding-size=24 max-length=10 batch-size=25 dropout=0.1 "
                       "learning-rate=0.005 patience=0",
                       losses[l]);
        task t = {.kind = "sasrec", .log = log, .params = params, .threads = 2};
        must(fit(&t, &error), &error);
        must(forage_model_bind(t.model, log, FORAGE_UNKNOWN_SKIP, NULL, &binding, &error), &error);
        for (uint32_t first = 0; first < ITEMS; first++) {
            for (uint32_t step = 1; step <= 2; step++) {
                uint32_t history[4], seen[4], best, count = 0;
                float score;
                for (uint32_t i = 0; i < 4; i++)
                    history[i] = (first + i * step) % ITEMS;
                for (uint32_t item = 0; item < ITEMS; item++) { /* no negatives of bce's: what it says of them is odd */
                    if (item == history[0] || item == history[1] || item == history[2] || item == history[3])
                        seen[count++] = item;
                }
                must(forage_model_rank_history(binding, history, NULL, 4, 1, seen, 4, &best, &score, &found, &error),
                     &error);
                right += found == 1 && best == (first + 4 * step) % ITEMS;
            }
        }
        if (right < 36)
            fail_msg("%s: %zu of 40 right", losses[l], right);
        forage_binding_free(binding);
        release(&t);
    }
    forage_dataset_free(log);
}

/* ---- interruption, threads ---- */

static void resumed_to_the_same_bytes(void **state)
{
    (void)state;
    forage_dataset *log = random_log(1, 40, 30, 700);
    for (size_t i = 0; i < 2 * KINDS; i++) {
        const task fresh = {.kind = "sasrec", .log = log, .train = i % 2 ? 600 : 700, .params = kinds[i / 2]};
        check_resumed(&fresh, 2);
    }
    forage_dataset_free(log);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    forage_dataset *log = random_log(2, 150, 100, 2500);
    for (size_t i = 0; i < KINDS; i++) {
        char params[400];
        (void)snprintf(params, sizeof params, "%s batch-size=60", kinds[i]); /* several groups */
        const task fresh = {.kind = "sasrec", .log = log, .train = 2200, .params = params};
        check_threads(&fresh);
    }
    forage_dataset_free(log);
}

/* What came in another order is other data. */
static void the_state_of_another_order_is_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    size_t calls = 0;
    const char *path = scratch_path("state");
    forage_progress progress = {stop, &calls};
    forage_dataset *log = random_log(1, 10, 30, 300);
    task part = {.kind = "sasrec",
                 .log = log,
                 .params = kinds[0],
                 .options = {.state_path = path, .resume = true, .progress = &progress}};
    (void)remove(path);
    assert_int_equal(fit(&part, &error), FORAGE_INTERRUPTED);
    size_t other = 1;
    while (log->user[other] != log->user[0] || log->item[other] == log->item[0])
        other++;
    uint32_t swap = log->item[other];
    log->item[other] = log->item[0];
    log->item[0] = swap;
    assert_int_equal(fit(&part, &error), FORAGE_INVALID);
    says(&error, "other data");
    (void)remove(path);
    release(&part);
    forage_dataset_free(log);
}

/* ---- validation, patience, time ---- */

static bool trains(const forage_dataset *log, size_t train, uint32_t item)
{
    size_t row = 0;
    while (row < train && log->item[row] != item)
        row++;
    return row < train;
}

/* NDCG@10 plainly: the item of each later row after all rows of its user before it. */
static double plain_ndcg(const forage_model *model, const forage_dataset *log, size_t train)
{
    enum { K = 10 };
    forage_error error = {0};
    forage_binding *binding = NULL;
    double total = 0;
    size_t judged = 0, items = forage_vocabulary_count(log->items);
    bool *available = array(items, sizeof *available), *seen = array(items, sizeof *seen);
    uint32_t *history = array(log->count, sizeof *history), *excluded = array(items, sizeof *excluded);
    must(forage_model_bind(model, log, FORAGE_UNKNOWN_SKIP, NULL, &binding, &error), &error);
    for (uint32_t i = 0; i < items; i++)
        available[i] = trains(log, train, i);
    must(forage_binding_available(binding, available, &error), &error);
    for (size_t row = train; row < log->count; row++) {
        uint32_t found_items[K];
        float scores[K];
        size_t count = 0, excluded_count = 0, found;
        memset(seen, 0, items * sizeof *seen);
        for (size_t before = 0; before < row; before++) {
            if (log->user[before] == log->user[row]) {
                history[count++] = log->item[before];
                seen[log->item[before]] = true;
            }
        }
        for (uint32_t i = 0; i < items; i++) {
            if (seen[i])
                excluded[excluded_count++] = i;
        }
        if (!count || seen[log->item[row]] || !available[log->item[row]])
            continue;
        judged++;
        must(forage_model_rank_history(binding, history, NULL, count, K, excluded, excluded_count, found_items, scores,
                                       &found, &error),
             &error);
        for (size_t r = 0; r < found; r++)
            total += found_items[r] == log->item[row] ? 1 / log2((double)r + 2) : 0;
    }
    forage_binding_free(binding);
    forage_free(available);
    forage_free(seen);
    forage_free(history);
    forage_free(excluded);
    return total / (double)judged;
}

static void patience_stops_and_keeps_the_best(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(4, 60, 80, 500);
    task t = {.kind = "sasrec",
              .log = log,
              .train = 400,
              .params = "epochs=300 patience=5 batch-size=16 embedding-size=16 learning-rate=0.01"};
    must(fit(&t, &error), &error);
    assert_true(t.report.stopped_early && t.report.epoch_count < 300);
    assert_int_equal(t.report.epoch_count, t.report.best_epoch + 5);
    for (size_t e = 0; e < t.report.epoch_count; e++)
        assert_true(t.report.epochs[e].validation_metric <= t.report.epochs[t.report.best_epoch - 1].validation_metric);
    double best = t.report.epochs[t.report.best_epoch - 1].validation_metric, plain = plain_ndcg(t.model, log, 400);
    assert_true(best > 0 && fabs(best - plain) < 1e-9);
    release(&t);
    forage_dataset_free(log);
}

/* Histories of a step, where the log decides: 64 steps and more in a small log, about 2,048 items a step of long ones.
 */
static void the_log_sets_the_batch_size(void **state)
{
    (void)state;
    static const struct {
        size_t users, length, batch;
    } cases[] = {{640, 12, 10}, {640, 257, 8}, {100, 5, 4}};
    forage_error error = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        forage_dataset *log = walks(cases[i].users, 20, cases[i].length);
        double losses[3];
        for (size_t j = 0; j < 3; j++) {
            char params[120];
            (void)snprintf(params, sizeof params, "epochs=1 embedding-size=8 blocks=1 max-length=256 batch-size=%zu",
                           j == 0 ? 0 : cases[i].batch + j - 1);
            task t = {.kind = "sasrec", .log = log, .params = params};
            must(fit(&t, &error), &error);
            losses[j] = t.report.epochs[0].train_loss;
            release(&t);
        }
        assert_true(losses[0] == losses[1] && losses[0] != losses[2]);
        forage_dataset_free(log);
    }
}

static void a_limit_of_time_ends_it(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(5, 90, 80, 2000);
    for (size_t i = 0; i < 3; i++) {
        task t = {.kind = "sasrec",
                  .log = log,
                  .train = i ? 1800 : 0,
                  .params = "epochs=100000 patience=0 batch-size=10 embedding-size=16 schedule=linear",
                  .options = {.seconds_limit = i == 2 ? 1e-9 : 0.1}};
        double before = forage_clock();
        must(fit(&t, &error), &error);
        assert_true(forage_clock() - before < 20); /* a busy machine; all epochs would take hours */
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

static void logs_without_a_next_item_are_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = log_create(6, 5, 6, false);
    for (size_t row = 0; row < 6; row++) {
        log->user[row] = (uint32_t)row;
        log->item[row] = (uint32_t)(row % 5);
    }
    task t = {.kind = "sasrec", .log = log, .params = "epochs=1 embedding-size=8"};
    assert_int_equal(fit(&t, &error), FORAGE_FORMAT);
    says(&error, "nothing that comes next");
    log->user[3] = 2; /* one pair is enough */
    must(fit(&t, &error), &error);
    release(&t);
    log->value = array(6, sizeof *log->value); /* what was not chosen does not come next */
    for (size_t row = 0; row < 6; row++)
        log->value[row] = row != 3;
    assert_int_equal(fit(&t, &error), FORAGE_FORMAT);
    says(&error, "nothing that comes next");
    t.params = "epochs=1 embedding-size=9 heads=2";
    assert_int_equal(fit(&t, &error), FORAGE_INVALID);
    says(&error, "divide");
    assert_string_equal(error.field, "heads");
    forage_dataset_free(log);
}

/* Rows of a log with times come in any order; users with one row, and items that validate alone, are fine. */
static void times_make_the_order(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *a = walks(30, 20, 6), *b = walks(30, 20, 6);
    b->time = array(b->count, sizeof *b->time);
    for (size_t row = 0; row < b->count; row++) { /* each user's rows, from the last to the first */
        size_t from = (5 - row / 30) * 30 + row % 30;
        b->user[row] = a->user[from];
        b->item[row] = a->item[from];
        b->time[row] = (int64_t)from - 1000;
    }
    task one = {.kind = "sasrec", .log = a, .params = kinds[0]}, two = {.kind = "sasrec", .log = b, .params = kinds[0]};
    must(fit(&one, &error), &error);
    must(fit(&two, &error), &error);
    same_bytes(one.model, two.model);
    release(&one);
    release(&two);
    forage_dataset_free(a);
    forage_dataset_free(b);
}

static void allocations_may_fail(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(14, 9, 8, 60);
    for (size_t i = 0; i < KINDS; i++) {
        const char *path = scratch_path("state");
        for (uint64_t nth = 1;; nth++) {
            task t = {.kind = "sasrec",
                      .log = log,
                      .train = 50,
                      .params = kinds[i],
                      .fail_at = nth,
                      .options = {.state_path = path, .state_every = 1}};
            error = (forage_error){0};
            forage_status status = fit(&t, &error);
            release(&t);
            if (t.asked < nth) {
                must(status, &error);
                assert_true(nth > 60);
                break;
            }
            if (status == FORAGE_OK) /* the estimate of memory went without it */
                continue;
            assert_int_equal(status, FORAGE_NO_MEMORY);
            assert_true(error.status == FORAGE_NO_MEMORY && error.message[0]);
        }
        (void)remove(path);
    }
    forage_dataset_free(log);
}

/* ---- files ---- */

static void put(const char *path, const char *bytes, size_t size)
{
    forage_error error = {0};
    forage_output *output = NULL;
    must(forage_output_open(path, &output, &error), &error);
    must(forage_output_write(output, bytes, size, &error), &error);
    must(forage_output_commit(output, &error), &error);
}

/* Each tensor in turn with a number that nobody learned, and with one that is none. */
static void damaged_files_are_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(3, 20, 12, 200);
    task t = {.kind = "sasrec", .log = log, .params = kinds[0]};
    nn_checkpoint *file = NULL;
    forage_model *loaded = NULL;
    size_t size;
    must(fit(&t, &error), &error);
    const char *path = scratch_path("damaged");
    char *bytes = bytes_of(t.model, &size), *copy = array(size, 1);
    memcpy(copy, bytes, size);
    must(nn_checkpoint_parse(copy, size, "model", &file, &error), &error); /* takes the copy */
    put(path, bytes, size);
    must(forage_model_load(path, NULL, &loaded, &error), &error);
    same_bytes(t.model, loaded);
    forage_model_free(loaded);
    for (size_t i = 0; i < nn_checkpoint_count(file); i++) {
        const nn_tensor *tensor = nn_checkpoint_at(file, i);
        static const float bad[] = {1e25F, NAN};
        for (size_t b = 0; b < 2; b++) {
            char *at = bytes + (tensor->bytes - (const unsigned char *)copy);
            float kept;
            memcpy(&kept, at, sizeof kept);
            memcpy(at, &bad[b], sizeof kept);
            put(path, bytes, size);
            memcpy(at, &kept, sizeof kept);
            if (forage_model_load(path, NULL, &loaded, &error) != FORAGE_FORMAT)
                fail_msg("%s was read with %g in it", tensor->name, (double)bad[b]);
            assert_true(error.message[0]);
        }
    }
    (void)remove(path);
    nn_checkpoint_free(file);
    forage_free(bytes);
    release(&t);
    forage_dataset_free(log);
}

static void items_have_neighbours(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(3, 20, 12, 200);
    task t = {.kind = "sasrec", .log = log, .params = kinds[0]};
    forage_binding *binding = NULL;
    uint32_t items[3];
    float cosines[3];
    size_t found;
    must(fit(&t, &error), &error);
    forage_embedding vectors = vectors_of(t.model, FORAGE_OF_ITEM);
    assert_true(vectors.count == 12 && vectors.width == 12);
    must(forage_model_bind(t.model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    must(forage_model_similar(binding, FORAGE_OF_ITEM, 4, 3, NULL, 0, items, cosines, &found, &error), &error);
    assert_int_equal(found, 3);
    assert_int_equal(forage_model_embedding(t.model, FORAGE_OF_USER, &vectors, &error), FORAGE_UNSUPPORTED);
    forage_binding_free(binding);
    release(&t);
    forage_dataset_free(log);
}

/* A session that grows beyond the window is, at every length, the history that it is made of. */
static void a_session_is_its_history(void **state)
{
    (void)state;
    enum { ITEMS = 30, CLICKS = 20, K = 7 }; /* the window has 6 */
    forage_error error = {0};
    forage_dataset *log = random_log(9, 40, ITEMS, 700), *wider = log_create(1, ITEMS + 3, 0, false);
    forage_binding *binding = NULL;
    forage_session *session = NULL;
    forage_rng rng;
    uint32_t clicks[CLICKS];
    task t = {.kind = "sasrec", .log = log, .params = kinds[0], .threads = 2},
         other = {.log = log, .params = "epochs=1"};
    must(fit(&t, &error), &error);
    must(forage_model_bind(t.model, wider, FORAGE_UNKNOWN_SKIP, NULL, &binding, &error), &error);
    must(forage_session_create(binding, &session, &error), &error);
    forage_rng_seed(&rng, 1);
    for (int visitor = 0; visitor < 2; visitor++) {
        for (size_t count = 0; count <= CLICKS; count++) {
            uint32_t items[2][K];
            float scores[2][K];
            size_t found[2];
            must(forage_model_rank_history(binding, clicks, NULL, count, K, &clicks[0], count > 0, items[0], scores[0],
                                           &found[0], &error),
                 &error);
            must(forage_session_rank(session, K, &clicks[0], count > 0, items[1], scores[1], &found[1], &error),
                 &error);
            assert_true(found[0] == K && found[1] == K && forage_session_length(session) == count);
            assert_memory_equal(items[0], items[1], sizeof items[0]);
            assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
            if (count == CLICKS)
                break;
            clicks[count] = (uint32_t)forage_rng_integers(&rng, ITEMS);
            must(forage_session_append(session, clicks[count], &error), &error);
            must(forage_session_append(session, ITEMS + (uint32_t)(count % 3), &error), &error); /* unknown: nothing */
        }
        forage_session_clear(session);
    }
    assert_int_equal(forage_session_append(session, ITEMS + 3, &error), FORAGE_INVALID);
    says(&error, "no item of index");
    forage_session_free(session);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        forage_alloc_fail_at(nth * 3);
        assert_int_equal(forage_session_create(binding, &session, &error), FORAGE_NO_MEMORY);
        forage_alloc_fail_at(0);
        assert_null(session);
    }
    forage_binding_free(binding);
    must(forage_model_bind(t.model, wider, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    must(forage_session_create(binding, &session, &error), &error);
    assert_int_equal(forage_session_append(session, ITEMS, &error), FORAGE_UNKNOWN);
    assert_int_equal(forage_session_length(session), 0);
    forage_session_free(session);
    forage_binding_free(binding);
    must(fit(&other, &error), &error);
    must(forage_model_bind(other.model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    assert_int_equal(forage_session_create(binding, &session, &error), FORAGE_UNSUPPORTED);
    says(&error, "lightgcn keeps no sessions");
    forage_binding_free(binding);
    release(&t);
    release(&other);
    forage_dataset_free(log);
    forage_dataset_free(wider);
}

/* For PyTorch to read. */
static int write_files(const char *checkpoint, const char *path)
{
    enum { ITEMS = 19, ROWS = 40, LENGTH = 12 };
    forage_error error = {0};
    forage_binding *binding = NULL;
    nn_checkpoint *file = NULL;
    int64_t histories[ROWS * LENGTH];
    float scores[ROWS * ITEMS];
    forage_rng rng;
    forage_dataset *log = random_log(13, 25, ITEMS, 300);
    task t = {.kind = "sasrec",
              .log = log,
              .params = "embedding-size=24 heads=3 inner-size=40 activation=gelu max-length=9 epochs=10 batch-size=8 "
                        "learning-rate=0.01"};
    must(fit(&t, &error), &error);
    must(forage_model_save(t.model, checkpoint, &error), &error);
    must(forage_model_bind(t.model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    forage_rng_seed(&rng, 2);
    for (size_t row = 0; row < ROWS; row++) {
        uint32_t history[LENGTH], items[ITEMS];
        float found_scores[ITEMS];
        size_t count = row % (LENGTH + 1), found;
        for (size_t i = 0; i < LENGTH; i++) {
            history[i] = (uint32_t)forage_rng_integers(&rng, ITEMS);
            histories[row * LENGTH + i] = i < count ? (int64_t)history[i] : -1;
        }
        must(forage_model_rank_history(binding, history, NULL, count, ITEMS, NULL, 0, items, found_scores, &found,
                                       &error),
             &error);
        assert_int_equal(found, ITEMS);
        for (size_t i = 0; i < ITEMS; i++)
            scores[row * ITEMS + items[i]] = found_scores[i];
    }
    must(nn_checkpoint_create(&file, &error), &error);
    must(nn_checkpoint_add(file, "scores", NN_F32, 2, (size_t[]){ROWS, ITEMS}, scores, &error), &error);
    must(nn_checkpoint_add(file, "histories", NN_I64, 2, (size_t[]){ROWS, LENGTH}, histories, &error), &error);
    must(nn_checkpoint_save(file, path, &error), &error);
    nn_checkpoint_free(file);
    forage_binding_free(binding);
    release(&t);
    forage_dataset_free(log);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_tells_what_comes_next),
        cmocka_unit_test(resumed_to_the_same_bytes),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(the_state_of_another_order_is_refused),
        cmocka_unit_test(patience_stops_and_keeps_the_best),
        cmocka_unit_test(the_log_sets_the_batch_size),
        cmocka_unit_test(a_limit_of_time_ends_it),
        cmocka_unit_test(logs_without_a_next_item_are_refused),
        cmocka_unit_test(times_make_the_order),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(items_have_neighbours),
        cmocka_unit_test(a_session_is_its_history),
    };
    if (argc == 3)
        return write_files(argv[1], argv[2]);
    return cmocka_run_group_tests_name("sasrec-fit", tests, NULL, NULL);
}
