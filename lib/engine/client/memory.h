/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_MEMORY_H
#define MTSI_ENGINE_CLIENT_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mts_client;
struct mts_server;

/*
 * The memory for what clients have sent and for what is to be sent to them, for all clients
 * together.
 */
struct mtsi_memory {
	_Atomic size_t limit; /* bytes; live */
	_Atomic size_t used; /* bytes that are charged */
	_Atomic size_t peak; /* the most that were */
	_Atomic size_t waiting; /* clients whose input waits for memory */
	_Atomic size_t blocked; /* threads that wait for memory, for input or output */
	size_t next_slot; /* the keeper's: the slot to begin with when there is room again */
	uint64_t tight_since; /* the keeper's: since when no client could go on; 0: all is well */
};

enum {
	MTSI_SMALL_INPUT = 1024, /* how much input a worker's small buffer holds, and its large one */
	MTSI_LARGE_INPUT = 16 * 1024,
	MTSI_TINY_NEED = MTSI_SMALL_INPUT + 1, /* what a short request needs for its turn */
	MTSI_SMALL_NEED = MTSI_LARGE_INPUT + 1 /* what one needs that fits into a worker's buffer */
};

void mtsi_memory_init(struct mtsi_memory *memory);
void mtsi_memory_free(struct mtsi_memory *memory); /* nothing is charged any more */

/*
 * Settles the limit: if the program has set none, it follows from the other limits. At the start.
 */
void mtsi_memory_settle(struct mts_server *server);

/* Sets it. Any thread. */
void mtsi_memory_set_limit(struct mts_server *server, size_t bytes);

/*
 * The output queue of a client, under its lock. These do what the functions of wire/buffer.h do,
 * and charge the memory. Appending may also fail with -ENOBUFS, when the limit leaves no room.
 */
int mtsi_memory_append_locked(struct mts_client *client, const void *data, size_t size);

/* Appends from the program's memory, which was faulted in. Also -EFAULT (os/foreign.h). */
int mtsi_memory_append_foreign_locked(struct mts_client *client, const void *data, size_t size);

/* Drops the first bytes, and gives back what that has freed. */
void mtsi_memory_consume_locked(struct mts_client *client, size_t count);

/* Drops all of them, and gives back the block. */
void mtsi_memory_clear_locked(struct mts_client *client);

/*
 * Sets what is charged for a client's input to so many bytes: true. False: there is no room for
 * more, and nothing has changed. The owner.
 */
bool mtsi_memory_input(struct mts_client *client, size_t bytes);

/* The same, but never fails: for what has been received already. The owner. */
void mtsi_memory_input_anyway(struct mts_client *client, size_t bytes);

/*
 * As mtsi_memory_input(), but never lowers what is charged. When there is no room, the client waits
 * for it from then on. The owner.
 */
bool mtsi_memory_input_at_least(struct mts_client *client, size_t bytes);

/* As mtsi_memory_input(), but never raises what is charged. The owner. */
void mtsi_memory_input_at_most(struct mts_client *client, size_t bytes);

/*
 * Charges so many bytes for what is neither input nor output of a client; false when there is no room.
 * And gives them back. Any thread.
 */
bool mtsi_memory_take(struct mts_server *server, size_t bytes);
void mtsi_memory_give(struct mts_server *server, size_t bytes);

/* Whether input must not be received before there is memory to keep it in. Any thread. */
static inline bool mtsi_memory_tight(const struct mtsi_memory *memory)
{
	const size_t limit = atomic_load_explicit(&memory->limit, memory_order_relaxed);
	return atomic_load_explicit(&memory->used, memory_order_relaxed) > limit - limit / 4;
}

/* How much is charged for a client's input. */
size_t mtsi_memory_charged(const struct mts_client *client);

/* How much may be in use for a need of this size. */
size_t mtsi_memory_limit_for(const struct mtsi_memory *memory, size_t need);

/* The client's input waits for memory no more. The owner. */
void mtsi_memory_content(struct mts_client *client);

/*
 * A thread begins to block until there is memory; returns after how many milliseconds to ask again.
 */
unsigned mtsi_memory_block(struct mts_server *server);

/* The thread blocks no more. */
void mtsi_memory_unblock(struct mts_server *server);

#endif
