/*
 * Pipelines from the outside: short names and files, deciding, observing, teaching, what is refused, batches, growth,
 * memory that runs out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../must.h"
#include "pipeline_shop.h"

#include <stdlib.h>

typedef struct workbench {
    tiny_shop shop;
    forage_pipeline_spec *spec;
    forage_pipeline *pipeline;
} workbench;

/* A pipeline by its short name in the small shop. */
static void open_bench(workbench *bench, const char *name, size_t positions)
{
    forage_error error = {0};
    shop_open(&bench->shop);
    must(forage_pipeline_spec_parse(name, &bench->spec, &error), &error);
    const forage_pipeline_options options = {.catalogue = &bench->shop.catalogue, .seed = 11, .positions = positions};
    must(forage_pipeline_create(bench->spec, &options, &bench->pipeline, &error), &error);
}

static void close_bench(workbench *bench)
{
    forage_pipeline_free(bench->pipeline);
    forage_pipeline_spec_free(bench->spec);
    shop_close(&bench->shop);
}

static const uint32_t codes[][2] = {{0, FORAGE_NONE}, {1, FORAGE_NONE}, {FORAGE_NONE, FORAGE_NONE}};
static const float values[][2] = {{NAN, 8}, {NAN, 12}, {NAN, NAN}, {NAN, 23}};

static forage_request ask(uint64_t id)
{
    uint32_t user = (uint32_t)(id * 7 % (SHOP_USERS + 1));
    return (forage_request){.id = id,
                            .user = user == SHOP_USERS ? FORAGE_NONE : user,
                            .codes = codes[id % 3],
                            .values = values[id % 4],
                            .positions = 1};
}

/* Whether a visit ends with a click: by a table of its own, so that there is something to learn. */
static float click_of(const forage_request *request, uint32_t item)
{
    return (request->id * 2654435761U >> 7) % 10 < 2 + 3 * (item % 3 == request->user % 3) ? 1 : 0;
}

static void visit(forage_pipeline *pipeline, uint64_t id)
{
    forage_error error = {0};
    forage_decision decision;
    const forage_request request = ask(id);
    size_t done;
    must(forage_pipeline_decide(pipeline, &request, &decision, &error), &error);
    const forage_feedback feedback = {id, 0, click_of(&request, decision.items[0])};
    must(forage_pipeline_observe(pipeline, &feedback, 1, &done, &error), &error);
    assert_int_equal(done, 1);
}

/* Everything that a pipeline thinks of a request. */
typedef struct thoughts {
    double probabilities[SHOP_ITEMS];
    float mean[SHOP_ITEMS];
} thoughts;

static void opine(forage_pipeline *pipeline, uint64_t id, thoughts *opinion)
{
    forage_error error = {0};
    const forage_request request = ask(id);
    must(forage_pipeline_probabilities(pipeline, &request, opinion->probabilities, opinion->mean, &error), &error);
}

static void same_opinions(forage_pipeline *a, forage_pipeline *b)
{
    for (uint64_t id = 1000; id < 1012; id++) {
        thoughts one, other;
        opine(a, id, &one);
        opine(b, id, &other);
        assert_memory_equal(one.mean, other.mean, sizeof one.mean);
    }
}

/* Is it a model that is trained now and then? Those have tests of their own. */
static bool is_refitted(const char *name)
{
    return strstr(name, "neural") || strstr(name, "batched") || strstr(name, "bst");
}

/* ---- names ---- */

static void short_names_are_whole_pipelines(void **state)
{
    (void)state;
    size_t count;
    const forage_pipeline_name *names = forage_pipeline_names(&count);
    assert_true(count > 10);
    for (size_t i = 0; i < count; i++) {
        workbench bench;
        if (is_refitted(names[i].name))
            continue;
        open_bench(&bench, names[i].name, 2);
        const forage_model_info *model = forage_pipeline_spec_model(bench.spec);
        assert_int_equal(model == NULL, names[i].model == NULL);
        if (model)
            assert_string_equal(model->name, names[i].model);
        assert_string_equal(forage_pipeline_spec_policy(bench.spec)->name, names[i].policy);
        assert_string_equal(forage_pipeline_spec_name(bench.spec), names[i].name);
        for (uint64_t id = 0; id < 60; id++)
            visit(bench.pipeline, id);
        close_bench(&bench);
    }
}

/* docs/pipelines.md has this table: | `name` | summary | ... |. */
static void the_page_lists_the_names(void **state)
{
    (void)state;
    const char *source = getenv("FORAGE_SOURCE");
    char path[1024], row[512], *page;
    size_t size, count, rows = 0;
    if (!source)
        return; /* skipped: cmocka's skip() would count as a failure */
    const forage_pipeline_name *names = forage_pipeline_names(&count);
    snprintf(path, sizeof path, "%s/docs/pipelines.md", source);
    assert_int_equal(forage_read_file(path, 1 << 20, &page, &size, NULL), FORAGE_OK);
    for (size_t i = 0; i < count; i++) {
        snprintf(row, sizeof row, "| `%s` | %s | %s | %s |", names[i].name, names[i].summary,
                 names[i].model ? names[i].model : "", names[i].policy);
        if (!strstr(page, row))
            fail_msg("docs/pipelines.md lacks the row: %s", row);
    }
    const char *end = strstr(page, "\n## A file");
    assert_non_null(end);
    for (const char *at = strstr(page, "\n| `"); at && at < end; at = strstr(at + 1, "\n| `"))
        rows++;
    assert_int_equal(rows, count);
    forage_free(page);
}

