/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_BIND_H
#define MTSI_OS_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Listening sockets and name resolution, at configuration time: these may block. */

/* An address to bind. */
struct mtsi_target {
	struct sockaddr_storage address;
	socklen_t size;
	bool shares_port; /* other processes may bind it too (SO_REUSEPORT), */
	bool first; /* but nobody may have done so before */
};

/* As many targets as a name has. All bytes 0: none. */
struct mtsi_targets {
	struct mtsi_target *list;
	size_t count;
};

/* Adds one that is not there yet: 0 or -ENOMEM. */
int mtsi_targets_add(struct mtsi_targets *targets, const struct sockaddr *address, socklen_t size);

/* Frees the list. */
void mtsi_targets_free(struct mtsi_targets *targets);

/*
 * Adds the addresses of a host name or numeric address: 0, or a negative errno value: -ENOENT no
 * such name, -EAGAIN not now, -ENOMEM, -EIO the resolver failed.
 */
int mtsi_resolve(const char *host, uint16_t port, struct mtsi_targets *targets);

struct mtsi_path;

/*
 * Binds and listens: the descriptor, close-on-exec and non-blocking, or a negative errno value.
 * What accepted sockets inherit (TCP_NODELAY) is set here, once. `path` is the reserved path of a
 * Unix socket's file; NULL: it has none.
 */
int mtsi_listen(const struct mtsi_target *target, int backlog, struct mtsi_path *path);

/* Undoes that: closes the socket, and removes the file that it made; the path stays reserved. */
void mtsi_unlisten(int fd, struct mtsi_path *path);

/* The flags of a socket, as fcntl(2) gives them: of the open file, and of the descriptor. */
struct mtsi_flags {
	int file;
	int descriptor;
};

/*
 * Makes a listening stream socket of the caller's non-blocking and close-on-exec: 0, with its flags
 * as they were in `*before`; or -EBADF, -ENOTSOCK, -EINVAL or what fcntl(2) says, and it is as it was.
 */
int mtsi_listen_adopt(int fd, struct mtsi_flags *before);

/* Gives it back as it was. */
void mtsi_listen_give_back(int fd, const struct mtsi_flags *before);

/* Sets what accepted sockets inherit, on one that is ours from now on. */
void mtsi_listen_tune(int fd);

/* The address that a socket is bound to: 0 or a negative errno value. */
int mtsi_bound_address(int fd, struct mtsi_target *target);

/* Whether this system can hold connections back until they have sent something. */
bool mtsi_can_defer_accept(void);

/* Has a listener do that; 0 or a negative errno value. */
int mtsi_defer_accept(int fd, unsigned seconds);

/*
 * Has the kernel ask a silent peer after so many seconds, and three times more as far apart, before it
 * gives the connection up; on a listener, for what is accepted from it: 0 or a negative errno value.
 * A Unix socket has no use for that, and is left as it is.
 */
int mtsi_keep_alive(int fd, unsigned seconds);

/* How many descriptors this process may have open. */
size_t mtsi_descriptor_limit(void);

/*
 * How many descriptors this process has open, not counting any after the first free number; the
 * caller names one of them. If the system denies every way to tell, a few dozen are assumed.
 */
size_t mtsi_descriptors_open(int any);

#endif
