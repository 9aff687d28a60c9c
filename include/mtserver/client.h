/**
 * @file mtserver/client.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup client Client
 * What a callback does with its client: reply, converse, ask who it is.
 *
 * A client may be used from its open hook to its close hook, on the thread of the callback that
 * runs for it, and nowhere else.
 * @{
 */
#ifndef MTSERVER_CLIENT_H
#define MTSERVER_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Why a handler that runs long may give up: what mts_client_gone() answers, besides 0. */
enum mts_gone {
	MTS_GONE_EOF = 1, /**< the peer sends no more; it may still read */
	MTS_GONE_RESET = 2, /**< the connection is dead: nothing that is written arrives */
	MTS_GONE_STOP = 3, /**< the server is stopping; also in its grace (mts_server_set_drain()) */
	MTS_GONE_DEADLINE = 4, /**< the handler has run for longer than #MTS_TIMEOUT_HANDLER, or another
							   deadline has ended the client */
	MTS_GONE_KICKED =
		5, /**< mts_server_kick() has cut it off, or another client needed its place */
	MTS_GONE_CLOSED = 6 /**< mts_server_close() ends it after this request; since
							 0.2. What is written arrives. */
};

/**
 * Writes to the client: all of it, or an error.
 *
 * Small writes are gathered, and sent together when no further request of this client is waiting.
 * What the socket does not take at once is kept, and sent later by the library, up to the output
 * limit (mts_server_set_max_output()); above that the call blocks until the peer reads. If the
 * bytes lie in a mapped file, the call also waits for the disk, and no other thread does.
 *
 * @param client the client
 * @param data the bytes; not kept
 * @param size how many; 0 is fine
 * @retval 0 written
 * @retval -EINVAL @p client is NULL, or @p data is NULL and @p size is not 0
 * @retval -EPIPE the client is lost: its peer is gone, or the server has cut it off; or
 *         mts_client_shutdown() was called
 * @retval -ETIMEDOUT the client was lost while this call waited, since its peer took nothing for
 *         #MTS_TIMEOUT_WRITE
 * @retval -ENOMEM memory is short; the client is cut off, since a part may have been sent
 * @retval -EFAULT the bytes cannot be read, as those of a mapped file that was truncated. Nothing
 *         of them was sent, and the client stays. But if a part had been sent already (the file was
 *         truncated during the call, or there are more than 16 MiB), the client is cut off, with a
 *         reset. This is for more than 16 KiB; fewer bytes are copied as by memcpy(3).
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * static int echo(mts_client *client, const void *request, size_t size, void *user)
 * {
 *     (void)user;
 *     return mts_client_write(client, request, size); // an error ends this client, quietly
 * }
 * @endcode
 * @see mts_client_flush(), mts_client_try_write(), mts_client_sendfile(),
 *      mts_server_set_max_output()
 */
MTS_API int mts_client_write(mts_client *client, const void *data, size_t size);

/**
 * Writes to the client without waiting for its peer: all of it, or nothing. So it may be called with
 * locks of the program held, and a handler can do something else for a peer that does not read.
 *
 * Small writes are gathered as by mts_client_write(), and come in the same order. When no more can be
 * gathered, 16 KiB at most, they are sent, and what the socket does not take is kept up to the output
 * limit (mts_server_set_max_output()). A write that does not fit is refused; where nothing waits, one
 * of any size is taken if there is memory for it (mts_server_set_max_memory()). If the bytes lie in a
 * mapped file, the call waits for the disk.
 *
 * @param client the client
 * @param data the bytes; not kept
 * @param size how many; 0 is fine
 * @retval 0 written
 * @retval -EINVAL @p client is NULL, or @p data is NULL and @p size is not 0
 * @retval -ENOBUFS too much waits for the peer, or memory is short; nothing was written, and the
 *         client stays
 * @retval -EPIPE the client is lost: its peer is gone, or the server has cut it off; or
 *         mts_client_shutdown() was called
 * @retval -EFAULT the bytes cannot be read, as with mts_client_write(); nothing was written, and the
 *         client stays
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks.
 * @since 0.2
 * @par Example
 * @code
 * while (mts_client_try_write(client, line, size) == -ENOBUFS) {
 *     size = drop_the_oldest(line); // or give up, but do not wait
 * }
 * @endcode
 * @see mts_client_write(), mts_server_send(), mts_server_set_max_output()
 */
