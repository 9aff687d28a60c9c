/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_PROXIED_H
#define MTSI_ENGINE_DOOR_PROXIED_H

struct mts_client;
struct mts_server;
struct mtsi_peer;
struct mtsi_proxy;

/* How a connection begins, by where it comes from. */
enum mtsi_beginning {
	MTSI_BEGINS_PLAIN, /* with its first request */
	MTSI_BEGINS_WITH_HEADER, /* with a PROXY header */
	MTSI_MAY_NOT_BEGIN, /* it is denied */
	MTSI_IS_A_STRANGER /* it would need a header, and would not be believed */
};

/*
 * How a connection from that peer begins, on a listener with that one of enum mts_proxy_protocol.
 * Any thread, with any locks but the log's.
 */
enum mtsi_beginning mtsi_proxied_begins(
	struct mts_server *server, int mode, const struct mtsi_peer *peer);

/*
 * The client begins with a header, for which it is waited from now on. By the thread that accepts,
 * before anybody else knows of the client.
 */
void mtsi_proxied_await(struct mts_client *client);

/*
 * The header is whole: from now on the client comes from where that says. 0: it may come in; -EPERM:
 * its proxy is not believed any more; -EACCES: it is denied; -EUSERS: its address has as many clients
 * as it may have; -ENOMEM. The owner, with no lock held.
 */
int mtsi_proxied_introduce(struct mts_client *client, const struct mtsi_proxy *header);

#endif
