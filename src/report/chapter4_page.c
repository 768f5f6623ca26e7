/*
 * Chapter 4 as part of a page. Every number in it comes from the record; sentences say what was measured and leave it
 * to the numbers how much that is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter4.h"
#include "report/page.h"

#include <math.h>
#include <string.h>

static const forage_chapter4 *chapter_of(const report_story *story)
{
    return story->record;
}

#define GRAPH "lightgcn"
#define UNTRAINED "lightgcn, not retrained"
#define NO_GRAPH "no graph"
#define BATCHED "embedding-mlp, tuned"
#define COUNTING "item-knn"
#define LIMIT "limit, from all visits"
#define LIMIT_CLICKS "limit, from clicks alone"

static const char *rate(const report_story *story, const forage_arm_table *table, const char *name, size_t point)
{
    return pool_percent(story->pool, chapter4_rate(table, name, point));
}

static const char *point_name(report_pool *pool, const forage_arm_table *table, size_t point)
{
    return pool_fixed(pool, table->points[point], 0);
}

static void keys(const report_story *story)
{
    const forage_chapter4 *chapter = story->record;
    const forage_graph_facts *graph = &chapter->graph;
    const forage_graph_map *map = &chapter->map;
    const forage_arm_table *crowd = &chapter->crowd;
    const forage_map_view *first = &map->views[0], *last = &map->views[map->view_count - 1];
    report_pool *pool = story->pool;
    size_t shown = chapter->shown, thick = crowd->point_count - 1;
    const page_key list[] = {
        {"Two steps, same persona", pool_percent(pool, graph->same_persona),
         pool_format(pool, "of the walks from a user over a product to another user; by chance %s",
                     pool_percent(pool, graph->same_persona_chance))},
        {"Neighbours of the same persona", pool_percent(pool, last->user_neighbours.value),
         pool_format(pool, "of the %zu nearest vectors after training; before it %s", map->neighbours,
                     pool_percent(pool, first->user_neighbours.value))},
        {"Click rate of its offers", rate(story, crowd, GRAPH, shown),
         pool_format(pool, "with %s visits a user; the same without the graph %s", point_name(pool, crowd, shown),
                     rate(story, crowd, NO_GRAPH, shown))},
        {"With a thin log", rate(story, crowd, GRAPH, 1),
         pool_format(pool, "at %s visits a user; the tuned batched model %s", point_name(pool, crowd, 1),
                     rate(story, crowd, BATCHED, 1))},
        {"With a thick log", rate(story, crowd, GRAPH, thick),
         pool_format(pool, "at %s visits a user; the tuned batched model %s", point_name(pool, crowd, thick),
                     rate(story, crowd, BATCHED, thick))},
        {"After one click", rate(story, &chapter->few_clicks[0].arms, UNTRAINED, 0),
         pool_format(pool, "for new users, without training again; bestsellers earn %s",
                     rate(story, &chapter->few_clicks[0].arms, "bestsellers", 0))},
    };
    page_keys(story->html, list, sizeof list / sizeof *list);
}

/* ------------------------------------------------------------------ *
 * Tables
 * ------------------------------------------------------------------ */

/* Click rates, arms by points. `header` is what the points are. */
static void arms_table(const report_story *story, const forage_arm_table *table, const char *header,
                       const char *caption)
{
    report_pool *pool = story->pool;
    size_t columns = table->point_count + 1;
    const char **heads = pool_take(pool, columns, sizeof *heads);
    const char **cells = pool_take(pool, columns * table->arm_count + 1, sizeof *cells);
    if (!heads || !cells)
        return;
    heads[0] = header;
    for (size_t p = 0; p < table->point_count; ++p)
        heads[p + 1] = point_name(pool, table, p);
    for (size_t a = 0; a < table->arm_count; ++a) {
        const forage_ranked_arm *arm = &table->arms[a];
        cells[columns * a] = pool_format(pool, "%s\n%s", arm->name, arm->note);
        for (size_t p = 0; p < table->point_count; ++p)
            cells[columns * a + p + 1] = pool_percent_estimate(pool, &arm->click_rate[p]);
    }
    page_table(story->html, pool, caption, heads, columns, cells, table->arm_count);
}

