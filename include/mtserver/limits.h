/**
 * @file mtserver/limits.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup limits Limits
 * How much a server takes on, and how long it waits. Everything is finite by default.
 *
 * Setters that are *live* may be called while the server runs, from any thread. While it runs they
 * only return their code, and leave mts_server_error() alone.
 * @{
 */
#ifndef MTSERVER_LIMITS_H
#define MTSERVER_LIMITS_H

#include <limits.h>
#include <stddef.h>

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The waits that mts_server_set_timeout() bounds. */
enum mts_timeout {
	/**
	 * Between requests, from the end of one to the first byte of the next; 60 s by default. The
	 * client ends with #MTS_CLOSED_IDLE.
	 */
	MTS_TIMEOUT_IDLE = 0,
	/**
	 * From a request's first byte to its last, however slowly it drips; and each wait of
	 * mts_client_read() and mts_client_read_exact(), and the one of mts_client_read_line(). 30 s by
	 * default; #MTS_CLOSED_REQUEST_TIMEOUT.
	 */
	MTS_TIMEOUT_REQUEST = 1,
	/**
	 * Output waits, and the peer acknowledges nothing of it, not even a byte. 30 s by default;
	 * #MTS_CLOSED_WRITE_TIMEOUT, and what waits is dropped.
	 */
	MTS_TIMEOUT_WRITE = 2,
	/**
	 * One call of the handler; never by default. A handler cannot be ended from outside: it is
	 * logged, and mts_client_gone() tells it #MTS_GONE_DEADLINE. Its own waits in mts_client_next()
	 * and mts_client_read() count, but it is told only after them. A change holds from the next
	 * call on.
	 */
	MTS_TIMEOUT_HANDLER = 3,
	/**
	 * After the last reply, until the peer has finished too, so that it gets all of that reply; 2 s
	 * by default, and no longer than for 1 MiB of input, which is thrown away; 16 MiB where the peer
	 * was told why it ends (#mts_fault_hook). The client's callbacks are over by then.
	 */
	MTS_TIMEOUT_LINGER = 4,
	/**
	 * From the stop, or the end of its grace (mts_server_set_drain()), until what is left is cut off;
	 * 5 s by default. The client ends with #MTS_CLOSED_STOP.
	 */
	MTS_TIMEOUT_STOP = 5,
	/**
	 * From when a handler has returned #MTS_LATER until its reply is completed
	 * (mts_client_defer()); 60 s by default. The client ends with #MTS_CLOSED_LATER_TIMEOUT; what
	 * was written for it is still sent. Since 0.2.
	 */
	MTS_TIMEOUT_LATER = 6,
	/**
	 * From accept to the last byte of the PROXY header, however slowly it drips, on listeners where a
	 * client begins with one (mts_server_set_proxy_protocol()); 10 s by default. The client is closed
	 * before any hook was called for it, and counts in #MTS_STAT_PROXY_ERRORS. Since 0.2.
	 */
	MTS_TIMEOUT_HANDSHAKE = 7
};

/** For mts_client_set_timeout() alone: the server's timeout holds again. */
#define MTS_TIMEOUT_INHERIT UINT_MAX

/** What mts_server_set_overload() chooses: what happens to clients for whom there is no room. */
enum mts_overload {
	/** They wait in the kernel's queue (listen(2)) until somebody leaves; the default. */
	MTS_OVERLOAD_WAIT = 0,
	/**
	 * They are accepted and closed at once, and counted in #MTS_STAT_REFUSED: they know at once,
	 * and can try elsewhere. That goes on also when no descriptor can be had.
	 */
	MTS_OVERLOAD_REFUSE = 1,
	/**
	 * The client that has been idle for longest is cut off to let a new one in. Its close hook is
	 * told #MTS_CLOSED_EVICTED; it is counted in #MTS_STAT_EVICTED. A client is idle when nothing
	 * of a request is under way and all its output is taken: the server waits for the first byte of
	 * its next request, between two handlers or in mts_client_next(); or its PROXY header is still to
	 * come. As long as no client is idle, new ones wait.
	 */
	MTS_OVERLOAD_EVICT = 2
};

