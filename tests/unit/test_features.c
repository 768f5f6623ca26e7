/*
 * Features of pipelines: scales, histories, appeal, places of slates, waiting decisions, and how they are laid out;
 * against formulas written down once more and naive bookkeeping.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/appeal.h"
#include "pipeline_shop.h"

/* ---- scales ---- */

static void scales_settle_without_peeking(void **state)
{
    (void)state;
    pipeline_scale scale;
    static const float values[] = {3, 7, 5, 9, 100};
    assert_int_equal(pipeline_scale_create(&scale, NULL), FORAGE_OK);
    assert_float_equal(pipeline_scale_value(&scale, 5), 0, 0);
    pipeline_scale_see(&scale, NAN, 0); /* missing: not seen */
    for (size_t i = 0; i < 4; i++)
        pipeline_scale_see(&scale, values[i], 0);
    /* numpy: mean of 3, 7, 5, 9 is 6, std 2.2360679775 */
    assert_float_equal(pipeline_scale_value(&scale, 8), 2 / 2.2360679775, 1e-6);
    pipeline_scale_see(&scale, values[4], 0); /* the fifth: not a power of two */
    assert_float_equal(pipeline_scale_value(&scale, 8), 2 / 2.2360679775, 1e-6);
    assert_float_equal(pipeline_scale_value(&scale, NAN), 0, 0);
    /* beyond three deviations: 3 + log(|z| - 2) */
    assert_float_equal(pipeline_scale_value(&scale, 6 + 10 * 2.2360679775F), 3 + log(8), 1e-5);
    assert_float_equal(pipeline_scale_value(&scale, 6 - 10 * 2.2360679775F), -3 - log(8), 1e-5);
    assert_true(isfinite(pipeline_scale_value(&scale, 3e38F)));
    for (size_t i = 5; i < PIPELINE_SCALE_ROWS; i++)
        pipeline_scale_see(&scale, (float)(i % 2), 0);
    float settled = pipeline_scale_value(&scale, 8);
    for (size_t i = 0; i < 5000; i++)
        pipeline_scale_see(&scale, 1e6F, 0); /* for good */
    assert_float_equal(pipeline_scale_value(&scale, 8), settled, 0);
    pipeline_scale_release(&scale);
}

static void constant_columns_wait_until_they_vary(void **state)
{
    (void)state;
    pipeline_scale scale;
    assert_int_equal(pipeline_scale_create(&scale, NULL), FORAGE_OK);
    for (size_t i = 0; i < 3000; i++)
        pipeline_scale_see(&scale, 4, 0);
    assert_float_equal(pipeline_scale_value(&scale, 9), 0, 0);
    pipeline_scale_see(&scale, 9, 0);
    assert_true(pipeline_scale_value(&scale, 9) > 1);
    assert_true(fabsf(pipeline_scale_value(&scale, 4)) < 0.1F);
    pipeline_scale_release(&scale);
}

static void pieces_are_a_curve(void **state)
{
    (void)state;
    pipeline_scale scale;
    float pieces[4];
    static const float values[] = {0, 1, 2, 3, 4, 6, 8, 12, 16}; /* quantiles 0, 2, 4, 8, 16 */
    assert_int_equal(pipeline_scale_create(&scale, NULL), FORAGE_OK);
    assert_int_equal(pipeline_scale_settle(&scale, values, 9, 4, NULL), FORAGE_OK);
    pipeline_scale_pieces(&scale, 5, 4, pieces);
    static const float expected[] = {1, 1, 0.25F, 0};
    for (size_t i = 0; i < 4; i++)
        assert_float_equal(pieces[i], expected[i], 1e-6);
    pipeline_scale_pieces(&scale, -1, 4, pieces);
    for (size_t i = 0; i < 4; i++)
        assert_float_equal(pieces[i], 0, 0);
    pipeline_scale_pieces(&scale, 99, 4, pieces);
    for (size_t i = 0; i < 4; i++)
        assert_float_equal(pieces[i], 1, 0);
    pipeline_scale_release(&scale);
}