MTS_API int mts_client_try_write(mts_client *client, const void *data, size_t size);

/**
 * Writes a string without its NUL, and adds no newline.
 *
 * @param client the client
 * @param text the string
 * @retval 0 written
 * @retval -EINVAL @p client or @p text is NULL
 * @retval -EPIPE the client is lost, or mts_client_shutdown() was called
 * @retval -ETIMEDOUT it was lost while this call waited, as with mts_client_write()
 * @retval -EFAULT the bytes cannot be read, as with mts_client_write()
 * @retval -ENOMEM memory is short; the client is cut off
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * mts_client_puts(client, "220 ready\r\n");
 * @endcode
 * @see mts_client_write(), mts_client_printf()
 */
MTS_API int mts_client_puts(mts_client *client, const char *text);

/**
 * Writes formatted text, as printf(3) does, without the NUL.
 *
 * @param client the client
 * @param format the format, with its arguments
 * @retval 0 written
 * @retval -EINVAL @p client or @p format is NULL, or the format is wrong
 * @retval -EPIPE the client is lost, or mts_client_shutdown() was called
 * @retval -ETIMEDOUT it was lost while this call waited, as with mts_client_write()
 * @retval -ENOMEM memory is short; when the text could be made but not kept, the client is cut off
 * @retval -EOVERFLOW the text would be longer than INT_MAX; nothing was written
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * mts_client_printf(client, "%zu bytes from %s\n", size, mts_client_peer(client));
 * @endcode
 * @see mts_client_puts(), mts_client_write()
 */
MTS_API int mts_client_printf(mts_client *client, const char *format, ...) MTS_PRINTF(2, 3);

/**
 * Sends what was written so far now, instead of when the handler is done. What the socket does not
 * take at once is sent later by the library.
 *
 * @param client the client
 * @retval 0 sent, or on its way
 * @retval -EINVAL @p client is NULL
 * @retval -EPIPE the client is lost
 * @retval -ETIMEDOUT it was lost while this call waited, as with mts_client_write()
 * @retval -ENOMEM memory is short; the client is cut off
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * mts_client_puts(client, "This takes a minute.\n");
 * mts_client_flush(client); // so that the peer reads it before that minute
 * int result = compute(client, request, size);
 * @endcode
 * @see mts_client_write(), mts_client_sendfile()
 */
MTS_API int mts_client_flush(mts_client *client);

/**
 * Ends this side of the stream: the peer gets all that was written, messages from elsewhere included,
 * and then the end of the stream. The peer can go on sending, and the client stays: what it sends is
 * read and framed as ever, until it ends its side too, or the callback returns #MTS_CLOSE. The call
 * blocks until the kernel has taken all that was written.
 *
 * Nothing can be written any more: mts_client_write() and the like answer -EPIPE from then on, also
 * for later requests, and mts_client_flush() 0. For others the client cannot be sent to any more:
 * mts_server_send() answers -ENOENT, and mts_server_broadcast() passes it over; while this call waits,
 * they are refused with -ENOBUFS. If the server ends the client while its peer goes on sending, by a
 * stop, a kick or a timeout, the peer may get a reset.
 *
 * @param client the client
 * @retval 0 the end of the stream is sent, or on its way; also when it was before
 * @retval -EINVAL @p client is NULL
 * @retval -EPIPE the client is lost
 * @retval -ETIMEDOUT the client was lost while this call waited, since its peer took nothing for
 *         #MTS_TIMEOUT_WRITE
 * @retval -ENOMEM memory is short; the client is cut off
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks; in the close hook and in the hook for faults the answer is -EPIPE.
 * @since 0.2
 * @par Example
 * @code
 * mts_client_puts(client, "that was all");
 * mts_client_shutdown(client);
 * char bytes[4096];
 * while (mts_client_read(client, bytes, sizeof(bytes)) > 0) {
 *     // what the peer still has to say
 * }
 * @endcode
 * @see mts_client_read(), mts_server_close()
 */
MTS_API int mts_client_shutdown(mts_client *client);

