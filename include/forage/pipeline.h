/*
 * pipeline.h: a pipeline decides and learns: features of a request and its
 * candidates, a model that estimates, a policy that chooses. It lives in memory; what
 * it knows is a function of its specification, its seed and the calls made
 * to it, in their order.
 *
 * docs/pipelines.md describes short names, the YAML file and every feature.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_PIPELINE_H
#define FORAGE_PIPELINE_H

#include "forage/base.h"
#include "forage/data.h"
#include "forage/model.h"
#include "forage/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ *
 * Specifications
 * ------------------------------------------------------------------ */

/* A short name and what it stands for: linucb = linear-ridge under ucb. */
typedef struct forage_pipeline_name {
    const char *name;
    const char *summary;
    const char *model; /* NULL: none (random) */
    const char *policy;
    const char *yaml; /* the whole specification, as it could stand in a file */
} forage_pipeline_name;

FORAGE_API const forage_pipeline_name *forage_pipeline_names(size_t *count);

/* What a pipeline is made of: checked, not yet tied to a catalogue. Never changes; any number of threads may use it. */
typedef struct forage_pipeline_spec forage_pipeline_spec;

/* "linucb", "linucb:alpha=0.3:ridge=2" (parameters of the model, the policy or the pipeline itself, told apart by their
 * names), "mine.yaml:name" (one of the pipelines of a file). Errors list what is possible. */
FORAGE_API forage_status forage_pipeline_spec_parse(const char *text, forage_pipeline_spec **spec, forage_error *error);
/* Every pipeline of a YAML file, in its order. specs[i] are freed one by one, the array by forage_free. */
FORAGE_API forage_status forage_pipeline_specs_load(const char *path, forage_pipeline_spec ***specs, size_t *count,
                                                    forage_error *error);
/* The same from text; `file` is what errors call it. */
FORAGE_API forage_status forage_pipeline_specs_parse(const char *text, size_t size, const char *file,
                                                     forage_pipeline_spec ***specs, size_t *count, forage_error *error);
FORAGE_API void forage_pipeline_spec_free(forage_pipeline_spec *spec);
/* As it was written, for tables and charts. */
FORAGE_API const char *forage_pipeline_spec_name(const forage_pipeline_spec *spec);
FORAGE_API const forage_model_info *forage_pipeline_spec_model(const forage_pipeline_spec *spec); /* may be NULL */
FORAGE_API const forage_policy_info *forage_pipeline_spec_policy(const forage_pipeline_spec *spec);
/* Rows of random traffic that it wants to be taught before its first decision (`pretrain`); 0 as a rule. */
FORAGE_API uint64_t forage_pipeline_spec_pretrain(const forage_pipeline_spec *spec);

/* ------------------------------------------------------------------ *
 * Pipelines
 * ------------------------------------------------------------------ */

/* Belongs to one thread at a time. Deciding and observing allocate nothing but where a new user or a waiting
 * decision needs room that is not there yet. */
typedef struct forage_pipeline forage_pipeline;

/* The specification and the catalogue must outlive the pipeline. */
typedef struct forage_pipeline_options {
    const forage_catalogue *catalogue; /* must outlive the pipeline; tell it of growth by forage_pipeline_grow */
    const forage_device *device;       /* NULL: one thread */
    uint64_t seed;
    size_t positions; /* slates have at most this many, 1000 at most; 0: 1 */
} forage_pipeline_options;

/* FORAGE_INVALID names the feature that refers to a missing attribute, with those there are. */
FORAGE_API forage_status forage_pipeline_create(const forage_pipeline_spec *spec,
                                                const forage_pipeline_options *options, forage_pipeline **pipeline,
                                                forage_error *error);
FORAGE_API void forage_pipeline_free(forage_pipeline *pipeline);

/* The answer to a request. Arrays belong to the pipeline and are valid until the next call. */
typedef struct forage_decision {
    uint64_t id; /* request.id */
    size_t positions;
    const uint32_t *items;    /* [positions], best place first */
    const double *propensity; /* [positions], as in forage_policy_choose */
    const float *mean;        /* [positions] what the model expected of them; NaN without a model */
    const float *deviation;   /* [positions]; NaN where the model has none */
} forage_decision;

/* Decides, and remembers the decision until its feedback has come or the waiting time is over.
 * FORAGE_INVALID, with nothing changed: no candidates, one twice, an unknown item, fewer than positions, an id that
 * waits already, a context value that is not possible. */
FORAGE_API forage_status forage_pipeline_decide(forage_pipeline *pipeline, const forage_request *request,
                                                forage_decision *decision, forage_error *error);
/* What became of decisions. FORAGE_UNKNOWN for a decision never made, or forgotten; FORAGE_INVALID for a reward
 * given twice, a position out of range or a reward that is not finite. Feedback before the refused one was learned,
 * *done says how many. */
FORAGE_API forage_status forage_pipeline_observe(forage_pipeline *pipeline, const forage_feedback *feedback,
                                                 size_t count, size_t *done, forage_error *error);
/* A decision was not shown after all (a replayed log shows something else): nothing will come of it and nothing is
 * learned, where without this word it would count as no reward in the end. FORAGE_UNKNOWN for a decision never made, or
 * forgotten. */
FORAGE_API forage_status forage_pipeline_withdraw(forage_pipeline *pipeline, uint64_t decision, forage_error *error);
/* Learns from a decision that someone else made: `items` were shown with `propensity` (NULL: not known) and earned
 * `reward`, all [request->positions]. All of it or nothing is learned. Counts as a decision for what grows with them.
 * With one position the pipeline knows the same as after deciding so and observing it. */
FORAGE_API forage_status forage_pipeline_teach(forage_pipeline *pipeline, const forage_request *request,
                                               const uint32_t *items, const float *propensity, const float *reward,
                                               forage_error *error);
/* The probability of every candidate to be shown at the first position, without deciding: probabilities[candidates],
 * and what the model expects of each: mean[candidates], may be NULL. Nothing is remembered. */
FORAGE_API forage_status forage_pipeline_probabilities(forage_pipeline *pipeline, const forage_request *request,
                                                       double *probabilities, float *mean, forage_error *error);
/* Fits anew, from all it has been shown, what is fitted on a schedule (otherwise nothing happens). */
FORAGE_API forage_status forage_pipeline_refit(forage_pipeline *pipeline, const forage_progress *progress,
                                               forage_error *error);
/* The catalogue has grown. */
FORAGE_API forage_status forage_pipeline_grow(forage_pipeline *pipeline, forage_error *error);

typedef struct forage_pipeline_stats {
    uint64_t decisions, lessons, refits;
    uint64_t waiting; /* decisions whose feedback has not come */
    uint64_t expired; /* whose waiting time was over: counted as no reward */
    size_t memory;    /* bytes, of model, features and waiting decisions */
} forage_pipeline_stats;
FORAGE_API void forage_pipeline_stats_of(const forage_pipeline *pipeline, forage_pipeline_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