/* ---- histories ---- */

enum { USERS = 5, GROUPS = 7, EVENTS = 3000 };

typedef struct happening {
    uint32_t user, group;
    float reward, weight;
} happening;

/* What a user's history with a group is worth, from the whole log. */
static void naive_measures(const happening *log, size_t count, uint32_t user, uint32_t group, double half_life,
                           double prior, double *values)
{
    double n = 0, c = 0, all_n = 0, all_c = 0, group_n = 0, group_c = 0, all_s = 0, group_s = 0;
    size_t since = 0, last = SIZE_MAX; /* impressions of this user, counted from the end */
    for (size_t i = count; i-- > 0;) {
        double w = (double)log[i].weight, r = (double)log[i].reward;
        all_n += w;
        all_c += r;
        all_s += r * r;
        if (log[i].group == group) {
            group_n += w;
            group_c += r;
            group_s += r * r;
        }
        if (log[i].user != user)
            continue;
        if (log[i].group == group) {
            double left = half_life > 0 ? exp2(-(double)since / half_life) : 1;
            n += w * left;
            c += r * left;
            last = last == SIZE_MAX ? since : last;
        }
        since++;
    }
    double mean = (group_c + 10 * all_c / fmax(all_n, 1)) / (group_n + 10);
    double square = (group_s + 10 * all_s / fmax(all_n, 1)) / (group_n + 10);
    values[0] = (c + prior * mean) / (n + prior) - mean;
    values[1] = n / (n + prior);
    values[2] = last == SIZE_MAX ? 0 : exp2(-(double)last / 8);
    values[3] = copysign(log1p(fabs(c)), c);
    values[4] = log1p(n);
    values[5] = values[0] + 2 * sqrt(fmax(square - mean * mean, 0) / (n + prior));
}

static void check_history(double half_life, double prior)
{
    static happening log[EVENTS];
    pipeline_history *history;
    forage_rng rng;
    const unsigned all =
        PIPELINE_RATE | PIPELINE_COUNT | PIPELINE_RECENCY | PIPELINE_CLICKS | PIPELINE_SHOWN | PIPELINE_BOUND;
    forage_rng_seed(&rng, 5);
    assert_int_equal(pipeline_history_create(USERS, GROUPS, half_life, prior, &history, NULL), FORAGE_OK);
    for (size_t i = 0; i < EVENTS; i++) {
        uint32_t user = (uint32_t)forage_rng_integers(&rng, USERS + 1);
        log[i].user = user == USERS ? FORAGE_NONE : user;
        log[i].group = (uint32_t)forage_rng_integers(&rng, GROUPS);
        log[i].reward = (float)forage_rng_integers(&rng, 4) - 1;
        log[i].weight = i % 3 ? 1 : 0.5F;
        assert_int_equal(pipeline_history_reserve(history, log[i].user, 1, NULL), FORAGE_OK);
        pipeline_history_add(history, log[i].user, log[i].group, log[i].reward, log[i].weight);
        if (i % 97 && i > 20)
            continue;
        for (uint32_t who = 0; who < USERS; who++) {
            float values[GROUPS * 6], one[6];
            pipeline_history_look(history, who);
            pipeline_history_measure_all(history, GROUPS, all, values);
            for (uint32_t g = 0; g < GROUPS; g++) {
                double expected[6];
                naive_measures(log, i + 1, who, g, half_life, prior, expected);
                pipeline_history_measure(history, g, all, one);
                for (size_t m = 0; m < 6; m++) {
                    assert_float_equal(values[g * 6 + m], expected[m], 1e-3);
                    assert_float_equal(one[m], values[g * 6 + m], 0);
                }
            }
        }
    }
    pipeline_history_free(history);
}

static void histories_are_what_happened(void **state)
{
    (void)state;
    check_history(0, 5);
    check_history(3, 20);
    check_history(200, 1);
}