/**
 * Sends a part of a file, without copying it through the program where the kernel can: sendfile(2).
 * Files for which it cannot are read and sent. What was written before goes out first, what is
 * written afterwards comes later. The call blocks until the kernel has taken all of it, whatever
 * the output limit is. The file may be closed afterwards; its bytes should stay as they are until
 * the peer has received them, since the kernel may still be sending from them.
 *
 * Fewer bytes than asked for are sent when the file ends before that, or when something is wrong
 * with it in the middle; calling again for the rest tells which: 0 is the end of the file. Such an
 * error leaves the client as it is, and no byte of that call has been sent. So after an answer
 * below @p count the program may send something else in place of what is missing, or end the
 * client. An error of the client itself is -EPIPE or -ETIMEDOUT, however much was sent. An error of
 * the file is never one of these: where a file system answers with one of them, or with -ECANCELED,
 * this call returns -EIO.
 *
 * @param client the client
 * @param fd a file that can be read; stays the caller's, and so does its position, which is not
 *        moved. If it has no positions, like a pipe, the next bytes from it are sent, whatever the
 *        @p offset, and waited for.
 * @param offset the first byte of the file to send, from 0 up
 * @param count how many bytes to send; 0 is fine
 * @return how many bytes were sent, or
 * @retval -EINVAL @p client is NULL, @p offset is negative, or the last byte's offset is beyond what an
 *         int64_t or a ssize_t holds
 * @retval -EPIPE the client is lost, or mts_client_shutdown() was called
 * @retval -ETIMEDOUT the client was lost while this call waited, since its peer took nothing for
 *         #MTS_TIMEOUT_WRITE
 * @retval -EBADF @p fd is not open for reading
 * @retval -EIO reading failed; likewise other errors of read(2), such as -EISDIR, but none of the
 *         client's
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * struct stat file;
 * int fd = open("page.html", O_RDONLY | O_CLOEXEC);
 * if (fd < 0 || fstat(fd, &file) != 0) {
 *     return -errno;
 * }
 * mts_client_printf(client, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n\r\n", (long long)file.st_size);
 * ssize_t sent = mts_client_sendfile(client, fd, 0, (size_t)file.st_size);
 * close(fd);
 * return sent == file.st_size ? MTS_KEEP : -EIO; // less than was promised: end the client
 * @endcode
 * @see mts_client_write(), mts_client_flush()
 */
MTS_API ssize_t mts_client_sendfile(mts_client *client, int fd, int64_t offset, size_t count);

/**
 * Waits for this client's next request inside the callback: a conversation, written as one. Sends
 * first what was written.
 *
 * The bytes of the earlier request are gone in every case.
 *
 * @param client the client
 * @param[out] request the bytes, as a handler gets them
 * @param[out] size how many; 0 when there is none
 * @retval 1 here it is
 * @retval 0 the peer sends no more
 * @retval -EINVAL an argument is NULL
 * @retval -ECANCELED the server stops, and no whole request had arrived by then, or, in its grace
 *         (mts_server_set_drain()), the client has had its last one; or mts_server_close() has told this
 *         client to end, whatever has arrived. It can still be written to.
 * @retval -ETIMEDOUT no request has begun within #MTS_TIMEOUT_IDLE, or one that has begun is not
 *         whole within #MTS_TIMEOUT_REQUEST; all that had come by then was taken first. The client
 *         ends when the callback returns, and can be written to until then.
 * @retval -EMSGSIZE the request is too large; the client ends when the callback returns
 * @retval -EPROTO the stream breaks the framing, or ends in the middle of a request; the client ends
 *         when the callback returns
 * @retval -EPIPE the client is lost, whatever error the kernel gives; also for its own ETIMEDOUT,
 *         when keepalive or retransmission has been in vain (tcp(7))
 * @retval -ENOMEM memory is short; the client is cut off
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks; in the close hook and in the fault hook the answer is -EPIPE.
 * @since 0.1
 * @par Example
 * @code
 * const void *name;
 * size_t length;
 * mts_client_puts(client, "Your name?\n");
 * int result = mts_client_next(client, &name, &length);
 * if (result != 1) {
 *     return result == 0 ? MTS_CLOSE : result;
 * }
 * mts_client_printf(client, "Hello, %s.\n", (const char *)name);
 * @endcode
 * @see mts_client_read_line(), mts_client_read(), mts_client_gone(), mts_server_set_timeout()
 */
