/*
 * What every benchmarked server does the same way: `--mode echo|hello --port N`, a line
 * `port N` on its standard output once it listens on 127.0.0.1, and to end on SIGTERM.
 */
#ifndef BENCH_CONTRACT_H
#define BENCH_CONTRACT_H

#include <stddef.h>

#define CONTRACT_HELLO "Hello from the server"

struct contract {
	int hello; /* reply CONTRACT_HELLO to whatever comes, then close; otherwise echo */
	unsigned port; /* 0: any */
};

/* Takes one option off the command line.  1: it was one of the contract's, *index now names its
 * value; 0: it is for the caller.  Ends the program with a usage error when the value is bad. */
int contract_option(struct contract *contract, int argc, char **argv, int *index);

/* The value of the option at *index, which moves there; ends the program when there is none. */
const char *contract_value(int argc, char **argv, int *index);
unsigned long contract_number(int argc, char **argv, int *index, unsigned long max);

/* Ends the program: an unknown option. */
_Noreturn void contract_usage(const char *program, const char *option);

/* A listening socket, flags SOCK_CLOEXEC and what else is given (SOCK_NONBLOCK), with TCP_NODELAY
 * on, which the accepted sockets inherit.  Ends the program when that fails. */
int contract_listen(const struct contract *contract, int flags);

/* Prints the line with the port, which contract_port finds out. */
void contract_announce(unsigned port);
unsigned contract_port(int listener);

/* All of it, waiting where it must, also on a non-blocking socket.  0, or -1 when the peer is
 * gone. */
int contract_send_all(int fd, const void *data, size_t size);

#endif
