/*
 * test_lightgcn.c: one step of LightGCN against PyTorch and against differences of the loss, and what it draws.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lightgcn_case.h"
#include "model/lightgcn_train.h"

static const char *const losses[] = {"bpr", "softmax", "bsl"};

/* ---- PyTorch's numbers (tests/golden/lightgcn.py) ---- */

enum { USERS = 23, ITEMS = 17, NODES = USERS + ITEMS, BATCH = 29, STEPS = 5, WIDEST = 20 };

static nn_checkpoint *golden(const char *name)
{
    const char *source = getenv("FORAGE_SOURCE");
    char path[512];
    nn_checkpoint *file = NULL;
    forage_error error = {0};
    (void)snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : "..", name);
    must(nn_checkpoint_load(path, &file, &error), &error);
    return file;
}

/* A vector of codes that the golden file holds as int64. */
static uint32_t *codes_of(const nn_checkpoint *file, const char *name, size_t *count)
{
    forage_error error = {0};
    const nn_tensor *tensor = nn_checkpoint_find(file, name);
    assert_non_null(tensor);
    *count = tensor->size / sizeof(int64_t);
    int64_t *wide = forage_alloc(*count, sizeof *wide);
    uint32_t *codes = forage_alloc(*count, sizeof *codes);
    assert_true(wide && codes);
    must(nn_checkpoint_read(file, name, NN_I64, tensor->rank, tensor->shape, wide, &error), &error);
    for (size_t i = 0; i < *count; i++)
        codes[i] = (uint32_t)wide[i];
    forage_free(wide);
    return codes;
}

static void read_floats(const nn_checkpoint *file, const char *name, float *to)
{
    forage_error error = {0};
    const nn_tensor *tensor = nn_checkpoint_find(file, name);
    assert_non_null(tensor);
    must(nn_checkpoint_read_weights(file, name, tensor->rank, tensor->shape, to, &error), &error);
}

/* Rows of `have`, `pitch` apart, against [rows, width]: within `tolerance` of the largest number. */
static void compare(const char *what, const float *have, size_t pitch, const float *want, size_t rows, size_t width,
                    float tolerance)
{
    float largest = 0;
    for (size_t i = 0; i < rows * width; i++)
        largest = fmaxf(largest, fabsf(want[i]));
    assert_true(largest > 0);
    for (size_t i = 0; i < rows * width; i++) {
        float number = have[i / width * pitch + i % width];
        if (!(fabsf(number - want[i]) <= tolerance * largest))
            fail_msg("%s: row %zu, column %zu is %.9g, not %.9g", what, i / width, i % width, (double)number,
                     (double)want[i]);
    }
}

typedef struct torch_case {
    nn_checkpoint *file;
    uint32_t *user, *item, *batch; /* batch [STEPS, 3, BATCH] */
    size_t edges;
} torch_case;

/* The batch of a step, items as nodes. */
static lightgcn_batch batch_of(const torch_case *torch, size_t step, bool pairwise, uint32_t nodes[3][BATCH])
{
    lightgcn_batch batch = {.count = BATCH};
    for (size_t p = 0; p < (pairwise ? 3 : 2); p++) {
        for (size_t b = 0; b < BATCH; b++)
            nodes[p][b] = torch->batch[(step * 3 + p) * BATCH + b] + (p ? USERS : 0);
        batch.nodes[p] = nodes[p];
    }
    return batch;
}

/* What the fit's first moments are: the gradient of the last batch where beta1 is 0. [nodes, pitch] */
static float *gradient_of(const graph_case *c)
{
    forage_error error = {0};
    nn_checkpoint *file = NULL;
    size_t count = c->state->nodes * c->state->pitch;
    float *gradient = forage_alloc(count, sizeof *gradient);
    assert_non_null(gradient);
    must(nn_checkpoint_create(&file, &error), &error);
    must(model_lightgcn.fit_save(c->fit, file, &error), &error);
    must(nn_checkpoint_read_weights(file, "fit.mean", 1, &count, gradient, &error), &error);
    nn_checkpoint_free(file);
    return gradient;
}

