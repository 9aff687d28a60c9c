/* SPDX-License-Identifier: MIT
 *
 * Who wants to hear what is published where. For all threads at the same time; it never waits for a
 * client.
 */
#ifndef CHANNELS_H
#define CHANNELS_H

#include <mtserver.h>

#include "resp.h"

/* In this client's handler. It is told so, and from then on what is published. */
int channels_subscribe(mts_client *client, struct word channel);

/* In this client's handler, or its close hook; from all channels when `channel` is NULL. */
void channels_unsubscribe(mts_client *client, const struct word *channel);

/* In this client's callbacks: how many channels it has. */
size_t channels_of(const mts_client *client);

/* How many clients were told. */
int channels_publish(mts_server *server, struct word channel, struct word message);

#endif
