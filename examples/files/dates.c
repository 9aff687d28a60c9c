/* SPDX-License-Identifier: MIT
 *
 * One form is written, and three are read: two are old, but have to be understood (RFC 9110, section
 * 5.6.7). The names of days and months are English, since a C program has no other locale unless it
 * asks for one.
 */
#include "dates.h"

#include <stddef.h>

#define TODAYS_FORM "%a, %d %b %Y %H:%M:%S GMT"
static const char *const forms[] = {
	TODAYS_FORM,
	"%A, %d-%b-%y %H:%M:%S GMT",
	"%a %b %e %H:%M:%S %Y",
};

const char *date_print(char text[DATE_SIZE], time_t date)
{
	struct tm parts;
	if (gmtime_r(&date, &parts) == NULL || strftime(text, DATE_SIZE, TODAYS_FORM, &parts) == 0) {
		text[0] = '\0';
	}
	return text;
}

bool date_read(const char *text, time_t *date)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm parts = {.tm_isdst = 0};
		const char *end = strptime(text, forms[i], &parts);
		if (end != NULL && *end == '\0') {
			*date = timegm(&parts);
			return true;
		}
	}
	return false;
}