static void check_torch(const torch_case *torch, size_t width, size_t layers, const char *loss, int threads)
{
    char text[256], name[64];
    float want[NODES * WIDEST], want_losses[STEPS];
    uint32_t nodes[3][BATCH];
    forage_error error = {0};
    bool pairwise = strcmp(loss, "bpr") == 0;
    lightgcn_batch batch = batch_of(torch, 0, pairwise, nodes);
    double have_loss = 0;
    graph_case c = {.users = USERS, .items = ITEMS, .count = torch->edges, .user = torch->user, .item = torch->item};

    /* The gradient, and what is scored by. */
    (void)snprintf(text, sizeof text,
                   "loss=%s layers=%zu embedding-size=%zu batch-size=%d schedule=constant learning-rate=0.01 l2=0.03 "
                   "temperature=0.2 second-temperature=0.8 ",
                   loss, layers, width, BATCH);
    size_t length = strlen(text);
    (void)snprintf(text + length, sizeof text - length, "beta1=0");
    case_create(&c, text, threads);
    (void)snprintf(name, sizeof name, "%zu.init", width);
    read_floats(torch->file, name, want);
    case_put(&c, want);
    case_begin(&c);
    must(lightgcn_fit_learn(c.fit, &batch, &have_loss, &error), &error);
    (void)snprintf(name, sizeof name, "%zu.%zu.%s.losses", width, layers, loss);
    read_floats(torch->file, name, want_losses);
    assert_true(fabs(have_loss - (double)want_losses[0]) < 1e-6 * (double)want_losses[0]);
    (void)snprintf(name, sizeof name, "%zu.%zu.%s.gradient", width, layers, loss);
    float *gradient = gradient_of(&c);
    read_floats(torch->file, name, want);
    compare(name, gradient, c.state->pitch, want, NODES, width, 2e-6F);
    forage_free(gradient);
    case_release(&c);

    /* Five steps. */
    text[length] = '\0';
    case_create(&c, text, threads);
    (void)snprintf(name, sizeof name, "%zu.init", width);
    read_floats(torch->file, name, want);
    case_put(&c, want);
    case_begin(&c);
    for (size_t step = 0; step < STEPS; step++) {
        batch = batch_of(torch, step, pairwise, nodes);
        must(lightgcn_fit_learn(c.fit, &batch, &have_loss, &error), &error);
        assert_true(fabs(have_loss - (double)want_losses[step]) < 2e-6 * (double)want_losses[step]);
    }
    (void)snprintf(name, sizeof name, "%zu.%zu.%s.weights", width, layers, loss);
    read_floats(torch->file, name, want);
    compare(name, c.state->base, c.state->pitch, want, NODES, width, 1e-5F);
    case_release(&c);
}

static void check_final(const torch_case *torch, size_t width, size_t layers)
{
    char text[64], name[64];
    float want[NODES * WIDEST], average[2][WIDEST] = {{0}};
    size_t known[2] = {0};
    graph_case c = {.users = USERS, .items = ITEMS, .count = torch->edges, .user = torch->user, .item = torch->item};
    (void)snprintf(text, sizeof text, "layers=%zu embedding-size=%zu batch-size=%d", layers, width, BATCH);
    case_create(&c, text, 2);
    (void)snprintf(name, sizeof name, "%zu.init", width);
    read_floats(torch->file, name, want);
    case_put(&c, want);
    case_begin(&c);
    model_lightgcn.fit_end(c.fit, true);
    c.fit = NULL;
    (void)snprintf(name, sizeof name, "%zu.%zu.final", width, layers);
    read_floats(torch->file, name, want);
    for (size_t pass = 0; pass < 2; pass++) { /* who has no edges has the average of the others, which is ours */
        for (size_t n = 0; n < NODES; n++) {
            size_t kind = n >= USERS;
            bool isolated = c.state->graph.offsets[n] == c.state->graph.offsets[n + 1];
            known[kind] += pass == 0 && !isolated;
            for (size_t j = 0; j < width; j++) {
                if (pass == 0 && !isolated)
                    average[kind][j] += want[n * width + j];
                if (pass == 1 && isolated)
                    want[n * width + j] = average[kind][j] / (float)known[kind];
            }
        }
    }
    assert_true(known[0] == USERS - 1 && known[1] == ITEMS - 1);
    compare(name, c.state->final, c.state->pitch, want, NODES, width, 1e-6F);
    for (size_t j = 0; j < width; j++) {
        assert_true(fabsf(c.state->final[NODES * c.state->pitch + j] - average[0][j] / (USERS - 1)) < 1e-6F);
        assert_true(fabsf(c.state->final[(NODES + 1) * c.state->pitch + j] - average[1][j] / (ITEMS - 1)) < 1e-6F);
    }
    case_release(&c);
}

