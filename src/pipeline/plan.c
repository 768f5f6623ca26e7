/*
 * plan.c: features tied to a catalogue. What `auto` means stands in auto.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/plan.h"

#include <stdio.h>
#include <string.h>

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the features");
}

const forage_table *pipeline_table(const forage_catalogue *catalogue, forage_owner owner)
{
    static const forage_table none = {0};
    const forage_table *table = owner == FORAGE_OF_USER   ? catalogue->user_attributes
                                : owner == FORAGE_OF_ITEM ? catalogue->item_attributes
                                                          : catalogue->context;
    return table ? table : &none;
}

static size_t find_column(const forage_table *table, const char *name)
{
    size_t column = 0;
    while (column < table->column_count && strcmp(table->columns[column].name, name) != 0)
        column++;
    return column;
}

size_t pipeline_codes(const forage_column *column)
{
    return column->vocabulary ? forage_vocabulary_count(column->vocabulary) : 0;
}

/* The message for a name that is not there, with those that are. */
static forage_status missing(const pipeline_builder *builder, const pipeline_feature *feature, forage_owner owner,
                             const char *name, const char *wanted, forage_error *error)
{
    static const char *const who[] = {"users have", "items have", "the context has"};
    const forage_table *table = pipeline_table(builder->plan->catalogue, owner);
    char there[300] = "";
    size_t used = 0;
    for (size_t i = 0; i < table->column_count; i++)
        forage_append(there, sizeof there, &used, "%s%s", i ? ", " : "", table->columns[i].name);
    return forage_fail_at(error, FORAGE_INVALID, builder->spec->file, feature ? feature->line : 0,
                          feature ? "features" : "arm", "%s no %s '%.60s'; there %s %s", who[owner], wanted, name,
                          table->column_count == 1 ? "is" : "are", table->column_count ? there : "none");
}

static forage_status too_wide(const pipeline_builder *builder, const pipeline_feature *feature, forage_error *error)
{
    return forage_fail_at(error, FORAGE_INVALID, builder->spec->file, feature->line, "features",
                          "more than %d numbers; hash them into fewer buckets, or take the candidate's own history",
                          PIPELINE_WIDTH_LIMIT);
}

/* ---- arms ---- */

static forage_status choose_arm(const pipeline_builder *builder, forage_error *error)
{
    pipeline_plan *plan = builder->plan;
    const char *arm = forage_params_text(builder->spec->params, "arm");
    const forage_table *table = pipeline_table(plan->catalogue, FORAGE_OF_ITEM);
    plan->arm_is_item = true;
    if (strcmp(arm, "auto") == 0) {
        plan->arm_column = pipeline_auto_arm(plan->catalogue);
        plan->arm_is_item = plan->arm_column == SIZE_MAX;
    } else if (strcmp(arm, "item") != 0) {
        plan->arm_column = find_column(table, arm);
        plan->arm_is_item = false;
        if (plan->arm_column == table->column_count || table->columns[plan->arm_column].type != FORAGE_CATEGORICAL)
            return missing(builder, NULL, FORAGE_OF_ITEM, arm, "categorical attribute", error);
    }
    return FORAGE_OK;
}

/* Items without the attribute share an arm of their own, behind those of the values there were at the beginning. */
static uint32_t arm_of_code(const pipeline_plan *plan, uint32_t code)
{
    if (code == FORAGE_NONE)
        return (uint32_t)plan->missing_arm;
    return code < plan->missing_arm ? code : code + 1;
}

size_t pipeline_plan_arms(const pipeline_plan *plan)
{
    if (plan->arm_is_item)
        return plan->catalogue->items;
    return pipeline_codes(&pipeline_table(plan->catalogue, FORAGE_OF_ITEM)->columns[plan->arm_column]) + 1;
}