/**
 * Sets how many clients may be connected at once. They count from when they are accepted until their
 * close hook has returned; mts_server_set_overload() says what happens to the others. *Live*: a lower
 * limit cuts no client off when there are more at the moment, but lets none in until there is room
 * again. With #MTS_OVERLOAD_EVICT the next one that comes causes that room to be made.
 *
 * Connections that only wait for their peer to take the last reply (#MTS_TIMEOUT_LINGER) come on
 * top: at most an eighth of this number, or 16.
 *
 * @param server the server
 * @param clients 1 to 16,000,000. The default is 10,000, or, if that is less, what the limit of
 *        open files (RLIMIT_NOFILE, getrlimit(2)) leaves when the server starts: without what is
 *        open by then, and 8 in reserve, so that connections can be refused and log files opened at
 *        the limit. A number that does not fit into the limit of open files is kept, and the log
 *        says so at the start (#MTS_LOG_WARNING); when descriptors run out, new clients wait.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p clients is out of range
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_max_clients(server, 50000);
 * @endcode
 * @see mts_server_set_overload(), mts_server_set_max_clients_per_address(),
 *      mts_server_set_max_threads()
 */
MTS_API int mts_server_set_max_clients(mts_server *server, size_t clients);

/**
 * Sets how many clients of one address may be connected at once. Those above that are accepted and
 * closed at once, whatever the overload policy, and counted in #MTS_STAT_REFUSED: if they waited,
 * they would hold up the others. An address is an IPv4 address, an IPv6 network of 64 bits (or a
 * whole link-local address with its interface, since all neighbours share the first 64 bits), or,
 * for Unix sockets, the user at the other end (SO_PEERCRED, unix(7)). *Live*: clients that are
 * connected already are counted too; none is cut off when there are more at the moment.
 *
 * @param server the server
 * @param clients 1 to 16,000,000; 0, the default: any number
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p clients is out of range
 * @retval -ENOMEM there was no limit before, and no memory to count the clients that are connected;
 *         nothing has changed
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_max_clients_per_address(server, 20);
 * @endcode
 * @see mts_server_set_max_clients(), mts_server_set_refusal(), mts_server_set_access()
 */
MTS_API int mts_server_set_max_clients_per_address(mts_server *server, size_t clients);

/**
 * Chooses what happens when as many clients are connected as may be (mts_server_set_max_clients()).
 *
 * @param server the server
 * @param policy one of #mts_overload
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p policy is none of them
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_overload(server, MTS_OVERLOAD_REFUSE); // rather told at once than kept waiting
 * @endcode
 * @see mts_server_set_max_clients(), mts_server_set_refusal()
 */
MTS_API int mts_server_set_overload(mts_server *server, int policy);

/**
 * Sets what a client is sent for which there is no room, before it is closed: as many are connected
 * as may be, with #MTS_OVERLOAD_REFUSE (mts_server_set_overload()), or as many of its address
 * (mts_server_set_max_clients_per_address()), or memory or descriptors are short. It need not have
 * asked anything. No hook is called for it; it counts in #MTS_STAT_REFUSED. *Live*.
 *
 * The client gets this also when it has sent a request, or does so then, since its close lingers
 * (#MTS_TIMEOUT_LINGER). That holds while there are places to linger in
 * (mts_server_set_max_clients()) and descriptors are free; otherwise it is closed at once, and what it
 * was sent may be lost to a reset. The thread that accepts waits for nobody: a socket that does not
 * take all at once is reset. Clients that wait for room when the server stops are sent nothing, and
 * neither are those that the open hook refuses: it can write by itself. Nor is anybody whose PROXY
 * header is still to come (mts_server_set_proxy_protocol()).
 *
 * @param server the server
 * @param data the bytes; copied. NULL, with 0: nothing is sent, which is the default.
 * @param size how many, at most 1,024; 0: nothing is sent
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, @p data is NULL though @p size is not 0, or @p size is too large
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.2
 * @par Example
 * @code
 * const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n";
 * mts_server_set_refusal(server, busy, sizeof(busy) - 1);
 * @endcode
 * @see mts_server_set_overload(), mts_server_on_fault()
 */