static void steps_are_those_of_pytorch(void **state)
{
    static const size_t cases[][2] = {{8, 0}, {8, 1}, {8, 2}, {8, 3}, {8, 4}, {20, 1}, {20, 3}};
    (void)state;
    size_t count;
    torch_case torch = {.file = golden("lightgcn.safetensors")};
    torch.user = codes_of(torch.file, "users", &torch.edges);
    torch.item = codes_of(torch.file, "items", &count);
    torch.batch = codes_of(torch.file, "batch", &count);
    assert_int_equal(count, STEPS * 3 * BATCH);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_final(&torch, cases[i][0], cases[i][1]);
        for (size_t l = 0; l < 3; l++)
            check_torch(&torch, cases[i][0], cases[i][1], losses[l], 1 + (int)(i % 3));
    }
    forage_free(torch.user);
    forage_free(torch.item);
    forage_free(torch.batch);
    nn_checkpoint_free(torch.file);
}

/* ---- the loss, plainly and in double precision ---- */

enum { MOST = 40, WIDE = 16 };

typedef struct plain {
    size_t users, nodes, width, layers;
    double a[MOST][MOST]; /* the normalised graph */
    const char *loss;
    double l2, temperature, exponent;
    lightgcn_batch batch;
} plain;

static void plain_graph(plain *p, const graph_case *c)
{
    double sums[MOST] = {0};
    memset(p->a, 0, sizeof p->a);
    for (size_t i = 0; i < c->count; i++) {
        size_t u = c->user[i], v = c->users + c->item[i];
        if (c->values[i] > 0) {
            p->a[u][v] += (double)c->values[i];
            p->a[v][u] = p->a[u][v];
        }
    }
    for (size_t n = 0; n < p->nodes; n++) {
        for (size_t o = 0; o < p->nodes; o++)
            sums[n] += p->a[n][o];
    }
    for (size_t n = 0; n < p->nodes; n++) {
        for (size_t o = 0; o < p->nodes; o++)
            p->a[n][o] = p->a[n][o] > 0 ? p->a[n][o] / sqrt(sums[n] * sums[o]) : 0;
    }
}

static double plain_dot(const double *a, const double *b)
{
    double sum = 0;
    for (size_t j = 0; j < WIDE; j++)
        sum += a[j] * b[j];
    return sum;
}

static double plain_softmax(const plain *p, double final[MOST][WIDE])
{
    bool bilateral = strcmp(p->loss, "bsl") == 0;
    const uint32_t *user = p->batch.nodes[0], *item = p->batch.nodes[1];
    double sum = 0;
    for (size_t b = 0; b < p->batch.count; b++) {
        double others = 0;
        for (size_t o = 0; o < p->batch.count; o++) {
            const double *u = final[user[b]], *v = final[item[o]];
            double z = plain_dot(u, v) / sqrt(plain_dot(u, u) * plain_dot(v, v)) / p->temperature;
            if (o != b || !bilateral)
                others += exp(z);
            if (o == b)
                sum -= z;
        }
        sum += (bilateral ? p->exponent : 1) * log(others);
    }
    return sum;
}

static double plain_loss(const plain *p, double layer[MOST][WIDE])
{
    static double from[MOST][WIDE], to[MOST][WIDE], final[MOST][WIDE];
    double sum = 0, squares = 0;
    size_t parts = strcmp(p->loss, "bpr") == 0 ? 3 : 2;
    memcpy(from, layer, sizeof from);
    memcpy(final, layer, sizeof final);
    for (size_t k = 0; k < p->layers; k++) {
        memset(to, 0, sizeof to);
        for (size_t n = 0; n < p->nodes; n++) {
            for (size_t o = 0; o < p->nodes; o++) {
                for (size_t j = 0; j < WIDE; j++)
                    to[n][j] += p->a[n][o] * from[o][j];
            }
            for (size_t j = 0; j < WIDE; j++)
                final[n][j] += to[n][j];
        }
        memcpy(from, to, sizeof from);
    }
    for (size_t n = 0; n < p->nodes; n++) {
        for (size_t j = 0; j < WIDE; j++)
            final[n][j] /= (double)(p->layers + 1);
    }
    for (size_t b = 0; b < p->batch.count; b++) {
        for (size_t part = 0; part < parts; part++)
            squares += plain_dot(layer[p->batch.nodes[part][b]], layer[p->batch.nodes[part][b]]);
        if (parts == 3) {
            const double *u = final[p->batch.nodes[0][b]];
            sum += log1p(exp(plain_dot(u, final[p->batch.nodes[2][b]]) - plain_dot(u, final[p->batch.nodes[1][b]])));
        }
    }
    if (parts == 2)
        sum = plain_softmax(p, final);
    return (sum + p->l2 / 2 * squares) / (double)p->batch.count;
}

