/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_TASKS_H
#define MTSI_ENGINE_RUN_TASKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mtserver/tasks.h>

#include "engine/base/heap.h"
#include "os/lock.h"

struct mtsi_task;

/* The tasks of the program: what a server does at certain times, beside serving. */
struct mtsi_tasks {
	struct mtsi_lock lock; /* guards the rest, and what is in the tasks */
	struct mtsi_task **slots; /* all tasks, by the number in their id */
	size_t count;
	size_t capacity;
	struct mtsi_task *free; /* slots that may be used again */
	struct mtsi_task *line; /* tasks that are due, the first first; a job is offered for each */
	struct mtsi_task *last; /* undefined when the line is empty */
	struct mtsi_heap heap; /* those that wait for their time, by it */
	bool begun; /* the server runs: until then no task has a time */
	_Atomic size_t running; /* how many run; also read without the lock */
	_Atomic uint64_t planned; /* when the keeper looks; also read without the lock */
};

void mtsi_tasks_init(struct mtsi_tasks *tasks);
void mtsi_tasks_free(struct mtsi_tasks *tasks);

/* Adds a task: its id, -ENOMEM, or -ECANCELED from the stop on. `span` is in ns. Any thread. */
int64_t mtsi_tasks_add(
	struct mts_server *server, uint64_t span, bool again, mts_task task, void *user);

/* It is not started again: 0, -ENOENT, or -EINPROGRESS when it runs. Any thread. */
int mtsi_tasks_cancel(struct mts_server *server, int64_t id);

/* The time of tasks that are there already begins now. The keeper. */
void mtsi_tasks_begin(struct mts_server *server);

/* Offers what is due to the crew; returns when to look again. The keeper. */
uint64_t mtsi_tasks_look(struct mts_server *server, uint64_t now);

/* Runs the first that is due, if any is left; meanwhile `*running` is that task. A worker. */
void mtsi_tasks_run(struct mts_server *server, struct mtsi_task **running);

/*
 * The program has ended a thread in the callback of `*running`, or, if that is NULL, in one that was
 * no task's: the task counts as returned. That thread.
 */
void mtsi_tasks_abandon(struct mts_server *server, struct mtsi_task **running);

bool mtsi_tasks_any_runs(struct mts_server *server);

/* Finds tasks that run: the first from `*slot` on, which is moved behind it; 0: no more. */
int64_t mtsi_tasks_running(struct mts_server *server, size_t *slot, uint64_t *since);

#endif