static void nobody_has_no_history(void **state)
{
    (void)state;
    pipeline_history *history;
    float values[3];
    assert_int_equal(pipeline_history_create(2, 3, 0, 5, &history, NULL), FORAGE_OK);
    assert_int_equal(pipeline_history_reserve(history, 1, 1, NULL), FORAGE_OK);
    pipeline_history_add(history, 1, 2, 1, 1);
    static const uint32_t who[] = {0, FORAGE_NONE, 77};
    for (size_t i = 0; i < 3; i++) {
        pipeline_history_look(history, 1);
        pipeline_history_look(history, who[i]);
        pipeline_history_measure(history, 2, PIPELINE_RATE | PIPELINE_COUNT | PIPELINE_RECENCY, values);
        for (size_t m = 0; m < 3; m++)
            assert_float_equal(values[m], 0, 0);
    }
    pipeline_history_add(history, 1, FORAGE_NONE, 1, 1); /* an item of no group: nothing is noted */
    assert_int_equal(pipeline_history_grow(history, 4, 9, NULL), FORAGE_OK);
    pipeline_history_look(history, 1);
    pipeline_history_measure(history, 2, PIPELINE_COUNT, values);
    assert_float_equal(values[0], 1.0 / 6, 1e-6);
    assert_int_equal(pipeline_history_reserve(history, 3, 1, NULL), FORAGE_OK);
    pipeline_history_add(history, 3, 8, 1, 1);
    pipeline_history_look(history, 3);
    pipeline_history_measure(history, 8, PIPELINE_COUNT, values);
    assert_float_equal(values[0], 1.0 / 6, 1e-6);
    pipeline_history_free(history);
}

/* A hundred thousand users who saw a few of a thousand categories: memory follows what happened. */
static void histories_stay_in_proportion(void **state)
{
    (void)state;
    pipeline_history *history;
    assert_int_equal(pipeline_history_create(100000, 1000, 0, 5, &history, NULL), FORAGE_OK);
    for (uint32_t user = 0; user < 100000; user++)
        for (uint32_t k = 0; k < 3; k++) {
            assert_int_equal(pipeline_history_reserve(history, user, 1, NULL), FORAGE_OK);
            pipeline_history_add(history, user, (user * 7 + k * 31) % 1000, 0, 1);
        }
    assert_true(pipeline_history_memory(history) < 32e6); /* dense would be 1.6 GB */
    pipeline_history_free(history);
}

/* ---- appeal and places ---- */

static void appeal_is_a_posterior(void **state)
{
    (void)state;
    pipeline_appeal *appeal;
    float deviation;
    assert_int_equal(pipeline_appeal_create(2, 1, &appeal, NULL), FORAGE_OK);
    assert_float_equal(pipeline_appeal_lift(appeal, 0, &deviation), 0, 0);
    assert_float_equal(deviation, 0.1, 1e-6); /* the guess */
    pipeline_appeal_learn(appeal, 0, 0.5F, 1, 1);
    /* S = 0.25, R = 0.25, sigma^2 = 0.25; information 1, raw effect 1:
     * tau^2 = (20 * 25 * 0.01 + 1 * (1 - 1)) / 501 */
    double tau2 = 5.0 / 501, precision = 1 + 1 / tau2;
    assert_float_equal(pipeline_appeal_lift(appeal, 0, &deviation), 1 / precision, 1e-6);
    assert_float_equal(deviation, sqrt(1 / precision), 1e-6);
    assert_float_equal(pipeline_appeal_lift(appeal, 1, &deviation), 0, 0);
    assert_float_equal(deviation, sqrt(tau2), 1e-6);
    pipeline_appeal_free(appeal);
}

