/*
 * What every benchmarked server does the same way: `--mode echo|hello|lines --port N`,
 * `--sleep US --burn US --burn-all US --defer-accept S`, a line `port N` on its standard output once it listens on
 * 127.0.0.1, and to end on SIGTERM.
 */
#ifndef BENCH_CONTRACT_H
#define BENCH_CONTRACT_H

#include <stddef.h>

#ifdef __cplusplus
#define CONTRACT_NORETURN [[noreturn]]
extern "C" {
#else
#define CONTRACT_NORETURN _Noreturn
#endif

#define CONTRACT_HELLO "Hello from the server"

/* Where a request says whether it is one that costs what --sleep and --burn demand.  The byte holds
 * something else in all others, and shorter ones are never marked. */
#define CONTRACT_MARK_AT 16
#define CONTRACT_MARK '!'

struct contract {
	int hello; /* reply CONTRACT_HELLO to whatever comes, then close; otherwise echo */
	int lines; /* a line is a request, handled and answered by itself; the bare ones echo blocks */
	int reuse_port; /* several listeners share the port, by SO_REUSEPORT */
	unsigned port; /* 0: any */
	unsigned defer_accept; /* seconds of TCP_DEFER_ACCEPT (tcp(7)); 0: not set */
	unsigned long sleep_us; /* what a marked request costs */
	unsigned long burn_us;
	unsigned long burn_all_us; /* what every request costs, besides */
	int costs; /* any of these is above 0 */
};

/* Takes one option off the command line.  1: it was one of the contract's, *index now names its
 * value; 0: it is for the caller.  Ends the program with a usage error when the value is bad. */
int contract_option(struct contract *contract, int argc, char **argv, int *index);

/* The value of the option at *index, which moves there; ends the program when there is none. */
const char *contract_value(int argc, char **argv, int *index);
unsigned long contract_number(int argc, char **argv, int *index, unsigned long max);
double contract_seconds(int argc, char **argv, int *index); /* an hour at most */

/* Ends the program: an unknown option. */
CONTRACT_NORETURN void contract_usage(const char *program, const char *option);

/* A listening socket, flags SOCK_CLOEXEC and what else is given (SOCK_NONBLOCK), with TCP_NODELAY
 * on, which the accepted sockets inherit.  Ends the program when that fails. */
int contract_listen(const struct contract *contract, int flags);

/* Whether it is marked, and that costs anything: for servers that do such work elsewhere. */
int contract_marked(const struct contract *contract, const void *request, size_t size);

/* Does what a request demands, in the thread that calls; nothing, if it is not marked and not all
 * requests cost something. */
void contract_work(const struct contract *contract, const void *request, size_t size);

/* Does it for a request that is none of the generator's own, and so has no place for a mark. */
void contract_work_always(const struct contract *contract);

/* CPU time of the calling thread, whoever else runs meanwhile. */
void contract_burn(unsigned long microseconds);

/* How many CPUs this process may use. */
unsigned contract_cpus(void);

/* Prints the line with the port, which contract_port finds out. */
void contract_announce(unsigned port);
unsigned contract_port(int listener);

/* All of it, waiting where it must, also on a non-blocking socket.  0, or -1 when the peer is
 * gone. */
int contract_send_all(int fd, const void *data, size_t size);

#ifdef __cplusplus
}
#endif
#endif