/* "10, 20 and 40": at which points the graph model is ahead of the batched one, or behind, beyond chance. NULL:
 * nowhere.
 */
static const char *ahead_at(const report_story *story, const forage_arm_table *table, bool behind)
{
    const char *list = NULL, *last = NULL;
    for (size_t p = 0; p < table->point_count; ++p) {
        const forage_estimate *ahead = &table->ahead[p];
        if (behind ? !(ahead->high < 0) : !(ahead->low > 0))
            continue;
        if (last)
            list = list ? pool_format(story->pool, "%s, %s", list, last) : last;
        last = point_name(story->pool, table, p);
    }
    return list ? pool_format(story->pool, "%s and %s", list, last) : last;
}

/* How far the graph model is ahead of the batched one, and whether that is more than chance. */
static void duel(const report_story *story, const forage_arm_table *table, const char *unit)
{
    report_pool *pool = story->pool;
    const char *ahead = ahead_at(story, table, false), *behind = ahead_at(story, table, true), *all = NULL;
    for (size_t p = 0; p < table->point_count; ++p) {
        const forage_estimate *here = &table->ahead[p];
        const char *interval = isfinite(here->low)
                                   ? pool_format(pool, " (%s to %s)", pool_fixed(pool, 100 * here->low, 1),
                                                 pool_fixed(pool, 100 * here->high, 1))
                                   : "";
        const char *one = pool_format(pool, "%s%s at %s", pool_fixed(pool, 100 * here->value, 1), interval,
                                      point_name(pool, table, p));
        all = all ? pool_format(pool, "%s, %s", all, one) : one;
    }
    const char *verdict = chapter_of(story)->seeds > 1
                              ? pool_format(pool, "Beyond chance it is ahead at %s, and behind at %s.",
                                            ahead ? ahead : "none of these", behind ? behind : "none of these")
                              : "With a single world there are no intervals to tell what is chance.";
    page_say(story->html,
             "World by world, the graph model is ahead of the tuned batched one by so many points of click rate: %s "
             "%s. %s",
             all, unit, verdict);
}

/* ------------------------------------------------------------------ *
 * Sections
 * ------------------------------------------------------------------ */

static void graph_section(const report_story *story)
{
    const forage_graph_facts *graph = &chapter_of(story)->graph;
    report_pool *pool = story->pool;
    page_section(story->html, "graph", "The shop as a graph");
    page_say(story->html,
             "Users and products are nodes; an edge joins a user and a product that they clicked on. The shop here has "
             "%s users and a catalogue of %s products. After %s visits of random traffic, %s of them with a click, the "
             "graph has %s edges: %s of all that could be. What was shown and not clicked is not in it, nor are "
             "personas and categories.",
             pool_count(pool, graph->users), pool_count(pool, graph->items), pool_count(pool, graph->visits),
             pool_count(pool, graph->clicks), pool_count(pool, graph->edges),
             pool_percent(pool, (double)graph->edges / ((double)graph->users * (double)graph->items)));
    story_figure(story, CHAPTER4_DEGREES);
    page_say(story->html,
             "From a user one step leads to %s of the catalogue, what they clicked on. Three steps, over others who "
             "clicked on the same, lead to %s, five to %s. So it is not what can be reached that tells something, but "
             "over how many paths.",
             pool_percent(pool, graph->reach[0]), pool_percent(pool, graph->reach[1]),
             pool_percent(pool, graph->reach[2]));
    page_say(story->html,
             "What do paths tell? Walk from a user to any product they clicked on, and on to anybody else who did: in "
             "%s of the walks that is someone of the same persona, where chance would be %s. From a product over a "
             "user to another product, %s are of the same category, by chance %s. This is all that a graph model has "
             "to go by.",
             pool_percent(pool, graph->same_persona), pool_percent(pool, graph->same_persona_chance),
             pool_percent(pool, graph->same_category), pool_percent(pool, graph->same_category_chance));
    page_end_section(story->html);
}