static void refuse_name(const char *text, forage_status expected, const char *const *says)
{
    forage_pipeline_spec *spec = (forage_pipeline_spec *)&spec;
    forage_error error = {0};
    assert_int_equal(forage_pipeline_spec_parse(text, &spec, &error), expected);
    assert_null(spec);
    for (; *says; says++)
        if (!strstr(error.message, *says))
            fail_msg("%s: '%s' is not in: %s", text, *says, error.message);
}

#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void mistakes_in_names_are_explained(void **state)
{
    (void)state;
    refuse_name("linuxb", FORAGE_UNKNOWN, SAYS("linuxb", "linucb", "lints", "FILE.yaml"));
    refuse_name("linucb:alfa=1", FORAGE_UNKNOWN, SAYS("alfa", "ridge", "alpha", "refit-window", "history-half-life"));
    refuse_name("linucb:alpha=-1", FORAGE_INVALID, SAYS("-1", "ucb", "a number, 0 to"));
    refuse_name("linucb:alpha", FORAGE_INVALID, SAYS("alpha", "parameter=value"));
    refuse_name("linucb:", FORAGE_INVALID, SAYS("parameter=value"));
    refuse_name("linucb:=2", FORAGE_INVALID, SAYS("parameter=value"));
    refuse_name("linucb:ridge=0", FORAGE_INVALID, SAYS("ridge", "0"));
    refuse_name("linucb:refit=100", FORAGE_INVALID, SAYS("fitted in batches", "linear-ridge learns each event"));
    refuse_name("random:refit-window=9", FORAGE_INVALID, SAYS("random has no model"));
    refuse_name("linucb:features=bias+bios", FORAGE_UNKNOWN, SAYS("bios", "bias", "user.NAME"));
    refuse_name("linucb:features=+", FORAGE_INVALID, SAYS("joined by +"));
    refuse_name("linucb:policy.ridge=1", FORAGE_UNKNOWN, SAYS("policy.ridge"));
    refuse_name("", FORAGE_UNKNOWN, SAYS("possible are"));
    refuse_name("no-such-file.yaml:a", FORAGE_IO, SAYS(""));
}

static void parameters_find_their_owner(void **state)
{
    (void)state;
    static const char *const good[] = {"linucb:alpha=0.3:ridge=2", "linucb:policy.alpha=0.3:model.ridge=2:wait=7",
                                       "linucb:pipeline.wait=7", "linucb:features=bias+history.category",
                                       "linucb:pretrain=12"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        forage_pipeline_spec *spec;
        forage_error error = {0};
        must(forage_pipeline_spec_parse(good[i], &spec, &error), &error);
        assert_string_equal(forage_pipeline_spec_name(spec), good[i]);
        assert_int_equal(forage_pipeline_spec_pretrain(spec), i == 4 ? 12 : 0);
        forage_pipeline_spec_free(spec);
    }
}

/* ---- files ---- */

static void refuse_file(const char *text, uint64_t line, const char *says)
{
    forage_pipeline_spec **specs = (forage_pipeline_spec **)&specs;
    size_t count = 7;
    forage_error error = {0};
    assert_int_not_equal(forage_pipeline_specs_parse(text, strlen(text), "t.yaml", &specs, &count, &error), FORAGE_OK);
    assert_null(specs);
    assert_int_equal(count, 0);
    if (!strstr(error.message, says) || error.line != line || strcmp(error.file, "t.yaml") != 0)
        fail_msg("expected line %d and '%s', got line %d: %s", (int)line, says, (int)error.line, error.message);
}

#define BODY "pipelines:\n  a:\n    model: linear-ridge\n    policy: ucb\n"

