/*
 * neural.h: what neural-linear and neural-ucb share: a network over users, arms and features, the last events that
 * it is trained on again and again, and the training beside the traffic.
 *
 * Network: x = [user's embedding | arm's embedding | request's features | candidate's features], hidden layers of
 * rectified units, and either one output for each arm (`heads=arms`: no embedding of arms; where candidates have
 * no features of their own all arms share one pass) or one output for all. Features beyond 3 in size count
 * logarithmically, so that an outlier does not drown what else a layer sees.
 *
 * Refits: after lesson n, when n reaches the next mark (refit-every, then the greater of refit-every more and
 * refit-growth times as many), training begins on a copy of the network and the last `buffer` lessons, in a thread of
 * its own. The old network goes on estimating, its owner goes on learning. After lesson n + refit-lag the owner waits
 * for the thread, if it must, and takes the new network. So what is known depends on the lessons alone, not on how
 * fast the thread was; and a checkpoint holds no half-done work: whoever loads one begins the same training again.
 *
 * The lessons lie in a ring with refit-lag places more than `buffer`, so the thread reads lessons that nobody
 * writes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_NEURAL_H
#define MODEL_NEURAL_H

#include "model/descriptor.h"
#include "nn/nn.h"

#include <stdatomic.h>

/* Parameters that both models have. */
/* clang-format off */
#define NEURAL_PARAMS(default_layers, default_every, default_growth) \
    {"layers", FORAGE_PARAM_LIST, default_layers, 1, 1024, NULL, "units of each hidden layer"}, \
    {"heads", FORAGE_PARAM_CHOICE, "auto", 0, 0, "auto|arms|shared", \
     "arms: an output for each arm; shared: one for all, arms are embedded; auto: arms when candidates have no features " \
     "of their own and there are at most 256 arms"}, \
    {"user-size", FORAGE_PARAM_INTEGER, "0", 0, 256, NULL, "numbers per user's embedding; 0: users are not seen"}, \
    {"arm-size", FORAGE_PARAM_INTEGER, "8", 1, 256, NULL, "numbers per arm's embedding, where outputs are shared"}, \
    {"loss", FORAGE_PARAM_CHOICE, "squared", 0, 0, "squared|logistic", \
     "what the network is trained by; logistic: for rewards of 0 and 1"}, \
    {"learning-rate", FORAGE_PARAM_REAL, "0.005", 0, 10, NULL, \
     "step size of Adam at the start of a refit; falls to 0 towards its end"}, \
    {"weight-decay", FORAGE_PARAM_REAL, "10", 0, 1e9, NULL, \
     "pull of the layers' weights towards where they began, in lessons of pure noise"}, \
    {"embedding-decay", FORAGE_PARAM_REAL, "10", 0, 1e9, NULL, "the same of the embeddings"}, \
    {"batch-size", FORAGE_PARAM_INTEGER, "128", 1, 1 << 16, NULL, "lessons per step"}, \
    {"epochs", FORAGE_PARAM_INTEGER, "20", 1, 10000, NULL, "passes over the buffer per refit, as far as steps go"}, \
    {"steps", FORAGE_PARAM_INTEGER, "1000", 1, 1000000, NULL, "steps per refit, at most"}, \
    {"buffer", FORAGE_PARAM_INTEGER, "200000", 1, 1 << 30, NULL, "the last lessons that a refit learns from"}, \
    {"refit-every", FORAGE_PARAM_INTEGER, default_every, 1, 1e9, NULL, \
     "lessons until the first refit, and least between two"}, \
    {"refit-growth", FORAGE_PARAM_REAL, default_growth, 1, 1000, NULL, \
     "the next refit comes after so many times as many lessons; 1: always refit-every"}, \
    {"refit-lag", FORAGE_PARAM_INTEGER, "50", 0, 1e9, NULL, \
     "lessons from a refit's start until its result is used, less than refit-every"}, \
    {"background", FORAGE_PARAM_BOOLEAN, "true", 0, 0, NULL, \
     "refit in a thread of its own; false: at the end of the lag (the same result)"}
/* clang-format on */

/* Candidates that go through the network together. */
enum { NEURAL_ROWS = 512 };

/* One lesson of the ring. */
typedef struct neural_row {
    const float *x; /* [numbers]: the request's features, then the candidate's, squashed */
    float reward, weight;
    uint32_t user, arm;
} neural_row;

typedef struct neural neural;
typedef struct neural_packed neural_packed;

/* A refit does not train on the last of every so many lessons, so that it can be seen what its result is worth. */
enum { NEURAL_HELD_OUT = 8 };

static inline bool neural_held_out(uint64_t event)
{
    return event % NEURAL_HELD_OUT == NEURAL_HELD_OUT - 1;
}

/* What a model does when the network changes. All may be NULL. */
typedef struct neural_hooks {
    void *context;
    /* In the thread, when training is done: `net->next` is the new network, over lessons [first, end). */
    void (*settle)(void *context, uint64_t first, uint64_t end);
    /* The owner takes net->next, which is net->mlp after this; lessons [from, end) came in the meantime. */
    void (*swap)(void *context, uint64_t from, uint64_t end);
} neural_hooks;

