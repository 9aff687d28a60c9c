/* SPDX-License-Identifier: MIT
 *
 * A program as a service manager starts it.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <stdbool.h>

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

#endif