static void mistakes_in_files_have_lines(void **state)
{
    (void)state;
    refuse_file("pipes: 1\n", 1, "possible are pipelines");
    refuse_file("pipelines: []\n", 1, "expected a map");
    refuse_file("pipelines: {}\n", 1, "there are no pipelines");
    refuse_file("pipelines:\n  a: 3\n", 2, "expected a map");
    refuse_file("pipelines:\n  a:\n    model: linear-ridge\n", 2, "'policy' is missing");
    refuse_file("pipelines:\n  a:\n    policy: ucb\n", 3, "policy ucb needs a model");
    refuse_file("pipelines:\n  a:\n    model: linnear\n    policy: ucb\n", 3, "linear-ridge");
    refuse_file("pipelines:\n  a:\n    model: embedding-mlp\n    policy: thompson\n", 4, "neither");
    refuse_file("pipelines:\n  a:\n    model: embedding-mlp\n    policy: ucb\n", 4, "needs standard errors");
    refuse_file(BODY "    alpha: much\n", 5, "a number");
    refuse_file(BODY "    alpah: 1\n", 5, "possible are linear-ridge:");
    refuse_file(BODY "    alpha: {a: 1}\n", 5, "expected a value");
    refuse_file(BODY "    features: {bias: 1}\n", 5, "expected a list");
    refuse_file(BODY "    features:\n      - bias\n      - basi\n", 7, "no feature 'basi'");
    refuse_file(BODY "    features:\n      - {colour: red}\n", 6, "one of the keys user, item");
    refuse_file(BODY "    features:\n      - user: age\n        knot: 2\n", 7, "possible are user,scale,knots");
    refuse_file(BODY "    features:\n      - user: age\n        knots: 99\n", 7, "not between 0 and 16");
    refuse_file(BODY "    features:\n      - cross: [user.age]\n", 6, "two or three");
    refuse_file(BODY "    features:\n      - cross: [user.age, price]\n", 6, "cannot be crossed");
    refuse_file(BODY "    features:\n      - history: category\n        measures: [rate, rite]\n", 7,
                "no measure 'rite'");
    refuse_file(BODY "    features:\n      - history: category\n        of: none\n", 7, "neither all nor candidate");
    refuse_file(BODY "    features:\n      - [bias]\n", 6, "expected a value");
}

static void files_hold_several_pipelines(void **state)
{
    (void)state;
    static const char text[] = BODY "    alpha: 0.5\n  b:\n    policy: random\n";
    char path[64] = "/tmp/forage-pipelines-XXXXXX", file[80], name[128];
    forage_pipeline_spec **specs, *spec;
    forage_output *output;
    forage_error error = {0};
    size_t count;
    assert_non_null(mkdtemp(path));
    snprintf(file, sizeof file, "%s/two.yaml", path);
    assert_int_equal(forage_output_open(file, &output, NULL), FORAGE_OK);
    assert_int_equal(forage_output_write(output, text, strlen(text), NULL), FORAGE_OK);
    assert_int_equal(forage_output_commit(output, NULL), FORAGE_OK);
    must(forage_pipeline_specs_load(file, &specs, &count, &error), &error);
    assert_int_equal(count, 2);
    assert_string_equal(forage_pipeline_spec_name(specs[0]), "a");
    assert_null(forage_pipeline_spec_model(specs[1]));
    for (size_t i = 0; i < count; i++)
        forage_pipeline_spec_free(specs[i]);
    forage_free(specs);
    snprintf(name, sizeof name, "%s:b", file);
    must(forage_pipeline_spec_parse(name, &spec, &error), &error);
    assert_string_equal(forage_pipeline_spec_policy(spec)->name, "random");
    forage_pipeline_spec_free(spec);
    snprintf(name, sizeof name, "%s:a:ridge=3", file);
    must(forage_pipeline_spec_parse(name, &spec, &error), &error);
    forage_pipeline_spec_free(spec);
    snprintf(name, sizeof name, "%s:c", file);
    assert_int_equal(forage_pipeline_spec_parse(name, &spec, &error), FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, "a, b"));
    assert_int_equal(forage_pipeline_spec_parse(file, &spec, &error), FORAGE_UNKNOWN); /* which of them? */
    remove(file);
    remove(path);
}

/* ---- deciding and learning ---- */

static void propensities_are_the_probabilities(void **state)
{
    (void)state;
    static const char *const names[] = {"linucb",
                                        "lints",
                                        "egreedy",
                                        "squarecb",
                                        "softmax",
                                        "random",
                                        "thompson",
                                        "linucb:initial-pulls=5",
                                        "lints:policy.samples=50"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        workbench bench;
        open_bench(&bench, names[i], 1);
        for (uint64_t id = 0; id < 150; id++) {
            forage_decision decision;
            thoughts opinion;
            double sum = 0;
            const forage_request request = ask(id);
            size_t done;
            opine(bench.pipeline, id, &opinion);
            for (size_t k = 0; k < SHOP_ITEMS; k++)
                sum += opinion.probabilities[k];
            assert_float_equal(sum, 1, 1e-9);
            assert_int_equal(forage_pipeline_decide(bench.pipeline, &request, &decision, NULL), FORAGE_OK);
            assert_int_equal(decision.id, id);
            assert_int_equal(decision.positions, 1);
            /* Where a policy estimates propensities only on demand, the decision itself does not say. */
            if (!isnan(decision.propensity[0]))
                assert_float_equal(decision.propensity[0], opinion.probabilities[decision.items[0]], 1e-9);
            if (forage_pipeline_spec_model(bench.spec))
                assert_float_equal(decision.mean[0], opinion.mean[decision.items[0]], 1e-5);
            const forage_feedback feedback = {id, 0, click_of(&request, decision.items[0])};
            assert_int_equal(forage_pipeline_observe(bench.pipeline, &feedback, 1, &done, NULL), FORAGE_OK);
        }
        close_bench(&bench);
    }
}