static forage_status map_arms(pipeline_plan *plan, forage_error *error)
{
    size_t items = plan->catalogue->items, arms = pipeline_plan_arms(plan);
    uint32_t *arm_of = forage_realloc(plan->arm_of, plan->items, items + 1, sizeof *arm_of);
    if (!arm_of)
        return no_memory(error);
    plan->arm_of = arm_of;
    if (!plan->arms)
        plan->missing_arm = arms - 1;
    const forage_table *table = pipeline_table(plan->catalogue, FORAGE_OF_ITEM);
    for (size_t i = plan->items; i < items; i++)
        arm_of[i] = plan->arm_is_item ? (uint32_t)i : arm_of_code(plan, table->columns[plan->arm_column].codes[i]);
    plan->arms = arms;
    return FORAGE_OK;
}

/* ---- steps ---- */

typedef enum scope { OF_REQUEST, OF_ITEM, OF_BOTH } scope;

static forage_status add_step(pipeline_builder *builder, scope of, const pipeline_feature *feature,
                              const pipeline_step *step, forage_error *error)
{
    pipeline_plan *plan = builder->plan;
    pipeline_step **steps = of == OF_REQUEST ? &plan->request : of == OF_ITEM ? &plan->fixed : &plan->varying;
    size_t *count = of == OF_REQUEST ? &plan->request_count : of == OF_ITEM ? &plan->fixed_count : &plan->varying_count;
    size_t *width = of == OF_REQUEST ? &plan->request_width
                    : of == OF_ITEM  ? &plan->fixed_width
                                     : &plan->candidate_width; /* the fixed ones come on top at the end */
    if (step->width + plan->request_width + plan->fixed_width + plan->candidate_width > PIPELINE_WIDTH_LIMIT)
        return too_wide(builder, feature, error);
    pipeline_step *grown = forage_realloc(*steps, *count, *count + 1, sizeof *grown);
    if (!grown)
        return no_memory(error);
    *steps = grown;
    grown[*count] = *step;
    grown[*count].offset = *width;
    grown[*count].salt = 0x9e3779b97f4a7c15U * (plan->request_count + plan->fixed_count + plan->varying_count + 1);
    ++*count;
    *width += step->width;
    return FORAGE_OK;
}

/* The scale of a numeric column, shared by all steps that read it. */
static forage_status find_scale(pipeline_plan *plan, const pipeline_source *source, size_t knots, size_t *index,
                                forage_error *error)
{
    for (*index = 0; *index < plan->scale_count; ++*index) {
        const pipeline_source *known = &plan->scale_sources[*index];
        if (known->owner == source->owner && known->column == source->column && plan->scale_knots[*index] == knots)
            return FORAGE_OK;
    }
    size_t count = plan->scale_count;
    pipeline_scale *scales = forage_realloc(plan->scales, count, count + 1, sizeof *scales);
    if (!scales)
        return no_memory(error);
    plan->scales = scales;
    pipeline_source *sources = forage_realloc(plan->scale_sources, count, count + 1, sizeof *sources);
    if (!sources)
        return no_memory(error);
    plan->scale_sources = sources;
    size_t *all_knots = forage_realloc(plan->scale_knots, count, count + 1, sizeof *all_knots);
    if (!all_knots)
        return no_memory(error);
    plan->scale_knots = all_knots;
    FORAGE_TRY(pipeline_scale_create(&scales[count], error));
    sources[count] = *source;
    all_knots[count] = knots;
    plan->scale_count++;
    if (source->owner != FORAGE_OF_ITEM)
        return FORAGE_OK;
    const forage_column *column = &pipeline_table(plan->catalogue, FORAGE_OF_ITEM)->columns[source->column];
    return pipeline_scale_settle(&scales[count], column->values, plan->catalogue->items, knots, error);
}

