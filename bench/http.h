/* The first response of an HTTP server, looked at closely, which no load has the time for. */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include "clients.h"

/* Asks once.  CLIENT_ERROR_KINDS: the response is right; else what is wrong, with the response
 * printed. */
enum client_error http_check(unsigned port);

#endif
