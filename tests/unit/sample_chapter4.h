/*
 * sample_chapter4.h: a record of chapter 4 as if it had been measured, for tests of what is made of it. Every string
 * that comes from a scenario ends with a given one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SAMPLE_CHAPTER4_H
#define SAMPLE_CHAPTER4_H

#include "forage/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { S4_PERSONAS = 4, S4_CATEGORIES = 5, S4_USERS = 80, S4_ITEMS = 60, S4_DEGREES = 21, S4_POINTS = 6, S4_ARMS = 11 };

typedef struct sample_table {
    double points[S4_POINTS];
    forage_estimate numbers[S4_ARMS][3][S4_POINTS], ahead[S4_POINTS];
    forage_ranked_arm arms[S4_ARMS];
} sample_table;

typedef struct sample_chapter4 {
    char categories[S4_CATEGORIES][64], personas[S4_PERSONAS][64];
    size_t degrees[S4_DEGREES], chosen[S4_CATEGORIES];
    forage_map_point users[4][S4_USERS], items[4][S4_ITEMS];
    forage_map_view views[4];
    forage_graph_customer customers[S4_PERSONAS];
    forage_estimate visits[S4_POINTS];
    sample_table smoothing, crowd, few;
    forage_few_clicks few_clicks[2];
    forage_chapter4 chapter;
} sample_chapter4;

static forage_estimate s4_estimate(double value)
{
    return (forage_estimate){value, value - 0.012, value + 0.012};
}

/* Arms whose click rates rise with the points, each a little above the one before. */
static forage_arm_table s4_table(sample_table *table, const char *const *names, size_t arms, const double *points,
                                 size_t count)
{
    for (size_t p = 0; p < count; ++p) {
        table->points[p] = points[p];
        table->ahead[p] = s4_estimate(p == 0 ? 0.04 : p == 1 ? 0.01 : -0.02);
    }
    for (size_t a = 0; a < arms; ++a) {
        for (size_t m = 0; m < 3; ++m)
            for (size_t p = 0; p < count; ++p)
                table->numbers[a][m][p] = s4_estimate((0.22 + 0.02 * (double)a + 0.03 * (double)p) / (double)(m + 1));
        forage_ranked_arm *arm = &table->arms[a];
        *arm = (forage_ranked_arm){
            .click_rate = table->numbers[a][0], .recall = table->numbers[a][1], .ndcg = table->numbers[a][2]};
        snprintf(arm->name, sizeof arm->name, "%s", names[a]);
        snprintf(arm->note, sizeof arm->note, "what it does, in a sentence");
    }
    return (forage_arm_table){
        .point_count = count, .arm_count = arms, .points = table->points, .arms = table->arms, .ahead = table->ahead};
}

static void s4_tables(sample_chapter4 *s)
{
    static const char *const logs[] = {"10 visits", "20 visits", "40 visits", "80 visits"};
    static const char *const crowd[] = {"bestsellers",
                                        "embedding-mlp",
                                        "no graph",
                                        "item-knn",
                                        "embedding-mlp, tuned",
                                        "lightgcn",
                                        "limit, from clicks alone",
                                        "limit, from all visits",
                                        "oracle"};
    static const char *const few[] = {"bestsellers",
                                      "embedding-mlp, not retrained",
                                      "embedding-mlp",
                                      "no graph",
                                      "item-knn",
                                      "embedding-mlp, tuned",
                                      "lightgcn, not retrained",
                                      "lightgcn",
                                      "limit, from clicks alone",
                                      "limit, from all visits",
                                      "oracle"};
    static const double layers[] = {0, 1, 2, 3, 4}, visits[] = {10, 20, 40, 80}, clicks[] = {1, 2, 3, 5, 10, 20};
    s->chapter.smoothing = s4_table(&s->smoothing, logs, 4, layers, 5);
    s->chapter.smoothing.ahead = NULL;
    s->chapter.crowd = s4_table(&s->crowd, crowd, 9, visits, 4);
    for (size_t p = 0; p < S4_POINTS; ++p)
        s->visits[p] = s4_estimate(4.7 * clicks[p]);
    for (size_t l = 0; l < 2; ++l)
        s->few_clicks[l] = (forage_few_clicks){.others = 500,
                                               .others_visits = 20 + 20 * l,
                                               .group = 50,
                                               .visits = s->visits,
                                               .arms = s4_table(&s->few, few, 11, clicks, 6)};
    s->chapter.few_clicks_count = 2;
    s->chapter.few_clicks = s->few_clicks;
}

static void s4_points(forage_map_point *points, size_t count, uint32_t groups, size_t view)
{
    for (size_t i = 0; i < count; ++i) {
        uint32_t group = (uint32_t)i % groups;
        double spread = 0.4 - 0.1 * (double)view, angle = 6.283 * group / groups, ring = 0.25 * (double)view;
        points[i] = (forage_map_point){(float)(ring * cos(angle) + spread * sin((double)i)),
                                       (float)(ring * sin(angle) + spread * cos(2.2 * (double)i)), (uint32_t)i, group};
    }
}

