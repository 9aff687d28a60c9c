/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_ADOPT_H
#define MTSI_ENGINE_RUN_ADOPT_H

struct mts_server;

/*
 * A connected socket of the program's becomes a client, whose data is `data`: 0; -EINVAL, it is no
 * stream, or the server does not run yet; -ECANCELED from the stop on; -EACCES, its peer may not
 * connect; -EAGAIN, there is no room; -ENOTCONN, -ENOMEM or another negative errno value. If it fails
 * the socket is as before. Any thread.
 */
int mtsi_adopt(struct mts_server *server, int fd, void *data);

#endif
