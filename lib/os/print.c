/* SPDX-License-Identifier: MIT
 *
 * Text for developers, when the state of the process does not allow stdio: its locks may be held,
 * or the data that they guard may be what is wrong.
 */
#include "os/print.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 512 };

void mtsi_print(int fd, const char *format, ...)
{
	char text[TEXT] = "";
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	const char *rest = text;
	ssize_t written;
	while (*rest != '\0' && (written = write(fd, rest, strlen(rest))) > 0) {
		rest += written;
	}
}
