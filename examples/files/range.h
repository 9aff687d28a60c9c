/* SPDX-License-Identifier: MIT
 *
 * The Range field of a request (RFC 9110, section 14).
 */
#ifndef FILES_RANGE_H
#define FILES_RANGE_H

#include <stdint.h>

enum range_result {
	RANGE_NONE, /* send the whole file */
	RANGE_ONE,
	RANGE_OUTSIDE /* nothing of it is in the file */
};

struct range {
	int64_t start;
	int64_t size;
};

enum range_result range_read(const char *text, int64_t file_size, struct range *range);

#endif
