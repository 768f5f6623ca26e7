/*
 * gnuplot.h: one gnuplot process that draws many pictures.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_GNUPLOT_H
#define REPORT_GNUPLOT_H

#include "report/text.h"

/* Feeds `script` to the program (NULL: "gnuplot" as found on the path) and gathers what it writes to its standard
 * output. Nothing passes through a shell or a temporary file.
 * FORAGE_UNSUPPORTED when there is no such program, with a message that says what to install; FORAGE_IO with
 * gnuplot's own words when it fails. Safe to call from several threads; raises no SIGPIPE. */
forage_status report_gnuplot(const char *program, const report_text *script, report_text *output, forage_error *error);

#endif
