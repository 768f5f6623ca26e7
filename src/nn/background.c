/*
 * background.c: a thread for one piece of work.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/background.h"

#include <signal.h>

static void *thread_main(void *argument)
{
    nn_background *background = argument;
    background->work(background->context);
    return NULL;
}

void nn_background_start(nn_background *background, void (*work)(void *context), void *context, bool in_thread)
{
    sigset_t all, before;
    background->work = work;
    background->context = context;
    background->pending = true;
    if (!in_thread) {
        background->has_thread = false;
        return;
    }
    /* Signals are for the program's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    background->has_thread = pthread_create(&background->thread, NULL, thread_main, background) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void nn_background_wait(nn_background *background)
{
    if (!background->pending)
        return;
    if (background->has_thread)
        (void)pthread_join(background->thread, NULL);
    else
        background->work(background->context);
    background->pending = false;
}
