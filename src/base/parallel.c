/*
 * Parallel loops over a pool of threads.
 *
 * Training on small batches enters a loop every hundred microseconds. There a
 * team that meets at barriers stands still whenever the machine takes one of its
 * cores away. Here nobody waits for a thread that has not begun: the caller
 * claims chunks like everyone else and does them all if no one else comes.
 * It waits only for chunks that another thread has already claimed.
 *
 * One loop runs at a time. `ticket` holds the number of the loop (its upper 24 bits)
 * and the next chunk that nobody has claimed (the lower 40); claiming is a
 * compare-and-swap, so whoever comes late for one loop cannot take a chunk of the
 * next. What the loop is about lies in atomics beside it, which change only while
 * the ticket is closed: who read them earlier fails to claim.
 * Idle threads look at the ticket for about a tenth of a millisecond and then sleep: waking one up costs about as
 * much as a whole step of training, and on a busy machine the wait is short beside a time slice.
 *
 * A loop inside a loop, or beside another thread's, runs on its caller alone:
 * results do not depend on who does a chunk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { MOST_WORKERS = 255, SPINS = 4000, CHUNK_BITS = 40 };

#define CHUNK_MASK (((uint64_t)1 << CHUNK_BITS) - 1)

static struct {
    pthread_mutex_t owner; /* held by the caller of the loop that is running */

    _Atomic uint64_t ticket;
    _Atomic size_t chunks;
    _Atomic(forage_work *) work;
    _Atomic(void *) context;
    _Atomic int threads; /* that may take part, the caller included */
    _Atomic size_t done; /* chunks completed */

    pthread_mutex_t sleep; /* guards the two conditions */
    pthread_cond_t begun, completed;
    _Atomic int sleepers;
    _Atomic bool caller_sleeps;

    int workers; /* threads that exist; changed by the owner only */
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .sleep = PTHREAD_MUTEX_INITIALIZER,
          .begun = PTHREAD_COND_INITIALIZER,
          .completed = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside; /* this thread is doing a chunk */

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Does chunks of the current loop until none is left to claim. */
static void take_part(int worker)
{
    uint64_t ticket = atomic_load(&pool.ticket);
    for (;;) {
        size_t chunks = atomic_load(&pool.chunks);
        forage_work *work = atomic_load(&pool.work);
        void *context = atomic_load(&pool.context);
        if ((ticket & CHUNK_MASK) >= chunks || worker >= atomic_load(&pool.threads))
            return;
        if (!atomic_compare_exchange_weak(&pool.ticket, &ticket, ticket + 1))
            continue;
        inside = true;
        work(context, (size_t)(ticket & CHUNK_MASK), worker);
        inside = false;
        if (atomic_fetch_add(&pool.done, 1) + 1 == chunks && atomic_load(&pool.caller_sleeps)) {
            pthread_mutex_lock(&pool.sleep);
            pthread_cond_signal(&pool.completed);
            pthread_mutex_unlock(&pool.sleep);
        }
        ticket++;
    }
}

static uint64_t loop_number(void)
{
    return atomic_load(&pool.ticket) >> CHUNK_BITS;
}

static void *worker_main(void *argument)
{
    int worker = (int)(intptr_t)argument;
    uint64_t seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && loop_number() == seen; i++)
            pause_briefly();
        if (loop_number() == seen) {
            pthread_mutex_lock(&pool.sleep);
            atomic_fetch_add(&pool.sleepers, 1);
            while (loop_number() == seen)
                pthread_cond_wait(&pool.begun, &pool.sleep);
            atomic_fetch_sub(&pool.sleepers, 1);
            pthread_mutex_unlock(&pool.sleep);
        }
        seen = loop_number();
        take_part(worker);
    }
    return NULL;
}

/* A child of fork has the pool's memory but none of its threads. */
static void forget_workers(void)
{
    static const pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static const pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pool.owner = mutex;
    pool.sleep = mutex;
    pool.begun = condition;
    pool.completed = condition;
    pool.workers = 0;
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.caller_sleeps, false);
    inside = false;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_workers);
}

/* Sees to it that `count` workers exist, as far as the system allows. */
static void hire(int count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_attr_t detached;
    sigset_t all, before;
    if (pool.workers >= count)
        return;
    pthread_once(&once, watch_forks);
    if (pthread_attr_init(&detached) != 0)
        return;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    /* Signals are for the program's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.workers < count) {
        pthread_t thread;
        if (pthread_create(&thread, &detached, worker_main, (void *)(intptr_t)(pool.workers + 1)) != 0)
            break;
        pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
}

static void publish(int threads, size_t chunks, forage_work *work, void *context)
{
    uint64_t next = loop_number() + 1;
    /* Closed to claims while it changes: a thread that saw the last loop's ticket must not
     * get past that loop's end with this loop's number of chunks. */
    atomic_store(&pool.ticket, next << CHUNK_BITS | CHUNK_MASK);
    atomic_store(&pool.done, 0);
    atomic_store(&pool.threads, threads);
    atomic_store(&pool.chunks, chunks);
    atomic_store(&pool.work, work);
    atomic_store(&pool.context, context);
    atomic_store(&pool.ticket, (next + 1) << CHUNK_BITS);
    if (atomic_load(&pool.sleepers) > 0) {
        pthread_mutex_lock(&pool.sleep);
        pthread_cond_broadcast(&pool.begun);
        pthread_mutex_unlock(&pool.sleep);
    }
}

static void wait_for_others(size_t chunks)
{
    for (int i = 0; i < SPINS && atomic_load(&pool.done) < chunks; i++)
        pause_briefly();
    if (atomic_load(&pool.done) == chunks)
        return;
    pthread_mutex_lock(&pool.sleep);
    atomic_store(&pool.caller_sleeps, true);
    while (atomic_load(&pool.done) < chunks)
        pthread_cond_wait(&pool.completed, &pool.sleep);
    atomic_store(&pool.caller_sleeps, false);
    pthread_mutex_unlock(&pool.sleep);
}

void forage_parallel_for(int threads, size_t chunks, forage_work *work, void *context)
{
    if ((size_t)(threads > 0 ? threads : 0) > chunks)
        threads = (int)chunks;
    if (threads > MOST_WORKERS + 1)
        threads = MOST_WORKERS + 1;
    if (threads < 2 || chunks > CHUNK_MASK || inside || pthread_mutex_trylock(&pool.owner) != 0) {
        for (size_t chunk = 0; chunk < chunks; chunk++)
            work(context, chunk, 0);
        return;
    }
    hire(threads - 1);
    publish(threads, chunks, work, context);
    take_part(0);
    wait_for_others(chunks);
    pthread_mutex_unlock(&pool.owner);
}
