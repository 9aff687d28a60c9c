/* SPDX-License-Identifier: MIT
 *
 * Ends the process when the library has found itself wrong. Debug builds print a message before,
 * and the state of the library. This takes no lock and no memory, since either may be what is
 * wrong.
 */
#include "os/must.h"

#ifdef MTSI_DEBUG

#include <unistd.h>

#include "os/print.h"

void (*_Atomic mtsi_must_report)(int fd);

void mtsi_must_fail(const char *what, const char *file, int line)
{
	/* Only once: several threads may fail here, or the report itself. */
	void (*report)(int) = atomic_exchange(&mtsi_must_report, NULL);
	mtsi_print(STDERR_FILENO, "libmtserver: %s:%d: %s\n", file, line, what);
	if (report != NULL) {
		report(STDERR_FILENO);
	}
	abort();
}

#endif
