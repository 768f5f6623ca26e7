/* names.c: short names of pipelines, and what each stands for. docs/pipelines.md has the same table. */
#include "pipeline/intern.h"

static const forage_pipeline_name names[] = {
    {"random", "every candidate with the same probability", NULL, "random", "policy: random\n"},
    {"linucb", "linear ridge regression for every arm, under upper confidence bounds", "linear-ridge", "ucb",
     "model: linear-ridge\npolicy: ucb\nfeatures: auto\n"
     "estimate-noise: true\npool-noise: true\na0: 2\nb0: 0.25\nalpha: 2\n"},
};

const forage_pipeline_name *forage_pipeline_names(size_t *count)
{
    *count = sizeof names / sizeof names[0];
    return names;
}
