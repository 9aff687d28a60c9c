/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_OPENING_H
#define MTSI_ENGINE_SERVE_OPENING_H

#include <stdbool.h>

struct mtsi_worker;

/* Opens the worker's client: its requests are handled from now on. False: its hook refuses it. */
bool mtsi_opening(struct mtsi_worker *worker);

/* Its first go is over: learns from it whether first requests are there so early. */
void mtsi_opening_learn(struct mtsi_worker *worker);

#endif