static void layers_section(const report_story *story)
{
    const forage_chapter4 *chapter = story->record;
    const forage_arm_table *table = &chapter->smoothing;
    report_pool *pool = story->pool;
    page_section(story->html, "layers", "What smoothing does");
    page_say(story->html,
             "LightGCN gives every user and product a vector, and replaces it by a mean of itself and of what its "
             "neighbours have, once for each layer. So someone who clicked on little borrows from those who clicked "
             "on the same. With 0 layers nothing is borrowed: that is plain matrix factorisation, trained with the "
             "same loss (BPR), steps and vectors of 32 numbers.");
    story_figure(story, CHAPTER4_LAYERS);
    const forage_ranked_arm *first = &table->arms[0], *last = &table->arms[table->arm_count - 1];
    size_t deep = table->point_count - 1;
    page_say(story->html,
             "From no layer to %s, offers earn %s more with the thinnest log (%s a user) and %s more with the thickest "
             "(%s).",
             point_name(pool, table, deep),
             pool_points(pool, first->click_rate[deep].value - first->click_rate[0].value), first->name,
             pool_points(pool, last->click_rate[deep].value - last->click_rate[0].value), last->name);
    const forage_ranked_arm *oracle = chapter4_arm(&chapter->crowd, "oracle");
    if (oracle)
        page_say(story->html,
                 "Recall counts the clicks of each user’s next %zu visits, on products not clicked before, that are "
                 "among the first %zu of the ranking. The oracle’s ranking finds %s of them: products of one category "
                 "are as good as each other, and which of them a user clicks on next is luck. That is why this chapter "
                 "looks at true click rates.",
                 chapter->test_visits, chapter->cutoff, pool_percent(pool, oracle->recall[chapter->shown].value));
    page_end_section(story->html);
}

enum { LOOKS = 6 };

static void looks_table(const report_story *story)
{
    static const char *const header[LOOKS] = {"Vectors",
                                              "Users near users",
                                              "Users’ silhouette",
                                              "Products near products",
                                              "Products’ silhouette",
                                              "Variance in the plane"};
    const forage_graph_map *map = &chapter_of(story)->map;
    report_pool *pool = story->pool;
    const char **cells = pool_take(pool, LOOKS * map->view_count, sizeof *cells);
    for (size_t v = 0; cells && v < map->view_count; ++v) {
        const forage_map_view *view = &map->views[v];
        const char **row = &cells[LOOKS * v];
        row[0] = pool_format(pool, "%s\n%s", view->name, view->note);
        row[1] = pool_percent_estimate(pool, &view->user_neighbours);
        row[2] = pool_fixed_estimate(pool, &view->user_silhouette, 2);
        row[3] = pool_percent_estimate(pool, &view->item_neighbours);
        row[4] = pool_fixed_estimate(pool, &view->item_silhouette, 2);
        row[5] = pool_percent(pool, view->explained[0] + view->explained[1]);
    }
    if (cells)
        page_table(story->html, pool, "How well groups are told apart that no model knows", header, LOOKS, cells,
                   map->view_count);
}

static void map_section(const report_story *story)
{
    const forage_chapter4 *chapter = story->record;
    const forage_graph_map *map = &chapter->map;
    report_pool *pool = story->pool;
    page_section(story->html, "map", "Where users and products lie");
    page_say(story->html,
             "The vectors of one shop, with and without training, with and without the graph. Each is brought to "
             "length 1, since its direction is what tells, and laid on the plane in which users vary most (their two "
             "principal components). Of %s users the first %zu are drawn.",
             pool_count(pool, chapter->graph.users), map->user_count);
    story_figure(story, CHAPTER4_USERS);
    story_figure(story, CHAPTER4_PRODUCTS);
    page_say(story->html,
             "A plane shows two of 32 dimensions, so the numbers count in all of them. Of each user’s %zu nearest "
             "users: how many are of the same persona (by chance %s)? Of each product’s: how many are of the same "
             "category (%s)? The silhouette compares the distance to one’s own group with that to the nearest other "
             "one: 1 is far apart, 0 is mixed.",
             map->neighbours, pool_percent(pool, chapter->graph.same_persona_chance),
             pool_percent(pool, chapter->graph.same_category_chance));
    looks_table(story);
    page_say(story->html,
             "Groups that click on much the same, or are clicked on by the same, cannot be told apart: what a graph "
             "knows of people and things is what clicks tell.");
    page_end_section(story->html);
}

