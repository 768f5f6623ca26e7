/*
 * auto.c: what `auto` stands for: features and arms that follow from the catalogue, so that a short name works
 * in any environment.
 *
 * Arms: the categorical item attribute with the most values of which each has two items on average; items where
 * there is none.
 *
 * Features: a bias; every column of the context and every attribute of the user, numeric ones as curves where that is
 * cheap; where users are known, their
 * history by arm's attribute, or by item where items are few: of all groups if these are few, of the candidate's
 * own if they are many; what the attributes of an item tell beyond its arm. A model that has one set of weights for all
 * arms sees what differs between candidates only, so it gets the arm, and the request crossed with the arm.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "pipeline/plan.h"

enum { ALL_GROUPS_LIMIT = 16, KNOTS = 8, CHEAP = 1 << 14 };

size_t pipeline_auto_arm(const forage_catalogue *catalogue)
{
    const forage_table *table = pipeline_table(catalogue, FORAGE_OF_ITEM);
    size_t best = SIZE_MAX, most = 1;
    for (size_t i = 0; i < table->column_count; i++) {
        size_t codes = pipeline_codes(&table->columns[i]);
        if (table->columns[i].type == FORAGE_CATEGORICAL && codes > most && codes <= catalogue->items / 2) {
            most = codes;
            best = i;
        }
    }
    return best;
}

static forage_status add_named(pipeline_builder *builder, pipeline_feature feature, const char *name,
                               forage_error *error)
{
    char text[256];
    if (strlen(name) >= sizeof text)
        return FORAGE_OK; /* a column with such a name must be asked for */
    memcpy(text, name, strlen(name) + 1);
    feature.names[0] = text;
    feature.name_count = 1;
    return pipeline_builder_add(builder, &feature, error);
}

/* Has the model weights that all arms share: `form` "shared" or "hybrid"? */
static bool has_form(const pipeline_builder *builder, const char *form)
{
    const forage_params *params = builder->spec->model_params;
    const char *text = params ? forage_params_text(params, "form") : NULL;
    return text && strcmp(text, form) == 0;
}

static forage_status add_histories(pipeline_builder *builder, bool own, forage_error *error)
{
    const pipeline_plan *plan = builder->plan;
    pipeline_feature history = pipeline_feature_default(PIPELINE_HISTORY);
    pipeline_feature activity = pipeline_feature_default(PIPELINE_ACTIVITY);
    const forage_table *table = pipeline_table(plan->catalogue, FORAGE_OF_ITEM);
    if (plan->catalogue->users == 0)
        return FORAGE_OK;
    size_t groups = plan->arm_is_item ? plan->arms : pipeline_codes(&table->columns[plan->arm_column]);
    history.own = own || groups > ALL_GROUPS_LIMIT;
    FORAGE_TRY(pipeline_builder_add(builder, &activity, error));
    FORAGE_TRY(add_named(builder, history, plan->arm_is_item ? "item" : table->columns[plan->arm_column].name, error));
    /* Coarser groups (the department of a category) are known sooner than fine ones. */
    for (size_t i = 0; history.own && i < table->column_count; i++) {
        const forage_column *column = &table->columns[i];
        if (i != plan->arm_column && column->type == FORAGE_CATEGORICAL && pipeline_codes(column) < groups &&
            pipeline_codes(column) > 1)
            FORAGE_TRY(add_named(builder, history, column->name, error));
    }
    return FORAGE_OK;
}

/* Numbers that the columns of a table become, of which *numeric are straight lines. */
static size_t count_numbers(const pipeline_builder *builder, const forage_table *table, size_t *numeric)
{
    size_t limit = (size_t)forage_params_integer(builder->spec->params, "limit"), count = 0;
    size_t buckets = (size_t)forage_params_integer(builder->spec->params, "buckets");
    for (size_t i = 0; i < table->column_count; i++) {
        size_t codes = pipeline_codes(&table->columns[i]);
        bool number = table->columns[i].type == FORAGE_NUMERIC;
        *numeric += number;
        count += number ? 1 : codes <= limit ? codes : buckets;
    }
    return count;
}

