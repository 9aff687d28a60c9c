/**
 * @file mtserver/framing.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup framing Framing
 * What a request is: how a client's stream of bytes is cut into requests.
 *
 * A server has one kind of framing, chosen before it runs. It is raw unless another one is chosen;
 * the last choice counts. However the network cuts the stream, the requests are the same, except
 * with raw framing. A request larger than mts_server_set_max_request() ends its client
 * (#MTS_CLOSED_TOO_LARGE), and no memory is taken for the excess. A last request that the peer's
 * end of stream cuts off is dropped (#MTS_CLOSED_PROTOCOL), except a last line. A byte of urgent
 * data (tcp(7)) stays at its place in the stream.
 * @{
 */
#ifndef MTSERVER_FRAMING_H
#define MTSERVER_FRAMING_H

#include <stddef.h>
#include <sys/types.h>

#include <mtserver/export.h>
#include <mtserver/handler.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The order of the bytes of a length prefix. */
enum mts_byte_order {
	MTS_BIG_ENDIAN = 0, /**< network order, the most significant byte first */
	MTS_LITTLE_ENDIAN = 1 /**< the least significant byte first */
};

/**
 * Finds the end of a request, for mts_server_frame_custom().
 *
 * @param data what has arrived of the request, and perhaps of the ones after it
 * @param size how many bytes, at least 1
 * @param scanned how many of them the framer was shown before, in search of the end of this same
 *        request: where to go on searching
 * @param user what mts_server_frame_custom() was given
 * @return a positive count: so many of the first bytes are one request; 0: more bytes are needed. A
 *         negative errno value, or more than @p size, is a protocol error, which ends the client
 *         (#MTS_CLOSED_PROTOCOL).
 * @par Threads
 * It is called on threads of the library, with no lock held, for different clients at the same time.
 */
typedef ssize_t (*mts_framer)(const void *data, size_t size, size_t scanned, void *user);

/**
 * A request is whatever has come when the client is looked at, at most the maximum request size.
 * This is the default.
 *
 * @param server the server
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_frame_raw(server); // as by default: a request is what one receive has brought
 * @endcode
 * @see mts_server_frame_lines(), mts_server_set_max_request(), mts_client_read()
 */
MTS_API int mts_server_frame_raw(mts_server *server);

/**
 * A request is a line: the bytes up to LF, without it and without one CR before it. A last line
 * that ends with the stream instead of LF is a request too.
 *
 * @param server the server
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * static int answer_line(mts_client *client, const void *request, size_t size, void *user)
 * {
 *     (void)size;
 *     (void)user;
 *     mts_client_printf(client, "You said: %s\n", (const char *)request); // a NUL stands behind it
 *     return MTS_KEEP;
 * }
 *
 * static int lines(mts_server *server) // before run
 * {
 *     return mts_server_frame_lines(server);
 * }
 * @endcode
 * @see mts_server_set_max_request(), mts_client_next(), mts_server_frame_delimited()
 */
MTS_API int mts_server_frame_lines(mts_server *server);

/**
 * A request is the bytes up to a delimiter, without it.
 *
 * @param server the server
 * @param delimiter its bytes; copied
 * @param size how many, 1 to 256
 * @retval 0 done
 * @retval -EINVAL @p server or @p delimiter is NULL, or @p size is out of range
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_frame_delimited(server, "\r\n\r\n", 4); // the head of an HTTP request
 * @endcode
 * @see mts_server_frame_lines(), mts_server_set_max_request()
 */
MTS_API int mts_server_frame_delimited(mts_server *server, const void *delimiter, size_t size);

/**
 * Every request has the same size.
 *
 * @param server the server
 * @param size in bytes, 1 to 1 GiB. A maximum request size that was set is a limit here too: when
 *        it is smaller, run answers -EINVAL.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p size is out of range
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * struct point {
 *     int32_t x, y;
 * };
 * mts_server_frame_fixed(server, sizeof(struct point)); // each request is a point
 * @endcode
 * @see mts_client_read_exact(), mts_server_frame_prefixed()
 */
MTS_API int mts_server_frame_fixed(mts_server *server, size_t size);