/* "user.age", "item.id", "arm" to where the numbers are. */
static forage_status find_source(const pipeline_builder *builder, const pipeline_feature *feature, forage_owner owner,
                                 const char *name, pipeline_source *source, forage_error *error)
{
    pipeline_plan *plan = builder->plan;
    const forage_table *table = pipeline_table(plan->catalogue, owner);
    *source = (pipeline_source){.owner = owner, .column = find_column(table, name), .scale = SIZE_MAX};
    if (source->column < table->column_count) {
        const forage_column *column = &table->columns[source->column];
        source->numeric = column->type == FORAGE_NUMERIC;
        source->codes = source->numeric ? 1 : pipeline_codes(column);
        return FORAGE_OK;
    }
    if (strcmp(name, "id") != 0 || owner == FORAGE_OF_CONTEXT)
        return missing(builder, feature, owner, name, owner == FORAGE_OF_CONTEXT ? "column" : "attribute", error);
    source->kind = PIPELINE_OF_ID;
    source->codes = owner == FORAGE_OF_USER ? plan->catalogue->users : plan->catalogue->items;
    return FORAGE_OK;
}

/* Places for `codes` categories: one each, or hashed. */
static void choose_width(pipeline_step *step, size_t codes, size_t limit, size_t buckets)
{
    step->hashed = codes > limit;
    step->width = step->hashed ? buckets : codes;
}

static forage_status add_column(pipeline_builder *builder, const pipeline_feature *feature, const char *name,
                                forage_error *error)
{
    const forage_params *params = builder->spec->params;
    pipeline_step step = {.kind = PIPELINE_COLUMN, .source_count = 1};
    pipeline_source *source = &step.sources[0];
    FORAGE_TRY(find_source(builder, feature, feature->owner, name, source, error));
    if (source->numeric) {
        int64_t knots = forage_params_integer(params, "knots");
        step.knots = feature->knots ? feature->knots : knots > 0 ? (size_t)knots : 0;
        step.width = 1 + step.knots;
        if (feature->scale || step.knots)
            FORAGE_TRY(find_scale(builder->plan, source, step.knots, &source->scale, error));
        if (!feature->scale)
            step.width -= step.knots, step.knots = 0, source->scale = SIZE_MAX;
    } else {
        choose_width(&step, source->codes,
                     feature->limit ? feature->limit : (size_t)forage_params_integer(params, "limit"),
                     feature->buckets ? feature->buckets : (size_t)forage_params_integer(params, "buckets"));
    }
    return step.width
               ? add_step(builder, feature->owner == FORAGE_OF_ITEM ? OF_ITEM : OF_REQUEST, feature, &step, error)
               : FORAGE_OK;
}

static forage_status add_columns(pipeline_builder *builder, const pipeline_feature *feature, forage_error *error)
{
    const forage_table *table = pipeline_table(builder->plan->catalogue, feature->owner);
    if (strcmp(feature->names[0], "all") != 0 || find_column(table, "all") < table->column_count)
        return add_column(builder, feature, feature->names[0], error);
    for (size_t i = 0; i < table->column_count; i++)
        FORAGE_TRY(add_column(builder, feature, table->columns[i].name, error));
    return FORAGE_OK;
}

static forage_status add_cross(pipeline_builder *builder, const pipeline_feature *feature, forage_error *error)
{
    static const char *const prefixes[] = {"user.", "item.", "context."};
    pipeline_step step = {.kind = PIPELINE_CROSS, .source_count = feature->name_count};
    bool of_item = false, of_request = false;
    size_t codes = 1;
    for (size_t i = 0; i < feature->name_count; i++) {
        pipeline_source *source = &step.sources[i];
        const char *name = feature->names[i];
        *source = (pipeline_source){PIPELINE_OF_ARM, FORAGE_OF_ITEM, 0, false, builder->plan->arms, SIZE_MAX};
        for (size_t owner = 0; owner < 3; owner++) {
            size_t length = strlen(prefixes[owner]);
            if (strncmp(name, prefixes[owner], length) == 0)
                FORAGE_TRY(find_source(builder, feature, (forage_owner)owner, name + length, source, error));
        }
        if (source->numeric)
            FORAGE_TRY(find_scale(builder->plan, source, 0, &source->scale, error));
        of_item = of_item || source->owner == FORAGE_OF_ITEM;
        of_request = of_request || source->owner != FORAGE_OF_ITEM;
        if (__builtin_mul_overflow(codes, source->codes, &codes) || codes > UINT32_MAX)
            codes = UINT32_MAX;
    }
    choose_width(&step, codes, feature->limit ? feature->limit : 256, feature->buckets ? feature->buckets : 256);
    return step.width ? add_step(builder,
                                 !of_item     ? OF_REQUEST
                                 : of_request ? OF_BOTH
                                              : OF_ITEM,
                                 feature, &step, error)
                      : FORAGE_OK;
}