/* "4 of Dog Food, 3 of Dog Toy" */
static const char *chosen_text(const report_story *story, const forage_graph_customer *customer)
{
    const forage_chapter4 *chapter = story->record;
    const char *text = NULL;
    for (size_t c = 0; c < chapter->category_count; ++c) {
        if (customer->category[c] == 0)
            continue;
        const char *part = pool_format(story->pool, "%zu of <em>%s</em>", customer->category[c],
                                       pool_html(story->pool, chapter->categories[c]));
        text = text ? pool_format(story->pool, "%s, %s", text, part) : part;
    }
    return text ? text : "nothing";
}

static const char *reason_text(const report_story *story, const forage_graph_offer *offer)
{
    const forage_chapter4 *chapter = story->record;
    const char *text = "no path of three steps";
    for (size_t r = 0; r < offer->reason_count; ++r) {
        const char *part =
            pool_format(story->pool, "%s %u (%s, %zu other%s)", chapter->categories[offer->reasons[r].category],
                        (unsigned)offer->reasons[r].item, pool_percent(story->pool, offer->reasons[r].share),
                        offer->reasons[r].users, offer->reasons[r].users == 1 ? "" : "s");
        text = r ? pool_format(story->pool, "%s; %s", text, part) : part;
    }
    return text;
}

static void customers_section(const report_story *story)
{
    static const char *const header[] = {"Offered", "True click rate", "Because of"};
    const forage_chapter4 *chapter = story->record;
    report_pool *pool = story->pool;
    page_section(story->html, "offers", "What one user of each persona is offered");
    page_say(story->html,
             "The model of %s visits a user, the first user of each persona who has clicked on a few products, and the "
             "%zu best products they have not clicked on. “Because of” names the clicked products over which most "
             "paths lead to the offer, with their share of all paths by strength, and how many others clicked on both.",
             point_name(pool, &chapter->crowd, chapter->shown), chapter->offered);
    for (size_t c = 0; c < chapter->customer_count; ++c) {
        const forage_graph_customer *customer = &chapter->customers[c];
        const char **cells = pool_take(pool, 3 * FORAGE_GRAPH_OFFERS, sizeof *cells);
        for (size_t i = 0; cells && i < customer->offer_count; ++i) {
            const forage_graph_offer *offer = &customer->offers[i];
            cells[3 * i] = pool_format(pool, "%s %u", chapter->categories[offer->category], (unsigned)offer->item);
            cells[3 * i + 1] = pool_percent(pool, offer->truth);
            cells[3 * i + 2] = reason_text(story, offer);
        }
        report_format(story->html, "<h3>User %u, a %s</h3>\n", (unsigned)customer->user,
                      pool_html(pool, chapter->personas[customer->persona]));
        page_say(story->html, "Clicked on %s. The offers earn %s on average; the best that could be offered %s.",
                 chosen_text(story, customer), pool_percent(pool, customer->click_rate),
                 pool_percent(pool, customer->best));
        if (cells)
            page_table(story->html, pool, NULL, header, 3, cells, customer->offer_count);
    }
    page_end_section(story->html);
}

