/*
 * style.h: the look of a page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_STYLE_H
#define REPORT_STYLE_H

#include "report/text.h"

/* The style sheet, for screens of any width, light and dark, and for paper. */
void style_write(report_text *css);

#endif
