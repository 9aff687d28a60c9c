/* SPDX-License-Identifier: MIT
 *
 * The server's name, where others see it. The kernel keeps 15 bytes of a thread's name
 * (pthread_setname_np(3)). What the thread does is worth more there than the end of a long name, so
 * the name is cut, and after as many bytes for each thread, so that one pattern finds them all.
 */
#include "engine/base/name.h"

#include <stdio.h>

#include "engine/base/floor.h"
#include "os/thread.h"

enum { THREAD_NAME = 16, KEPT = 8 };

void mtsi_name_thread(struct mts_server *server, const char *role)
{
	char text[THREAD_NAME];
	const char *name = mtsi_base_floor(server)->options.name;
	(void)snprintf(text, sizeof(text), "%.*s-%.6s", KEPT, name[0] != '\0' ? name : "mts", role);
	mtsi_thread_name(text);
}

size_t mtsi_name_prefix(struct mts_server *server, char *text, size_t size)
{
	const char *name = mtsi_base_floor(server)->options.name;
	const int length = snprintf(text, size, "%s%s", name, name[0] != '\0' ? ": " : "");
	return (size_t)length;
}
