/* SPDX-License-Identifier: MIT
 *
 * Tasks: functions of the program that are called at certain times.
 *
 * A task that waits for its time is in a heap, and the keeper sleeps until the first of them, or
 * until what else is due. It moves those that are due into a line, and offers the crew a job for
 * each. It runs none itself. A worker that has taken a job comes here, takes the first of the line,
 * and calls it with no lock held. So a task is in one of these states, and goes around:
 *
 *     FREE -> PLANNED (in the heap) -> DUE (in the line) -> RUNNING -> PLANNED, or FREE
 *
 * Each step is made under the lock of all tasks, by one thread, so:
 *
 * - A task never runs twice at the same time: it is put into the heap again only when it has
 *   returned, by the worker that has called it.
 * - A task that was cancelled never starts: the cancel finds it PLANNED, and takes it out; or DUE,
 *   and marks it, and the worker that takes it out of the line frees it; or RUNNING, which the caller
 *   is told, and then its worker frees it.
 * - None is lost: for each task in the line there is a job that no worker has taken, or a worker that
 *   has taken one and is about to come here. Both are true of the line as a whole: jobs have no task
 *   of their own. Marked ones stay in the line for that reason. Only a stop takes jobs away.
 * - None starts after a stop: a worker asks for it under the lock, as its last step before the call.
 *   One that has asked already is as one that runs.
 *
 * A stop waits while tasks run. A worker counts itself as running one no more, and then looks whether
 * there is a stop, and wakes the keeper; the keeper knows of the stop before it looks at the count. So
 * one of them sees what the other has done.
 *
 * The beat: a task that is started at one of its times is next due at the first one after that which
 * has not passed by then, counted in whole periods from when it was first due. If it runs, or waits
 * for a worker, across the following times, these are one: it is started at once, as at the last of
 * them, and goes on from there. So after a pause of the whole process each task runs once.
 *
 * A thread that plans a task compares its time with `planned`, when the keeper will look anyway, and
 * wakes the keeper if the task comes sooner. When the keeper offers a task, it plans to look at its
 * next time too: so a task that returns by then need not wake it. The keeper reads `planned` without
 * the lock: a server without tasks pays for no more than that. It may miss a change made at that
 * moment, but then the thread that made it wakes it.
 *
 * The id is the number of the slot plus one, and above that how often the slot was used. A slot that
 * was used as often as there are numbers is not used again.
 */
#include "engine/run/tasks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/floor.h"
#include "engine/base/heap.h"
#include "engine/base/log.h"
#include "engine/base/ranks.h"
#include "engine/base/wake.h"
#include "engine/crew/jobs.h"
#include "engine/run/server.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"

enum { SLOT_BITS = 32, FIRST_ROOM = 8, MOST_USES = INT32_MAX };

enum state { FREE, PLANNED, DUE, RUNNING };

struct mtsi_task {
	struct mtsi_heap_node node; /* first; its key is the time at which the task is due */
	struct mtsi_task *next; /* in the line, or in the list of free ones */
	int64_t id;
	enum state state;
	bool again; /* it is to run every `span`, not once */
	bool cancelled;
	uint64_t span;
	uint64_t since; /* when its callback began */
	mts_task task;
	void *user;
};

void mtsi_tasks_init(struct mtsi_tasks *tasks)
{
	mtsi_lock_init(&tasks->lock, MTSI_RANK_TASKS);
	atomic_init(&tasks->planned, MTSI_NEVER);
}

void mtsi_tasks_free(struct mtsi_tasks *tasks)
{
	for (size_t i = 0; i < tasks->count; i++) {
		free(tasks->slots[i]);
	}
	free(tasks->slots);
	mtsi_lock_destroy(&tasks->lock);
}

/* A slot that was never used; NULL: memory is short. */
static struct mtsi_task *new_slot_locked(struct mtsi_tasks *tasks)
{
	if (tasks->count == tasks->capacity) {
		const size_t capacity = tasks->capacity == 0 ? FIRST_ROOM : 2 * tasks->capacity;
		struct mtsi_task **slots = capacity < UINT32_MAX
			? realloc(tasks->slots, capacity * sizeof(struct mtsi_task *))
			: NULL;
		if (slots == NULL) {
			return NULL;
		}
		tasks->slots = slots;
		tasks->capacity = capacity;
	}
	struct mtsi_task *task = calloc(1, sizeof(*task));
	if (task != NULL) {
		tasks->slots[tasks->count++] = task;
		task->id = (int64_t)tasks->count; /* used never */
	}
	return task;
}