static void crowd_section(const report_story *story)
{
    const forage_chapter4 *chapter = story->record;
    const forage_arm_table *table = &chapter->crowd;
    report_pool *pool = story->pool;
    size_t thick = table->point_count - 1;
    page_section(story->html, "crowd", "How much must the crowd have clicked?");
    page_say(story->html,
             "The same shop again with thin logs and thick ones, and all who rank learn from the same visits. The "
             "batched model of chapter 1, a network over vectors of users and products, reads visits without a click, "
             "too. It is here with the settings of chapter 1’s worlds and with those that were tuned for this shop.");
    story_figure(story, CHAPTER4_LOGS);
    arms_table(story, table, "Click rate, by visits",
               pool_format(pool, "What the %zu products offered earn", chapter->offered));
    duel(story, table, "visits a user");
    page_say(story->html,
             "Is it for want of what was shown and not clicked? With the thickest log, who knows the personas could "
             "earn %s from clicks alone and %s from all visits; the difference is what visits without a click are "
             "worth. The graph model makes %s of the clicks, the tuned network %s of all visits. What is left is a "
             "matter of form. A product of two vectors can follow every chance click on a single product; in this shop "
             "nothing counts but persona and category, and the network’s settings were tuned to find a few groups and "
             "to forget the rest, which takes visits enough to train it on.",
             rate(story, table, LIMIT_CLICKS, thick), rate(story, table, LIMIT, thick),
             rate(story, table, GRAPH, thick), rate(story, table, BATCHED, thick));
    page_end_section(story->html);
}

static void few_clicks_section(const report_story *story)
{
    const forage_chapter4 *chapter = story->record;
    report_pool *pool = story->pool;
    page_section(story->html, "few-clicks", "Users of few clicks");
    const forage_few_clicks *first = &chapter->few_clicks[0];
    page_say(story->html,
             "New users come into a shop of %s others, and visit at random until their first click, their second, and "
             "so on: %zu users for each number of clicks. “Not retrained” is a model of the time before: chapter 1’s "
             "takes these users for the average of all it knows, while the graph model places them by what they "
             "clicked on, the same sum over neighbours as for everybody else, without a step of training.",
             pool_count(pool, first->others), first->group);
    story_figure(story, CHAPTER4_FEW_CLICKS);
    for (size_t l = 0; l < chapter->few_clicks_count; ++l) {
        const forage_few_clicks *few = &chapter->few_clicks[l];
        arms_table(story, &few->arms, "Click rate, by clicks",
                   pool_format(pool, "Others with %zu visits each", few->others_visits));
        duel(story, &few->arms, "clicks");
    }
    page_say(story->html,
             "A click says little about one product and much about the persona: after one, and the %s visits that it "
             "took, who knows the personas could earn %s. Placed by that one click, the graph model earns %s; trained "
             "again with it, %s.",
             pool_fixed(pool, first->visits[0].value, 1), rate(story, &first->arms, LIMIT, 0),
             rate(story, &first->arms, UNTRAINED, 0), rate(story, &first->arms, GRAPH, 0));
    page_end_section(story->html);
}

static void lessons_section(const report_story *story)
{
    const forage_chapter4 *chapter = story->record;
    const forage_arm_table *crowd = &chapter->crowd;
    const forage_graph_map *map = &chapter->map;
    const forage_arm_table *few = &chapter->few_clicks[0].arms;
    report_pool *pool = story->pool;
    size_t thick = crowd->point_count - 1;
    page_section(story->html, "chapter-4-lessons", "What to take away");
    report_format(story->html,
                  "<ul>\n<li>Groups that nobody named: of a user’s nearest %zu, %s are of the same persona with "
                  "smoothing alone, %s with training alone, %s with both.</li>\n",
                  map->neighbours, pool_percent(pool, map->views[1].user_neighbours.value),
                  pool_percent(pool, map->views[2].user_neighbours.value),
                  pool_percent(pool, map->views[3].user_neighbours.value));
    report_format(story->html,
                  "<li>What the graph adds to the same vectors: at %s visits a user offers go from %s to %s, at %s "
                  "from %s to %s.</li>\n",
                  point_name(pool, crowd, 1), rate(story, crowd, NO_GRAPH, 1), rate(story, crowd, GRAPH, 1),
                  point_name(pool, crowd, thick), rate(story, crowd, NO_GRAPH, thick),
                  rate(story, crowd, GRAPH, thick));
    report_format(story->html,
                  "<li>How much of that is counting who clicked on the same: <code>item-knn</code>, which learns no "
                  "vectors, earns %s at %s visits a user and %s at %s.</li>\n",
                  rate(story, crowd, COUNTING, 1), point_name(pool, crowd, 1), rate(story, crowd, COUNTING, thick),
                  point_name(pool, crowd, thick));
    report_format(story->html,
                  "<li>Beside it, the tuned batched network, trained on the same visits, earns %s at %s visits a user "
                  "and %s at %s: which is the better one is a question of how much the crowd has clicked.</li>\n",
                  rate(story, crowd, BATCHED, 1), point_name(pool, crowd, 1), rate(story, crowd, BATCHED, thick),
                  point_name(pool, crowd, thick));
    report_format(story->html,
                  "<li>New users need no training: placed by their first click they are offered products that earn %s, "
                  "trained again %s; the network that was not trained again earns %s with them.</li>\n",
                  rate(story, few, UNTRAINED, 0), rate(story, few, GRAPH, 0),
                  rate(story, few, "embedding-mlp, not retrained", 0));
    report_add(story->html,
               "<li>A graph knows clicks alone. What products are, in which moment a user comes, and what was shown in "
               "vain is for other models; a good recommender asks more than one.</li>\n</ul>\n");
    page_end_section(story->html);
}