static void the_same_seed_is_the_same_life(void **state)
{
    (void)state;
    workbench one, other;
    open_bench(&one, "lints", 1);
    open_bench(&other, "lints", 1);
    for (uint64_t id = 0; id < 300; id++) {
        visit(one.pipeline, id);
        visit(other.pipeline, id);
    }
    same_opinions(one.pipeline, other.pipeline);
    close_bench(&one);
    close_bench(&other);
}

static void teaching_is_deciding_and_observing(void **state)
{
    (void)state;
    static const char *const names[] = {"linucb", "beta-ts", "hybrid", "shared", "linucb:initial-pulls=3"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        workbench one, other;
        open_bench(&one, names[i], 1);
        open_bench(&other, names[i], 1);
        for (uint64_t id = 0; id < 300; id++) {
            forage_decision decision;
            const forage_request request = ask(id);
            size_t done;
            assert_int_equal(forage_pipeline_decide(one.pipeline, &request, &decision, NULL), FORAGE_OK);
            uint32_t item = decision.items[0];
            float propensity = (float)decision.propensity[0], reward = click_of(&request, item);
            const forage_feedback feedback = {id, 0, reward};
            assert_int_equal(forage_pipeline_observe(one.pipeline, &feedback, 1, &done, NULL), FORAGE_OK);
            bool known = propensity > 0;
            assert_int_equal(
                forage_pipeline_teach(other.pipeline, &request, &item, known ? &propensity : NULL, &reward, NULL),
                FORAGE_OK);
        }
        same_opinions(one.pipeline, other.pipeline);
        forage_pipeline_stats a, b;
        forage_pipeline_stats_of(one.pipeline, &a);
        forage_pipeline_stats_of(other.pipeline, &b);
        assert_int_equal(a.decisions, b.decisions);
        assert_int_equal(a.lessons, 300);
        assert_int_equal(b.lessons, 300);
        close_bench(&one);
        close_bench(&other);
    }
}

/* Refused calls leave what the pipeline thinks, and what it will choose, as they were. */
static void refuses_and_forgets(const char *name)
{
    workbench one, other;
    open_bench(&one, name, 2);
    open_bench(&other, name, 2);
    static const uint32_t twice[] = {1, 2, 1}, unknown[] = {1, 99}, bad_code[] = {5, FORAGE_NONE}, few[] = {3};
    static const float infinite[] = {NAN, INFINITY};
    for (uint64_t id = 0; id < 100; id++) {
        forage_decision decision;
        forage_error error = {0};
        size_t done;
        forage_request request = ask(id), bad = request;
        forage_pipeline *p = one.pipeline;
#define REFUSED(change, part)                                                                 \
    do {                                                                                      \
        bad = request;                                                                        \
        change;                                                                               \
        assert_int_equal(forage_pipeline_decide(p, &bad, &decision, &error), FORAGE_INVALID); \
        if (!strstr(error.message, part))                                                     \
            fail_msg("'%s' is not in: %s", part, error.message);                              \
    } while (0)
        REFUSED((bad.candidates = twice, bad.candidate_count = 3), "twice");
        REFUSED((bad.candidates = unknown, bad.candidate_count = 2), "not in the catalogue");
        REFUSED((bad.candidates = twice, bad.candidate_count = 0), "no candidates");
        REFUSED((bad.candidates = few, bad.candidate_count = 1, bad.positions = 2), "1 candidates for 2 positions");
        REFUSED(bad.positions = 3, "3 positions");
        REFUSED(bad.codes = bad_code, "no code");
        REFUSED(bad.values = infinite, "not finite");
        REFUSED(bad.user = 77, "user 77");
        assert_int_equal(forage_pipeline_decide(p, &request, &decision, &error), FORAGE_OK);
        uint32_t item = decision.items[0];
        REFUSED((void)0, "made already");
#undef REFUSED
        const forage_feedback good = {id, 0, click_of(&request, item)};
        const forage_feedback wrong[] = {{id + 1, 0, 1}, {id, 1, 1}, {id, 0, NAN}, {id, 0, INFINITY}};
        static const forage_status expected[] = {FORAGE_UNKNOWN, FORAGE_INVALID, FORAGE_INVALID, FORAGE_INVALID};
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(forage_pipeline_observe(p, &wrong[i], 1, &done, &error), expected[i]);
            assert_int_equal(done, 0);
        }
        const forage_feedback both[] = {good, good};
        assert_int_equal(forage_pipeline_observe(p, both, 2, &done, &error), FORAGE_INVALID);
        assert_non_null(strstr(error.message, "already"));
        assert_int_equal(done, 1); /* the first was learned */
        float nothing[] = {NAN, 1}, fine[] = {1, 0}, zero[] = {0, 1};
        const uint32_t slate[] = {2, 2}, pair[] = {2, 3};
        bad = request;
        bad.positions = 2;
        assert_int_equal(forage_pipeline_teach(p, &bad, slate, NULL, fine, &error), FORAGE_INVALID);
        assert_int_equal(forage_pipeline_teach(p, &bad, unknown, NULL, fine, &error), FORAGE_INVALID);
        assert_int_equal(forage_pipeline_teach(p, &bad, pair, NULL, nothing, &error), FORAGE_INVALID);
        assert_int_equal(forage_pipeline_teach(p, &bad, pair, zero, fine, &error), FORAGE_INVALID);

        /* The other one sees the good events alone. */
        assert_int_equal(forage_pipeline_decide(other.pipeline, &request, &decision, &error), FORAGE_OK);
        assert_int_equal(decision.items[0], item);
        assert_int_equal(forage_pipeline_observe(other.pipeline, &good, 1, &done, &error), FORAGE_OK);
    }
    if (forage_pipeline_spec_model(one.spec))
        same_opinions(one.pipeline, other.pipeline);
    close_bench(&one);
    close_bench(&other);
}