/* ---- histories ---- */

static size_t group_count(const pipeline_plan *plan, const pipeline_grouping *grouping)
{
    if (grouping->all)
        return 1;
    if (grouping->popularity)
        return plan->arm_is_item ? 1 : pipeline_plan_arms(plan);
    if (grouping->item)
        return plan->catalogue->items;
    return pipeline_codes(&pipeline_table(plan->catalogue, FORAGE_OF_ITEM)->columns[grouping->column]);
}

static forage_status find_grouping(pipeline_plan *plan, const pipeline_grouping *wanted, size_t *index,
                                   forage_error *error)
{
    for (*index = 0; *index < plan->grouping_count; ++*index) {
        const pipeline_grouping *known = &plan->groupings[*index];
        if (known->all == wanted->all && known->item == wanted->item && known->column == wanted->column &&
            known->popularity == wanted->popularity && known->half_life == wanted->half_life &&
            known->prior == wanted->prior)
            return FORAGE_OK;
    }
    size_t count = plan->grouping_count;
    pipeline_grouping *grown = forage_realloc(plan->groupings, count, count + 1, sizeof *grown);
    if (!grown)
        return no_memory(error);
    plan->groupings = grown;
    grown[count] = *wanted;
    FORAGE_TRY(pipeline_history_create(wanted->popularity ? plan->catalogue->items : plan->catalogue->users,
                                       group_count(plan, wanted), wanted->half_life, wanted->prior,
                                       &grown[count].history, error));
    plan->grouping_count++;
    return FORAGE_OK;
}

static forage_status add_history(pipeline_builder *builder, const pipeline_feature *feature, forage_error *error)
{
    pipeline_plan *plan = builder->plan;
    const forage_params *params = builder->spec->params;
    bool popularity = feature->kind == PIPELINE_POPULARITY;
    pipeline_grouping grouping = {
        .all = feature->kind == PIPELINE_ACTIVITY,
        .popularity = popularity,
        .half_life = feature->half_life >= 0 ? feature->half_life
                     : popularity            ? 0
                                             : forage_params_real(params, "history-half-life"),
        .prior = feature->prior > 0 ? feature->prior
                 : popularity       ? 20
                                    : forage_params_real(params, "history-prior"),
    };
    pipeline_step step = {.kind = feature->kind, .measures = feature->measures, .own = feature->own};
    if (feature->kind == PIPELINE_HISTORY) {
        const forage_table *table = pipeline_table(plan->catalogue, FORAGE_OF_ITEM);
        grouping.column = find_column(table, feature->names[0]);
        grouping.item = grouping.column == table->column_count && strcmp(feature->names[0], "item") == 0;
        if (!grouping.item &&
            (grouping.column == table->column_count || table->columns[grouping.column].type != FORAGE_CATEGORICAL))
            return missing(builder, feature, FORAGE_OF_ITEM, feature->names[0], "categorical attribute", error);
    }
    step.width = pipeline_measure_count(feature->measures);
    if (feature->kind == PIPELINE_HISTORY && !feature->own) {
        size_t groups = group_count(plan, &grouping);
        if (groups > PIPELINE_WIDTH_LIMIT)
            return too_wide(builder, feature, error);
        step.width *= groups;
    }
    FORAGE_TRY(find_grouping(plan, &grouping, &step.history, error));
    return step.width ? add_step(builder, popularity || feature->own ? OF_BOTH : OF_REQUEST, feature, &step, error)
                      : FORAGE_OK;
}

