/* SPDX-License-Identifier: MIT
 *
 * What the pieces of code in the documentation take for granted: system headers, and what the program
 * around them would have. tests/checks/fragments.sh compiles each piece behind this.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <mtserver.h>

/* A handler of the program, a client known by its number, and a deferred reply. */
int answer(mts_client *client, const void *request, size_t size, void *user);
extern uint64_t id;
extern int64_t ticket;
extern const char *reply;
extern size_t length;

/* What it keeps for a client, what it reads at the start, and what it is called. */
struct session {
	size_t block;
};
extern struct session *session;
struct configuration {
	unsigned threads;
};
extern struct configuration *configuration;
extern char *program;

/* Things that it has. */
extern int fd;
extern int64_t task;
extern void *what_the_task_uses;
extern char *line;
extern mts_networks *networks;
extern mts_networks *office;
struct database;

/* Things that it does. */
int compute(mts_client *client, const void *request, size_t size);
int connect_to_backend(void);
struct database *database_open(const char *name);
int database_ask(struct database *database, const char *question, char *found, size_t size);
void database_close(struct database *database);
size_t drop_the_oldest(char *line);
void forget(uint64_t id);
void give_to_a_thread_of_yours(uint64_t id, int64_t ticket, const void *request, size_t size);
void go_on_with_other_things(void);
int one_more_step(void);
void put_into_a_queue_of_yours(uint64_t id, int64_t ticket, const void *request, size_t size);
void remember(uint64_t id);
int speak_http(mts_client *client);
void store(const void *data, size_t size);