/* Whatever the model: after a hundred visits full of refused events a pipeline chooses and believes what one does that
 * never met them. */
static void refused_events_change_nothing(void **state)
{
    (void)state;
    size_t count;
    const forage_pipeline_name *names = forage_pipeline_names(&count);
    for (size_t i = 0; i < count; i++) {
        if (!strstr(names[i].name, "batched") && !strstr(names[i].name, "bst"))
            refuses_and_forgets(names[i].name);
    }
    refuses_and_forgets("batched-nightly:pretrain=30:refit=40:epochs=1");
    refuses_and_forgets("bst-nightly:pretrain=30:refit=40:epochs=1");
    refuses_and_forgets("lints:model.window=20");
}

/* Once everybody and everything has been met, visits need no memory, whatever the model. */
static void visits_allocate_nothing(void **state)
{
    (void)state;
    size_t count;
    const forage_pipeline_name *names = forage_pipeline_names(&count);
    for (size_t i = 0; i < count; i++) {
        workbench bench;
        if (is_refitted(names[i].name))
            continue; /* what refits needs memory for that */
        open_bench(&bench, names[i].name, 1);
        uint64_t id = 0;
        while (id < 1500)
            visit(bench.pipeline, id++);
        (void)forage_alloc_fail_at(0);
        while (id < 1800)
            visit(bench.pipeline, id++);
        uint64_t asked = forage_alloc_fail_at(0);
        if (asked)
            fail_msg("%s allocates %llu times in 300 visits", names[i].name, (unsigned long long)asked);
        close_bench(&bench);
    }
}

/* A model that takes rewards in [0, 1] alone refuses a slate as a whole. */
static void a_slate_is_learned_whole_or_not_at_all(void **state)
{
    (void)state;
    workbench one, other;
    const uint32_t items[] = {1, 2};
    const float bad[] = {1, 7}, good[] = {1, 0};
    forage_request request = ask(5);
    request.positions = 2;
    open_bench(&one, "beta-ts", 2);
    open_bench(&other, "beta-ts", 2);
    assert_int_equal(forage_pipeline_teach(one.pipeline, &request, items, NULL, bad, NULL), FORAGE_INVALID);
    same_opinions(one.pipeline, other.pipeline);
    assert_int_equal(forage_pipeline_teach(one.pipeline, &request, items, NULL, good, NULL), FORAGE_OK);
    forage_pipeline_stats stats;
    forage_pipeline_stats_of(one.pipeline, &stats);
    assert_int_equal(stats.lessons, 2);
    assert_int_equal(stats.decisions, 1);
    close_bench(&one);
    close_bench(&other);
}

/* Rewards come in any order, and are learned with the features of their decision: reward = 3 x hour is found. */
static void late_rewards_meet_the_features_of_their_decision(void **state)
{
    (void)state;
    tiny_shop shop;
    forage_pipeline *pipeline;
    forage_decision decision;
    size_t done;
    static const uint32_t only[] = {4};
    shop_open(&shop);
    forage_pipeline_spec *spec = shop_spec("  model: linear-ridge\n  policy: greedy\n  ridge: 1e-6\n  arm: item\n"
                                           "  features:\n   - bias\n   - context: hour\n     scale: false\n");
    const forage_pipeline_options options = {.catalogue = &shop.catalogue, .seed = 1};
    assert_int_equal(forage_pipeline_create(spec, &options, &pipeline, NULL), FORAGE_OK);
    forage_request request = {.candidates = only, .candidate_count = 1};
    for (uint64_t id = 0; id < 8; id++) {
        const float hour[] = {NAN, (float)(id * id)};
        request.id = id;
        request.values = hour;
        assert_int_equal(forage_pipeline_decide(pipeline, &request, &decision, NULL), FORAGE_OK);
    }
    static const uint64_t order[] = {5, 0, 7, 2, 6, 1, 3};
    for (size_t i = 0; i < 7; i++) {
        const forage_feedback feedback = {order[i], 0, 3 * (float)(order[i] * order[i]) + 1};
        assert_int_equal(forage_pipeline_observe(pipeline, &feedback, 1, &done, NULL), FORAGE_OK);
    }
    const float hour[] = {NAN, 10};
    float mean;
    double probability;
    request.values = hour;
    assert_int_equal(forage_pipeline_probabilities(pipeline, &request, &probability, &mean, NULL), FORAGE_OK);
    assert_float_equal(mean, 31, 1e-2);
    assert_float_equal(probability, 1, 0);
    forage_pipeline_stats stats;
    forage_pipeline_stats_of(pipeline, &stats);
    assert_int_equal(stats.waiting, 1);
    forage_pipeline_free(pipeline);
    forage_pipeline_spec_free(spec);
    shop_close(&shop);
}

