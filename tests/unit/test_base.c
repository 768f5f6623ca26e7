/*
 * base: errors, memory, numbers in text, files, devices, parallel loops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <fcntl.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/forage-base-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void error_names_its_place(void **state)
{
    (void)state;
    forage_error error = {0};
    char text[512];
    assert_int_equal(forage_fail_at(&error, FORAGE_FORMAT, "log.csv", 12, "clicked", "'%s' is not a number", "abc"),
                     FORAGE_FORMAT);
    forage_error_text(&error, text, sizeof text);
    assert_string_equal(text, "log.csv:12: field 'clicked': 'abc' is not a number");
    assert_int_equal(forage_fail(NULL, FORAGE_IO, "nobody listens"), FORAGE_IO);
    assert_string_equal(forage_status_name(FORAGE_IO), "FORAGE_IO");
    assert_string_equal(forage_status_text((forage_status)99), "unknown status");
    /* One line, whatever was in the file. */
    forage_fail_at(&error, FORAGE_FORMAT, "log.csv", 12, "a\nb", "'%s' is odd", "x\n\033[2J");
    forage_error_text(&error, text, sizeof text);
    assert_string_equal(text, "log.csv:12: field 'a?b': 'x??[2J' is odd");
    char small[8];
    assert_true(forage_error_text(&error, small, sizeof small) > sizeof small);
    assert_string_equal(small, "log.csv");
}

static void long_path_keeps_its_end(void **state)
{
    (void)state;
    forage_error error = {0};
    char path[600];
    memset(path, 'a', sizeof path);
    memcpy(path + sizeof path - 9, "/log.csv", 9);
    forage_fail_at(&error, FORAGE_IO, path, 0, NULL, "x");
    assert_int_equal(strlen(error.file), sizeof error.file - 1);
    assert_string_equal(error.file + strlen(error.file) - 8, "/log.csv");
}

static void sizes_are_checked(void **state)
{
    (void)state;
    assert_null(forage_alloc(SIZE_MAX / 2, 3));
    assert_null(forage_alloc(SIZE_MAX, 1));
    void *nothing = forage_alloc(0, 8);
    assert_non_null(nothing);
    forage_free(nothing);
    char *block = forage_calloc(3, 7);
    assert_int_equal((uintptr_t)block % 64, 0);
    for (int i = 0; i < 21; i++)
        assert_int_equal(block[i], 0);
    memcpy(block, "twenty bytes of text", 21);
    block = forage_realloc(block, 21, 300, 1);
    assert_string_equal(block, "twenty bytes of text");
    forage_free(block);
}

static void allocation_fails_on_demand(void **state)
{
    (void)state;
    forage_alloc_fail_at(2);
    void *first = forage_alloc(1, 1);
    assert_non_null(first);
    assert_null(forage_alloc(1, 1));
    assert_null(forage_strdup("no"));
    assert_int_equal(forage_alloc_fail_at(0), 3);
    forage_free(first);
}

static void reals_read_like_strtod(void **state)
{
    (void)state;
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "0.1",
                                       "123456789012345678",
                                       "3.14159265358979",
                                       "1e22",
                                       "1e-300",
                                       "4.9e-324",
                                       "1.7976931348623157e308",
                                       "nan",
                                       "inf",
                                       "-inf",
                                       "9007199254740993",
                                       "0.30000000000000004",
                                       "2.5E3",
                                       "+7",
                                       ".5",
                                       "5."};
    static const char *const bad[] = {"",       " 1",    "1 ", "0x10", "1,5", "--1", "1e", "abc",
                                      "nan(1)", "1.2.3", "e5", "-",    ".",   "1_0", "1\t"};
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(forage_parse_real(good[i], strlen(good[i]), &value));
        double expected = strtod(good[i], NULL);
        assert_true(memcmp(&value, &expected, sizeof value) == 0 || (isnan(value) && isnan(expected)));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(forage_parse_real(bad[i], strlen(bad[i]), &value));
}