MTS_API int mts_client_next(mts_client *client, const void **request, size_t *size);

/**
 * Reads raw bytes that follow the current request: those that are already here; if there are none,
 * waits for some. Sends first what was written. The current request stays valid. A call that has to
 * receive returns at most 16 KiB.
 *
 * @param client the client
 * @param[out] buffer where to put them
 * @param size how many at most, above 0
 * @return how many bytes were read, 0 at the peer's end of stream, or
 * @retval -EINVAL @p client or @p buffer is NULL, or @p size is 0
 * @retval -ECANCELED the server stops, and this callback was waiting for a request then, or was only
 *         just about to be called: all that had arrived was read. Any other callback goes on reading
 *         until the stop's deadline (#MTS_TIMEOUT_STOP), at which its client is lost. Or after
 *         mts_server_close(), once mts_client_next() has answered the same.
 * @retval -ETIMEDOUT nothing has come within #MTS_TIMEOUT_REQUEST; as with mts_client_next()
 * @retval -EPIPE the client is lost; as with mts_client_next()
 * @retval -ENOMEM memory is short; the client is cut off
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks; in the close hook and in the fault hook the answer is -EPIPE.
 * @since 0.1
 * @par Example
 * @code
 * char bytes[4096];
 * ssize_t count;
 * while ((count = mts_client_read(client, bytes, sizeof(bytes))) > 0) { // to the peer's end of stream
 *     store(bytes, (size_t)count);
 * }
 * return count == 0 ? MTS_CLOSE : (int)count;
 * @endcode
 * @see mts_client_read_exact(), mts_client_read_line(), mts_client_unread(), mts_client_pending()
 */
MTS_API ssize_t mts_client_read(mts_client *client, void *buffer, size_t size);

/**
 * Carries bytes both ways between the client and another connected stream socket, until both sides
 * have ended; as for a proxy, once it knows where a client wants to go. What was written to the client
 * goes to it first, and what has been received from it goes to the other one first. The end of one
 * side is passed on to the other, which may go on sending. The kernel moves the bytes without copying
 * them to the program, through two pipes; where it cannot, or none are to be had, they are copied.
 *
 * The call holds its thread, as any that waits. It counts as one request: mts_server_close() lets it
 * come to its end, and so does a stop, until its deadline. Then, as after a kick, it ends at once.
 * Messages from elsewhere are refused meanwhile: mts_server_send() answers -ENOBUFS, or -ENOENT once
 * the client has got the end of the other side. When the call returns 0 nothing can be read or written
 * any more, as after mts_client_shutdown(). After an error of the relay itself the client is lost, and
 * its peer gets a reset, since it has not got all; when the callback returns that error, the client ends
 * for the reason that belongs to it. The bytes of the current request are gone. Where it cannot begin
 * (-EINVAL, -ENOTCONN, -ECANCELED, after mts_client_shutdown(), or after a call that has told the
 * callback why there is no more input, which is told again), the client is as before.
 *
 * @param client the client
 * @param fd stays the caller's: it is not closed, and blocks or not as before when the call returns;
 *        meanwhile it is made non-blocking. Nobody else may use it during the call. After an error
 *        some bytes may have been taken from it that have not arrived.
 * @retval 0 both sides have ended, and each got all of the other
 * @retval -EINVAL @p client is NULL, or @p fd is not a stream socket, or the client's own
 * @retval -ENOTCONN @p fd is not connected
 * @retval -ECANCELED the server had begun to stop before the call, and no longer receives from this
 *         client; or after mts_server_close(), once mts_client_next() has answered the same
 * @retval -EPIPE the client is lost, or mts_client_shutdown() was called before
 * @retval -ECONNRESET the peer of @p fd has reset its connection or does not take what it is sent;
 *         likewise other errors of @p fd, but none of the others in this list. The client ends as
 *         #MTS_CLOSED_ERROR.
 * @retval -ETIMEDOUT nothing has come from either side for #MTS_TIMEOUT_IDLE, as #MTS_CLOSED_IDLE;
 *         or one of them has taken nothing for #MTS_TIMEOUT_WRITE, as #MTS_CLOSED_WRITE_TIMEOUT
 * @retval -ENOMEM memory is short; the client is cut off
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks; in the close hook and in the hook for faults the answer is -EPIPE.
 * @since 0.2
 * @par Example
 * @code
 * int fd = connect_to_backend();
 * int result = fd < 0 ? fd : mts_client_relay(client, fd);
 * close(fd);
 * return result < 0 ? result : MTS_CLOSE;
 * @endcode
 * @see mts_client_set_timeout(), mts_client_unread(), mts_client_gone()
 */