static void what_does_not_come_counts_as_nothing(void **state)
{
    (void)state;
    workbench one, other;
    forage_decision decision;
    forage_pipeline_stats stats;
    size_t done;
    open_bench(&one, "linucb:wait=3", 1);
    open_bench(&other, "linucb", 1);
    for (uint64_t id = 0; id < 10; id++) {
        const forage_request request = ask(id);
        assert_int_equal(forage_pipeline_decide(one.pipeline, &request, &decision, NULL), FORAGE_OK);
        forage_pipeline_stats_of(one.pipeline, &stats);
        assert_int_equal(stats.waiting, id < 3 ? id + 1 : 3);
        assert_int_equal(stats.expired, id < 3 ? 0 : id - 2);
    }
    assert_int_equal(stats.lessons, 7);
    static const forage_feedback late = {6, 0, 1}, good = {7, 0, 1};
    assert_int_equal(forage_pipeline_observe(one.pipeline, &late, 1, &done, NULL), FORAGE_UNKNOWN);
    assert_int_equal(forage_pipeline_observe(one.pipeline, &good, 1, &done, NULL), FORAGE_OK);

    /* Withdrawn is not waited for, and does not count. */
    assert_int_equal(forage_pipeline_withdraw(one.pipeline, 8, NULL), FORAGE_OK);
    assert_int_equal(forage_pipeline_withdraw(one.pipeline, 80, NULL), FORAGE_UNKNOWN);
    forage_pipeline_stats_of(one.pipeline, &stats);
    assert_int_equal(stats.waiting, 1);
    assert_int_equal(stats.lessons, 8);
    close_bench(&one);
    close_bench(&other);
}

static void every_arm_is_tried_first(void **state)
{
    (void)state;
    workbench bench;
    unsigned tried[SHOP_ITEMS] = {0};
    open_bench(&bench, "greedy:initial-pulls=4:arm=item", 1);
    for (uint64_t id = 0; id < 4 * SHOP_ITEMS; id++) {
        forage_decision decision;
        const forage_request request = ask(id);
        size_t done;
        assert_int_equal(forage_pipeline_decide(bench.pipeline, &request, &decision, NULL), FORAGE_OK);
        assert_int_equal(tried[decision.items[0]], id / SHOP_ITEMS); /* round by round */
        assert_float_equal(decision.propensity[0], 1.0 / (double)(SHOP_ITEMS - id % SHOP_ITEMS), 1e-12);
        tried[decision.items[0]]++;
        const forage_feedback feedback = {id, 0, 0};
        assert_int_equal(forage_pipeline_observe(bench.pipeline, &feedback, 1, &done, NULL), FORAGE_OK);
    }
    close_bench(&bench);
}

static void slates_have_different_items(void **state)
{
    (void)state;
    static const char *const names[] = {"linucb", "lints", "random", "egreedy", "linucb:initial-pulls=9", "batched"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        workbench bench;
        open_bench(&bench, names[i], 4);
        for (uint64_t id = 0; id < 100; id++) {
            forage_decision decision;
            forage_request request = ask(id);
            request.positions = 4;
            size_t done;
            unsigned shown = 0;
            assert_int_equal(forage_pipeline_decide(bench.pipeline, &request, &decision, NULL), FORAGE_OK);
            forage_feedback feedback[4];
            for (size_t k = 0; k < 4; k++) {
                shown |= 1U << decision.items[k];
                feedback[k] = (forage_feedback){id, k, click_of(&request, decision.items[k])};
            }
            assert_int_equal(__builtin_popcount(shown), 4);
            assert_int_equal(forage_pipeline_observe(bench.pipeline, feedback, 4, &done, NULL), FORAGE_OK);
            assert_int_equal(done, 4);
        }
        close_bench(&bench);
    }
}

/* ---- models that are fitted in batches ---- */