static void reals_survive_a_round_trip(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        double value, back;
        char text[32];
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        size_t length = forage_format_real(value, text);
        assert_int_equal(length, strlen(text));
        assert_true(forage_parse_real(text, length, &back));
        assert_memory_equal(&back, &value, sizeof value);
    }
    char text[32];
    forage_format_real(0.1, text);
    assert_string_equal(text, "0.1");
    forage_format_real(-INFINITY, text);
    assert_string_equal(text, "-inf");
}

static void whole_numbers_have_limits(void **state)
{
    (void)state;
    uint64_t u;
    int64_t i;
    assert_true(forage_parse_u64("18446744073709551615", 20, &u));
    assert_int_equal(u, UINT64_MAX);
    assert_false(forage_parse_u64("18446744073709551616", 20, &u));
    assert_false(forage_parse_u64("-1", 2, &u));
    assert_false(forage_parse_u64("", 0, &u));
    assert_true(forage_parse_i64("-9223372036854775808", 20, &i));
    assert_int_equal(i, INT64_MIN);
    assert_false(forage_parse_i64("9223372036854775808", 19, &i));
    assert_false(forage_parse_i64("-", 1, &i));
}

static void output_appears_whole(void **state)
{
    (void)state;
    char path[256], *bytes;
    size_t size;
    forage_output *output;
    snprintf(path, sizeof path, "%s", path_of("whole.txt"));
    assert_int_equal(forage_output_open(path, &output, NULL), FORAGE_OK);
    char *large = forage_calloc(1, 700000);
    assert_int_equal(forage_output_print(output, NULL, "%d rows, %*d\n", 7, 2000, 1), FORAGE_OK);
    assert_int_equal(forage_output_write(output, large, 700000, NULL), FORAGE_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(forage_output_commit(output, NULL), FORAGE_OK);
    assert_int_equal(forage_read_file(path, 1 << 20, &bytes, &size, NULL), FORAGE_OK);
    assert_int_equal(size, 7 + 1 + 2000 + 1 + 700000 - 0);
    assert_memory_equal(bytes, "7 rows,", 7);
    forage_free(bytes);
    forage_free(large);

    /* A second writer that gives up leaves the first file as it was. */
    assert_int_equal(forage_output_open(path, &output, NULL), FORAGE_OK);
    assert_int_equal(forage_output_write(output, "x", 1, NULL), FORAGE_OK);
    forage_output_discard(output);
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_size, size);
    forage_error error = {0};
    assert_int_equal(forage_read_file(path, 100, &bytes, &size, &error), FORAGE_FORMAT);
    assert_null(bytes);

    /* The mode is that of any new file, or of the file that is replaced; umask is not touched. */
    mode_t mask = umask(027);
    assert_int_equal(chmod(path, 0604), 0);
    char fresh[300];
    snprintf(fresh, sizeof fresh, "%s.fresh", path);
    const char *const targets[] = {path, fresh};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(forage_output_open(targets[i], &output, NULL), FORAGE_OK);
        assert_int_equal(forage_output_commit(output, NULL), FORAGE_OK);
        assert_int_equal(stat(targets[i], &facts), 0);
        assert_int_equal(facts.st_mode & 07777, i ? 0640 : 0604);
    }
    umask(mask);
    unlink(fresh);

    /* A symbolic link stays one: its file is replaced. One to nothing is refused. */
    char link[300];
    snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(forage_output_open(link, &output, NULL), FORAGE_OK);
    assert_int_equal(forage_output_write(output, "new", 3, NULL), FORAGE_OK);
    assert_int_equal(forage_output_commit(output, NULL), FORAGE_OK);
    assert_int_equal(lstat(link, &facts), 0);
    assert_true(S_ISLNK(facts.st_mode));
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_size, 3);
    unlink(path);
    assert_int_equal(forage_output_open(link, &output, NULL), FORAGE_IO);
    unlink(link);
}

