/*
 * neural_file.c: the network, its last lessons and where its refits stand, as tensors of a checkpoint, and back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/neural.h"

#include <math.h>
#include <string.h>

bool neural_saved_arm_heads(const nn_checkpoint *checkpoint)
{
    return nn_checkpoint_find(checkpoint, NEURAL_ARM_TABLE) == NULL;
}

/* What a checkpoint under way needs in one piece. */
struct neural_packed {
    float *weights; /* of nn_mlp_save */
    uint64_t schedule[5];
    double reward[2];
    float *x, *rewards, *weight;
    uint32_t *user, *arm;
};

void neural_packed_free(neural_packed *packed)
{
    if (!packed)
        return;
    forage_free(packed->weights);
    forage_free(packed->x);
    forage_free(packed->rewards);
    forage_free(packed->weight);
    forage_free(packed->user);
    forage_free(packed->arm);
    forage_free(packed);
}

/* The lessons that are in the ring, oldest first. */
static size_t ring_count(const neural *net)
{
    return net->events < net->ring ? (size_t)net->events : net->ring;
}

static bool packed_create(size_t count, size_t numbers, neural_packed **packed)
{
    neural_packed *made = *packed = forage_calloc(1, sizeof *made);
    if (!made)
        return false;
    made->x = forage_alloc(count + 1, (numbers + 1) * sizeof *made->x);
    made->rewards = forage_alloc(count + 1, sizeof *made->rewards);
    made->weight = forage_alloc(count + 1, sizeof *made->weight);
    made->user = forage_alloc(count + 1, sizeof *made->user);
    made->arm = forage_alloc(count + 1, sizeof *made->arm);
    return made->x && made->rewards && made->weight && made->user && made->arm;
}

forage_status neural_save(neural *net, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t count = ring_count(net), shape[2] = {count, net->numbers};
    neural_packed_free(net->packed);
    if (!packed_create(count, net->numbers, &net->packed))
        return neural_out_of_memory(error);
    neural_packed *packed = net->packed;
    for (size_t i = 0; i < count; i++) {
        neural_row row = neural_row_at(net, net->events - count + i);
        memcpy(packed->x + i * net->numbers, row.x, net->numbers * sizeof *row.x);
        packed->rewards[i] = row.reward;
        packed->weight[i] = row.weight;
        packed->user[i] = row.user;
        packed->arm[i] = row.arm;
    }
    const uint64_t schedule[] = {net->events, net->mark, net->started, net->refits, net->refitting};
    memcpy(packed->schedule, schedule, sizeof schedule);
    packed->reward[0] = net->reward_mean;
    packed->reward[1] = net->reward_scale;
    FORAGE_TRY(nn_mlp_save(net->mlp, net->mlp->values, "", checkpoint, &packed->weights, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "schedule", NN_U64, 1, (size_t[]){5}, packed->schedule, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "reward", NN_F64, 1, (size_t[]){2}, packed->reward, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "lessons.features", NN_F32, 2, shape, packed->x, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "lessons.reward", NN_F32, 1, shape, packed->rewards, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "lessons.weight", NN_F32, 1, shape, packed->weight, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "lessons.user", NN_U32, 1, shape, packed->user, error));
    return nn_checkpoint_add(checkpoint, "lessons.arm", NN_U32, 1, shape, packed->arm, error);
}

static forage_status malformed(const nn_checkpoint *checkpoint, const char *name, const char *what, forage_error *error)
{
    return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, name, "%s", what);
}

/* The lessons into the ring of a learner that has `events` of them. */
static forage_status load_lessons(neural *net, const nn_checkpoint *checkpoint, const neural_packed *packed,
                                  forage_error *error)
{
    size_t count = ring_count(net), shape[2] = {count, net->numbers};
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "lessons.features", 2, shape, packed->x, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "lessons.reward", 1, shape, packed->rewards, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "lessons.weight", 1, shape, packed->weight, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "lessons.user", NN_U32, 1, shape, packed->user, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "lessons.arm", NN_U32, 1, shape, packed->arm, error));
    for (size_t i = 0; i < count; i++) {
        if (packed->arm[i] >= net->arms || (packed->user[i] != FORAGE_NONE && packed->user[i] >= net->users) ||
            !(packed->weight[i] > 0.0F))
            return malformed(checkpoint, "lessons.arm",
                             "a lesson of an arm or a user that is not there, or without "
                             "weight",
                             error);
        neural_row row = {.x = packed->x + i * net->numbers,
                          .reward = packed->rewards[i],
                          .weight = packed->weight[i],
                          .user = packed->user[i],
                          .arm = packed->arm[i]};
        if (!neural_ring_write(net, net->events - count + i, &row))
            return neural_out_of_memory(error);
    }
    return FORAGE_OK;
}

forage_status neural_load(neural *net, const nn_checkpoint *checkpoint, forage_error *error)
{
    uint64_t schedule[5];
    double reward[2];
    FORAGE_TRY(nn_mlp_load(net->mlp, checkpoint, "", net->mlp->values, error));
    if (!neural_weights_are_sane(net->mlp))
        return malformed(checkpoint, "weights", "a weight is larger than any that was learned", error);
    neural_refresh(net, net->mlp);
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "schedule", NN_U64, 1, (size_t[]){5}, schedule, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "reward", NN_F64, 1, (size_t[]){2}, reward, error));
    net->events = schedule[0];
    net->mark = schedule[1];
    net->started = schedule[2];
    net->refits = schedule[3];
    if (net->mark <= net->events || net->started > net->events || net->refits > net->events || schedule[4] > 1 ||
        (schedule[4] && (!net->started || net->events - net->started >= net->lag)))
        return malformed(checkpoint, "schedule", "these numbers of lessons do not go together", error);
    if (!isfinite(reward[0]) || !isfinite(reward[1]) || !(reward[1] > 0.0))
        return malformed(checkpoint, "reward", "mean and deviation of the rewards are not possible", error);
    net->reward_mean = reward[0];
    net->reward_scale = reward[1];
    const nn_tensor *lessons = nn_checkpoint_find(checkpoint, "lessons.reward");
    if (!lessons || lessons->rank != 1 || lessons->shape[0] != ring_count(net))
        return malformed(checkpoint, "lessons.reward", "not as many lessons as the schedule says", error);
    neural_packed *packed;
    forage_status status = packed_create(ring_count(net), net->numbers, &packed)
                               ? load_lessons(net, checkpoint, packed, error)
                               : neural_out_of_memory(error);
    neural_packed_free(packed);
    net->refitting = status == FORAGE_OK && schedule[4] == 1;
    return status;
}

double neural_saved_size(const model_online_setup *setup)
{
    size_t count = 0;
    const int64_t *layers = forage_params_list(setup->params, "layers", &count);
    double arm = 4.0 * (double)forage_params_integer(setup->params, "arm-size");
    double head = 4.0 * (double)(count ? layers[count - 1] : 0), least = arm < head ? arm : head;
    return (double)setup->shape->users * 4.0 * (double)forage_params_integer(setup->params, "user-size") +
           (double)setup->shape->arms * least + (double)setup->shape->request_width +
           (double)setup->shape->candidate_width;
}