MTS_API int mts_server_set_refusal(mts_server *server, const void *data, size_t size);

/**
 * Sets how much output may wait for one client; see mts_client_write(). It is *live*. With
 * #MTS_THREAD_ON_DEMAND a handler's last replies, up to 16 KiB, may wait beyond that limit; then no
 * further request of the client is handled until less waits, and it holds no thread meanwhile. A
 * message by mts_server_send() that is larger than the limit may also wait beyond it, one at a
 * time.
 *
 * @param server the server
 * @param bytes 1 to 1 GiB; the default is 256 KiB
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p bytes is out of range
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_max_output(server, 1024 * 1024); // subscribers may fall behind by a megabyte
 * @endcode
 * @see mts_client_write(), mts_client_try_write(), mts_server_set_max_memory()
 */
MTS_API int mts_server_set_max_output(mts_server *server, size_t bytes);

/**
 * Sets how much memory may be in use for what all clients together have sent and are to be sent:
 * requests that have begun to arrive, requests that fit into no thread's buffer of 16 KiB, and
 * output that waits. It is *live*.
 *
 * When it is used up, no client gets more of it. The next bytes of a request are left to the
 * kernel, which stops the peer. A write waits for its peer, as it does above
 * mts_server_set_max_output(). Small needs go before larger ones: an eighth of the limit is kept
 * for those of up to 16 KiB, half of that for those of up to 1 KiB. When a request still waits for
 * memory 100 ms later, or when more is in use than a lowered limit allows, the client with the
 * largest buffers is cut off, whichever that is, then the next, until there is room:
 * #MTS_CLOSED_EVICTED, logged, #MTS_STAT_MEMORY_CUTS. So a request that needs more than the limit
 * ends its client.
 *
 * A request that grows is moved from time to time, and at that moment needs up to three times its
 * size. With #MTS_THREAD_ON_DEMAND the limit may be exceeded by one buffer of 16 KiB for each
 * thread.
 *
 * @param server the server
 * @param bytes 64 KiB to SIZE_MAX / 2. The default is 256 MiB, or 64 times the largest request and the
 *        output limit together, as they are when the server starts, if that is more.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p bytes is out of range
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_max_memory(server, (size_t)64 * 1024 * 1024);
 * @endcode
 * @see mts_server_set_max_request(), mts_server_set_max_output(), mts_server_stat()
 */
MTS_API int mts_server_set_max_memory(mts_server *server, size_t bytes);

/**
 * Sets how many connections the kernel holds for each listener until they are accepted (listen(2),
 * which may hold fewer).
 *
 * @param server the server
 * @param connections 1 or more; the default is SOMAXCONN
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p connections is below 1
 * @retval -EBUSY the server listens already, runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before listen.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_backlog(server, 128);
 * int result = mts_server_listen(server, "*:5000");
 * @endcode
 * @see mts_server_listen(), mts_server_set_overload()
 */
MTS_API int mts_server_set_backlog(mts_server *server, int connections);

/**
 * Lets the kernel hold a TCP connection back until its first bytes are here (TCP_DEFER_ACCEPT,
 * tcp(7)). It is for protocols in which the client speaks first; there short connections get cheaper.
 * It has no effect on Unix sockets.
 *
 * @param server the server
 * @param seconds how long the kernel holds a silent one back, at most 3,600; 0, the default: not at
 *        all
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p seconds is out of range
 * @retval -ENOTSUP this system has no such option
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_defer_accept(server, 5); // who says nothing for that long is accepted all the same
 * int result = mts_server_listen(server, "*:80");
 * @endcode
 * @see mts_server_listen(), mts_server_set_keepalive()
 */
