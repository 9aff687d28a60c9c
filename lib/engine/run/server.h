/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_SERVER_H
#define MTSI_ENGINE_RUN_SERVER_H

#include <mtserver/server.h>

#include "engine/run/lifecycle.h"
#include "engine/run/tasks.h"
#include "engine/serve/floor.h"
#include "os/home.h"

struct mtsi_notify;

enum { MTSI_ERROR = 640 };

/*
 * What is behind the handle: the top floor's part, which contains all others (engine/base/floor.h).
 */
struct mts_server {
	struct mtsi_serve_floor below;
	struct mtsi_lifecycle lifecycle;
	struct mtsi_tasks tasks;
	struct mtsi_notify *notify; /* NULL: no service manager is told anything */
	struct mtsi_home home; /* the process that has started it, set by the start; see abandon.c */
	pid_t opened_by; /* the process that opened its descriptors, set by the start */
	char error[MTSI_ERROR]; /* the sentence of the last failure; written under lifecycle's lock */
};

#endif
