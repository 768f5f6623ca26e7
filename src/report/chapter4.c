/*
 * Chapter 4 on the terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter4.h"

static void summary(const void *record, report_pool *pool, report_text *text)
{
    const forage_chapter4 *chapter = record;
    const forage_graph_facts *graph = &chapter->graph;
    const forage_graph_map *map = &chapter->map;
    const forage_map_view *first = &map->views[0], *last = &map->views[map->view_count - 1];
    story_line(text, "edges", pool_count(pool, graph->edges),
               pool_format(pool, "%s users, %s products; %s products of a user on average",
                           pool_count(pool, graph->users), pool_count(pool, graph->items),
                           pool_fixed(pool, graph->user.mean, 1)));
    story_line(text, "two steps, same persona", pool_percent(pool, graph->same_persona),
               pool_format(pool, "by chance %s", pool_percent(pool, graph->same_persona_chance)));
    story_line(text, "neighbours, same persona", pool_percent(pool, last->user_neighbours.value),
               pool_format(pool, "before training %s", pool_percent(pool, first->user_neighbours.value)));
    for (size_t p = 0; p < chapter->crowd.point_count; ++p)
        story_line(text, pool_format(pool, "offers, %s visits a user", pool_fixed(pool, chapter->crowd.points[p], 0)),
                   pool_percent(pool, chapter4_rate(&chapter->crowd, "lightgcn", p)),
                   pool_format(pool, "no graph %s, mlp tuned %s, limit %s",
                               pool_percent(pool, chapter4_rate(&chapter->crowd, "no graph", p)),
                               pool_percent(pool, chapter4_rate(&chapter->crowd, "embedding-mlp, tuned", p)),
                               pool_percent(pool, chapter4_rate(&chapter->crowd, "limit, from all visits", p))));
    for (size_t l = 0; l < chapter->few_clicks_count; ++l) {
        const forage_few_clicks *few = &chapter->few_clicks[l];
        story_line(text, pool_format(pool, "after 1 click, others %zu", few->others_visits),
                   pool_percent(pool, chapter4_rate(&few->arms, "lightgcn, not retrained", 0)),
                   pool_format(pool, "retrained %s, mlp tuned %s, limit %s",
                               pool_percent(pool, chapter4_rate(&few->arms, "lightgcn", 0)),
                               pool_percent(pool, chapter4_rate(&few->arms, "embedding-mlp, tuned", 0)),
                               pool_percent(pool, chapter4_rate(&few->arms, "limit, from all visits", 0))));
    }
}

forage_status forage_chapter4_text(const forage_chapter4 *chapter, const forage_terminal *terminal, char **result,
                                   forage_error *error)
{
    static const size_t shown[] = {CHAPTER4_LAYERS, CHAPTER4_USERS, CHAPTER4_LOGS, CHAPTER4_FEW_CLICKS};
    static const story_terminal how = {"Chapter 4: what a graph of clicks knows", summary, shown,
                                       sizeof shown / sizeof *shown};
    return story_text(&report_chapter4, &how, chapter, terminal, result, error);
}