static struct mtsi_task *take_slot_locked(struct mtsi_tasks *tasks)
{
	struct mtsi_task *task = tasks->free;
	if (task == NULL) {
		return new_slot_locked(tasks);
	}
	tasks->free = task->next;
	return task;
}

static void give_slot_locked(struct mtsi_tasks *tasks, struct mtsi_task *task)
{
	task->state = FREE;
	if (task->id >> SLOT_BITS < MOST_USES) {
		task->id += INT64_C(1) << SLOT_BITS;
		task->next = tasks->free;
		tasks->free = task;
	}
}

/* The task waits for its time. Returns whether that is before the keeper looks. */
static bool plan_locked(struct mtsi_tasks *tasks, struct mtsi_task *task, uint64_t due)
{
	task->state = PLANNED;
	task->node.key = due;
	if (!tasks->begun) {
		return false;
	}
	mtsi_heap_put(&tasks->heap, &task->node);
	const bool sooner = due < atomic_load(&tasks->planned);
	if (sooner) {
		atomic_store(&tasks->planned, due);
	}
	return sooner;
}

static int64_t add(
	struct mts_server *server, uint64_t span, bool again, mts_task callback, void *user)
{
	struct mtsi_tasks *tasks = &server->tasks;
	const uint64_t due = mtsi_clock_after(mtsi_clock_now(), span);
	mtsi_lock_take(&tasks->lock);
	struct mtsi_task *task = take_slot_locked(tasks);
	if (task == NULL) {
		mtsi_lock_release(&tasks->lock);
		return -ENOMEM;
	}
	task->again = again;
	task->cancelled = false;
	task->span = span;
	task->task = callback;
	task->user = user;
	const bool sooner = plan_locked(tasks, task, due);
	const int64_t id = task->id;
	mtsi_lock_release(&tasks->lock);
	if (sooner) {
		mtsi_wake_keeper(server);
	}
	return id;
}

int64_t mtsi_tasks_add(
	struct mts_server *server, uint64_t span, bool again, mts_task callback, void *user)
{
	if (mtsi_stopping(server)) {
		return -ECANCELED;
	}
	const int before = mtsi_thread_shield();
	const int64_t id = add(server, span, again, callback, user);
	mtsi_thread_unshield(before);
	return id;
}

/* NULL: there is none. */
static struct mtsi_task *find_locked(const struct mtsi_tasks *tasks, int64_t id)
{
	const uint64_t number = (uint64_t)id & UINT32_MAX;
	if (id <= 0 || number == 0 || number > tasks->count) {
		return NULL;
	}
	struct mtsi_task *task = tasks->slots[number - 1];
	const bool gone = task->state == FREE || (task->state == DUE && task->cancelled);
	return task->id == id && !gone ? task : NULL;
}

int mtsi_tasks_cancel(struct mts_server *server, int64_t id)
{
	const int before = mtsi_thread_shield();
	struct mtsi_tasks *tasks = &server->tasks;
	mtsi_lock_take(&tasks->lock);
	struct mtsi_task *task = find_locked(tasks, id);
	int result = task != NULL ? 0 : -ENOENT;
	if (task != NULL && task->state == PLANNED) {
		if (tasks->begun) {
			mtsi_heap_take(&tasks->heap, &task->node);
		}
		give_slot_locked(tasks, task);
	} else if (task != NULL) {
		task->cancelled = true;
		result = task->state == RUNNING ? -EINPROGRESS : 0;
	}
	mtsi_lock_release(&tasks->lock);
	mtsi_thread_unshield(before);
	return result;
}

void mtsi_tasks_begin(struct mts_server *server)
{
	struct mtsi_tasks *tasks = &server->tasks;
	const uint64_t now = mtsi_clock_now();
	mtsi_lock_take(&tasks->lock);
	tasks->begun = true;
	for (size_t i = 0; i < tasks->count; i++) {
		if (tasks->slots[i]->state == PLANNED) {
			(void)plan_locked(tasks, tasks->slots[i], mtsi_clock_after(now, tasks->slots[i]->span));
		}
	}
	mtsi_lock_release(&tasks->lock);
}

/* The last of the task's times that is not after `now`; it has come to one. */
static uint64_t latest_time(const struct mtsi_task *task, uint64_t now)
{
	const uint64_t since = now > task->node.key ? now - task->node.key : 0;
	return task->again ? task->node.key + since / task->span * task->span : task->node.key;
}

