/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_NAME_H
#define MTSI_ENGINE_BASE_NAME_H

#include <stddef.h>

struct mts_server;

/* Names the calling thread after the server and what it does there, at most six bytes. */
void mtsi_name_thread(struct mts_server *server, const char *role);

/* What log lines begin with: "NAME: ", or "" where none was given. Its length. Any thread. */
size_t mtsi_name_prefix(struct mts_server *server, char *text, size_t size);

#endif
