/* SPDX-License-Identifier: MIT */
#ifndef MTSI_API_UNTIL_SIGNAL_H
#define MTSI_API_UNTIL_SIGNAL_H

#include <mtserver/server.h>

/* No signal stops this server from now on. Before it is freed, by any thread. */
void mtsi_until_signal_forget(mts_server *server);

#endif
