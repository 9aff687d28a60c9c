/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_LISTENER_H
#define MTSI_ENGINE_DOOR_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/bind.h"
#include "os/lock.h"
#include "os/unix_path.h"

struct mts_server;

/* Whose turn it is to accept: see entry.c. The lock guards it. */
struct mtsi_entry {
	bool taken; /* somebody accepts */
	unsigned passed; /* how often somebody else has come meanwhile */
	bool put_off; /* too often: some listeners are not watched until it is given back */
};

/* One bound address. */
struct mtsi_listener {
	int fd; /* -1: closed */
	_Atomic bool dead; /* somebody has shut it down: it is out of epoll for good */
	bool shared; /* the program made it, and others may have it; constant */
	bool counts; /* the kernel says how many connections wait; constant once the server runs */
	bool told; /* that somebody has made it blocking; who accepts */
	bool put_off; /* not to be watched for connections; written under the lock and the door's */
	struct mtsi_entry entry; /* if it is shared; the others have one together */
	char *text; /* for mts_server_address() */
	struct mtsi_path *path; /* of a Unix socket's file; NULL: none that we have made */
};

/*
 * All of a server's. The configuring thread's before start; after it count, text and notes are
 * constant, the paths are the keeper's, and the lock guards the descriptors.
 */
struct mtsi_listeners {
	struct mtsi_lock lock;
	struct mtsi_listener *list;
	size_t count;
	char **notes; /* what listen calls have left out: to be told at the start */
	size_t notes_count;
	struct mtsi_entry entry; /* of those that are our own */
	bool closed; /* no more clients; who accepts at one that is open still closes it */
	int spare; /* the lock: a descriptor to be given up for a moment; -1: none */
};

void mtsi_listeners_init(struct mtsi_listeners *listeners);

/*
 * Keeps a listening socket, with the path of its file if it has one: 0, with what it is bound to in
 * `*bound`; or a negative errno value, and both stay the caller's.
 */
int mtsi_listeners_keep(
	struct mtsi_listeners *listeners, int fd, struct mtsi_path *path, struct mtsi_target *bound);

/* Keeps a line for the log: 0 or -ENOMEM. */
int mtsi_listeners_note(struct mtsi_listeners *listeners, const char *note);

/* Drops the latest ones until `count`, and so many notes, are left. */
void mtsi_listeners_unwind(struct mtsi_listeners *listeners, size_t count, size_t notes);

/*
 * Binds all that an address names: 0, or a negative errno value, with "where: why" in `why`. In
 * binding.c.
 */
int mtsi_listeners_add(struct mts_server *server, const char *address, char *why, size_t size);

/* Takes over a socket: 0 or a negative errno value; -EALREADY when it has it. */
int mtsi_listeners_adopt(struct mts_server *server, int fd);

/*
 * Sets what the program has chosen for all of them, and puts them into epoll, unarmed: 0 or a
 * negative errno value. May be called again.
 */
int mtsi_listeners_prepare(struct mts_server *server);

/*
 * Arms all of them, or none; cannot fail, since epoll has room for them already. Under the door's
 * lock.
 */
void mtsi_listeners_arm(struct mts_server *server, bool armed);

/* The same for one of them, as long as it is not put off. Under the door's lock. */
void mtsi_listener_arm(struct mts_server *server, const struct mtsi_listener *listener, bool armed);

/*
 * Somebody who shares that socket has shut it down: takes it out of epoll, which would go on
 * reporting it, armed or not. By who polls.
 */
void mtsi_listeners_bury(struct mts_server *server, uint64_t tag);

/* The tags of listeners in epoll: 1 and up, below those of clients. */
static inline bool mtsi_listeners_tag(const struct mtsi_listeners *listeners, uint64_t tag)
{
	return tag >= 1 && tag <= listeners->count;
}

/* Says in the log where the server listens, and what was left out. The keeper. */
void mtsi_listeners_announce(struct mts_server *server);

/*
 * Closes the sockets, and removes the files of ours. No client comes after that. One at which
 * somebody accepts that one closes. The keeper.
 */
void mtsi_listeners_close(struct mts_server *server);

/* The server takes no more clients: closes those at which nobody accepts. */
void mtsi_listeners_drop_locked(struct mts_server *server);

/* Closes and frees all. */
void mtsi_listeners_free(struct mts_server *server);

/* Closes the descriptors that a copy in another process has, and touches nothing else. */
void mtsi_listeners_abandon(struct mts_server *server);

#endif