/* Items that differ get their appeal; of items that are alike it is found out that they are. */
static void appeal_finds_how_much_items_differ(void **state)
{
    (void)state;
    enum { ITEMS = 100, ROUNDS = 400 };
    float alike = 0, different = 0;
    for (int differ = 0; differ < 2; differ++) {
        pipeline_appeal *appeal;
        forage_rng rng;
        double error = 0;
        float deviation;
        forage_rng_seed(&rng, 8);
        assert_int_equal(pipeline_appeal_create(ITEMS + 1, 1, &appeal, NULL), FORAGE_OK);
        for (size_t round = 0; round < ROUNDS; round++)
            for (uint32_t i = 0; i < ITEMS; i++) {
                double rate = 0.4 * (differ ? 0.6 + 0.8 * i / (ITEMS - 1) : 1);
                pipeline_appeal_learn(appeal, i, 0.4F, forage_rng_double(&rng) < rate, 1);
            }
        for (uint32_t i = 0; i < ITEMS; i++) {
            double truth = differ ? -0.4 + 0.8 * i / (ITEMS - 1) : 0;
            error += fabs((double)pipeline_appeal_lift(appeal, i, &deviation) - truth) / ITEMS;
        }
        pipeline_appeal_lift(appeal, ITEMS, &deviation); /* never shown: what is known of items in general */
        *(differ ? &different : &alike) = deviation;
        assert_true(error < (differ ? 0.07 : 0.04));
        pipeline_appeal_free(appeal);
    }
    assert_true(alike < 0.06F);
    assert_true(different > 0.17F && different < 0.27F); /* sd of uniform(-0.4, 0.4): 0.231 */
}

static void places_are_looked_at_as_often_as_they_are(void **state)
{
    (void)state;
    static const double looked[] = {1, 0.6, 0.3};
    pipeline_places places;
    forage_rng rng;
    double weights = 0, clicks = 0;
    forage_rng_seed(&rng, 3);
    assert_int_equal(pipeline_places_create(3, &places, NULL), FORAGE_OK);
    assert_float_equal(pipeline_places_weight(&places, 2, 0.4F, 0), 1, 1e-6); /* as if all were seen */
    for (size_t i = 0; i < 30000; i++)
        for (size_t k = 0; k < 3; k++)
            pipeline_places_learn(&places, k, 0.4F, forage_rng_double(&rng) < 0.4 * looked[k]);
    for (size_t k = 0; k < 3; k++) {
        double missed = looked[k] * 0.6 / (1 - looked[k] * 0.4);
        assert_float_equal(pipeline_places_weight(&places, k, 0.4F, 0), missed, 0.02);
        assert_float_equal(pipeline_places_weight(&places, k, 0.4F, 1), 1, 1e-6);
    }
    assert_float_equal(pipeline_places_weight(&places, 2, 0.4F, -5), 1, 0);
    /* The weighted mean of what happens in the third place is the click rate of who looks. */
    for (size_t i = 0; i < 30000; i++) {
        float click = forage_rng_double(&rng) < 0.4 * looked[2];
        float weight = pipeline_places_weight(&places, 2, 0.4F, click);
        weights += (double)weight;
        clicks += (double)(weight * click);
    }
    assert_float_equal(clicks / weights, 0.4, 0.025);
    pipeline_places_release(&places);
}

/* ---- waiting decisions ---- */

