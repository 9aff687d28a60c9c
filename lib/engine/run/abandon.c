/* SPDX-License-Identifier: MIT
 *
 * A copy of a running server in another process, which fork(2) has made.
 *
 * A server belongs to the process that has started it (`home` in server.h). The copy that a child
 * has is of no use to the child. The threads are not there. The locks are as they were at that
 * moment, and some are held by threads that will never release them. The epoll instance is the
 * parent's own, so a socket that the child takes out of it is taken out for the parent too. So in a
 * child lib/api refuses everything that locks, waits or changes something, before it gets here;
 * what only reads still works.
 *
 * To destroy such a copy is to close what it keeps open: listeners, on which nobody would accept
 * once the parent has ended, and clients' sockets, whose peers would see no end of the stream. The
 * memory stays, since much of it may have been in the middle of a change. So does a descriptor that
 * a thread of the parent was accepting or closing at that moment, and did not have in a slot; or had
 * open for that moment only, to read a file (os/observe.c).
 */
#include "engine/run/abandon.h"

#include "engine/base/floor.h"
#include "engine/client/clients.h"
#include "engine/client/floor.h"
#include "engine/crew/floor.h"
#include "engine/door/listener.h"
#include "engine/run/notify.h"
#include "os/socket.h"

static void close_once(int *fd)
{
	if (*fd >= 0) {
		mtsi_socket_close(*fd);
		*fd = -1;
	}
}

static void close_shared(_Atomic int *fd)
{
	int number = atomic_exchange(fd, -1);
	close_once(&number);
}

void mtsi_abandon_descriptors(struct mts_server *server)
{
	close_once(&mtsi_base_floor(server)->poll);
	close_once(&mtsi_crew_floor(server)->alarm);
	close_shared(&mtsi_base_floor(server)->bell);
	close_shared(&mtsi_base_floor(server)->wake);
}

void mtsi_abandon(struct mts_server *server)
{
	mtsi_listeners_abandon(server);
	mtsi_clients_abandon(&mtsi_client_floor(server)->clients);
	mtsi_notify_abandon(server);
	mtsi_abandon_descriptors(server);
}
