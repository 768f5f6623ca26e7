/*
 * check_markup.h: is a text well-formed markup? Every element that is opened is
 * closed in order, attributes are quoted, and no bare '<' or '&' stands in text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CHECK_MARKUP_H
#define CHECK_MARKUP_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MARKUP_DEPTH = 64, MARKUP_NAME = 24 };

static bool markup_void(const char *name)
{
    static const char *const names[] = {"meta", "br", "hr", "img", "link", "input", "col", "wbr"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static const char *markup_name(const char *at, char name[MARKUP_NAME])
{
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    size_t size = length < MARKUP_NAME - 1 ? length : MARKUP_NAME - 1;
    memcpy(name, at, size);
    name[size] = '\0';
    return at + length;
}

/* Past the '>' of a tag, or NULL; *closed when it ends in "/>". */
static const char *markup_attributes(const char *at, bool *closed)
{
    for (;;) {
        at += strspn(at, " \t\r\n");
        if (*at == '>' || (*at == '/' && at[1] == '>')) {
            *closed = *at == '/';
            return at + 1 + *closed;
        }
        size_t name = strcspn(at, " \t\r\n=<>\"'/");
        if (name == 0)
            return NULL;
        at += name;
        at += strspn(at, " ");
        if (*at != '=')
            continue;
        at += 1 + strspn(at + 1, " ");
        if (*at != '"' && *at != '\'')
            return NULL;
        const char *end = strchr(at + 1, *at);
        if (!end || memchr(at, '<', (size_t)(end - at)))
            return NULL;
        at = end + 1;
    }
}

static bool markup_entity(const char *at)
{
    size_t length = strcspn(at, ";");
    return at[length] == ';' && length > 1 && length < 12 && strcspn(at, " <&") >= length;
}

/* "" when `text` is well-formed, else where it is not. */
static const char *markup_fault(const char *text)
{
    static char fault[120];
    char stack[MARKUP_DEPTH][MARKUP_NAME], name[MARKUP_NAME];
    size_t depth = 0;
    const char *at = text, *reason = NULL;
    while (*at && !reason) {
        if (*at == '&' && !markup_entity(at + 1)) {
            reason = "a bare &";
        } else if (*at != '<') {
            ++at;
        } else if (strncmp(at, "<!--", 4) == 0) {
            const char *end = strstr(at, "-->");
            if (!end)
                reason = "an open comment";
            else
                at = end + 3;
        } else if (at[1] == '!' || at[1] == '?') {
            at += strcspn(at, ">") + 1;
        } else if (at[1] == '/') {
            at = markup_name(at + 2, name);
            if (*at != '>' || depth == 0 || strcmp(stack[depth - 1], name) != 0)
                reason = "an end tag that closes something else";
            else
                --depth, ++at;
        } else {
            bool closed = false;
            const char *after = markup_name(at + 1, name);
            after = after > at + 1 ? markup_attributes(after, &closed) : NULL;
            if (!after || depth == MARKUP_DEPTH) {
                reason = "a malformed tag";
            } else {
                at = after;
                if (!closed && !markup_void(name))
                    memcpy(stack[depth++], name, sizeof name);
                if (!closed && strcmp(name, "style") == 0)
                    at = strstr(at, "</style>") ? strstr(at, "</style>") : at;
            }
        }
    }
    if (!reason && depth > 0)
        reason = "an element that is never closed";
    if (!reason)
        return "";
    snprintf(fault, sizeof fault, "%s near '%.50s'", reason, at);
    return fault;
}

#endif
