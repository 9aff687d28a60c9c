/* SPDX-License-Identifier: MIT
 *
 * What the handler is given is looked at as well: behind a request there is a zero.
 */
#include "framed.h"

int framed_record(mts_client *client, const void *request, size_t size, void *user)
{
	const uint32_t length = (uint32_t)size;
	(void)user;
	ck_assert_ptr_nonnull(request);
	ck_assert_int_eq(((const char *)request)[size], '\0');
	ck_assert_int_eq(mts_client_write(client, &length, sizeof(length)), 0);
	ck_assert_int_eq(mts_client_write(client, request, size), 0);
	return MTS_KEEP;
}

mts_server *framed_server(int (*choose)(mts_server *), struct endings *endings)
{
	mts_server *server = server_new(framed_record, NULL);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, endings), 0);
	ck_assert_int_eq(choose(server), 0);
	return server;
}

int framed_fixed(mts_server *server)
{
	return mts_server_frame_fixed(server, 4);
}

int framed_prefixed(mts_server *server)
{
	return mts_server_frame_prefixed(server, 4, MTS_LITTLE_ENDIAN);
}