static void waiting_is_a_list(void **state)
{
    (void)state;
    enum { ROUNDS = 4000, WAIT = 50, POSITIONS = 3, WIDTH = 2 };
    static struct {
        uint64_t id;
        unsigned given;
        size_t positions;
        bool dropped;
    } naive[ROUNDS];
    pipeline_waiting *waiting;
    pipeline_kept kept;
    forage_rng rng;
    size_t oldest = 0;
    forage_rng_seed(&rng, 9);
    assert_int_equal(pipeline_waiting_create(2, WIDTH, POSITIONS, 1, WAIT, &waiting, NULL), FORAGE_OK);
    assert_false(pipeline_waiting_knows(waiting, 1, &kept));
    for (size_t number = 0; number < ROUNDS; number++) {
        uint64_t id = forage_rng_u64(&rng) & ~(uint64_t)0xff; /* many end alike */
        naive[number].id = id;
        naive[number].positions = 1 + number % POSITIONS;
        assert_int_equal(pipeline_waiting_reserve(waiting, NULL), FORAGE_OK);
        pipeline_waiting_keep(waiting, id, number, 7, naive[number].positions, &kept);
        for (size_t k = 0; k < naive[number].positions; k++) {
            kept.items[k] = (uint32_t)(id >> 40) + (uint32_t)k;
            kept.features[k * WIDTH] = (float)number;
        }
        for (int tries = 0; tries < 3; tries++) {
            size_t which = number - forage_rng_integers(&rng, number + 1 < 80 ? number + 1 : 80);
            bool known = pipeline_waiting_knows(waiting, naive[which].id, &kept);
            assert_int_equal(known, !naive[which].dropped);
            if (!known)
                continue;
            size_t k = forage_rng_integers(&rng, naive[which].positions);
            bool over = naive[which].given == (1U << naive[which].positions) - 1;
            assert_int_equal(kept.number, which);
            assert_int_equal(kept.open == 0, over);
            if (over)
                continue;
            assert_int_equal(kept.given[k], naive[which].given >> k & 1);
            assert_int_equal(kept.items[k], (uint32_t)(naive[which].id >> 40) + k);
            assert_float_equal(kept.features[k * WIDTH], (float)which, 0);
            if (!kept.given[k]) {
                pipeline_waiting_give(waiting, naive[which].id, k);
                naive[which].given |= 1U << k;
            }
        }
        while (pipeline_waiting_expired(waiting, number + 1, &kept)) {
            assert_int_equal(kept.number, oldest);
            naive[oldest++].dropped = true;
            pipeline_waiting_drop(waiting);
        }
        assert_int_equal(oldest, number + 1 > WAIT ? number + 1 - WAIT : 0);
    }
    assert_true(pipeline_waiting_count(waiting) <= WAIT);
    pipeline_waiting_free(waiting);
}

/* ---- layout ---- */

typedef struct layout {
    tiny_shop shop;
    forage_pipeline_spec *spec;
    pipeline_plan plan;
} layout;