static void output_reports_a_full_disk(void **state)
{
    (void)state;
    forage_output *output;
    forage_error error = {0};
    if (access("/dev/full", W_OK) != 0)
        return; /* skipped: cmocka's skip() would count as a failure */
    assert_int_equal(forage_output_open("/dev/full", &output, NULL), FORAGE_OK);
    assert_int_equal(forage_output_write(output, "x", 1, NULL), FORAGE_OK);
    assert_int_equal(forage_output_commit(output, &error), FORAGE_IO);
    assert_string_equal(error.message, "cannot write: No space left on device");
    assert_int_equal(forage_output_open("/nowhere/at/all", &output, &error), FORAGE_IO);
    assert_int_equal(forage_output_open(folder, &output, &error), FORAGE_IO);
    assert_int_equal(forage_output_open("", &output, &error), FORAGE_INVALID);
}

static void count_chunk(void *context, size_t chunk, int worker)
{
    assert_in_range(worker, 0, 3);
    ((int *)context)[chunk]++;
}

static void every_chunk_runs_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        int done[1000] = {0};
        forage_parallel_for(threads, 1000, count_chunk, done);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(done[i], 1);
        forage_parallel_for(threads, 0, count_chunk, NULL);
    }
}

/* A loop inside a loop, and loops of several threads at once, run all their chunks, too. */
static void inner_loop(void *context, size_t chunk, int worker)
{
    int done[50] = {0}, sum = 0;
    (void)worker;
    forage_parallel_for(4, 50, count_chunk, done);
    for (int i = 0; i < 50; i++)
        sum += done[i];
    ((int *)context)[chunk] = sum;
}

static void *outer_thread(void *context)
{
    for (int i = 0; i < 200; i++)
        forage_parallel_for(3, 20, inner_loop, context);
    return NULL;
}

static void loops_nest_and_meet(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int sums[THREADS][20];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, outer_thread, sums[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        for (int j = 0; j < 20; j++)
            assert_int_equal(sums[i][j], 50);
    }
}

/* Many short loops: a thread that comes late for one must not take a chunk of the next. */
static void short_loops_do_not_mix(void **state)
{
    (void)state;
    for (size_t round = 0; round < 20000; round++) {
        int done[7] = {0};
        size_t chunks = 1 + round % 7;
        forage_parallel_for(1 + (int)(round % 3), chunks, count_chunk, done);
        for (size_t i = 0; i < 7; i++)
            assert_int_equal(done[i], i < chunks);
    }
}

/* After fork the child starts its own threads. */
static void a_child_has_loops_too(void **state)
{
    (void)state;
    int done[64] = {0}, code;
    forage_parallel_for(2, 64, count_chunk, done);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        forage_parallel_for(2, 64, count_chunk, done);
        for (int i = 0; i < 64; i++) {
            if (done[i] != 2)
                _exit(1);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
}

static void devices_are_named(void **state)
{
    (void)state;
    forage_device device;
    forage_error error = {0};
    assert_int_equal(forage_device_open("auto", 0, &device, NULL), FORAGE_OK);
    assert_true(device.threads >= 1);
    assert_int_equal(forage_device_open("cpu:portable", 3, &device, NULL), FORAGE_OK);
    assert_string_equal(device.name, "CPU (portable C), 3 threads");
    assert_int_equal(forage_device_open("tpu", 1, &device, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "possible: auto"));
    assert_int_equal(forage_device_open("cpu", -1, &device, &error), FORAGE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_names_its_place),      cmocka_unit_test(long_path_keeps_its_end),
        cmocka_unit_test(sizes_are_checked),          cmocka_unit_test(allocation_fails_on_demand),
        cmocka_unit_test(reals_read_like_strtod),     cmocka_unit_test(reals_survive_a_round_trip),
        cmocka_unit_test(whole_numbers_have_limits),  cmocka_unit_test(output_appears_whole),
        cmocka_unit_test(output_reports_a_full_disk), cmocka_unit_test(every_chunk_runs_once),
        cmocka_unit_test(devices_are_named),          cmocka_unit_test(loops_nest_and_meet),
        cmocka_unit_test(short_loops_do_not_mix),     cmocka_unit_test(a_child_has_loops_too),
    };
    return cmocka_run_group_tests_name("base", tests, make_folder, remove_folder);
}
