/*
 * must.h: what has to succeed in a test, and what a failure has to say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MUST_H
#define MUST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "forage/base.h"

/* Ends the test with the error's text, unless the status is FORAGE_OK. */
static inline void must(forage_status status, const forage_error *error)
{
    char text[1024];
    if (status == FORAGE_OK)
        return;
    (void)forage_error_text(error, text, sizeof text);
    fail_msg("%s: %s", forage_status_name(status), text);
}

/* Ends the test unless the error's message has this in it. */
static inline void says(const forage_error *error, const char *part)
{
    if (!strstr(error->message, part))
        fail_msg("'%s' is not in: %s", part, error->message);
}

#endif
