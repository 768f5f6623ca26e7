/* Parallel loops: chunks handed out in any order; determinism is the caller's, by writing per chunk. */
#include "forage/base.h"

#ifdef _OPENMP
#include <omp.h>
#endif

void forage_parallel_for(int threads, size_t chunks, forage_work *work, void *context)
{
#ifdef _OPENMP
    if (threads > 1 && chunks > 1) {
        /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): the pragma reads it */
        int workers = (size_t)threads > chunks ? (int)chunks : threads;
#pragma omp parallel for schedule(dynamic, 1) num_threads(workers)
        for (size_t chunk = 0; chunk < chunks; chunk++)
            work(context, chunk, omp_get_thread_num());
        return;
    }
#endif
    for (size_t chunk = 0; chunk < chunks; chunk++)
        work(context, chunk, 0);
}
