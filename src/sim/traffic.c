/*
 * traffic.c: a shop that changes, as a log: a play in which random slates are shown.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/shop.h"

#include <math.h>

enum { REPORT_EVERY = 1 << 16, MAX_FIELD = 2 * 256 };

/* Different products out of those for sale, all orders equally likely. */
static void random_slate(forage_rng *rng, const forage_request *request, uint32_t *items)
{
    for (size_t k = 0; k < request->positions; k++) {
        bool taken;
        do {
            taken = false;
            items[k] = (uint32_t)forage_rng_integers(rng, request->candidate_count);
            for (size_t j = 0; j < k; j++)
                taken = taken || items[j] == items[k];
        } while (taken);
    }
}

static const char *quoted(char *buffer, const char *name)
{
    *sim_put_field(buffer, name) = '\0';
    return buffer;
}

static forage_status write_row(const sim_shop *shop, const forage_visit *visit, uint32_t item, size_t position,
                               bool click, forage_output *output, forage_error *error)
{
    const forage_scenario *s = &shop->scenario;
    uint32_t category = shop->simulator->category[item];
    char field[MAX_FIELD];
    FORAGE_TRY(forage_output_print(output, error, "%u,%u,%d,%s", visit->request.user, item, click,
                                   quoted(field, s->categories[category])));
    if (s->dynamics.department_count > 0)
        FORAGE_TRY(forage_output_print(output, error, ",%s",
                                       quoted(field, s->dynamics.departments[s->dynamics.department[category]])));
    FORAGE_TRY(forage_output_print(output, error, ",%llu", (unsigned long long)visit->request.id));
    if (shop->base.positions > 1)
        FORAGE_TRY(forage_output_print(output, error, ",%zu", position));
    return forage_output_write(output, "\n", 1, error);
}

static forage_status write_visit(const sim_shop_play *play, const forage_visit *visit, const uint32_t *items,
                                 forage_output *output, forage_log_summary *sums, forage_error *error)
{
    const sim_shop *shop = play->shop;
    for (size_t k = 0; k < visit->request.positions; k++) {
        double p = shop->examination[k] * sim_shop_rate(shop, play->taste, items[k]);
        bool click = play->draw[k] < p;
        if (play->late[k] == FORAGE_NONE)
            continue;
        sums->rows++;
        sums->clicks += click;
        sums->log_loss -= click ? log(p) : log1p(-p);
        if (output)
            FORAGE_TRY(write_row(shop, visit, items[k], k, click, output, error));
    }
    return FORAGE_OK;
}

static forage_status write_rows(forage_play *play, forage_rng *rng, forage_output *output,
                                const forage_progress *progress, forage_log_summary *sums, forage_error *error)
{
    const sim_shop *shop = sim_shop_of(play->environment);
    uint64_t visits = shop->base.visits;
    uint32_t items[FORAGE_MAX_POSITIONS];
    forage_visit visit;
    bool more;
    if (output)
        FORAGE_TRY(forage_output_print(output, error, "user_id,product_id,clicked,category%s,time%s\n",
                                       shop->scenario.dynamics.department_count > 0 ? ",department" : "",
                                       shop->base.positions > 1 ? ",position" : ""));
    for (;;) {
        FORAGE_TRY(forage_play_next(play, &visit, &more, error));
        if (!more)
            break;
        if (visit.request.id % REPORT_EVERY == 0 &&
            !forage_progress_report(progress, "simulating", visit.request.id, visits, NULL))
            return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
        random_slate(rng, &visit.request, items);
        FORAGE_TRY(write_visit((const sim_shop_play *)play, &visit, items, output, sums, error));
    }
    forage_progress_report(progress, "simulating", visits, visits, NULL);
    return FORAGE_OK;
}

forage_status forage_environment_write_log(const forage_environment *environment, uint64_t seed, const char *path,
                                           const forage_progress *progress, forage_log_summary *summary,
                                           forage_error *error)
{
    forage_log_summary sums = {0};
    forage_output *output = NULL;
    forage_play *play;
    forage_status status;
    forage_rng rng;

    if (environment->type != &sim_environment_shop)
        return forage_fail(error, FORAGE_UNSUPPORTED, "'%s' is no shop", environment->name);
    FORAGE_TRY(forage_play_create(environment, seed, &play, error));
    forage_rng_seed_stream(&rng, seed, SIM_STREAM_TRAFFIC);
    if (path)
        FORAGE_TRY_GOTO(forage_output_open(path, &output, error), done);
    status = write_rows(play, &rng, output, progress, &sums, error);
    if (status == FORAGE_OK && output)
        status = forage_output_commit(output, error);
    else
        forage_output_discard(output);
done:
    forage_play_free(play);
    sums.log_loss = sums.rows ? sums.log_loss / (double)sums.rows : NAN;
    if (summary)
        *summary = sums;
    return status;
}