MTS_API int mts_server_set_defer_accept(mts_server *server, unsigned seconds);

/**
 * Has the kernel ask TCP clients that say nothing whether they are still there (SO_KEEPALIVE, tcp(7)):
 * after so many seconds of silence, and then three times more, as far apart. So a peer that vanished
 * without a word, with its cable or its power, is noticed within about four times that, and its
 * client ends with #MTS_CLOSED_BY_PEER, also where #MTS_TIMEOUT_IDLE is off. The options are set on the
 * listeners, which pass them on; also on those that were handed over (mts_server_listen_fd()). It has
 * no effect on Unix sockets, and output that the peer does not acknowledge is a matter of
 * #MTS_TIMEOUT_WRITE.
 *
 * @param server the server
 * @param seconds from 1 to 32,767; 0, the default: sockets are left as the system makes them
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p seconds is out of range
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_set_keepalive(server, 60); // gone after four minutes
 * @endcode
 * @see mts_server_set_timeout(), mts_server_listen()
 */
MTS_API int mts_server_set_keepalive(mts_server *server, unsigned seconds);

/**
 * Sets how long the server waits for something. *Live*: waits that have begun are bounded by the
 * new value too, from when they began; but a stop that has begun keeps its deadline. Nothing ends
 * early. How late it ends depends on how busy the machine is: by a millisecond when it is not. A
 * blocking call inside a callback returns -ETIMEDOUT when a deadline ends it.
 *
 * @param server the server
 * @param which one of #mts_timeout
 * @param milliseconds how long; 0: for ever. #MTS_TIMEOUT_INHERIT means nothing here: it is a number
 *        like the others, of 49 days.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p which is none of them
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 5 * 60 * 1000); // five minutes
 * mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, 10 * 1000);
 * @endcode
 * @see mts_client_set_timeout(), mts_server_set_keepalive(), mts_server_set_drain()
 */
MTS_API int mts_server_set_timeout(mts_server *server, int which, unsigned milliseconds);

/**
 * Gives clients a grace after a stop: so long they stay, and each is closed after its next request. So a
 * client that keeps its connection open for further requests, and sends one at the very moment of the
 * stop, gets its answer. *Live*; a stop that has begun keeps its grace.
 *
 * At the stop the listeners close and tasks end as ever, but clients are served as before. One that has got
 * the reply to a request that has come since is closed in order, with #MTS_CLOSED_STOP, as soon as nothing
 * of a further request is here: never in the middle of sending one. What came together is served together.
 * A request that is in progress at the stop, or comes at that very moment, does not count as that one: its
 * handler could not know. Who was accepted before, and waits for a thread or for room, has its request too, if
 * it gets in before the grace is over. When all clients have gone, the rest of the grace is not waited for. At its end
 * #MTS_TIMEOUT_STOP begins, and the clients that are left are treated as by a stop without a grace: those that
 * are idle are closed.
 *
 * In the grace mts_client_gone() says #MTS_GONE_STOP, to the handler of the last request too. So it can tell
 * its client that no other one will be served (in HTTP/1.1: `Connection: close`, RFC 9112, 9.6), and a handler
 * that streams without end can end in its own time. A conversation gets one more request by
 * mts_client_next(), and then -ECANCELED. mts_server_send(), mts_server_close(), mts_server_kick() and
 * all timeouts work. mts_server_stop() again changes nothing, and mts_server_destroy() waits for the grace,
 * too.
 *
 * @param server the server
 * @param milliseconds how long at most; 0, the default: no grace
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_set_drain(server, 10000);
 * mts_server_run_until_signal(server); // after the signal up to 10 s, and 5 s for what is left
 * @endcode
 * @see mts_server_stop(), mts_client_gone(), mts_server_set_timeout()
 */
MTS_API int mts_server_set_drain(mts_server *server, unsigned milliseconds);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
