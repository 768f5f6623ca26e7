/*
 * folder.h: the files of a report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_FOLDER_H
#define REPORT_FOLDER_H

#include "forage/report.h"
#include "report/text.h"

/* Makes a folder and those above it. */
forage_status folder_make(const char *path, forage_error *error);
/* The folder `name` in `path`. */
forage_status folder_make_in(const char *path, const char *name, forage_error *error);
/* Writes NAME into FOLDER, or FOLDER/SUB when `sub` is not NULL. Counts the file. */
forage_status folder_write(const char *folder, const char *sub, const char *name, const report_text *text,
                           size_t *files, forage_error *error);
/* The pictures (NULL: none) and numbers of all charts into FOLDER/SUB. */
forage_status folder_write_charts(const char *folder, const char *sub, const forage_chart *charts, size_t count,
                                  const forage_chart_pictures *pictures, size_t *files, forage_error *error);
/* Draws the charts; a gnuplot that is missing or fails is told in *result and leaves *drawn false. */
forage_status folder_draw(const forage_chart *charts, size_t count, const char *gnuplot,
                          forage_chart_pictures *pictures, forage_report_result *result, forage_error *error);

#endif