MTS_API int mts_client_relay(mts_client *client, int fd);

/**
 * Gives the server of a client, to stop it say.
 *
 * @param client the client
 * @return the server; NULL when @p client is NULL
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * if (strcmp(request, "shutdown") == 0) {
 *     mts_server_stop(mts_client_server(client));
 *     return MTS_CLOSE;
 * }
 * @endcode
 * @see mts_server_stop(), mts_client_id()
 */
MTS_API mts_server *mts_client_server(const mts_client *client);

/**
 * Tells where the client comes from.
 *
 * @param client the client
 * @return text as `127.0.0.1:49152`, `[::1]:49152` or `unix`, valid until the callback returns; ""
 *         when @p client is NULL
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * printf("%s has sent %zu bytes\n", mts_client_peer(client), size);
 * @endcode
 * @see mts_client_peer_sockaddr(), mts_client_via(), mts_networks_test()
 */
MTS_API const char *mts_client_peer(mts_client *client);

/**
 * Tells the address of this machine that the client connected to.
 *
 * @param client the client
 * @return text as mts_client_peer() gives, valid until the callback returns; "" when it is not
 *         known or @p client is NULL. After a reset of the connection the kernel may know only the
 *         unspecified address.
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * mts_client_printf(client, "220 %s\r\n", mts_client_local(client));
 * @endcode
 * @see mts_client_listener(), mts_client_peer()
 */
MTS_API const char *mts_client_local(mts_client *client);

/**
 * Tells where the client comes from, for programs.
 *
 * @param client the client
 * @param[out] address where to put it; cut when there is too little room
 * @param[in,out] size in bytes: the room at @p address, then the size that the address has, as
 *        getpeername(2) does
 * @retval 0 done
 * @retval -EINVAL an argument is NULL
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * struct sockaddr_storage address;
 * socklen_t length = sizeof(address);
 * if (mts_client_peer_sockaddr(client, (struct sockaddr *)&address, &length) == 0
 *     && address.ss_family == AF_INET6) {
 *     mts_client_puts(client, "You come by IPv6.\n");
 * }
 * @endcode
 * @see mts_client_peer(), mts_client_fd()
 */
MTS_API int mts_client_peer_sockaddr(
	const mts_client *client, struct sockaddr *address, socklen_t *size);

/**
 * Tells which listener the client has come through, where they are served differently.
 *
 * @param client the client
 * @return the listener's index, from 0 up, as mts_server_address() counts them; or
 * @retval -EINVAL @p client is NULL
 * @retval -ENOENT it has come through no listener
 * @par Threads
 * This client's callbacks.
 * @since 0.2
 * @par Example
 * @code
 * const char *address = mts_server_address(server, (size_t)mts_client_listener(client));
 * @endcode
 * @see mts_server_address(), mts_client_local()
 */
MTS_API int mts_client_listener(const mts_client *client);

/**
 * Gives the client's socket, for getsockopt(2), setsockopt(2) and the like. Do not close it, read
 * from it or write to it; a child made by fork(2) may do what it likes with its own copy, such as
 * dup2(2) before exec(3).
 *
 * Options do not change what the library promises, with these exceptions: input of less than
 * SO_RCVLOWAT bytes is not noticed, and so not served until more comes or the server stops;
 * TCP_CORK delays replies; without SO_OOBINLINE urgent bytes are lost from the stream. SO_LINGER is
 * switched off before the socket is closed, so that closing never waits.
 *
 * @param client the client
 * @return the descriptor, or
 * @retval -EINVAL @p client is NULL
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * struct ucred peer; // who is at the other end of a Unix socket
 * socklen_t length = sizeof(peer);
 * if (getsockopt(mts_client_fd(client), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == 0) {
 *     mts_client_puts(client, "Welcome, root.\n");
 * }
 * @endcode
 * @see mts_client_pending(), mts_client_peer_sockaddr()
 */
