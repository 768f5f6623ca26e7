/*
 * The device of a run: which vector instructions this CPU has, and how many threads to use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { MOST_THREADS = 1024 };

static forage_isa best_isa(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return FORAGE_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return FORAGE_ISA_AVX2;
#endif
    return FORAGE_ISA_PORTABLE;
}

/* Cores that this process may run on, which a container may hold below the machine's. */
static int usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int cores = CPU_COUNT(&set);
    return cores < 1 ? 1 : cores > MOST_THREADS ? MOST_THREADS : cores;
}

forage_status forage_device_open(const char *name, int threads, forage_device *device, forage_error *error)
{
    static const struct {
        const char *name;
        forage_isa isa;
    } narrowed[] = {
        {"cpu:portable", FORAGE_ISA_PORTABLE},
        {"cpu:avx2", FORAGE_ISA_AVX2},
        {"cpu:avx512", FORAGE_ISA_AVX512},
    };
    static const char *const text[] = {"portable C", "AVX2", "AVX-512"};
    forage_isa best = best_isa(), isa = best;
    bool known = strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0;
    for (size_t i = 0; i < sizeof narrowed / sizeof *narrowed; i++) {
        if (strcmp(name, narrowed[i].name) == 0) {
            known = true;
            isa = narrowed[i].isa;
        }
    }
    if (!known)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "device",
                              "no device '%s'; possible: auto, cpu, cpu:portable, cpu:avx2, cpu:avx512", name);
    if (isa > best)
        return forage_fail_at(error, FORAGE_UNSUPPORTED, NULL, 0, "device", "this CPU has no %s; it offers %s",
                              text[isa], text[best]);
    if (threads < 0 || threads > MOST_THREADS)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "threads", "%d is outside 0 ... %d (0: one per core)",
                              threads, MOST_THREADS);
    device->isa = isa;
    device->threads = threads ? threads : usable_cores();
    snprintf(device->name, sizeof device->name, "CPU (%s), %d thread%s", text[isa], device->threads,
             device->threads == 1 ? "" : "s");
    return FORAGE_OK;
}
