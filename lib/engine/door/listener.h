/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_LISTENER_H
#define MTSI_ENGINE_DOOR_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/client/conn.h"
#include "os/bind.h"
#include "os/lock.h"
#include "os/unix_path.h"
#include "wire/address.h"

struct mts_server;

/* The turn to accept: see entry.c. The listeners' lock guards it. */
struct mtsi_entry {
	bool taken; /* a thread accepts */
	unsigned passed; /* how often another thread has come meanwhile */
	bool put_off; /* that was too often: some listeners are not watched until it is given back */
};

/* One bound address. */
struct mtsi_listener {
	int fd; /* -1: closed */
	_Atomic bool dead; /* somebody has shut it down: it is out of epoll for good */
	struct mtsi_traits traits; /* of its clients; constant once the server runs */
	bool counts; /* the kernel says how many connections wait; constant in a run */
	bool told; /* logged: somebody has made it blocking; the thread that accepts */
	bool put_off; /* not to be watched for connections; written under the lock and the door's */
	struct mtsi_entry entry; /* used if it is shared; all others have one together */
	char *text; /* for mts_server_address() */
	struct mtsi_path *path; /* of a Unix socket's file; NULL: the library has made none */
	struct mtsi_flags before; /* while it is taken over: how it was (taking.c) */
};

/*
 * All listeners of a server. Before start they belong to the configuring thread. After that, count,
 * text and notes are constant, the paths belong to the keeper, and the lock guards the descriptors.
 */
struct mtsi_listeners {
	struct mtsi_lock lock;
	struct mtsi_listener *list;
	size_t count;
	unsigned char proxy; /* one of enum mts_proxy_protocol, for the listeners to come */
	char **notes; /* what listen calls have left out: to be told at the start */
	size_t notes_count;
	struct mtsi_entry entry; /* for the sockets that are our own */
	unsigned awaited; /* threads that wait until no thread has a turn */
	struct mtsi_signal left; /* a turn was given back, and somebody waits for that */
	_Atomic bool keeps_paths; /* live: files of Unix sockets are not removed; any thread */
	bool closed; /* no more clients; a thread that still accepts closes that listener */
	int spare; /* under the lock: a descriptor to be given up for a moment; -1: none */
};

void mtsi_listeners_init(struct mtsi_listeners *listeners);

/*
 * Keeps a listening socket, and the path of its file if it has one: 0, with the address that it is
 * bound to in `*bound`. Or a negative errno value, and both stay the caller's.
 */
int mtsi_listeners_keep(
	struct mtsi_listeners *listeners, int fd, struct mtsi_path *path, struct mtsi_target *bound);

/* Keeps a line for the log: 0 or -ENOMEM. */
int mtsi_listeners_note(struct mtsi_listeners *listeners, const char *note);

/* Drops the latest ones, until `count` listeners and `notes` notes are left. */
void mtsi_listeners_unwind(struct mtsi_listeners *listeners, size_t count, size_t notes);

/*
 * Binds all that an address names: 0, or a negative errno value, with "where: why" in `why`. This
 * is in binding.c.
 */
int mtsi_listeners_add(struct mts_server *server, const char *address, char *why, size_t size);

/*
 * Takes over a socket: 0 or a negative errno value, and then it is as it was; -EALREADY when the server
 * has it already. These two are in taking.c.
 */
int mtsi_listeners_adopt(struct mts_server *server, int fd);

/*
 * The same with all sockets of that name, "" for any, that a service manager has passed; -ENOENT: there
 * is none; -EBUSY: one was taken before, by another server. On failure `*failed` is the one that cannot be taken, -1 if it is none of them, and `*why` a
 * static clause, or NULL if the error's own text says it.
 */
int mtsi_listeners_take_passed(
	struct mts_server *server, const char *name, int *failed, const char **why);

/*
 * The descriptor of one of them, which stays the server's; -ENOENT, or -EBADF once a stop has begun to
 * close them. Any thread; a child of the process that has started the server reads without the lock.
 */
int mtsi_listeners_fd(struct mts_server *server, size_t index, bool foreign);

/*
 * Sets the options that the program has chosen on all of them, and puts them into epoll, unarmed: 0
 * or a negative errno value. May be called again.
 */
int mtsi_listeners_prepare(struct mts_server *server);

/*
 * Arms all of them, or disarms them. This cannot fail, since they are in epoll already. Under the
 * door's lock.
 */
void mtsi_listeners_arm(struct mts_server *server, bool armed);

/* The same for one of them, unless it is put off. Under the door's lock. */
void mtsi_listener_arm(struct mts_server *server, const struct mtsi_listener *listener, bool armed);

/*
 * Somebody who shares that socket has shut it down: takes it out of epoll, which would go on
 * reporting it, armed or not. By the thread that polls.
 */
void mtsi_listeners_bury(struct mts_server *server, uint64_t tag);

/* Whether a tag is a listener's: these are 1 and up, below those of clients. */
static inline bool mtsi_listeners_tag(const struct mtsi_listeners *listeners, uint64_t tag)
{
	return tag >= 1 && tag <= listeners->count;
}

/*
 * Writes where the server listens, as far as there is room, which is that for one of them at least:
 * "127.0.0.1:5000, [::1]:5000 and 3 more". Once it is configured.
 */
enum { MTSI_LISTENERS_LIST = MTSI_ADDRESS_TEXT + 24 };
void mtsi_listeners_list(struct mts_server *server, char *out, size_t size);

/* Says in the log where the server listens, and what was left out. The keeper. */
void mtsi_listeners_announce(struct mts_server *server);

/*
 * Closes the sockets, and removes their files if they are ours. No client comes after that. If a
 * thread is accepting at one, that thread closes it. The keeper.
 */
void mtsi_listeners_close(struct mts_server *server);

/* Whether the files of Unix sockets stay then, or when all is freed. Any thread. */
void mtsi_listeners_keep_paths(struct mts_server *server, bool keep);

/* The server takes no more clients: closes those at which no thread accepts. */
void mtsi_listeners_drop_locked(struct mts_server *server);

/* Closes and frees all. */
void mtsi_listeners_free(struct mts_server *server);

/*
 * Closes the descriptors that a copy of the server in another process has, and touches nothing
 * else.
 */
void mtsi_listeners_abandon(struct mts_server *server);

#endif