/* A random weighted graph, a random batch: the loss and every 7th number of its gradient. */
static void check_differences(forage_rng *rng, const char *loss, size_t layers)
{
    enum { EVENTS = 70, PAIRS = 21 };
    uint32_t user[EVENTS], item[EVENTS], nodes[3][PAIRS];
    float values[EVENTS];
    static double layer[MOST][WIDE];
    char text[256];
    forage_error error = {0};
    double have = 0;
    graph_case c = {.users = 11 + forage_rng_integers(rng, 8),
                    .items = 9 + forage_rng_integers(rng, 8),
                    .count = EVENTS,
                    .user = user,
                    .item = item,
                    .values = values};
    plain p = {.users = c.users,
               .nodes = c.users + c.items,
               .layers = layers,
               .loss = loss,
               .l2 = 0.1,
               .temperature = 0.3,
               .exponent = 1.2,
               .batch = {PAIRS, {nodes[0], nodes[1], nodes[2]}}};
    for (size_t i = 0; i < EVENTS; i++) {
        user[i] = (uint32_t)forage_rng_integers(rng, c.users - 1); /* the last one has nothing */
        item[i] = (uint32_t)forage_rng_integers(rng, c.items);
        values[i] = (float)forage_rng_integers(rng, 5) / 2;
    }
    for (size_t b = 0; b < PAIRS; b++) {
        nodes[0][b] = (uint32_t)forage_rng_integers(rng, c.users);
        nodes[1][b] = (uint32_t)(c.users + forage_rng_integers(rng, c.items));
        nodes[2][b] = (uint32_t)(c.users + forage_rng_integers(rng, c.items));
    }
    if (strcmp(loss, "bpr") != 0)
        p.batch.nodes[2] = NULL;
    (void)snprintf(text, sizeof text,
                   "loss=%s layers=%zu embedding-size=%d batch-size=%d weight=value l2=0.1 temperature=0.3 "
                   "second-temperature=1.2 beta1=0",
                   loss, layers, WIDE, PAIRS);
    case_create(&c, text, 3);
    memset(layer, 0, sizeof layer);
    for (size_t n = 0; n < p.nodes; n++) {
        for (size_t j = 0; j < WIDE; j++) {
            c.state->base[n * WIDE + j] = (float)forage_rng_normal(rng) / 2;
            layer[n][j] = (double)c.state->base[n * WIDE + j];
        }
    }
    plain_graph(&p, &c);
    double want = plain_loss(&p, layer);
    case_begin(&c);
    must(lightgcn_fit_learn(c.fit, &p.batch, &have, &error), &error);
    assert_true(fabs(have - want) < 1e-6 * fabs(want));
    float *gradient = gradient_of(&c);
    for (size_t i = 0; i < p.nodes * WIDE; i += 7) {
        const double h = 1e-5;
        double *number = &layer[i / WIDE][i % WIDE], before = *number;
        *number = before + h;
        double above = plain_loss(&p, layer);
        *number = before - h;
        double below = plain_loss(&p, layer), slope = (above - below) / (2 * h);
        *number = before;
        if (!(fabs((double)gradient[i] - slope) < 1e-6))
            fail_msg("%s, %zu layers: number %zu has gradient %.9g, not %.9g", loss, layers, i, (double)gradient[i],
                     slope);
    }
    forage_free(gradient);
    case_release(&c);
}

static void gradients_are_differences_of_the_loss(void **state)
{
    (void)state;
    forage_rng rng;
    forage_rng_seed(&rng, 5);
    for (size_t l = 0; l < 3; l++) {
        for (size_t layers = 0; layers < 5; layers++)
            check_differences(&rng, losses[l], layers);
    }
}

/* ---- steps of an epoch ---- */

/* A step is linear in edges. By default so is an epoch, up to 262,144 of them: it has 128 to 255 steps, once these do
 * not make batches of fewer than 64. Beyond it has as many as there are batches of 2048. */