static void lay(layout *laid, const char *body)
{
    forage_error error = {0};
    shop_open(&laid->shop);
    laid->spec = shop_spec(body);
    if (pipeline_plan_create(laid->spec, &laid->shop.catalogue, &laid->plan, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
}

static void unlay(layout *laid)
{
    pipeline_plan_release(&laid->plan);
    forage_pipeline_spec_free(laid->spec);
    shop_close(&laid->shop);
}

static void expect(const float *features, const float *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fabsf(features[i] - expected[i]) > 1e-5F)
            fail_msg("feature %zu is %g, not %g", i, (double)features[i], (double)expected[i]);
}

static const uint32_t at_desk[] = {1, FORAGE_NONE};
static const float at_noon[] = {NAN, 12};

static void requests_become_numbers(void **state)
{
    (void)state;
    layout laid;
    float features[32];
    lay(&laid, "  model: linear-ridge\n  policy: ucb\n  arm: item\n  features:\n"
               "   - bias\n   - user: [city, age]\n     scale: false\n   - context: all\n     scale: false\n"
               "   - cross: [user.city, context.device]\n   - cross: [user.city, context.device, user.id]\n");
    assert_int_equal(laid.plan.request_width, 1 + 2 + 1 + 2 + 1 + 4 + 16);
    assert_int_equal(laid.plan.candidate_width, 0);
    assert_int_equal(laid.plan.arms, SHOP_ITEMS);
    forage_request request = {.user = 1, .codes = at_desk, .values = at_noon};
    pipeline_plan_look(&laid.plan, &request);
    pipeline_request_features(&laid.plan, &request, features);
    /*                               bias city  age device hour city x device      x user: (1 * 2 + 1) * 4 + 1 */
    static const float oslo[27] = {1, 0, 1, 30, 0, 1, 12, 0, 0, 0, 1, [11 + 13] = 1};
    expect(features, oslo, 27);
    request.user = FORAGE_NONE; /* unknown users get features like anyone else */
    pipeline_plan_look(&laid.plan, &request);
    pipeline_request_features(&laid.plan, &request, features);
    static const float nobody[27] = {1, 0, 0, 0, 0, 1, 12};
    expect(features, nobody, 27);
    request.user = 2;
    request.codes = NULL;
    request.values = NULL;
    pipeline_plan_look(&laid.plan, &request);
    pipeline_request_features(&laid.plan, &request, features);
    static const float missing[27] = {1, 0, 1};
    expect(features, missing, 27);
    unlay(&laid);
}

static void candidates_become_numbers(void **state)
{
    (void)state;
    layout laid;
    float features[16];
    lay(&laid,
        "  model: linear-ridge\n  policy: ucb\n  arm: category\n  features:\n"
        "   - cross: [user.city, item.category]\n   - item: price\n   - history: category\n     of: candidate\n"
        "     measures: [count, shown]\n     prior: 4\n     half-life: 0\n   - cross: [item.price, context.hour]\n");
    pipeline_plan *plan = &laid.plan;
    assert_int_equal(plan->request_width, 0);
    assert_int_equal(plan->fixed_width, 1);
    assert_int_equal(plan->candidate_width, 1 + 6 + 2 + 1);
    assert_int_equal(plan->arms, 4); /* one for the item without a category */
    assert_int_equal(plan->arm_of[3], 1);
    assert_int_equal(plan->arm_of[5], 3);
    assert_false(plan->by_arm); /* prices differ */
    const forage_request request = {.user = 1, .codes = at_desk, .values = at_noon};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pipeline_plan_reserve(plan, 1, 3, 1, NULL), FORAGE_OK);
        pipeline_plan_happened(plan, 1, 3, 0, 1); /* a dog's item */
    }
    pipeline_plan_look(plan, &request);
    pipeline_candidate_features(plan, &request, 1, features); /* another one */
    /* prices 1 ... 6: mean 3.5, std 1.70782513; hours have not been seen: 0 */
    const float price = -1.5F / 1.70782513F;
    const float dog[] = {price, 0, 0, 0, 0, 1, 0, 2.0F / 6, log1pf(2), 0};
    expect(features, dog, 10);
    pipeline_candidate_features(plan, &request, 5, features);
    const float none[10] = {2.5F / 1.70782513F};
    expect(features, none, 10);
    unlay(&laid);
}

static void many_categories_are_hashed(void **state)
{
    (void)state;
    layout laid;
    float features[8];
    lay(&laid, "  model: linear-ridge\n  policy: ucb\n  arm: item\n  features:\n   - cross: [user.id, item.id]\n"
               "     limit: 8\n     buckets: 8\n");
    assert_int_equal(laid.plan.candidate_width, 8);
    unsigned places = 0, negative = 0;
    for (uint32_t user = 0; user < SHOP_USERS; user++)
        for (uint32_t item = 0; item < SHOP_ITEMS; item++) {
            const forage_request request = {.user = user};
            size_t filled = 0;
            pipeline_candidate_features(&laid.plan, &request, item, features);
            for (unsigned i = 0; i < 8; i++) {
                filled += features[i] != 0;
                if (features[i] != 0) {
                    places |= 1U << i;
                    negative += features[i] < 0;
                    assert_float_equal(fabsf(features[i]), 1, 0);
                }
            }
            assert_int_equal(filled, 1);
        }
    assert_true(__builtin_popcount(places) >= 6);
    assert_true(negative > 4 && negative < 20);
    unlay(&laid);
}

/* Where features depend on the item alone they lie in one block. */
static void item_blocks_are_computed_once(void **state)
{
    (void)state;
    layout laid;
    lay(&laid, "  model: linear-ridge\n  policy: ucb\n  features: item.category+item.price\n");
    assert_int_equal(laid.plan.varying_count, 0);
    assert_int_equal(laid.plan.fixed_width, 4);
    static const float fourth[] = {0, 1, 0, 0.5F / 1.70782513F};
    expect(laid.plan.fixed_block + 3 * 4, fourth, 4);
    unlay(&laid);
}

