/* SPDX-License-Identifier: MIT
 *
 * A service manager, and programs as it starts them.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <stdbool.h>
#include <stddef.h>

/* First thing in main(): sees to it that the numbers from 3 on are not those of Check's own files. */
void service_reserve(void);

/*
 * Runs `body` in a process of its own, which has these sockets as descriptors 3 and up, and in whose
 * environment it says so, with these names (NULL: without names). Fails unless the process comes to its
 * end; what has failed there is said on standard error.
 */
void in_a_service(const int *fds, int count, const char *names, void (*body)(void));

/* For these bodies: ends the process with a line unless the condition holds. */
#define service_must(condition) service_require((condition), #condition, __FILE__, __LINE__)
void service_require(bool holds, const char *what, const char *file, int line);

/*
 * The manager to which services say how they do: a socket of that name, a path or "@name", which is in
 * NOTIFY_SOCKET from now on; no watchdog is.
 */
int manager_open(const char *name);

void manager_expect(int manager, const char *text);

/* The next message says that the server stops, with no more clients than so many: some may have left. */
void manager_expect_stopping(int manager, unsigned most); /* the next message is this */
void manager_wait_for(int manager, const char *text); /* some message, sooner or later, is this */
size_t manager_drain(int manager); /* throws away what is there: how many messages */
bool manager_hears_nothing(int manager, int milliseconds); /* for so long */

#endif
