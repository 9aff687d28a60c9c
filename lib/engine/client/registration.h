/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_REGISTRATION_H
#define MTSI_ENGINE_CLIENT_REGISTRATION_H

#include <stdbool.h>
#include <stdint.h>

struct mts_client;
struct mts_server;

/*
 * What epoll watches, and for what. Only this file tells epoll, and only engine/run/poller.c hears
 * its answer. The tag of a client is its id.
 */

/*
 * From now on a client's input is watched, including what is there already; watching for room stays
 * as it is. False: epoll has no memory for it, and nothing has changed. The owner; takes the
 * client's lock.
 */
bool mtsi_registration_watch_input(struct mts_client *client);

/*
 * From now on a client's input is not watched; watching for room stays as it is, and the client
 * stays in epoll. The owner; takes the client's lock.
 */
void mtsi_registration_ignore_input(struct mts_client *client);

/*
 * Watches for room to send, or no longer; watching for input stays as it is. 0, or a negative errno
 * value, and then nothing has changed. Under the client's lock.
 */
int mtsi_registration_watch_room_locked(struct mts_client *client, bool wanted);

/*
 * Watches a lingerer for input and for the end, and for nothing else. If epoll has no memory for
 * that, no event will come. Under the client's lock, by its owner.
 */
void mtsi_registration_watch_end_locked(struct mts_client *client);

/*
 * What a client is watched for, and is there at this moment, raises one more event. The owner; takes
 * the client's lock.
 */
void mtsi_registration_report_again(struct mts_client *client);

/*
 * Puts a client into epoll if it is not there, with nothing watched. After that, watching for room
 * needs no memory. 0 or a negative errno value. Under the client's lock.
 */
int mtsi_registration_enter_locked(struct mts_client *client);

/* Takes a client out of epoll, if it is there. Under the client's lock. */
void mtsi_registration_leave_locked(struct mts_client *client);

/*
 * Puts a listener into epoll, with this tag and nothing watched: 0 or a negative errno value. By
 * the thread that starts the server.
 */
int mtsi_registration_enter_listener(struct mts_server *server, int fd, uint64_t tag);

/*
 * Watches a listener for connections, or no longer. Its being shut down is reported in any case.
 * Under the door's lock.
 */
void mtsi_registration_watch_listener(
	struct mts_server *server, int fd, uint64_t tag, bool connections);

/* Takes a listener out of epoll. Under the listeners' lock. */
void mtsi_registration_leave_listener(struct mts_server *server, int fd);

/*
 * Puts the bell into a new epoll instance, and watches for it to be rung: 0 or a negative errno
 * value. By the thread that starts the server.
 */
int mtsi_registration_watch_bell(int poll, int bell, uint64_t tag);

#endif
