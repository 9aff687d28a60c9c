/**
 * @file mtserver/stats.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup stats Stats
 * What the server has done and is doing, in numbers.
 * @{
 */
#ifndef MTSERVER_STATS_H
#define MTSERVER_STATS_H

#include <stdint.h>

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The numbers that mts_server_stat() knows; new ones are added at the end. */
enum mts_stat {
	MTS_STAT_ACCEPTED = 0, /**< clients opened so far */
	MTS_STAT_OPEN = 1, /**< of these, those not closed yet */
	MTS_STAT_CLOSED = 2, /**< of these, those whose close hook has returned */
	MTS_STAT_REFUSED = 3, /**< connections turned away before they were opened */
	MTS_STAT_REQUESTS = 4, /**< requests handed to callbacks so far */
	MTS_STAT_BYTES_IN = 5, /**< bytes received so far */
	MTS_STAT_BYTES_OUT = 6, /**< bytes handed to the kernel so far */
	MTS_STAT_THREADS =
		7, /**< threads for clients and tasks, now, until they have ended; idle ones too */
	MTS_STAT_THREADS_PEAK = 8, /**< the most there were at once */
	MTS_STAT_BUSY = 9, /**< handlers, and hooks for faults, that run now */
	MTS_STAT_STALLS = 10, /**< times a blocked handler or task was relieved by another thread */
	MTS_STAT_ACCEPT_ERRORS = 11, /**< failures of accept(2) or of what follows it */
	MTS_STAT_CUT_OFF = 12, /**< clients, and lingering sockets, cut off at the stop deadline */
	MTS_STAT_TIMEOUTS = 13, /**< deadlines that passed: of clients, lingering and handlers */
	MTS_STAT_LINGERING = 14, /**< sockets, now, whose close waits for the peer to finish */
	MTS_STAT_THREAD_WAITS = 15, /**< times a client had to wait because no thread could be had */
	/** messages by client id that a client could not take (-ENOBUFS, -ENOMEM) */
	MTS_STAT_UNSENT = 16,
	/** clients that ended after a stop was asked for, and were not cut off at its deadline */
	MTS_STAT_DRAINED = 17,
	/**
	 * threads that still run although run or join has returned -EBUSY: in a callback, in a
	 * destructor of thread-specific data, or, the log hook's, until it has had all messages; 0
	 * before that, and after a stop that worked
	 */
	MTS_STAT_HUNG = 18,
	MTS_STAT_EVICTED = 19, /**< clients closed to let another one in: #MTS_OVERLOAD_EVICT */
	MTS_STAT_MEMORY = 20, /**< bytes, now, of what mts_server_set_max_memory() limits */
	MTS_STAT_MEMORY_PEAK = 21, /**< the most there were at once */
	MTS_STAT_MEMORY_CUTS = 22, /**< clients cut off because that memory was short */
	/** connections that may not be made (mts_server_set_access()); not refused ones. Since 0.2. */
	MTS_STAT_DENIED = 23,
	/**
	 * connections closed because of their PROXY header, which was malformed, too long, late, or from
	 * somebody who is not trusted (mts_server_set_proxy_protocol()); not refused ones. Since 0.2.
	 */
	MTS_STAT_PROXY_ERRORS = 24
};

/**
 * Reads one number.
 *
 * @param server the server
 * @param which one of #mts_stat
 * @return the number; 0 when @p server is NULL, there is no such number, or the server was started
 *         by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, at any time from create to destroy; not from signal handlers.
 * @since 0.1
 * @par Example
 * @code
 * printf("%llu clients, %llu threads\n",
 *     (unsigned long long)mts_server_stat(server, MTS_STAT_OPEN),
 *     (unsigned long long)mts_server_stat(server, MTS_STAT_THREADS));
 * @endcode
 * @see mts_stat_name(), mts_server_every()
 */
MTS_API uint64_t mts_server_stat(const mts_server *server, int which);

/**
 * Names a number.
 *
 * @param which one of #mts_stat
 * @return a constant string such as "accepted"; NULL when there is no such number, so that a loop
 *         from 0 up meets them all
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * for (int which = 0; mts_stat_name(which) != NULL; which++) {
 *     mts_client_printf(client, "%s %llu\n", mts_stat_name(which),
 *         (unsigned long long)mts_server_stat(server, which));
 * }
 * @endcode
 * @see mts_server_stat()
 */
MTS_API const char *mts_stat_name(int which);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