static void an_epoch_has_as_many_steps_whatever_its_edges(void **state)
{
    (void)state;
    static const uint32_t none = 0;
    graph_case c = {.users = 1, .items = 1, .user = &none, .item = &none};
    case_create(&c, "", 1);
    for (size_t edges = 1; edges < 4000000; edges += 1 + edges / 50) {
        size_t batch = lightgcn_batch_size(c.state, edges), steps = (edges + batch - 1) / batch;
        assert_true(batch > 0 && batch <= edges && batch <= 2048);
        if (edges < 8192)
            assert_int_equal(batch, edges < 64 ? edges : 64);
        else if (edges < 262144)
            assert_true(steps >= 128 && steps < 256);
        else
            assert_int_equal(batch, 2048);
    }
    case_release(&c);
    c = (graph_case){.users = 1, .items = 1, .user = &none, .item = &none};
    case_create(&c, "batch-size=100", 1);
    assert_true(lightgcn_batch_size(c.state, 99) == 99 && lightgcn_batch_size(c.state, 1000000) == 100);
    case_release(&c);
}

/* ---- what is drawn ---- */

/* Users 0 to 5 with 1, 2, 3, 4, all 8 and no items; nobody has item 8. */
enum { DRAW_USERS = 6, DRAW_ITEMS = 9, DRAW_EDGES = 1 + 2 + 3 + 4 + 8 };
static const size_t degrees[DRAW_USERS] = {1, 2, 3, 4, 8, 0};

static void draw_case(graph_case *c, uint32_t *user, uint32_t *item)
{
    size_t n = 0;
    for (uint32_t u = 0; u < DRAW_USERS; u++) {
        for (uint32_t i = 0; i < degrees[u]; i++) {
            user[n] = u;
            item[n++] = (u + i) % 8;
        }
    }
    assert_int_equal(n, DRAW_EDGES);
    *c = (graph_case){.users = DRAW_USERS, .items = DRAW_ITEMS, .count = n, .user = user, .item = item};
}

/* As published: users uniform among those with items, one of theirs uniformly, uniformly one that they have not.
 * Here a user who has everything is left out, and so is an item that nobody has. */
static void pairs_are_drawn_as_published(void **state)
{
    (void)state;
    enum { ROUNDS = 4000 };
    static size_t positive[DRAW_USERS][DRAW_ITEMS], negative[DRAW_USERS][DRAW_ITEMS];
    uint32_t user[DRAW_EDGES], item[DRAW_EDGES];
    double total = 0;
    forage_error error = {0};
    graph_case c;
    draw_case(&c, user, item);
    case_create(&c, "loss=bpr layers=1 embedding-size=16 batch-size=7 epochs=100000", 1);
    case_begin(&c);
    for (size_t r = 0; r < ROUNDS; r++) {
        lightgcn_batch batch;
        double loss;
        lightgcn_fit_draw(c.fit, &batch);
        assert_int_equal(batch.count, r % 3 < 2 ? 7 : DRAW_EDGES - 14); /* an epoch has as many pairs as edges */
        for (size_t b = 0; b < batch.count; b++) {
            uint32_t u = batch.nodes[0][b];
            assert_true(u < DRAW_USERS && batch.nodes[1][b] >= DRAW_USERS && batch.nodes[2][b] >= DRAW_USERS);
            positive[u][batch.nodes[1][b] - DRAW_USERS]++;
            negative[u][batch.nodes[2][b] - DRAW_USERS]++;
            total++;
        }
        must(lightgcn_fit_learn(c.fit, &batch, &loss, &error), &error);
    }
    for (uint32_t u = 0; u < DRAW_USERS; u++) {
        bool possible = degrees[u] > 0 && degrees[u] < 8;
        for (uint32_t i = 0; i < DRAW_ITEMS; i++) {
            bool has = (i + 8 - u) % 8 < degrees[u] && i < 8;
            double p = possible && has ? 1.0 / 4 / (double)degrees[u] : 0;
            double n = possible && !has && i < 8 ? 1.0 / 4 / (double)(8 - degrees[u]) : 0;
            /* Five deviations of a binomial distribution. */
            assert_true(fabs((double)positive[u][i] - p * total) <= 5 * sqrt(p * (1 - p) * total));
            assert_true(fabs((double)negative[u][i] - n * total) <= 5 * sqrt(n * (1 - n) * total));
        }
    }
    case_release(&c);
}

