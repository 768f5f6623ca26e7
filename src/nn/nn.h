/*
 * nn.h: the face of the room `nn` to other rooms; users do not meet it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_NN_H
#define NN_NN_H

#include "nn/background.h"
#include "nn/checkpoint.h"
#include "nn/encoder.h"
#include "nn/epoch.h"
#include "nn/gradient.h"
#include "nn/inbatch.h"
#include "nn/kernels.h"
#include "nn/mlp.h"
#include "nn/next.h"
#include "nn/target.h"
#include "nn/trainer.h"

#endif
