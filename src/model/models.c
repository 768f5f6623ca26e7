/*
 * The registry: every model, in alphabetical order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <string.h>

#define MODEL_LIST(X) \
    X(beta_bernoulli) \
    X(bootstrap)      \
    X(bst)            \
    X(embedding_mlp)  \
    X(gaussian)       \
    X(gf_cf)          \
    X(ials)           \
    X(item_knn)       \
    X(latent_class)   \
    X(lightgcn)       \
    X(linear_ridge)   \
    X(logistic)       \
    X(neural_linear)  \
    X(neural_ucb)     \
    X(popular)        \
    X(sasrec)

static const model_type *const types[] = {
#define MODEL_TYPE(name) &model_##name,
    MODEL_LIST(MODEL_TYPE)
#undef MODEL_TYPE
};

enum { TYPE_COUNT = sizeof types / sizeof types[0] };

const forage_model_info *const *forage_models(size_t *count)
{
    static const forage_model_info *const infos[TYPE_COUNT] = {
#define MODEL_INFO(name) &model_##name.info,
        MODEL_LIST(MODEL_INFO)
#undef MODEL_INFO
    };
    if (count)
        *count = TYPE_COUNT;
    return infos;
}

unsigned forage_model_capabilities(const forage_model_info *info)
{
    const model_type *type = model_type_of(info);
    unsigned can = info->capabilities;
    if (type && (type->catalogue || model_reads_history(type)))
        can |= FORAGE_CAN_FOLD_IN;
    if (type && type->extend)
        can |= FORAGE_CAN_EXTEND;
    if (type && model_reads_history(type))
        can |= FORAGE_READS_HISTORY;
    return can;
}

forage_status forage_model_find(const char *name, const forage_model_info **info, forage_error *error)
{
    char names[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(types[i]->info.name, name) == 0) {
            *info = &types[i]->info;
            return FORAGE_OK;
        }
        forage_append(names, sizeof names, &used, "%s%s", i ? ", " : "", types[i]->info.name);
    }
    return forage_fail(error, FORAGE_UNKNOWN, "no model '%.100s'; there are: %s", name, names);
}

const model_type *model_type_of(const forage_model_info *info)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (&types[i]->info == info)
            return types[i];
    }
    return NULL;
}

const model_type *model_type_at(size_t index)
{
    return index < TYPE_COUNT ? types[index] : NULL;
}