static void s4_map(sample_chapter4 *s)
{
    static const char *const names[] = {"At random", "Smoothed, not trained", "Trained, no graph",
                                        "Trained with the graph"};
    for (size_t v = 0; v < 4; ++v) {
        s4_points(s->users[v], S4_USERS, S4_PERSONAS, v);
        s4_points(s->items[v], S4_ITEMS, S4_CATEGORIES, v);
        double share = 0.25 + 0.15 * (double)v;
        s->views[v] = (forage_map_view){.explained = {share / 2, share / 3},
                                        .users = s->users[v],
                                        .items = s->items[v],
                                        .user_neighbours = s4_estimate(share),
                                        .item_neighbours = s4_estimate(share - 0.05),
                                        .user_silhouette = s4_estimate(share - 0.3),
                                        .item_silhouette = s4_estimate(share - 0.35)};
        snprintf(s->views[v].name, sizeof s->views[v].name, "%s", names[v]);
        snprintf(s->views[v].note, sizeof s->views[v].note, "how it came about");
    }
    s->chapter.map = (forage_graph_map){
        .user_count = S4_USERS, .item_count = S4_ITEMS, .neighbours = 10, .view_count = 4, .views = s->views};
}

static void s4_customers(sample_chapter4 *s)
{
    for (size_t c = 0; c < S4_CATEGORIES; ++c)
        s->chosen[c] = c;
    for (uint32_t p = 0; p < S4_PERSONAS; ++p) {
        forage_graph_customer *customer = &s->customers[p];
        *customer = (forage_graph_customer){.user = p + 3,
                                            .persona = p,
                                            .chosen = 10,
                                            .category = s->chosen,
                                            .offer_count = FORAGE_GRAPH_OFFERS,
                                            .click_rate = 0.42,
                                            .best = 0.5};
        for (uint32_t i = 0; i < FORAGE_GRAPH_OFFERS; ++i) {
            forage_graph_offer *offer = &customer->offers[i];
            *offer = (forage_graph_offer){
                .item = 7 * i + p, .category = i % S4_CATEGORIES, .truth = 0.4, .reason_count = i % 3};
            for (uint32_t r = 0; r < offer->reason_count; ++r) {
                offer->reasons[r].item = 11 * r + i;
                offer->reasons[r].category = r;
                offer->reasons[r].users = 1 + r;
                offer->reasons[r].share = 0.5 / (1 + r);
            }
        }
    }
    s->chapter.customer_count = S4_PERSONAS;
    s->chapter.customers = s->customers;
}

static void sample_chapter4_fill(sample_chapter4 *s, const char *ending)
{
    static const char *const categories[] = {"Fish Supplies", "Cat Food", "Dog Food", "Dog Toy", "Cat Toy"};
    static const char *const personas[] = {"new_puppy_parent", "cat_connoisseur", "budget_shopper", "fish_hobbyist"};
    *s = (sample_chapter4){
        .chapter = {
            .seed = 42, .seeds = 5, .offered = 5, .cutoff = 20, .test_visits = 10, .shown = 2, .seconds = 20.5}};
    for (size_t c = 0; c < S4_CATEGORIES; ++c)
        snprintf(s->categories[c], 64, "%s%s", categories[c], ending);
    for (size_t p = 0; p < S4_PERSONAS; ++p)
        snprintf(s->personas[p], 64, "%s%s", personas[p], ending);
    snprintf(s->chapter.scenario, sizeof s->chapter.scenario, "petshop%s", ending);
    snprintf(s->chapter.device, sizeof s->chapter.device, "CPU (AVX2), 2 threads%s", ending);
    s->chapter.persona_count = S4_PERSONAS;
    s->chapter.category_count = S4_CATEGORIES;
    s->chapter.personas = s->personas;
    s->chapter.categories = s->categories;
    for (size_t d = 0; d < S4_DEGREES; ++d)
        s->degrees[d] = d * (S4_DEGREES - 1 - d);
    const forage_degrees degrees = {
        .nodes = 500, .none = 0, .mean = 8.1263, .median = 8, .most = S4_DEGREES - 1, .count = s->degrees};
    s->chapter.graph = (forage_graph_facts){.users = 500,
                                            .items = 200,
                                            .visits = 20000,
                                            .clicks = 4236,
                                            .edges = 4063,
                                            .user = degrees,
                                            .item = degrees,
                                            .reach = {0.041, 0.966, 0.9998},
                                            .same_persona = 0.4603,
                                            .same_persona_chance = 0.249,
                                            .same_category = 0.365,
                                            .same_category_chance = 0.196};
    s4_tables(s);
    s4_map(s);
    s4_customers(s);
}

#endif