MTS_API int mts_client_fd(const mts_client *client);

/**
 * Keeps a pointer with the client: the program's own state for it.
 *
 * @param client the client; nothing happens when it is NULL
 * @param data stays the caller's; free it in the close hook
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * static int opened(mts_client *client, void *user)
 * {
 *     struct session *session = calloc(1, sizeof(*session));
 *     (void)user;
 *     if (session == NULL) {
 *         return -ENOMEM; // refuses the client
 *     }
 *     mts_client_set_data(client, session); // the close hook frees it
 *     return 0;
 * }
 * @endcode
 * @see mts_client_data(), mts_server_on_open(), mts_server_on_close()
 */
MTS_API void mts_client_set_data(mts_client *client, void *data);

/**
 * Gives the pointer that was kept with the client.
 *
 * @param client the client
 * @return what mts_client_set_data() was given last; NULL before that, or when @p client is NULL
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * static void closed(mts_client *client, int reason, void *user)
 * {
 *     (void)reason;
 *     (void)user;
 *     free(mts_client_data(client));
 * }
 * @endcode
 * @see mts_client_set_data(), mts_server_on_close()
 */
MTS_API void *mts_client_data(const mts_client *client);

/**
 * Gives the number of the client, which is never used again while the server lives.
 *
 * @param client the client
 * @return the number, never 0; 0 when @p client is NULL
 * @par Threads
 * This client's callbacks. The number itself may go anywhere.
 * @since 0.1
 * @par Example
 * @code
 * remember(mts_client_id(client)); // any thread may send to this number from now on
 * @endcode
 * @see mts_server_send(), mts_server_close(), mts_server_kick()
 */
MTS_API uint64_t mts_client_id(const mts_client *client);

/**
 * Gives one client a timeout of its own, instead of the server's (mts_server_set_timeout()): a guest
 * that may not stay, or a subscriber that may be silent for ever. It holds until it is changed again, or
 * the client has gone; what is changed at the server meanwhile reaches only those that have none of
 * their own. A wait that has begun, as for the peer to take output, is bounded by the new value too, from
 * when it began; but the present call of the handler keeps its #MTS_TIMEOUT_HANDLER, and the next call has
 * the new one. It is as exact as the server's. #MTS_TIMEOUT_LINGER may be chosen in the close hook, too.
 *
 * @param client the client
 * @param which one of #mts_timeout, but not #MTS_TIMEOUT_STOP or #MTS_TIMEOUT_HANDSHAKE
 * @param milliseconds how long; 0: for ever; #MTS_TIMEOUT_INHERIT: the server's again
 * @retval 0 done
 * @retval -EINVAL @p client is NULL, or @p which is none of them
 * @retval -ENOMEM there is no memory to keep it in; nothing has changed
 * @retval -EPIPE no callback runs for the client
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * This client's callbacks.
 * @since 0.2
 * @par Example
 * @code
 * static int log_in(mts_client *client)
 * {
 *     return mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, 0); // may be silent from now on
 * }
 * @endcode
 * @see mts_server_set_timeout(), mts_server_on_close()
 */
MTS_API int mts_client_set_timeout(mts_client *client, int which, unsigned milliseconds);

/**
 * Asks whether a long handler may as well give up. It costs a system call.
 *
 * @param client the client
 * @return 0: no. Otherwise one of #mts_gone: the one that the server itself has brought about, if
 *         any; else the first that is true of #MTS_GONE_RESET, #MTS_GONE_CLOSED, #MTS_GONE_STOP and
 *         #MTS_GONE_EOF. Or
 * @retval -EINVAL @p client is NULL
 * @par Threads
 * This client's callbacks.
 * @since 0.1
 * @par Example
 * @code
 * while (one_more_step()) {
 *     if (mts_client_gone(client) != 0) {
 *         return MTS_CLOSE; // nobody waits for the rest
 *     }
 * }
 * @endcode
 * @see mts_server_set_timeout(), mts_server_stop()
 */
MTS_API int mts_client_gone(mts_client *client);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