static void method_section(const report_story *story)
{
    const forage_chapter4 *chapter = story->record;
    report_pool *pool = story->pool;
    page_section(story->html, "chapter-4-method", "How it was measured");
    report_format(
        story->html,
        "<ul>\n<li>Scenario <code>%s</code>, seed %llu, with a catalogue large enough that graphs have gaps. Means "
        "over "
        "%zu worlds, each with catalogue, users, log and initial numbers of its own; intervals are 95\u00a0%% "
        "Student’s t intervals over worlds. The graph, the maps and the offers are those of the first world.</li>\n"
        "<li>Every user is offered the best products among those not clicked yet. Click rates are expected ones: the "
        "mean of the true click probability of what is offered.</li>\n"
        "<li>Settings of <code>lightgcn</code> were chosen in other worlds than these; <code>item-knn</code>, "
        "<code>ials</code> and <code>gf-cf</code> have their defaults. "
        "Those of the batched model are its own (“tuned” is its recipe for this shop).</li>\n"
        "<li>Forage %s on %s; the whole chapter took %s s.</li>\n</ul>\n",
        pool_html(pool, chapter->scenario), (unsigned long long)chapter->seed, chapter->seeds,
        pool_html(pool, forage_version()), pool_html(pool, chapter->device), pool_fixed(pool, chapter->seconds, 1));
    story_again(story);
    page_end_section(story->html);
}

static void sections(const report_story *story)
{
    graph_section(story);
    layers_section(story);
    map_section(story);
    customers_section(story);
    crowd_section(story);
    few_clicks_section(story);
    lessons_section(story);
    method_section(story);
}

static const char *const links[][2] = {
    {"graph", "The shop as a graph"},
    {"layers", "What smoothing does"},
    {"map", "Where users and products lie"},
    {"offers", "What one user of each persona is offered"},
    {"crowd", "How much must the crowd have clicked?"},
    {"few-clicks", "Users of few clicks"},
    {"chapter-4-lessons", "What to take away"},
    {"chapter-4-method", "How it was measured"},
};

static forage_status json(const void *record, char **text, forage_error *error)
{
    return forage_chapter4_json(record, text, error);
}

const report_chapter report_chapter4 = {
    .folder = "chapter-4",
    .kicker = "Forage · Chapter 4 · learning from the crowd",
    .title = "What a graph of clicks knows",
    .lead = "Users and products as nodes, clicks as edges: what smoothing over them does, which groups appear that "
            "nobody named, and when that beats a network trained on the same visits.",
    .links = links,
    .link_count = sizeof links / sizeof *links,
    .chart_count = CHAPTER4_CHARTS,
    .describe = chapter4_describe,
    .keys = keys,
    .sections = sections,
    .json = json,
};
