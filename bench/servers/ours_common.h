/* What the servers with the benchmarked library share. */
#ifndef BENCH_OURS_COMMON_H
#define BENCH_OURS_COMMON_H

#include "contract.h"

#include <mtserver.h>

/* The value of --threads, for mts_server_set_threads.  Ends the program when it is none. */
int ours_thread_model(int argc, char **argv, int *index);

/* Ends the program, with the reason printed, when the code is an error. */
void ours_check(mts_server *server, const char *what, int code);

/* Listens, announces the port, and serves until SIGTERM; the server is destroyed then. */
void ours_run(mts_server *server, const struct contract *contract);

#endif
