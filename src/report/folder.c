/*
 * The files of a report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CHARTS_MOST = 32 };

static forage_status make_one(const char *path, forage_error *error)
{
    struct stat facts;
    if (mkdir(path, 0777) == 0)
        return FORAGE_OK;
    int code = errno;
    if (code == EEXIST && stat(path, &facts) == 0 && S_ISDIR(facts.st_mode))
        return FORAGE_OK;
    return forage_fail_at(error, FORAGE_IO, path, 0, NULL, "cannot make this folder: %s",
                          strerror(code == EEXIST ? ENOTDIR : code));
}

forage_status folder_make(const char *path, forage_error *error)
{
    if (!path || path[0] == '\0')
        return forage_fail(error, FORAGE_INVALID, "the name of a folder for the report is empty");
    char *copy = forage_strdup(path);
    if (!copy)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the name of a folder");
    forage_status status = FORAGE_OK;
    for (char *at = copy + 1; status == FORAGE_OK && *at; ++at) {
        if (*at != '/')
            continue;
        *at = '\0';
        status = make_one(copy, error);
        *at = '/';
    }
    if (status == FORAGE_OK)
        status = make_one(copy, error);
    forage_free(copy);
    return status;
}

forage_status folder_make_in(const char *path, const char *name, forage_error *error)
{
    report_text text = {0};
    report_format(&text, "%s/%s", path, name);
    forage_status status = text.failed ? forage_fail(error, FORAGE_NO_MEMORY, "no memory for the name of a folder")
                                       : folder_make(text.bytes, error);
    report_text_release(&text);
    return status;
}

forage_status folder_write(const char *folder, const char *sub, const char *name, const report_text *text,
                           size_t *files, forage_error *error)
{
    report_text path = {0};
    report_add(&path, folder);
    if (sub)
        report_format(&path, "/%s", sub);
    report_format(&path, "/%s", name);
    forage_status status = path.failed ? forage_fail(error, FORAGE_NO_MEMORY, "no memory for the name of a file")
                                       : report_save(text, path.bytes, error);
    report_text_release(&path);
    *files += status == FORAGE_OK;
    return status;
}

static forage_status write_picture(const char *folder, const char *sub, const char *stem, const char *ending,
                                   const forage_picture *picture, size_t *files, forage_error *error)
{
    char name[128];
    snprintf(name, sizeof name, "%.100s.%s", stem, ending);
    report_text text = {.bytes = picture->bytes, .used = picture->size};
    return folder_write(folder, sub, name, &text, files, error);
}

forage_status folder_write_charts(const char *folder, const char *sub, const forage_chart *charts, size_t count,
                                  const forage_chart_pictures *pictures, size_t *files, forage_error *error)
{
    for (size_t c = 0; c < count; ++c) {
        char *csv;
        FORAGE_TRY(forage_chart_csv(&charts[c], &csv, error));
        forage_picture table = {.bytes = csv, .size = strlen(csv)};
        forage_status status = write_picture(folder, sub, charts[c].name, "csv", &table, files, error);
        forage_free(csv);
        FORAGE_TRY(status);
        if (!pictures)
            continue;
        FORAGE_TRY(write_picture(folder, sub, charts[c].name, "svg", &pictures[c].svg, files, error));
        FORAGE_TRY(write_picture(folder, sub, charts[c].name, "png", &pictures[c].png, files, error));
    }
    return FORAGE_OK;
}

forage_status folder_draw(const forage_chart *charts, size_t count, const char *gnuplot,
                          forage_chart_pictures *pictures, forage_report_result *result, forage_error *error)
{
    const forage_chart *list[CHARTS_MOST];
    if (count > CHARTS_MOST)
        return forage_fail(error, FORAGE_INVALID, "a report has at most %d charts", CHARTS_MOST);
    for (size_t c = 0; c < count; ++c)
        list[c] = &charts[c];
    forage_error problem = {0};
    forage_status status = forage_charts_draw(list, count, gnuplot, pictures, &problem);
    result->charts = status == FORAGE_OK;
    if (status != FORAGE_OK && status != FORAGE_UNSUPPORTED && status != FORAGE_IO) {
        if (error)
            *error = problem;
        return status;
    }
    snprintf(result->problem, sizeof result->problem, "%s", problem.message);
    return FORAGE_OK;
}
