/* SPDX-License-Identifier: MIT
 *
 * A client that has a copy asks for the file only if it has changed, and one that changes a file does
 * so only if nobody else did meanwhile. Both know it by its tag, or by its date when they have no
 * better. The order is that of RFC 9110, section 13.2.2.
 */
#include "conditions.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dates.h"

const char *tag_print(char text[TAG_SIZE], const struct stat *file)
{
	(void)snprintf(text, TAG_SIZE, "\"%llx-%llx-%llx.%lx\"", (unsigned long long)file->st_ino,
		(unsigned long long)file->st_size, (unsigned long long)file->st_mtim.tv_sec,
		(unsigned long)file->st_mtim.tv_nsec);
	return text;
}

/*
 * Whether the tag is in a list as `"a", W/"b"`, or the list is `*`. Weak tags are none of ours: a
 * weak comparison looks past their mark, a strong one never finds them equal.
 */
static bool matches(const char *list, const struct stat *file, bool weak)
{
	char tag[TAG_SIZE];
	if (file == NULL) {
		return false;
	}
	if (strcmp(list, "*") == 0) {
		return true;
	}
	const size_t size = strlen(tag_print(tag, file));
	for (const char *at = list; (at = strstr(at, tag)) != NULL; at += size) {
		/* A quote that opens the tag, and does not close the one before it. */
		const bool opens = at == list || strchr(" \t,/", at[-1]) != NULL;
		if (opens && (weak || at == list || at[-1] != '/')) {
			return true;
		}
	}
	return false;
}

static bool changed_since(const char *text, const struct stat *file, bool otherwise)
{
	time_t date;
	return file != NULL && date_read(text, &date) ? file->st_mtim.tv_sec > date : otherwise;
}

int conditions_check(const struct request *request, const struct stat *file)
{
	const bool reads = request->method == HTTP_GET || request->method == HTTP_HEAD;
	const char *if_match = request->fields[FIELD_IF_MATCH];
	const char *if_unmodified = request->fields[FIELD_IF_UNMODIFIED_SINCE];
	const char *if_none_match = request->fields[FIELD_IF_NONE_MATCH];
	const char *if_modified = request->fields[FIELD_IF_MODIFIED_SINCE];
	if (if_match != NULL) {
		if (!matches(if_match, file, false)) {
			return HTTP_STATUS_PRECONDITION_FAILED;
		}
	} else if (if_unmodified != NULL && changed_since(if_unmodified, file, false)) {
		return HTTP_STATUS_PRECONDITION_FAILED;
	}
	if (if_none_match != NULL) {
		if (matches(if_none_match, file, true)) {
			return reads ? HTTP_STATUS_NOT_MODIFIED : HTTP_STATUS_PRECONDITION_FAILED;
		}
	} else if (reads && if_modified != NULL && !changed_since(if_modified, file, true)) {
		return HTTP_STATUS_NOT_MODIFIED;
	}
	return 0;
}

bool conditions_range(const struct request *request, const struct stat *file)
{
	char tag[TAG_SIZE];
	time_t date;
	const char *if_range = request->fields[FIELD_IF_RANGE];
	if (if_range == NULL) {
		return true;
	}
	if (!date_read(if_range, &date)) {
		return strcmp(if_range, tag_print(tag, file)) == 0;
	}
	/* A file of this second may change once more and keep its date. */
	return file->st_mtim.tv_sec == date && date < time(NULL) - 1;
}