static void batches_are_fitted_on_schedule(void **state)
{
    (void)state;
    tiny_shop shop;
    forage_pipeline *pipeline;
    forage_pipeline_stats stats;
    forage_error error = {0};
    shop_open(&shop);
    forage_pipeline_spec *spec = shop_spec("  model: popular\n  policy: greedy\n  smoothing: 0\n  by: mean\n"
                                           "  pretrain: 60\n  refit: 30\n  refit-window: 40\n");
    const forage_pipeline_options options = {.catalogue = &shop.catalogue, .seed = 1};
    must(forage_pipeline_create(spec, &options, &pipeline, &error), &error);
    for (uint64_t id = 0; id < 200; id++) {
        forage_request request = ask(id);
        uint32_t item = (uint32_t)(id % SHOP_ITEMS);
        request.user = (uint32_t)(id % SHOP_USERS); /* users are known: a log that names users has no rows without */
        /* Item 2 is the one to show, until event 100; then it is item 4. */
        float reward = item == (id < 100 ? 2 : 4);
        must(forage_pipeline_teach(pipeline, &request, &item, NULL, &reward, &error), &error);
        forage_pipeline_stats_of(pipeline, &stats);
        size_t events = (size_t)id + 1;
        assert_int_equal(stats.refits, events < 60 ? 0 : 1 + (events - 60) / 30);
        thoughts opinion;
        opine(pipeline, id, &opinion);
        if (events < 60)
            assert_float_equal(opinion.probabilities[0], 1.0 / SHOP_ITEMS, 1e-9); /* nothing is known */
        else if (events < 90 || events >= 150) /* the window of 40 events has slid past the change */
            assert_float_equal(opinion.mean[events < 90 ? 2 : 4], 1, 1e-6);
    }
    must(forage_pipeline_refit(pipeline, NULL, &error), &error);
    forage_pipeline_stats_of(pipeline, &stats);
    assert_int_equal(stats.refits, 6);
    must(forage_pipeline_refit(pipeline, NULL, &error), &error); /* nothing new: nothing to do */
    forage_pipeline_stats_of(pipeline, &stats);
    assert_int_equal(stats.refits, 6);
    forage_pipeline_free(pipeline);
    forage_pipeline_spec_free(spec);
    shop_close(&shop);
}

static void what_a_user_did_counts_between_fits(void **state)
{
    (void)state;
    tiny_shop shop;
    forage_pipeline *pipeline;
    forage_error error = {0};
    shop_open(&shop);
    forage_pipeline_spec *spec = shop_spec("  model: bst\n  policy: greedy\n  history: all\n  epochs: 2\n"
                                           "  pretrain: 200\n");
    const forage_pipeline_options options = {.catalogue = &shop.catalogue, .seed = 1};
    must(forage_pipeline_create(spec, &options, &pipeline, &error), &error);
    for (uint64_t id = 0; id < 200; id++) { /* users 0 and 1 alone */
        forage_request request = ask(id);
        uint32_t item = (uint32_t)(id / 2 % SHOP_ITEMS);
        request.user = (uint32_t)(id % 2);
        float reward = (item + request.user) % 2 == 0;
        must(forage_pipeline_teach(pipeline, &request, &item, NULL, &reward, &error), &error);
    }
    forage_pipeline_stats stats;
    forage_pipeline_stats_of(pipeline, &stats);
    assert_int_equal(stats.refits, 1);
    /* Users 2 and 3 are new; what one of them does changes what is thought of that one, at once. */
    float first[2][SHOP_ITEMS], mean[SHOP_ITEMS];
    double probabilities[SHOP_ITEMS];
    forage_request request = ask(1000);
    for (uint32_t user = 2; user < 4; user++) {
        request.user = user;
        must(forage_pipeline_probabilities(pipeline, &request, probabilities, first[user - 2], &error), &error);
    }
    for (uint64_t event = 0; event < 5; event++) {
        uint32_t item = (uint32_t)event % SHOP_ITEMS;
        float reward = event % 2;
        request.user = 2;
        must(forage_pipeline_teach(pipeline, &request, &item, NULL, &reward, &error), &error);
        must(forage_pipeline_probabilities(pipeline, &request, probabilities, mean, &error), &error);
        assert_memory_not_equal(mean, first[0], sizeof mean);
        memcpy(first[0], mean, sizeof mean);
        request.user = 3;
        must(forage_pipeline_probabilities(pipeline, &request, probabilities, mean, &error), &error);
        assert_memory_equal(mean, first[1], sizeof mean);
    }
    forage_pipeline_stats_of(pipeline, &stats);
    assert_int_equal(stats.refits, 1);
    forage_pipeline_free(pipeline);
    forage_pipeline_spec_free(spec);
    shop_close(&shop);
}

/* ---- growth ---- */