struct neural {
    const model_online_setup *setup;
    neural_hooks hooks;
    bool arm_heads, one_pass; /* one_pass: a request's candidates differ by their heads alone */
    bool logistic, in_thread;
    size_t request, candidate, numbers; /* widths */
    size_t arms, users;
    size_t user_size, arm_size;
    size_t layer_count, layers[NN_LAYER_LIMIT];
    double rate, growth;
    size_t batch, epochs, steps, keep, lag;
    uint64_t every;
    nn_settings settings;

    nn_mlp *mlp, *next;
    nn_mlp *origin;                                          /* as it was at the start: what decay pulls towards */
    double reward_mean, reward_scale, next_mean, next_scale; /* what the networks' outputs mean: mean + scale z */

    /* The ring: lesson number e (from 0) lies at place e % ring. */
    size_t ring, block_count;
    float **blocks; /* [block_count][NEURAL_BLOCK][stride]: x, reward, weight, user, arm */
    size_t stride;
    uint64_t events, mark; /* lessons kept so far; when the next refit begins */
    uint64_t started;      /* when the last refit began */
    uint64_t refits;       /* begun */
    bool refitting;

    nn_background background;
    nn_trainer *trainer; /* of `next` */
    _Atomic bool give_up;
    bool failed; /* training went astray: the old network stays */
    struct {
        float *matrix, *reward, *weight;
        uint32_t *user, *arm;
        const uint32_t *codes[2];
    } drawn; /* a batch */

    struct {
        float *matrix; /* [NEURAL_ROWS][numbers] */
        uint32_t *user, *arm;
        const uint32_t *codes[2];
        void *forward, *settle; /* for nn_mlp_features: of the owner, of the thread */
        float *row;             /* [numbers] */
    } scratch;
    neural_packed *packed; /* tensors of a checkpoint under way */
};

/* `hooks` is copied. The context's other parts may be made after this, but before the first lesson. */
forage_status neural_create(const model_online_setup *setup, bool arm_heads, const neural_hooks *hooks, neural **net,
                            forage_error *error);
/* What parameter `heads` means for this shape; and what a checkpoint says. */
bool neural_wants_arm_heads(const model_online_setup *setup);
bool neural_saved_arm_heads(const nn_checkpoint *checkpoint);
void neural_free(neural *net);

/* The candidates [first, first + count), at most NEURAL_ROWS, as the network sees them; borrowed until the next call.
 * With net->one_pass there is one row whatever `count` is. */
nn_inputs neural_inputs(neural *net, const forage_candidates *candidates, size_t first, size_t count);
/* The same of one lesson of the ring, and of one that is just being learned. */
nn_inputs neural_row_inputs(const neural *net, const neural_row *row, const uint32_t *codes[2]);
neural_row neural_lesson_row(neural *net, const forage_lesson *lesson);
/* Lesson number `event`, one of the last net->ring. */
neural_row neural_row_at(const neural *net, uint64_t event);
/* Keeps a lesson; begins and ends refits. To be called when the model itself has learned from it. */
void neural_keep(neural *net, const neural_row *row);

/* Growth: _create makes all that is new, with what is known copied to growth->mlp; neural_grow takes it over and leaves
 * nothing in `growth`. It stops a refit that is under way, as loading does; neural_resume, when the model is ready too,
 * begins it again. */
typedef struct neural_growth {
    size_t arms, users;
    nn_mlp *mlp, *next, *origin;
    nn_trainer *trainer;
} neural_growth;

forage_status neural_growth_create(const neural *net, size_t arms, size_t users, neural_growth *growth,
                                   forage_error *error);
void neural_growth_release(neural_growth *growth);
void neural_grow(neural *net, neural_growth *growth);
void neural_resume(neural *net);
forage_status neural_save(neural *net, nn_checkpoint *checkpoint, forage_error *error);
forage_status neural_load(neural *net, const nn_checkpoint *checkpoint, forage_error *error);
double neural_saved_size(const model_online_setup *setup);
size_t neural_memory(const neural *net);

/* What neural.c and neural_file.c share: names of tensors, and what follows. */
#define NEURAL_USER_TABLE "user_embedding.weight"
#define NEURAL_ARM_TABLE "arm_embedding.weight"

forage_status neural_out_of_memory(forage_error *error);
/* To be called after weights changed. What stands in for a user that nobody knows is the average of those that training
 * has met (whose embedding is not 0); an arm that nobody knows is worth what its features say: 0. Neither changes when
 * the network grows. */
void neural_refresh(const neural *net, nn_mlp *mlp);
/* All finite, and small enough that no sum of their products overflows. */
bool neural_weights_are_sane(const nn_mlp *mlp);
/* Writes lesson number `event` into the ring. False when there is no memory for its block. */
bool neural_ring_write(neural *net, uint64_t event, const neural_row *row);
void neural_packed_free(neural_packed *packed);

#endif
