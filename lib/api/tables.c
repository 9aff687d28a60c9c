/* SPDX-License-Identifier: MIT
 *
 * Numbers and their names, and the version. The names stand beside the values of the public enums,
 * so that a missing one is a gap that the tests see.
 */
#include <stddef.h>
#include <string.h>

#include <mtserver/hooks.h>
#include <mtserver/stats.h>
#include <mtserver/version.h>

#include "api/failure.h"
#include "engine/base/counters.h"
#include "engine/run/stats.h"

#define TEXT(value) #value
#define VERSION(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

enum { LAST_ERRNO = 4095 }; /* the kernel's MAX_ERRNO */

const char *mts_version(void)
{
	return VERSION(MTS_VERSION_MAJOR, MTS_VERSION_MINOR, MTS_VERSION_PATCH);
}

const char *mts_strerror(int code)
{
	return code <= 0 && code >= -LAST_ERRNO ? strerror(-code) : "Unknown error";
}

uint64_t mts_server_stat(const mts_server *server, int which)
{
	if (mtsi_usable(server) != 0 || which < 0 || which >= MTSI_COUNTERS) {
		return 0;
	}
	/* Reading takes locks, so here the server is not constant, although it is to the caller. */
	return mtsi_stats_read((mts_server *)(uintptr_t)server, which);
}

const char *mts_stat_name(int which)
{
	static const char *const names[MTSI_COUNTERS] = {
		[MTS_STAT_ACCEPTED] = "accepted",
		[MTS_STAT_OPEN] = "open",
		[MTS_STAT_CLOSED] = "closed",
		[MTS_STAT_REFUSED] = "refused",
		[MTS_STAT_REQUESTS] = "requests",
		[MTS_STAT_BYTES_IN] = "bytes_in",
		[MTS_STAT_BYTES_OUT] = "bytes_out",
		[MTS_STAT_THREADS] = "threads",
		[MTS_STAT_THREADS_PEAK] = "threads_peak",
		[MTS_STAT_BUSY] = "busy",
		[MTS_STAT_STALLS] = "stalls",
		[MTS_STAT_ACCEPT_ERRORS] = "accept_errors",
		[MTS_STAT_CUT_OFF] = "cut_off",
		[MTS_STAT_TIMEOUTS] = "timeouts",
		[MTS_STAT_LINGERING] = "lingering",
		[MTS_STAT_THREAD_WAITS] = "thread_waits",
		[MTS_STAT_UNSENT] = "unsent",
		[MTS_STAT_DRAINED] = "drained",
		[MTS_STAT_HUNG] = "hung",
		[MTS_STAT_EVICTED] = "evicted",
		[MTS_STAT_MEMORY] = "memory",
		[MTS_STAT_MEMORY_PEAK] = "memory_peak",
		[MTS_STAT_MEMORY_CUTS] = "memory_cuts",
		[MTS_STAT_DENIED] = "denied",
		[MTS_STAT_PROXY_ERRORS] = "proxy_errors",
	};
	return which < 0 || which >= MTSI_COUNTERS ? NULL : names[which];
}

const char *mts_closed_name(int reason)
{
	static const char *const names[] = {
		[MTS_CLOSED_BY_PEER] = "by peer",
		[MTS_CLOSED_BY_HANDLER] = "by handler",
		[MTS_CLOSED_IDLE] = "idle",
		[MTS_CLOSED_REQUEST_TIMEOUT] = "request timeout",
		[MTS_CLOSED_WRITE_TIMEOUT] = "write timeout",
		[MTS_CLOSED_TOO_LARGE] = "too large",
		[MTS_CLOSED_PROTOCOL] = "protocol",
		[MTS_CLOSED_ERROR] = "error",
		[MTS_CLOSED_EVICTED] = "evicted",
		[MTS_CLOSED_KICKED] = "kicked",
		[MTS_CLOSED_STOP] = "stop",
		[MTS_CLOSED_LATER_TIMEOUT] = "later timeout",
	};
	const int count = (int)(sizeof(names) / sizeof(names[0]));
	return reason < 0 || reason >= count ? NULL : names[reason];
}