forage_status pipeline_builder_add(pipeline_builder *builder, const pipeline_feature *feature, forage_error *error)
{
    static const pipeline_step bias = {.kind = PIPELINE_BIAS, .width = 1};
    switch (feature->kind) {
    case PIPELINE_AUTO:
        return pipeline_auto(builder, error);
    case PIPELINE_BIAS:
        return add_step(builder, OF_REQUEST, feature, &bias, error);
    case PIPELINE_COLUMN:
        return add_columns(builder, feature, error);
    case PIPELINE_CROSS:
        return add_cross(builder, feature, error);
    case PIPELINE_HISTORY:
    case PIPELINE_ACTIVITY:
    case PIPELINE_POPULARITY:
        return add_history(builder, feature, error);
    }
    return FORAGE_OK;
}

/* ---- the whole ---- */

static bool follows_arm(const pipeline_plan *plan, size_t column, uint32_t *seen)
{
    const forage_column *attribute = &pipeline_table(plan->catalogue, FORAGE_OF_ITEM)->columns[column];
    if (plan->arm_is_item || column == plan->arm_column)
        return true;
    if (attribute->type != FORAGE_CATEGORICAL)
        return false;
    for (size_t i = 0; i < plan->arms; i++)
        seen[i] = UINT32_MAX - 1;
    for (size_t i = 0; i < plan->catalogue->items; i++) {
        uint32_t *code = &seen[plan->arm_of[i]];
        if (*code != UINT32_MAX - 1 && *code != attribute->codes[i])
            return false;
        *code = attribute->codes[i];
    }
    return true;
}

static bool step_by_arm(const pipeline_plan *plan, const pipeline_step *step, const bool *follows)
{
    if (step->kind == PIPELINE_HISTORY)
        return !plan->groupings[step->history].item && follows[plan->groupings[step->history].column];
    if (step->kind == PIPELINE_POPULARITY)
        return false;
    for (size_t i = 0; i < step->source_count; i++) {
        const pipeline_source *source = &step->sources[i];
        if (source->owner == FORAGE_OF_ITEM && source->kind != PIPELINE_OF_ARM &&
            !(source->kind == PIPELINE_OF_COLUMN && follows[source->column]))
            return false;
    }
    return true;
}

static bool all_by_arm(const pipeline_plan *plan, const bool *follows)
{
    bool good = !plan->arm_is_item;
    for (size_t i = 0; i < plan->fixed_count; i++)
        good = good && step_by_arm(plan, &plan->fixed[i], follows);
    for (size_t i = 0; i < plan->varying_count; i++)
        good = good && step_by_arm(plan, &plan->varying[i], follows);
    return good;
}

static forage_status fill_fixed(pipeline_plan *plan, size_t from, forage_error *error)
{
    size_t items = plan->catalogue->items;
    if (!plan->fixed_width)
        return FORAGE_OK;
    float *block =
        forage_realloc(plan->fixed_block, from * plan->fixed_width, items * plan->fixed_width + 1, sizeof *block);
    if (!block)
        return no_memory(error);
    plan->fixed_block = block;
    for (size_t i = from; i < items; i++)
        pipeline_fixed_features(plan, (uint32_t)i, block + i * plan->fixed_width);
    return FORAGE_OK;
}

/* Which item attributes are the same for all items of an arm. */
static forage_status find_followers(pipeline_builder *builder, forage_error *error)
{
    const pipeline_plan *plan = builder->plan;
    size_t columns = pipeline_table(plan->catalogue, FORAGE_OF_ITEM)->column_count;
    uint32_t *seen = forage_alloc(plan->arms + 1, sizeof *seen);
    builder->follows = forage_calloc(columns + 1, sizeof *builder->follows);
    for (size_t i = 0; seen && builder->follows && i < columns; i++)
        builder->follows[i] = follows_arm(plan, i, seen);
    forage_free(seen);
    return seen && builder->follows ? FORAGE_OK : no_memory(error);
}

