/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_OPENING_H
#define MTSI_ENGINE_SERVE_OPENING_H

struct mtsi_worker;

/*
 * Opens the worker's client: 1, and its requests are handled from now on. 0: its hook refuses it. Or
 * what mtsi_header_take() returns, if it begins with a header.
 */
int mtsi_opening(struct mtsi_worker *worker);

/* Its first go is over: learns from it whether first requests are there so early. */
void mtsi_opening_learn(struct mtsi_worker *worker);

#endif
