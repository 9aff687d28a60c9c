/**
 * @file mtserver/reading.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup reading Reading
 * What a callback reads beside requests: exact counts, lines, and what it puts back.
 *
 * A client has one stream of bytes, and each of its bytes is consumed once, in order: by framing,
 * mts_client_next(), mts_client_read(), mts_client_read_exact() or mts_client_read_line(), whichever
 * comes first. These can be mixed as one likes, and what a callback leaves is framed when it has
 * returned. So the body of a request may come in pieces, each behind a line with its size: the
 * handler reads the line, then so many bytes.
 * @{
 */
#ifndef MTSERVER_READING_H
#define MTSERVER_READING_H

#include <stddef.h>
#include <sys/types.h>

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Reads raw bytes that follow the current request, as many as are asked for; waits until they are
 * here. Sends first what was written. The current request stays valid.
 *
 * @param client the client
 * @param[out] buffer where to put them; undefined after an error, when what had come of them is
 *         consumed
 * @param size how many, above 0
 * @return @p size; less, perhaps 0, when the peer's end of stream comes before; or
 * @retval -EINVAL @p client or @p buffer is NULL, or @p size is 0 or above SSIZE_MAX
 * @retval -ECANCELED the server stops, or after mts_server_close(); as with mts_client_read(): mostly
 *         it goes on reading
 * @retval -ETIMEDOUT nothing at all has come within #MTS_TIMEOUT_REQUEST; as with
 *         mts_client_next(). The time begins again with whatever comes.
 * @retval -EPIPE the client is lost; as with mts_client_next()
 * @retval -ENOMEM memory is short; the client is cut off
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks; in the close hook and in the fault hook the answer is -EPIPE.
 * @since 0.2
 * @par Example
 * @code
 * // A line has said how many bytes follow:
 * char *body = malloc(length);
 * if (body == NULL) {
 *     return -ENOMEM;
 * }
 * ssize_t count = mts_client_read_exact(client, body, length);
 * if (count == (ssize_t)length) {
 *     store(body, length);
 * }
 * free(body);
 * return count < 0 ? (int)count : MTS_KEEP;
 * @endcode
 * @see mts_client_read(), mts_client_read_line(), mts_client_unread()
 */
MTS_API ssize_t mts_client_read_exact(mts_client *client, void *buffer, size_t size);

/**
 * Waits for the next line, whatever the framing of the server. Sends first what was written. A line
 * is what mts_server_frame_lines() says: the bytes up to LF, without it and without one CR before
 * it; also a last line that ends with the stream.
 *
 * The bytes of the earlier request, or line, are gone in every case.
 *
 * @param client the client
 * @param[out] line the bytes, with a NUL behind them; valid as a request is, until the callback
 *         returns or asks for the next request or line; NULL when there is none
 * @param[out] size how many, without the NUL; 0 when there is none
 * @retval 1 here it is
 * @retval 0 the peer sends no more
 * @retval -EINVAL an argument is NULL
 * @retval -ECANCELED the server stops, or after mts_server_close(), and no whole line is here; as with
 *         mts_client_read(): mostly it goes on reading. What has arrived can still be read.
 * @retval -ETIMEDOUT the line is not whole within #MTS_TIMEOUT_REQUEST; as with mts_client_next()
 * @retval -EMSGSIZE the line is longer than mts_server_set_max_request(); the client ends when the
 *         callback returns
 * @retval -EPIPE the client is lost; as with mts_client_next()
 * @retval -ENOMEM memory is short; the client is cut off
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks; in the close hook and in the fault hook the answer is -EPIPE.
 * @since 0.2
 * @par Example
 * @code
 * // Lines, up to an empty one:
 * const void *line;
 * int result;
 * while ((result = mts_client_read_line(client, &line, &size)) == 1 && size > 0) {
 *     store(line, size);
 * }
 * @endcode
 * @see mts_client_next(), mts_client_read_exact(), mts_server_set_max_request()
 */
MTS_API int mts_client_read_line(mts_client *client, const void **line, size_t *size);

/**
 * Puts bytes back, so that they are the next that are read or framed, before all that is here. They
 * need not be what was read; so a callback may rewrite what it has read, for the framing to find.
 * The framing begins again with them: a function of mts_server_frame_custom() or
 * mts_server_frame_by_client() is called with `scanned` 0. If a callback returns with a whole request
 * put back, the handler gets that at once. The current request stays valid.
 *
 * What does not fit into the buffers that the library has anyway counts for
 * mts_server_set_max_memory().
 *
 * @param client the client
 * @param data the bytes, which may be some of the current request; copied
 * @param size how many; 0 is fine. With what is here already (mts_client_pending()) there may be 16
 *         KiB, or the largest request (mts_server_set_max_request()) if that is more.
 * @retval 0 done
 * @retval -EINVAL @p client is NULL, or @p data is NULL and @p size is not 0
 * @retval -EMSGSIZE there would be too many; nothing was put back
 * @retval -ENOMEM memory is short, or all that clients may have is in use; nothing was put back, and
 *         the client stays
 * @retval -EPIPE the client is lost
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks; in the close hook and in the fault hook the answer is -EPIPE. It never waits.
 * @since 0.2
 * @par Example
 * @code
 * // What was received looks like another protocol: let the framing begin with it.
 * if (size > 4 && memcmp(request, "GET ", 4) == 0) {
 *     mts_client_unread(client, request, size);
 *     return speak_http(client);
 * }
 * @endcode
 * @see mts_client_pending(), mts_client_read(), mts_server_frame_custom()
 */
MTS_API int mts_client_unread(mts_client *client, const void *data, size_t size);

/**
 * Tells how many bytes the library has received from the client that are not consumed yet. A
 * callback that waits for the client with poll(2) on mts_client_fd() has to look here before, since
 * the socket knows nothing of them. There may be more in the socket.
 *
 * @param client the client
 * @return how many: so many can be read without waiting. Or
 * @retval -EINVAL @p client is NULL
 * @retval -EPIPE the client is lost
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks; in the close hook the answer is -EPIPE. It never waits.
 * @since 0.2
 * @par Example
 * @code
 * struct pollfd wait = {.fd = mts_client_fd(client), .events = POLLIN};
 * if (mts_client_pending(client) == 0) {
 *     poll(&wait, 1, 1000); // a second, unless the client says something
 * }
 * @endcode
 * @see mts_client_fd(), mts_client_read()
 */
MTS_API ssize_t mts_client_pending(const mts_client *client);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