static forage_status build(pipeline_builder *builder, forage_error *error)
{
    pipeline_plan *plan = builder->plan;
    static const pipeline_feature automatic = {.kind = PIPELINE_AUTO};
    FORAGE_TRY(choose_arm(builder, error));
    FORAGE_TRY(map_arms(plan, error));
    FORAGE_TRY(find_followers(builder, error));
    if (!builder->spec->features.count)
        FORAGE_TRY(pipeline_builder_add(builder, &automatic, error));
    for (size_t i = 0; i < builder->spec->features.count; i++)
        FORAGE_TRY(pipeline_builder_add(builder, &builder->spec->features.entries[i], error));
    plan->candidate_width += plan->fixed_width;
    for (size_t i = 0; i < plan->varying_count; i++)
        plan->varying[i].offset += plan->fixed_width;
    /* A model that is fitted in batches scores items one by one. */
    plan->by_arm = builder->spec->model && builder->spec->model->capabilities & FORAGE_CAN_LEARN &&
                   all_by_arm(plan, builder->follows);
    return fill_fixed(plan, 0, error);
}

forage_status pipeline_plan_create(const forage_pipeline_spec *spec, const forage_catalogue *catalogue,
                                   pipeline_plan *plan, forage_error *error)
{
    pipeline_builder builder = {.spec = spec, .plan = plan};
    *plan = (pipeline_plan){.catalogue = catalogue};
    forage_status status = build(&builder, error);
    forage_free(builder.follows);
    if (status != FORAGE_OK) {
        pipeline_plan_release(plan);
        return status;
    }
    plan->items = catalogue->items;
    plan->users = catalogue->users;
    return FORAGE_OK;
}

void pipeline_plan_release(pipeline_plan *plan)
{
    forage_free(plan->arm_of);
    forage_free(plan->request);
    forage_free(plan->fixed);
    forage_free(plan->varying);
    for (size_t i = 0; i < plan->scale_count; i++)
        pipeline_scale_release(&plan->scales[i]);
    forage_free(plan->scales);
    forage_free(plan->scale_sources);
    forage_free(plan->scale_knots);
    for (size_t i = 0; i < plan->grouping_count; i++)
        pipeline_history_free(plan->groupings[i].history);
    forage_free(plan->groupings);
    forage_free(plan->fixed_block);
    *plan = (pipeline_plan){0};
}

forage_status pipeline_plan_grow(pipeline_plan *plan, forage_error *error)
{
    for (size_t i = 0; i < plan->grouping_count; i++) {
        const pipeline_grouping *grouping = &plan->groupings[i];
        FORAGE_TRY(pipeline_history_grow(grouping->history,
                                         grouping->popularity ? plan->catalogue->items : plan->catalogue->users,
                                         group_count(plan, grouping), error));
    }
    size_t arms = plan->arms;
    FORAGE_TRY(map_arms(plan, error));
    forage_status status = fill_fixed(plan, plan->items, error);
    if (status != FORAGE_OK) {
        plan->arms = arms;
        return status;
    }
    plan->items = plan->catalogue->items;
    plan->users = plan->catalogue->users;
    return FORAGE_OK;
}

size_t pipeline_plan_memory(const pipeline_plan *plan)
{
    size_t bytes = plan->items * (sizeof *plan->arm_of + plan->fixed_width * sizeof *plan->fixed_block);
    for (size_t i = 0; i < plan->grouping_count; i++)
        bytes += pipeline_history_memory(plan->groupings[i].history);
    return bytes + plan->scale_count * 2 * PIPELINE_SCALE_ROWS * sizeof(float);
}