static void catalogues_grow(void **state)
{
    (void)state;
    static const char *const names[] = {"linucb",
                                        "lints",
                                        "linucb:arm=item",
                                        "popular",
                                        "random",
                                        "batched:pretrain=30:refit=20:epochs=1",
                                        "bst:pretrain=30:refit=20:refit-window=40:epochs=1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        workbench bench;
        open_bench(&bench, names[i], 1);
        for (uint64_t id = 0; id < 60; id++)
            visit(bench.pipeline, id);
        thoughts before, after;
        opine(bench.pipeline, 3, &before);
        /* Nine items now, one of a new category, and two more users. */
        static const char *const categories[] = {"cat", "dog", "fish", "bird"}, *const cities[] = {"Rome", "Oslo"};
        static const uint32_t category[] = {0, 1, 2, 1, 0, FORAGE_NONE, 3, 3, 0}, city[] = {0, 1, 1, FORAGE_NONE, 0, 1};
        static const float price[] = {1, 2, 3, 4, 5, 6, 7, 8, NAN}, age[] = {20, 30, NAN, 60, 50, 40};
        forage_table_release(&bench.shop.items);
        forage_table_release(&bench.shop.users);
        bench.shop.items.rows = 9;
        bench.shop.users.rows = 6;
        shop_column(&bench.shop.items, "category", categories, 4, category);
        shop_numbers(&bench.shop.items, "price", price);
        shop_column(&bench.shop.users, "city", cities, 2, city);
        shop_numbers(&bench.shop.users, "age", age);
        bench.shop.catalogue.items = 9;
        bench.shop.catalogue.users = 6;
        forage_error error = {0};
        must(forage_pipeline_grow(bench.pipeline, &error), &error);
        static const uint32_t old[] = {0, 1, 2, 3, 4, 5};
        forage_request request = ask(3);
        request.candidates = old;
        request.candidate_count = SHOP_ITEMS;
        must(forage_pipeline_probabilities(bench.pipeline, &request, after.probabilities, after.mean, &error), &error);
        for (size_t k = 0; k < SHOP_ITEMS && forage_pipeline_spec_model(bench.spec); k++)
            assert_float_equal(after.mean[k], before.mean[k], 1e-5);
        unsigned shown = 0;
        for (uint64_t id = 100; id < 400; id++) {
            forage_decision decision;
            request = ask(id);
            request.user = (uint32_t)(id % 6);
            size_t done;
            must(forage_pipeline_decide(bench.pipeline, &request, &decision, &error), &error);
            const forage_feedback feedback = {id, 0, decision.items[0] == 7};
            must(forage_pipeline_observe(bench.pipeline, &feedback, 1, &done, &error), &error);
            shown |= 1U << decision.items[0];
        }
        if (!is_refitted(names[i]))
            if (!(shown & (1U << 6 | 1U << 7))) /* what is new is tried */
                fail_msg("%s never shows it: %x", names[i], shown);
        bench.shop.catalogue.items = 3;
        assert_int_equal(forage_pipeline_grow(bench.pipeline, &error), FORAGE_INVALID);
        bench.shop.catalogue.items = 9;
        close_bench(&bench);
    }
}

/* ---- memory that runs out ---- */

static forage_status live(const forage_catalogue *catalogue, const char *name, uint64_t fail_from, uint64_t *asked)
{
    forage_pipeline_spec *spec = NULL;
    forage_pipeline *pipeline = NULL;
    const forage_pipeline_options options = {.catalogue = catalogue, .seed = 1, .positions = 2};
    forage_alloc_fail_at(fail_from);
    forage_status status = forage_pipeline_spec_parse(name, &spec, NULL);
    if (status == FORAGE_OK)
        status = forage_pipeline_create(spec, &options, &pipeline, NULL);
    for (uint64_t id = 0; status == FORAGE_OK && id < 30; id++) {
        forage_decision decision;
        forage_request request = ask(id);
        size_t done;
        request.positions = 2;
        status = forage_pipeline_decide(pipeline, &request, &decision, NULL);
        const forage_feedback feedback[] = {{id, 0, 1}, {id, 1, 0}};
        if (status == FORAGE_OK && id % 3)
            status = forage_pipeline_observe(pipeline, feedback, 2, &done, NULL);
    }
    if (status == FORAGE_OK)
        status = forage_pipeline_grow(pipeline, NULL);
    *asked = forage_alloc_fail_at(0);
    forage_pipeline_free(pipeline);
    forage_pipeline_spec_free(spec);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const names[] = {"linucb:wait=5", "hybrid", "random", "popular", "batched:pretrain=20:epochs=1"};
    tiny_shop shop;
    shop_open(&shop);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint64_t asked, ignored;
        assert_int_equal(live(&shop.catalogue, names[i], 0, &asked), FORAGE_OK);
        assert_true(asked > 10);
        for (uint64_t nth = 1; nth <= asked; nth++) {
            forage_status status = live(&shop.catalogue, names[i], nth, &ignored);
            if (status != FORAGE_NO_MEMORY && status != FORAGE_OK) /* OK: what failed could wait */
                fail_msg("%s: allocation %d: %s", names[i], (int)nth, forage_status_name(status));
        }
    }
    shop_close(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_names_are_whole_pipelines),
        cmocka_unit_test(the_page_lists_the_names),
        cmocka_unit_test(mistakes_in_names_are_explained),
        cmocka_unit_test(parameters_find_their_owner),
        cmocka_unit_test(mistakes_in_files_have_lines),
        cmocka_unit_test(files_hold_several_pipelines),
        cmocka_unit_test(propensities_are_the_probabilities),
        cmocka_unit_test(the_same_seed_is_the_same_life),
        cmocka_unit_test(teaching_is_deciding_and_observing),
        cmocka_unit_test(refused_events_change_nothing),
        cmocka_unit_test(visits_allocate_nothing),
        cmocka_unit_test(a_slate_is_learned_whole_or_not_at_all),
        cmocka_unit_test(late_rewards_meet_the_features_of_their_decision),
        cmocka_unit_test(what_does_not_come_counts_as_nothing),
        cmocka_unit_test(every_arm_is_tried_first),
        cmocka_unit_test(slates_have_different_items),
        cmocka_unit_test(batches_are_fitted_on_schedule),
        cmocka_unit_test(what_a_user_did_counts_between_fits),
        cmocka_unit_test(catalogues_grow),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