/**
 * A request is preceded by its length, which does not count itself. The request is the body without
 * the length; 0 bytes are a request too.
 *
 * @param server the server
 * @param bytes the width of the length: 1, 2, 4 or 8 bytes, unsigned
 * @param byte_order one of #mts_byte_order
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or another value is not one of those
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN);
 *
 * // In the handler, a reply in the same form:
 * uint32_t length = htonl((uint32_t)size);
 * mts_client_write(client, &length, sizeof(length));
 * mts_client_write(client, request, size);
 * @endcode
 * @see mts_server_set_max_request(), mts_server_frame_custom()
 */
MTS_API int mts_server_frame_prefixed(mts_server *server, unsigned bytes, int byte_order);

/**
 * A function of the program finds where a request ends.
 *
 * @param server the server
 * @param framer the function
 * @param user handed to @p framer; stays the caller's
 * @retval 0 done
 * @retval -EINVAL @p server or @p framer is NULL
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * // The first byte of a request says how many follow.
 * static ssize_t find_end(const void *data, size_t size, size_t scanned, void *user)
 * {
 *     const unsigned char *bytes = data;
 *     const size_t whole = 1 + (size_t)bytes[0];
 *     (void)scanned;
 *     (void)user;
 *     return size < whole ? 0 : (ssize_t)whole;
 * }
 *
 * static int with_a_count(mts_server *server) // before run
 * {
 *     return mts_server_frame_custom(server, find_end, NULL);
 * }
 * @endcode
 * @see mts_server_frame_by_client(), mts_server_set_max_request(), mts_server_on_fault()
 */
MTS_API int mts_server_frame_custom(mts_server *server, mts_framer framer, void *user);

/**
 * Finds the end of a request of one client, for mts_server_frame_by_client().
 *
 * It is called on the thread that serves the client, one call at a time for each client, and may keep
 * what it knows about the stream with mts_client_set_data(). Besides that only questions about the
 * client work in it (mts_client_id(), mts_client_peer() and the like); the calls that read, write or
 * wait answer -EPIPE. It should not block: it is no handler, and its time is the peer's.
 *
 * @param client the client. Its open hook has been called; if that calls mts_client_next(), the framer
 *        is called in there, so the hook sets the data before.
 * @param data what has arrived of the request, and perhaps of the ones after it
 * @param size how many bytes, at least 1
 * @param scanned how many of them the framer was shown before, in search of the end of this same
 *        request: where to go on searching. It is 0 again after mts_client_unread() and after calls
 *        that read.
 * @param user what mts_server_frame_by_client() was given
 * @return as #mts_framer
 * @par Threads
 * It is called on threads of the library, with no lock held, for different clients at the same time.
 * @since 0.2
 */
typedef ssize_t (*mts_client_framer)(
	mts_client *client, const void *data, size_t size, size_t scanned, void *user);

/**
 * As mts_server_frame_custom(), but the function knows its client. So the end of a request may depend
 * on what that client has sent before: a mode, a length that was agreed on, the state of a parser.
 *
 * @param server the server
 * @param framer the function
 * @param user handed to @p framer; stays the caller's
 * @retval 0 done
 * @retval -EINVAL @p server or @p framer is NULL
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.2
 * @par Example
 * @code
 * // Lines at first; then blocks, of the size that the client's handler has set.
 * static ssize_t find_end(mts_client *client, const void *data, size_t size, size_t scanned, void *user)
 * {
 *     const struct session *session = mts_client_data(client);
 *     const char *newline;
 *     (void)user;
 *     if (session->block > 0) {
 *         return size < session->block ? 0 : (ssize_t)session->block;
 *     }
 *     newline = memchr((const char *)data + scanned, '\n', size - scanned);
 *     return newline == NULL ? 0 : newline + 1 - (const char *)data;
 * }
 * @endcode
 * @see mts_server_frame_custom(), mts_client_data(), mts_server_on_open()
 */
MTS_API int mts_server_frame_by_client(mts_server *server, mts_client_framer framer, void *user);

/**
 * Sets the largest request, without its length prefix or delimiter.
 *
 * The default is 1,024 bytes for raw framing and 64 KiB for the others; for fixed framing, the size
 * of a request. A value that is set here takes precedence, whichever call comes first.
 *
 * @param server the server
 * @param bytes 1 to 1 GiB
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p bytes is out of range
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_frame_lines(server);
 * mts_server_set_max_request(server, 512); // no line of this protocol is longer
 * @endcode
 * @see mts_server_on_fault(), mts_server_set_max_memory(), mts_client_read()
 */
MTS_API int mts_server_set_max_request(mts_server *server, size_t bytes);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
