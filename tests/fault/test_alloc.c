/*
 * Every allocation of the library fails, one after the other: each piece of
 * work must then end with "not enough memory" and a message, and leave nothing
 * behind (the address sanitizer's run of this test finds leaks).
 */
#include "forage/forage.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/forage-alloc-XXXXXX";

typedef forage_status job(void *context, forage_error *error);

/* Runs the job with the first allocation failing, the second ... until it
 * needs no more of them; beyond the first hundred, in growing steps. */
static void sweep(job *work, void *context)
{
    for (uint64_t nth = 1;; nth += 1 + (nth > 100 ? nth / 20 : 0)) {
        forage_error error = {0};
        forage_alloc_fail_at(nth);
        forage_status status = work(context, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        if (asked < nth) {
            if (status != FORAGE_OK)
                print_error("without a failure: %s\n", error.message);
            assert_int_equal(status, FORAGE_OK);
            assert_true(nth > 1);
            return;
        }
        /* What can be done without the block may be done. */
        if (status == FORAGE_OK)
            continue;
        if (status != FORAGE_NO_MEMORY || !error.message[0])
            print_error("allocation %llu: %s: '%s'\n", (unsigned long long)nth, forage_status_name(status),
                        error.message);
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_int_equal(error.status, FORAGE_NO_MEMORY);
        assert_true(error.message[0] != '\0');
        assert_true(nth < 10000000);
    }
}

/* ---- base ---- */

static forage_status vocabulary_of(bool numbers, forage_error *error)
{
    forage_vocabulary *vocabulary = NULL;
    uint32_t *map = NULL;
    forage_status status = forage_vocabulary_create(&vocabulary, error);
    for (int i = 0; i < 3000 && status == FORAGE_OK; i++) {
        char id[32];
        uint32_t index;
        int length = snprintf(id, sizeof id, numbers ? "%d" : "item %d", (i * 7) % 2000);
        status = forage_vocabulary_add(vocabulary, id, (size_t)length, &index, error);
    }
    if (status == FORAGE_OK)
        status = forage_vocabulary_number(vocabulary, &map, error);
    forage_free(map);
    forage_vocabulary_free(vocabulary);
    return status;
}

static forage_status vocabulary_job(void *context, forage_error *error)
{
    return vocabulary_of(*(bool *)context, error);
}

static void test_vocabulary(void **state)
{
    (void)state;
    for (int numbers = 0; numbers < 2; numbers++) {
        bool flag = numbers != 0;
        sweep(vocabulary_job, &flag);
    }
}

static forage_status file_job(void *context, forage_error *error)
{
    (void)context;
    char path[256], *bytes = NULL;
    size_t size = 0;
    forage_output *output = NULL;
    snprintf(path, sizeof path, "%s/file", folder);
    unlink(path);
    FORAGE_TRY(forage_output_open(path, &output, error));
    forage_status status = forage_output_print(output, error, "%2000d\n", 1);
    forage_status end = forage_output_commit(output, status == FORAGE_OK ? error : NULL);
    if (status == FORAGE_OK)
        status = end;
    if (status == FORAGE_OK)
        status = forage_read_file(path, 1 << 20, &bytes, &size, error);
    else
        assert_int_not_equal(access(path, F_OK), 0);
    forage_free(bytes);
    return status;
}

static void test_files(void **state)
{
    (void)state;
    sweep(file_job, NULL);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts, (void)kind, (void)place;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests_name("alloc", tests, make_folder, remove_folder);
}