static void an_epoch_visits_every_edge_once(void **state)
{
    (void)state;
    uint32_t user[DRAW_EDGES], item[DRAW_EDGES];
    forage_error error = {0};
    uint32_t before[DRAW_EDGES] = {0};
    graph_case c;
    draw_case(&c, user, item);
    case_create(&c, "loss=softmax layers=2 embedding-size=16 batch-size=7", 1);
    case_begin(&c);
    for (size_t epoch = 0; epoch < 5; epoch++) {
        size_t seen[DRAW_USERS][DRAW_ITEMS] = {{0}}, n = 0, same = 0;
        for (size_t step = 0; step < 3; step++) {
            lightgcn_batch batch;
            double loss;
            lightgcn_fit_draw(c.fit, &batch);
            assert_null(batch.nodes[2]);
            for (size_t b = 0; b < batch.count; b++, n++) {
                uint32_t edge = batch.nodes[0][b] * DRAW_ITEMS + batch.nodes[1][b] - DRAW_USERS;
                seen[batch.nodes[0][b]][batch.nodes[1][b] - DRAW_USERS]++;
                same += edge == before[n];
                before[n] = edge;
            }
            must(lightgcn_fit_learn(c.fit, &batch, &loss, &error), &error);
        }
        assert_int_equal(n, DRAW_EDGES);
        assert_true(same < DRAW_EDGES / 2); /* another order */
        for (size_t i = 0; i < DRAW_EDGES; i++)
            assert_int_equal(seen[user[i]][item[i]], 1);
    }
    case_release(&c);
}

static void nothing_to_tell_apart_is_an_error(void **state)
{
    (void)state;
    const uint32_t user[] = {0, 0, 1, 1}, item[] = {0, 1, 0, 1};
    const float values[] = {0, -1, 0, 0};
    forage_error error = {0};
    graph_case c = {.users = 2, .items = 3, .count = 4, .user = user, .item = item};
    case_create(&c, "loss=bpr", 1);
    assert_int_equal(model_lightgcn.fit_begin(c.state, &c.input, &c.fit, &error), FORAGE_FORMAT);
    assert_non_null(strstr(error.message, "every user has chosen every item"));
    assert_null(c.fit);
    case_release(&c);
    case_create(&c, "loss=bsl", 1); /* does not need another item */
    case_begin(&c);
    case_release(&c);
    c.values = values;
    case_create(&c, "loss=bpr", 1);
    assert_int_equal(model_lightgcn.fit_begin(c.state, &c.input, &c.fit, &error), FORAGE_FORMAT);
    assert_non_null(strstr(error.message, "no edges"));
    case_release(&c);
}

static void divergence_is_an_error_with_its_place(void **state)
{
    (void)state;
    uint32_t user[DRAW_EDGES], item[DRAW_EDGES];
    for (size_t l = 0; l < 3; l++) {
        char text[128];
        graph_case c;
        lightgcn_batch batch;
        forage_error error = {0};
        double loss;
        draw_case(&c, user, item);
        (void)snprintf(text, sizeof text, "loss=%s layers=%zu embedding-size=16 batch-size=7", losses[l], l);
        case_create(&c, text, 2);
        case_begin(&c);
        for (size_t i = 0; i < 4; i++) { /* into the second epoch of three steps */
            lightgcn_fit_draw(c.fit, &batch);
            must(lightgcn_fit_learn(c.fit, &batch, &loss, &error), &error);
        }
        for (size_t i = 0; i < c.state->nodes * c.state->pitch; i++)
            c.state->base[i] *= 1e25F;
        lightgcn_fit_draw(c.fit, &batch);
        assert_int_equal(lightgcn_fit_learn(c.fit, &batch, &loss, &error), FORAGE_DIVERGED);
        assert_non_null(strstr(error.message, "epoch 2, step 2"));
        case_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_those_of_pytorch),
        cmocka_unit_test(gradients_are_differences_of_the_loss),
        cmocka_unit_test(an_epoch_has_as_many_steps_whatever_its_edges),
        cmocka_unit_test(pairs_are_drawn_as_published),
        cmocka_unit_test(an_epoch_visits_every_edge_once),
        cmocka_unit_test(nothing_to_tell_apart_is_an_error),
        cmocka_unit_test(divergence_is_an_error_with_its_place),
    };
    return cmocka_run_group_tests_name("lightgcn", tests, NULL, NULL);
}
