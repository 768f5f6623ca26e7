/*
 * lightgcn_case.h: a state of LightGCN and a fit over given edges, without a log around them. Include after cmocka.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LIGHTGCN_CASE_H
#define LIGHTGCN_CASE_H

#include <string.h>

#include "../must.h"
#include "model/front.h"
#include "model/lightgcn.h"

/* Events of users and items by code; `values` and `times` may be NULL. */
typedef struct graph_case {
    size_t users, items, count;
    const uint32_t *user, *item;
    const float *values;
    const int64_t *times;

    const uint32_t *codes[2];
    forage_schema schema;
    forage_params *params;
    forage_device device;
    forage_examples train, nothing;
    model_fit_input input;
    model_setup setup;
    model_state *state;
    model_fit *fit;
} graph_case;

/* A state that is not connected; parameters as "name=value name=value". */
static inline void case_create(graph_case *c, const char *params, int threads)
{
    forage_error error = {0};
    char text[512], *rest = text, *entry;
    must(model_schema_numbered(c->users, c->items, &c->schema, &error), &error);
    must(forage_params_create(&model_lightgcn.info.table, &c->params, &error), &error);
    (void)snprintf(text, sizeof text, "%s", params);
    while ((entry = strtok_r(rest, " ", &rest)) != NULL) {
        char *value = strchr(entry, '=');
        assert_non_null(value);
        *value = '\0';
        must(forage_params_set(c->params, entry, value + 1, &error), &error);
    }
    must(forage_device_open("auto", threads, &c->device, &error), &error);
    c->codes[0] = c->user;
    c->codes[1] = c->item;
    c->train = (forage_examples){.count = c->count, .codes = c->codes, .reward = c->values, .time = c->times};
    c->nothing = (forage_examples){.codes = c->codes};
    c->input = (model_fit_input){.train = &c->train, .validation = &c->nothing};
    c->setup = (model_setup){c->params, &c->schema, &c->device, 1};
    must(model_lightgcn.create(&c->setup, &c->state, &error), &error);
}

static inline void case_begin(graph_case *c)
{
    forage_error error = {0};
    must(model_lightgcn.fit_begin(c->state, &c->input, &c->fit, &error), &error);
}

/* Layer 0 of all nodes from, or to, [nodes, width]. */
static inline void case_put(graph_case *c, const float *from)
{
    for (size_t n = 0; n < c->state->nodes; n++)
        memcpy(c->state->base + n * c->state->pitch, from + n * c->state->width, c->state->width * sizeof *from);
}

static inline void case_release(graph_case *c)
{
    if (c->fit)
        model_lightgcn.fit_end(c->fit, false);
    model_lightgcn.free(c->state);
    forage_params_free(c->params);
    model_schema_release(&c->schema);
    c->state = NULL;
    c->fit = NULL;
}

#endif
