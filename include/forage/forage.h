/*
 * forage.h: the whole public interface.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_FORAGE_H
#define FORAGE_FORAGE_H

#include "forage/base.h"
#include "forage/data.h"
#include "forage/eval.h"
#include "forage/model.h"
#include "forage/pipeline.h"
#include "forage/policy.h"
#include "forage/report.h"
#include "forage/sim.h"

#endif
