/* SPDX-License-Identifier: MIT
 *
 * The choice of framing.
 */
#include <mtserver/framing.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/failure.h"
#include "engine/base/floor.h"
#include "engine/base/options.h"
#include "wire/frame.h"

enum { MOST_DELIMITER = 256, MOST_REQUEST = 1024 * 1024 * 1024 };

static int choose(mts_server *server, const struct mtsi_framing *framing)
{
	const int result = mtsi_configurable(server, "choose the framing");
	if (result == 0) {
		mtsi_options_frame(&mtsi_base_floor(server)->options, framing);
	}
	return result;
}

int mts_server_frame_raw(mts_server *server)
{
	const struct mtsi_framing framing = {.kind = MTSI_FRAME_RAW};
	return choose(server, &framing);
}

int mts_server_frame_lines(mts_server *server)
{
	const struct mtsi_framing framing = {.kind = MTSI_FRAME_LINES};
	return choose(server, &framing);
}

int mts_server_frame_delimited(mts_server *server, const void *delimiter, size_t size)
{
	struct mtsi_framing framing = {.kind = MTSI_FRAME_DELIMITED, .delimiter_size = size};
	int result = mtsi_configurable(server, "choose the framing");
	if (result != 0) {
		return result;
	}
	if (delimiter == NULL) {
		return mtsi_fail(server, -EINVAL, "the delimiter is NULL");
	}
	if (size == 0 || size > MOST_DELIMITER) {
		return mtsi_fail(server, -EINVAL, "a delimiter of %zu bytes is not between 1 and %d", size,
			MOST_DELIMITER);
	}
	framing.delimiter = malloc(size);
	if (framing.delimiter == NULL) {
		return mtsi_fail(server, -ENOMEM, "no memory for the delimiter");
	}
	memcpy(framing.delimiter, delimiter, size);
	return choose(server, &framing);
}

int mts_server_frame_fixed(mts_server *server, size_t size)
{
	const struct mtsi_framing framing = {.kind = MTSI_FRAME_FIXED, .fixed = size};
	const int result = mtsi_configurable(server, "choose the framing");
	if (result != 0) {
		return result;
	}
	if (size == 0 || size > MOST_REQUEST) {
		return mtsi_fail(
			server, -EINVAL, "requests of %zu bytes are not between 1 and %d", size, MOST_REQUEST);
	}
	return choose(server, &framing);
}

int mts_server_frame_prefixed(mts_server *server, unsigned bytes, int byte_order)
{
	const struct mtsi_framing framing = {
		.kind = MTSI_FRAME_PREFIXED, .prefix = bytes, .little = byte_order == MTS_LITTLE_ENDIAN};
	const int result = mtsi_configurable(server, "choose the framing");
	if (result != 0) {
		return result;
	}
	if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) {
		return mtsi_fail(server, -EINVAL, "a length of %u bytes is none of 1, 2, 4 and 8", bytes);
	}
	if (byte_order != MTS_BIG_ENDIAN && byte_order != MTS_LITTLE_ENDIAN) {
		return mtsi_fail(server, -EINVAL, "%d is no byte order", byte_order);
	}
	return choose(server, &framing);
}

int mts_server_frame_custom(mts_server *server, mts_framer framer, void *user)
{
	const struct mtsi_framing framing = {.kind = MTSI_FRAME_CUSTOM, .framer = framer, .user = user};
	const int result = mtsi_configurable(server, "choose the framing");
	if (result != 0) {
		return result;
	}
	if (framer == NULL) {
		return mtsi_fail(server, -EINVAL, "the framer is NULL");
	}
	return choose(server, &framing);
}

int mts_server_frame_by_client(mts_server *server, mts_client_framer framer, void *user)
{
	const struct mtsi_framing framing = {
		.kind = MTSI_FRAME_BY_CLIENT, .client_framer = framer, .user = user};
	const int result = mtsi_configurable(server, "choose the framing");
	if (result != 0) {
		return result;
	}
	if (framer == NULL) {
		return mtsi_fail(server, -EINVAL, "the framer is NULL");
	}
	return choose(server, &framing);
}

int mts_server_set_max_request(mts_server *server, size_t bytes)
{
	const int result = mtsi_configurable(server, "limit the requests");
	if (result != 0) {
		return result;
	}
	if (bytes == 0 || bytes > MOST_REQUEST) {
		return mtsi_fail(
			server, -EINVAL, "requests of %zu bytes are not between 1 and %d", bytes, MOST_REQUEST);
	}
	mtsi_base_floor(server)->options.max_request = bytes;
	return 0;
}