static uint64_t next_time(const struct mtsi_task *task, uint64_t now)
{
	return task->again ? mtsi_clock_after(latest_time(task, now), task->span) : MTSI_NEVER;
}

/* The first task is due: moves it into the line. */
static void line_up_locked(struct mtsi_tasks *tasks)
{
	struct mtsi_task *task = (struct mtsi_task *)(void *)tasks->heap.first;
	mtsi_heap_take(&tasks->heap, &task->node);
	task->state = DUE;
	task->next = NULL;
	if (tasks->line == NULL) {
		tasks->line = task;
	} else {
		tasks->last->next = task;
	}
	tasks->last = task;
}

uint64_t mtsi_tasks_look(struct mts_server *server, uint64_t now)
{
	struct mtsi_tasks *tasks = &server->tasks;
	uint64_t planned = atomic_load(&tasks->planned);
	uint64_t next = MTSI_NEVER; /* of those that are due now */
	size_t count = 0;
	if (mtsi_stopping(server)) {
		return MTSI_NEVER;
	}
	if (now < planned) {
		return planned;
	}
	mtsi_lock_take(&tasks->lock);
	while (tasks->heap.first != NULL && tasks->heap.first->key <= now) {
		const uint64_t again = next_time((struct mtsi_task *)(void *)tasks->heap.first, now);
		next = again < next ? again : next;
		line_up_locked(tasks);
		count++;
	}
	planned = tasks->heap.first != NULL ? tasks->heap.first->key : MTSI_NEVER;
	planned = next < planned ? next : planned;
	atomic_store(&tasks->planned, planned);
	mtsi_lock_release(&tasks->lock);
	if (count > 0) {
		mtsi_jobs_offer(server, count);
	}
	return planned;
}

/* The first of the line is about to run; NULL: there is none, or it was cancelled, or a stop has come. */
static struct mtsi_task *start_locked(struct mts_server *server, uint64_t now)
{
	struct mtsi_tasks *tasks = &server->tasks;
	struct mtsi_task *task = tasks->line;
	if (task == NULL || mtsi_stopping(server)) {
		return NULL;
	}
	tasks->line = task->next;
	if (task->cancelled) {
		give_slot_locked(tasks, task);
		return NULL;
	}
	task->state = RUNNING;
	atomic_fetch_add(&tasks->running, 1);
	task->since = now;
	task->node.key = latest_time(task, now);
	return task;
}

static void finish(struct mts_server *server, struct mtsi_task **running)
{
	struct mtsi_tasks *tasks = &server->tasks;
	struct mtsi_task *task = *running;
	bool sooner = false;
	mtsi_lock_take(&tasks->lock);
	if (task->cancelled || !task->again) {
		give_slot_locked(tasks, task);
	} else {
		sooner = plan_locked(tasks, task, mtsi_clock_after(task->node.key, task->span));
	}
	*running = NULL;
	atomic_fetch_sub(&tasks->running, 1);
	mtsi_lock_release(&tasks->lock);
	if (sooner || mtsi_stopping(server)) {
		mtsi_wake_keeper(server);
	}
}

void mtsi_tasks_run(struct mts_server *server, struct mtsi_task **running)
{
	mtsi_lock_take(&server->tasks.lock);
	*running = start_locked(server, mtsi_clock_now());
	mtsi_lock_release(&server->tasks.lock);
	if (*running != NULL) {
		(*running)->task(server, (*running)->user);
		finish(server, running);
	}
}

void mtsi_tasks_abandon(struct mts_server *server, struct mtsi_task **running)
{
	if (*running != NULL) {
		mtsi_log(server, MTSI_LOG_HANDLER, "task %" PRId64 ": a callback has ended its thread",
			(*running)->id);
		finish(server, running);
	}
}

bool mtsi_tasks_any_runs(struct mts_server *server)
{
	return atomic_load(&server->tasks.running) > 0;
}

int64_t mtsi_tasks_running(struct mts_server *server, size_t *slot, uint64_t *since)
{
	struct mtsi_tasks *tasks = &server->tasks;
	int64_t found = 0;
	mtsi_lock_take(&tasks->lock);
	while (found == 0 && *slot < tasks->count) {
		const struct mtsi_task *task = tasks->slots[(*slot)++];
		if (task->state == RUNNING) {
			found = task->id;
			*since = task->since;
		}
	}
	mtsi_lock_release(&tasks->lock);
	return found;
}
