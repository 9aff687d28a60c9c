/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_OUTPUT_H
#define MTSI_ENGINE_SERVE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct mts_client;
struct mtsi_worker;

/* Replies that gather in the worker's buffers until they are sent together. */
struct mtsi_replies {
	char *data; /* set when the first byte comes */
	size_t capacity;
	size_t size;
	size_t mark; /* how much was there when the present handler was called */
};

/*
 * All of these return 0; -EPIPE when the client is lost; -ETIMEDOUT when it was lost because it
 * took nothing while this waited; or -ENOMEM, which loses the client. Called by the worker that
 * serves the client, with no lock held.
 */

/*
 * Writes: gathers; or sends and queues, up to the output limit; or waits until the peer reads. Also
 * -EFAULT: the memory cannot be read. Then nothing of it is sent; or a part was, and because of
 * that the client is lost.
 */
int mtsi_output_write(struct mtsi_worker *worker, const void *data, size_t size);

/* Writes by gathering alone: 0; -ENOBUFS, there is no room for all of it; or -EPIPE. Never waits. */
int mtsi_output_gather(struct mtsi_worker *worker, const void *data, size_t size);

/*
 * Sends what has gathered; what the socket does not take is queued, and is sent later. With `wait`
 * it waits as long as more than the limit is queued; without, all of it is queued.
 */
int mtsi_output_flush(struct mtsi_worker *worker, bool wait);

/* Sends everything, and waits until the kernel has all of it. */
int mtsi_output_finish(struct mtsi_worker *worker);

/* The same, and then ends our side of the stream; nothing can be written afterwards. Again: 0. */
int mtsi_output_shut(struct mtsi_worker *worker);

/*
 * Makes the client wait, without a thread, until no more than its limit is queued, or, if it ends,
 * nothing: true. False when it need not wait. By the owner, before it lets go of the client.
 */
bool mtsi_output_throttles(struct mts_client *client);

/*
 * For bytes that do not come from memory (file.c): all that was written before is sent: 0 or an
 * error. From then on nobody else may send until mtsi_output_yield(), which has to be called also
 * after an error. In between the caller sends by itself, with no lock held.
 */
int mtsi_output_seize(struct mtsi_worker *worker);

/*
 * In between: the socket is full. Waits for room: 0 or an error. `progress`: it has taken something
 * since the last time.
 */
int mtsi_output_wait(struct mtsi_worker *worker, bool progress);

/* In between: sends bytes that were read instead, all of them: 0 or an error. */
int mtsi_output_push(struct mtsi_worker *worker, const void *data, size_t size);

/* In between: a send has failed. The client is lost; returns the error to answer with. */
int mtsi_output_lost(struct mtsi_worker *worker);

/* The end of that: others may send again. */
void mtsi_output_yield(struct mtsi_worker *worker);

/* A place of the library's own for so many bytes, or for fewer, with nothing else in it. */
char *mtsi_output_space(struct mtsi_worker *worker, size_t *size);

/* Drops what the present handler has written and what is not sent yet. */
void mtsi_output_forget(struct mtsi_worker *worker);

/*
 * The socket takes more: sends from the queue. Under the client's lock, by the thread that saw the
 * event. True when the client is to have a turn because of that: claim it afterwards.
 */
bool mtsi_output_continue_locked(struct mts_client *client);

/* How much of a client's output may wait before its writers have to wait. */
size_t mtsi_output_limit(const struct mts_client *client);

#endif