static void auto_follows_from_the_catalogue(void **state)
{
    (void)state;
    layout laid;
    lay(&laid, "  model: linear-ridge\n  policy: ucb\n");
    assert_false(laid.plan.arm_is_item);
    assert_int_equal(laid.plan.arms, 4);
    assert_int_equal(laid.plan.fixed_width, 1);       /* the price */
    assert_int_equal(laid.plan.grouping_count, 2);    /* activity, category */
    assert_true(laid.plan.request_width > 2 + 2 + 6); /* columns, and histories of three categories */
    unlay(&laid);

    /* A table: no users, no attributes; items are the arms. */
    tiny_shop shop;
    pipeline_plan plan;
    forage_pipeline_spec *spec = shop_spec("  model: linear-ridge\n  policy: ucb\n  knots: 0\n");
    shop_open(&shop);
    const forage_catalogue table = {.items = 3, .context = &shop.context};
    assert_int_equal(pipeline_plan_create(spec, &table, &plan, NULL), FORAGE_OK);
    assert_true(plan.arm_is_item);
    assert_int_equal(plan.request_width, 1 + 2 + 1);
    assert_int_equal(plan.candidate_width, 0);
    assert_int_equal(plan.grouping_count, 0);
    pipeline_plan_release(&plan);
    forage_pipeline_spec_free(spec);
    shop_close(&shop);
}

static void missing_attributes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *body, *says;
        uint64_t line;
    } bad[] = {
        {"  features:\n   - bias\n   - user: shoe\n", "users have no attribute 'shoe'; there are city, age", 7},
        {"  features: [bias, item.colour]\n", "items have no attribute 'colour'; there are category, price", 5},
        {"  features:\n   - context: weather\n", "the context has no column 'weather'; there are device, hour", 6},
        {"  features:\n   - history: price\n", "items have no categorical attribute 'price'", 6},
        {"  features:\n   - cross: [user.age, item.x]\n", "items have no attribute 'x'", 6},
        {"  arm: colour\n", "items have no categorical attribute 'colour'", 0},
        {"  arm: price\n", "items have no categorical attribute 'price'", 0},
    };
    tiny_shop shop;
    shop_open(&shop);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char body[512];
        pipeline_plan plan;
        forage_error error = {0};
        snprintf(body, sizeof body, "  model: linear-ridge\n  policy: ucb\n%s", bad[i].body);
        forage_pipeline_spec *spec = shop_spec(body);
        assert_int_equal(pipeline_plan_create(spec, &shop.catalogue, &plan, &error), FORAGE_INVALID);
        if (!strstr(error.message, bad[i].says) || error.line != bad[i].line || strcmp(error.file, "t.yaml") != 0)
            fail_msg("expected line %d and '%s', got line %d: %s", (int)bad[i].line, bad[i].says, (int)error.line,
                     error.message);
        forage_pipeline_spec_free(spec);
    }
    shop_close(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_settle_without_peeking),
        cmocka_unit_test(constant_columns_wait_until_they_vary),
        cmocka_unit_test(pieces_are_a_curve),
        cmocka_unit_test(histories_are_what_happened),
        cmocka_unit_test(nobody_has_no_history),
        cmocka_unit_test(histories_stay_in_proportion),
        cmocka_unit_test(appeal_is_a_posterior),
        cmocka_unit_test(appeal_finds_how_much_items_differ),
        cmocka_unit_test(places_are_looked_at_as_often_as_they_are),
        cmocka_unit_test(waiting_is_a_list),
        cmocka_unit_test(requests_become_numbers),
        cmocka_unit_test(candidates_become_numbers),
        cmocka_unit_test(many_categories_are_hashed),
        cmocka_unit_test(item_blocks_are_computed_once),
        cmocka_unit_test(auto_follows_from_the_catalogue),
        cmocka_unit_test(missing_attributes_are_named),
    };
    return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