/* Pieces of the curves that numeric columns become. A linear model of a column sees a slope; of a curve it sees what
 * rises and falls. But every number costs exploration, and time: arms x width^2 for a decision of the exact linear
 * models. So there are as many pieces as keep that below CHEAP. */
static size_t choose_knots(const pipeline_builder *builder)
{
    const pipeline_plan *plan = builder->plan;
    int64_t asked = forage_params_integer(builder->spec->params, "knots");
    size_t numeric = 0, width = 1;
    width += count_numbers(builder, pipeline_table(plan->catalogue, FORAGE_OF_CONTEXT), &numeric);
    width += count_numbers(builder, pipeline_table(plan->catalogue, FORAGE_OF_USER), &numeric);
    for (size_t knots = KNOTS; asked < 0 && numeric && knots >= 2; knots--) {
        double all = (double)width + (double)numeric * (double)knots;
        if ((double)plan->arms * all * all <= CHEAP)
            return knots;
    }
    return 0;
}

/* A column of the request, or nothing (`name` NULL), crossed with the arm. */
static forage_status add_arm(pipeline_builder *builder, const char *owner, const char *name, forage_error *error)
{
    char arm[] = "arm", text[300];
    size_t used = 0;
    pipeline_feature cross = pipeline_feature_default(PIPELINE_CROSS);
    cross.names[cross.name_count++] = arm;
    if (name) {
        forage_append(text, sizeof text, &used, "%s.%s", owner, name);
        cross.names[cross.name_count++] = text;
    }
    return used < sizeof text ? pipeline_builder_add(builder, &cross, error) : FORAGE_OK;
}

/* What tells arms apart for weights that all of them share. */
static forage_status add_arms(pipeline_builder *builder, bool crossed, forage_error *error)
{
    const forage_table *context = pipeline_table(builder->plan->catalogue, FORAGE_OF_CONTEXT);
    const forage_table *users = pipeline_table(builder->plan->catalogue, FORAGE_OF_USER);
    FORAGE_TRY(add_arm(builder, NULL, NULL, error));
    for (size_t i = 0; crossed && i < context->column_count; i++)
        FORAGE_TRY(add_arm(builder, "context", context->columns[i].name, error));
    for (size_t i = 0; crossed && i < users->column_count; i++)
        FORAGE_TRY(add_arm(builder, "user", users->columns[i].name, error));
    return FORAGE_OK;
}

forage_status pipeline_auto(pipeline_builder *builder, forage_error *error)
{
    const pipeline_plan *plan = builder->plan;
    bool shared = has_form(builder, "shared"), hybrid = has_form(builder, "hybrid");
    pipeline_feature bias = pipeline_feature_default(PIPELINE_BIAS);
    pipeline_feature columns = pipeline_feature_default(PIPELINE_COLUMN);
    FORAGE_TRY(pipeline_builder_add(builder, &bias, error));
    columns.knots = choose_knots(builder);
    columns.owner = FORAGE_OF_CONTEXT;
    FORAGE_TRY(add_named(builder, columns, "all", error));
    columns.owner = FORAGE_OF_USER;
    FORAGE_TRY(add_named(builder, columns, "all", error));
    columns.knots = 0;
    FORAGE_TRY(add_histories(builder, shared || hybrid, error));
    if (shared || hybrid)
        FORAGE_TRY(add_arms(builder, shared, error));
    columns.owner = FORAGE_OF_ITEM;
    const forage_table *table = pipeline_table(plan->catalogue, FORAGE_OF_ITEM);
    for (size_t i = 0; !plan->arm_is_item && i < table->column_count; i++)
        if (!builder->follows[i])
            FORAGE_TRY(add_named(builder, columns, table->columns[i].name, error));
    return FORAGE_OK;
}
