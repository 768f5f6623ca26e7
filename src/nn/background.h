/*
 * background.h: one piece of work at a time in a thread of its own.
 *
 * Whoever starts it goes on, and waits for it when the result is needed. Where no thread can be had the work is
 * done by whoever waits: nothing but time depends on it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_BACKGROUND_H
#define NN_BACKGROUND_H

#include "forage/base.h"

#include <pthread.h>

typedef struct nn_background {
    void (*work)(void *context);
    void *context;
    bool pending; /* started, and nobody has waited for it */
    bool has_thread;
    pthread_t thread;
} nn_background;

/* Starts work(context), which must not touch what the caller uses before it has waited. Nothing may be pending. With
 * `in_thread` false it is kept for whoever waits. */
void nn_background_start(nn_background *background, void (*work)(void *context), void *context, bool in_thread);
/* Returns when the work is done; what it wrote can be read. Nothing happens when nothing is pending. */
void nn_background_wait(nn_background *background);

#endif
