/*
 * Learning from every click: a pipeline (here LinUCB) decides what each visitor of a shop
 * is shown, and learns at once from what they do. The shop is simulated, so the best possible
 * choice is known; in a real one `decide` and `observe` are called in the same places.
 *
 *   decide                   20,000 visits with "linucb"
 *   decide PIPELINE          the same with another one: lints, latent, egreedy:epsilon=0.05 ...
 *
 * Build: cc decide.c $(pkg-config --cflags --libs forage) -o decide
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <forage/forage.h>

#include <stdio.h>

typedef struct score {
    double clicks, expected, best; /* of what was shown; of the best that could have been shown */
} score;

/* One visit: a decision, what the visitor does, and the lesson. */
static forage_status serve(forage_play *shop, forage_pipeline *pipeline, bool *more, score *total, forage_error *error)
{
    forage_visit visit;
    forage_decision decision;
    const forage_feedback *feedback;
    size_t count, learned;
    double earned;
    FORAGE_TRY(forage_play_next(shop, &visit, more, error));
    if (!*more)
        return FORAGE_OK;
    FORAGE_TRY(forage_pipeline_decide(pipeline, &visit.request, &decision, error));
    total->expected += forage_play_value(shop, decision.items, decision.positions);
    total->best += forage_play_best(shop);
    FORAGE_TRY(forage_play_answer(shop, decision.items, decision.positions, &feedback, &count, NULL, &earned, error));
    total->clicks += earned;
    return forage_pipeline_observe(pipeline, feedback, count, &learned, error);
}

static forage_status run(const char *name, forage_error *error)
{
    const forage_environment_options visits = {.visits = 20000};
    forage_environment *shop = NULL;
    forage_play *play = NULL;
    forage_pipeline_spec *spec = NULL;
    forage_pipeline *pipeline = NULL;
    forage_status status;
    score tenth = {0, 0, 0};
    bool more = true;
    FORAGE_TRY_GOTO(forage_environment_open("petshop", &visits, &shop, error), end);
    FORAGE_TRY_GOTO(forage_play_create(shop, 1, &play, error), end);
    FORAGE_TRY_GOTO(forage_pipeline_spec_parse(name, &spec, error), end);
    const forage_pipeline_options options = {.catalogue = forage_environment_catalogue(shop), .seed = 1};
    FORAGE_TRY_GOTO(forage_pipeline_create(spec, &options, &pipeline, error), end);
    for (size_t done = 1; more; done++) {
        FORAGE_TRY_GOTO(serve(play, pipeline, &more, &tenth, error), end);
        if (done % 2000 == 0) {
            printf("visit %6zu: %4.1f %% clicked; expected %5.1f %% of the best possible\n", done, tenth.clicks / 20,
                   100 * tenth.expected / tenth.best);
            tenth = (score){0, 0, 0};
        }
    }
end:
    forage_pipeline_free(pipeline);
    forage_pipeline_spec_free(spec);
    forage_play_free(play);
    forage_environment_free(shop);
    return status;
}

int main(int argc, char **argv)
{
    forage_error error = {0};
    if (run(argc > 1 ? argv[1] : "linucb", &error) == FORAGE_OK)
        return 0;
    char text[512];
    forage_error_text(&error, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    return 1;
}
