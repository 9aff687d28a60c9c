/* SPDX-License-Identifier: MIT
 *
 * The end of a process in which the library has found itself wrong: in debug builds, with a word about
 * it. That takes no lock and no memory, since either may be what is wrong.
 */
#include "os/must.h"

#ifdef MTSI_DEBUG

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 512 };

void mtsi_must_fail(const char *format, ...)
{
	char line[LINE] = "libmtserver: ";
	va_list arguments;
	size_t size = strlen(line);
	va_start(arguments, format);
	(void)vsnprintf(line + size, sizeof(line) - size - 1, format, arguments);
	va_end(arguments);
	size = strlen(line);
	line[size++] = '\n';
	if (write(STDERR_FILENO, line, size) < 0) {
		abort(); /* as below: who is to hear of it cannot */
	}
	abort();
}

#endif
