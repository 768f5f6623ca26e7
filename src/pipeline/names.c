/*
 * names.c: short names of pipelines, and what each stands for. docs/pipelines.md has the same table (a test compares).
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/intern.h"

/* Linear models learn how noisy rewards are, the same for all arms, so that a standard error is one whatever the unit
 * of rewards is. The prior, a variance of 0.25, is what clicks can have at most, and is worth four lessons. */
#define LINEAR "model: linear-ridge\nestimate-noise: true\npool-noise: true\na0: 2\nb0: 0.25\n"
#define GAUSSIAN "model: gaussian\n"
#define BST "model: bst\nhistory: all\npolicy: greedy\npretrain: 200000\n"
#define BATCHED "model: embedding-mlp\npolicy: greedy\npretrain: 200000\n"

static const forage_pipeline_name names[] = {
    {"random", "every candidate with the same probability", NULL, "random", "policy: random\n"},
    {"popular", "what earned most so far, the same for everyone; others now and then, ever more rarely", "gaussian",
     "epsilon-greedy", GAUSSIAN "policy: epsilon-greedy\nepsilon: 1\ndecay: power\npower: 0.33\n"},
    {"ucb", "mean rewards, the same for everyone, under upper confidence bounds", "gaussian", "ucb",
     GAUSSIAN "policy: ucb\nalpha: 2\n"},
    {"thompson", "mean rewards, the same for everyone, by Thompson sampling", "gaussian", "thompson",
     GAUSSIAN "policy: thompson\n"},
    {"beta-ts", "click rates, the same for everyone, by Thompson sampling; rewards in [0, 1]", "beta-bernoulli",
     "thompson", "model: beta-bernoulli\npolicy: thompson\n"},
    {"greedy", "linear ridge regression without exploration", "linear-ridge", "greedy", LINEAR "policy: greedy\n"},
    {"egreedy", "linear ridge regression, with a tenth of the choices at random", "linear-ridge", "epsilon-greedy",
     LINEAR "policy: epsilon-greedy\n"},
    {"explore-first", "linear ridge regression, after a thousand choices at random", "linear-ridge", "explore-first",
     LINEAR "policy: explore-first\n"},
    {"linucb", "linear ridge regression for every arm, under upper confidence bounds (LinUCB)", "linear-ridge", "ucb",
     LINEAR "policy: ucb\nalpha: 2\n"},
    {"lints", "linear ridge regression for every arm, by Thompson sampling", "linear-ridge", "thompson",
     LINEAR "policy: thompson\n"},
    {"hybrid", "LinUCB with weights of each arm and weights that all share", "linear-ridge", "ucb",
     LINEAR "form: hybrid\npolicy: ucb\nalpha: 2\n"},
    {"shared", "LinUCB with one weight vector for all arms", "linear-ridge", "ucb",
     LINEAR "form: shared\npolicy: ucb\nalpha: 2\n"},
    {"squarecb", "linear ridge regression, tried in inverse proportion to how much worse it looks (SquareCB)",
     "linear-ridge", "squarecb", LINEAR "policy: squarecb\n"},
    {"softmax", "linear ridge regression, chosen by Boltzmann's distribution", "linear-ridge", "softmax",
     LINEAR "policy: softmax\n"},
    {"logistic-ts", "logistic regression of clicks, by Thompson sampling; rewards in [0, 1]", "logistic", "thompson",
     "model: logistic\npolicy: thompson\n"},
    {"bootstrap-ts", "an ensemble of linear regressions, a chance member of which decides", "bootstrap", "thompson",
     "model: bootstrap\npolicy: thompson\n"},
    {"neural-linear", "a network's last hidden layer under Bayesian linear regression, under upper confidence bounds",
     "neural-linear", "ucb", "model: neural-linear\npolicy: ucb\nalpha: 1\n"},
    {"neural-ucb", "a network under upper confidence bounds from its gradients (NeuralUCB)", "neural-ucb", "ucb",
     "model: neural-ucb\npolicy: ucb\n"},
    {"latent", "hidden classes of users, found from their clicks, by Thompson sampling; rewards in [0, 1]",
     "latent-class", "thompson", "model: latent-class\npolicy: thompson\n"},
    {"batched", "embeddings under a small network, trained once on 200,000 rows of random traffic", "embedding-mlp",
     "greedy", BATCHED},
    {"batched-nightly", "the same, trained again every 20,000 decisions on the latest 200,000 events", "embedding-mlp",
     "greedy", BATCHED "refit: 20000\nrefit-window: 200000\n"},
    {"bst", "a transformer over what the user did up to now, trained once on 200,000 rows of random traffic", "bst",
     "greedy", BST},
    {"bst-nightly", "the same, trained again every 20,000 decisions on the latest 200,000 events", "bst", "greedy",
     BST "refit: 20000\nrefit-window: 200000\n"},
};

const forage_pipeline_name *forage_pipeline_names(size_t *count)
{
    *count = sizeof names / sizeof names[0];
    return names;
}
