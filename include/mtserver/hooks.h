/**
 * @file mtserver/hooks.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup hooks Hooks
 * Callbacks beside the handler: a client opens, is told why it ends, closes, a thread begins and ends, a
 * message for the log. They run on threads of the library, with no lock of the library held, on
 * several of them at the same time; only messages come one by one, on a thread of their own
 * (#mts_log_hook). What is said about a handler's thread is true for theirs too (#mts_handler).
 * @{
 */
#ifndef MTSERVER_HOOKS_H
#define MTSERVER_HOOKS_H

#include <mtserver/export.h>
#include <mtserver/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Why a client ended. */
enum mts_closed {
	MTS_CLOSED_BY_PEER = 0, /**< the peer sent its end of stream, or reset the connection */
	MTS_CLOSED_BY_HANDLER = 1, /**< the handler returned #MTS_CLOSE */
	MTS_CLOSED_IDLE = 2, /**< no request for too long */
	MTS_CLOSED_REQUEST_TIMEOUT = 3, /**< a request took too long to arrive */
	MTS_CLOSED_WRITE_TIMEOUT = 4, /**< the peer did not read for too long */
	MTS_CLOSED_TOO_LARGE = 5, /**< a request above the limit */
	MTS_CLOSED_PROTOCOL = 6, /**< the stream broke the framing, or was cut off in a request */
	MTS_CLOSED_ERROR = 7, /**< the handler returned an error, or a resource was short */
	MTS_CLOSED_EVICTED = 8, /**< room, or memory, was needed for another client */
	MTS_CLOSED_KICKED = 9, /**< the program cut it off */
	MTS_CLOSED_STOP = 10, /**< the server stopped */
	MTS_CLOSED_LATER_TIMEOUT = 11 /**< a deferred reply was not completed in time; since 0.2 */
};

/** The levels of log messages: those of syslog(3). */
enum mts_log_level {
	MTS_LOG_ERR = 3, /**< something does not work */
	MTS_LOG_WARNING = 4, /**< something may soon not work, or a peer or handler misbehaved */
	MTS_LOG_NOTICE = 5, /**< worth knowing */
	MTS_LOG_INFO = 6, /**< start and stop */
	MTS_LOG_DEBUG = 7 /**< what the library does of its own accord, see mts_server_on_log() */
};

/**
 * A client has connected. The hook may write a greeting, and even converse with mts_client_next().
 *
 * @param client the client
 * @param user what mts_server_on_open() was given
 * @return 0 to serve the client, anything else to refuse it. A refused client is closed after what
 *         was written has been sent, with no close hook, and counts as refused, not as accepted.
 */
typedef int (*mts_open_hook)(mts_client *client, void *user);

/**
 * The last word: the library is about to end a client, and its peer can still be told why. What the
 * hook writes goes out after all that was written before, and nothing of that is dropped. So an HTTP
 * server answers 413, 408 or 500 here, and a mail server says why it hangs up:
 *
 * @code
 * static void last_word(mts_client *client, int reason, void *user)
 * {
 * 	(void)user;
 * 	if (reason == MTS_CLOSED_TOO_LARGE) {
 * 		mts_client_puts(client, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n");
 * 	}
 * }
 * @endcode
 *
 * It is called for these reasons, at most once for each client that was opened, and before its close
 * hook: #MTS_CLOSED_TOO_LARGE, #MTS_CLOSED_PROTOCOL, #MTS_CLOSED_REQUEST_TIMEOUT, #MTS_CLOSED_IDLE,
 * #MTS_CLOSED_ERROR, where it is the handler that has failed, and #MTS_CLOSED_STOP, for clients that
 * a stop ends in order. It is not called for clients that are lost already: kicked, evicted, cut off
 * at the stop's deadline or for want of memory, or whose peer is gone; nor after mts_client_shutdown().
 * Later versions may have further reasons, so a hook should write nothing for those that it does not
 * know.
 *
 * A fault that mts_client_next() or another call that waits for the client has returned is known to
 * that callback, which can write by itself: the hook is not called for it, whether the handler
 * then returns this error, #MTS_KEEP or #MTS_CLOSE. A handler that returns another error has failed,
 * and the hook is called with #MTS_CLOSED_ERROR; but not if the client's time is up, since the client
 * ends for that.
 *
 * If the hook writes nothing, or all its writes fail, all is as without it: after a failed handler,
 * for instance, what that has written is dropped, and the connection is reset. If it writes something,
 * that is sent too, and the end of the stream is orderly. The close lingers then: what the peer still sends, such as the
 * rest of a request that is too large, is thrown away until it has finished too, for
 * #MTS_TIMEOUT_LINGER at most, and for 16 MiB at most. If the client is lost before all is sent, its
 * close hook is told what was the reason for that.
 *
 * The hook runs on the client's thread, and may block, as a handler may: it counts as one in
 * #MTS_STAT_BUSY and for #MTS_TIMEOUT_HANDLER, and at a stop. Only writes, mts_client_set_timeout() and
 * questions about the client work in it; mts_client_next(), the calls that read, mts_client_unread(),
 * mts_client_relay(), mts_client_shutdown() and mts_client_defer() answer -EPIPE.
 * Messages from elsewhere do not reach the client any more.
 *
 * @param client the client
 * @param reason one of #mts_closed
 * @param user what mts_server_on_fault() was given
 * @since 0.2
 */
typedef void (*mts_fault_hook)(mts_client *client, int reason, void *user);

/**
 * A client has ended: exactly once for every client that was opened, after its last callback, when
 * its output is handed over to the kernel or given up.
 *
 * @param client the client, for the last time; nothing can be written any more
 * @param reason one of #mts_closed
 * @param user what mts_server_on_close() was given
 */
typedef void (*mts_close_hook)(mts_client *client, int reason, void *user);

/**
 * A thread that serves clients begins, or ends. It serves no client before the hook for its
 * beginning has returned, so that hook should not take long. The thread that runs the log hook is
 * none of these.
 *
 * @param user what mts_server_on_thread() was given
 */
typedef void (*mts_thread_hook)(void *user);

/**
 * A message. All messages come on one thread of the library, one after the other, in the order in
 * which they were made. That thread runs no other callback, exists from start to the end of the
 * run, and has nothing that a callback gave to its own thread, such as a user or a priority.
 *
 * The hook may block: only messages wait for it. So it may also take a mutex that the program holds
 * during calls of this library other than run, join and destroy.
 *
 * Messages that come meanwhile are kept, up to 64 KiB of them, which is some hundred messages. What
 * does not fit is dropped: errors (#MTS_LOG_ERR) only when nothing but errors is kept, and of all
 * others the latest. Where some are missing, a message says how many, at the level of the most
 * important one.
 *
 * mts_server_run() and mts_server_join() wait for the last message, but no longer than until 100 ms
 * past the stop's deadline. Then they return -EBUSY, as for any callback that still runs. The
 * messages that are kept come as soon as the hook returns, and destroy returns -EBUSY until they
 * have. Once run or join has returned 0 the hook is not called again. Messages that are kept when
 * the process exits are lost, and a child after fork(2) has none.
 *
 * The hook may ask the server to stop; run, join and destroy return -EDEADLK in it.
 *
 * @param level one of #mts_log_level
 * @param message one line without newline, in which bytes that are not printable ASCII are escaped;
 *        it begins with the server's name, if mts_server_set_name() has given one. Valid until the
 *        hook returns.
 * @param user what mts_server_on_log() was given
 */
typedef void (*mts_log_hook)(int level, const char *message, void *user);

/**
 * Sets what is called when a client connects.
 *
 * @param server the server
 * @param hook the function; NULL: none
 * @param user handed to @p hook; stays the caller's
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * static int greet(mts_client *client, void *user)
 * {
 *     (void)user;
 *     mts_client_puts(client, "220 ready\r\n");
 *     return 0;
 * }
 *
 * static int with_a_greeting(mts_server *server) // before run
 * {
 *     return mts_server_on_open(server, greet, NULL);
 * }
 * @endcode
 * @see mts_server_on_close(), mts_client_set_data(), mts_client_peer()
 */
MTS_API int mts_server_on_open(mts_server *server, mts_open_hook hook, void *user);

/**
 * Sets what is called when the library is about to end a client, and can still tell its peer why.
 *
 * @param server the server
 * @param hook the function; NULL: none
 * @param user handed to @p hook; stays the caller's
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.2
 * @par Example
 * @code
 * static void last_word(mts_client *client, int reason, void *user)
 * {
 *     (void)user;
 *     if (reason == MTS_CLOSED_TOO_LARGE) {
 *         mts_client_puts(client, "500 That line is too long\r\n");
 *     } else if (reason == MTS_CLOSED_IDLE) {
 *         mts_client_puts(client, "421 Nothing was said for too long\r\n");
 *     }
 * }
 *
 * static int with_a_last_word(mts_server *server) // before run
 * {
 *     return mts_server_on_fault(server, last_word, NULL);
 * }
 * @endcode
 * @see mts_server_on_close(), mts_server_set_refusal(), mts_closed_name()
 */
MTS_API int mts_server_on_fault(mts_server *server, mts_fault_hook hook, void *user);

/**
 * Sets what is called when a client has ended.
 *
 * @param server the server
 * @param hook the function; NULL: none
 * @param user handed to @p hook; stays the caller's
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * static void closed(mts_client *client, int reason, void *user)
 * {
 *     (void)user;
 *     printf("%s has gone: %s\n", mts_client_peer(client), mts_closed_name(reason));
 *     free(mts_client_data(client));
 * }
 *
 * static int with_an_end(mts_server *server) // before run
 * {
 *     return mts_server_on_close(server, closed, NULL);
 * }
 * @endcode
 * @see mts_server_on_open(), mts_client_data(), mts_closed_name()
 */
MTS_API int mts_server_on_close(mts_server *server, mts_close_hook hook, void *user);

/**
 * Sets what is called on each thread that serves clients: first of all, and last of all.
 *
 * @param server the server
 * @param start called when the thread begins; NULL: nothing
 * @param end called when the thread ends; NULL: nothing
 * @param user handed to both; stays the caller's
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * static _Thread_local struct database *database; // one for each thread
 *
 * static void thread_begins(void *user)
 * {
 *     database = database_open(user);
 * }
 *
 * static void thread_ends(void *user)
 * {
 *     (void)user;
 *     database_close(database);
 * }
 *
 * static int with_databases(mts_server *server, char *name) // before run
 * {
 *     return mts_server_on_thread(server, thread_begins, thread_ends, name);
 * }
 * @endcode
 * @see mts_server_set_threads(), mts_server_set_max_threads()
 */
MTS_API int mts_server_on_thread(
	mts_server *server, mts_thread_hook start, mts_thread_hook end, void *user);

/**
 * Sets where messages go; without it the library is silent, and has no thread for them. When
 * messages of one kind come too fast they are only counted, and the next one that is shown says how
 * many there were. The thread's stack is as large as mts_server_set_stack_size() says, and 256 KiB
 * at least.
 *
 * #MTS_LOG_DEBUG is for finding out why a server has the threads that it has: a thread is made, or
 * ends; threads that wait in a callback are relieved, so that others take over; a client ends
 * because it has been idle for too long. These lines may change with any version. Nothing tells of
 * single requests.
 *
 * @param server the server
 * @param hook the function; NULL: none
 * @param max_level the highest level wanted, one of #mts_log_level
 * @param user handed to @p hook; stays the caller's
 * @retval 0 done
 * @retval -EINVAL @p server is NULL, or @p max_level is out of the range 0 to 7
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * static void keep(int level, const char *message, void *user)
 * {
 *     (void)user;
 *     syslog(level, "%s", message);
 * }
 *
 * static int with_a_log(mts_server *server) // before run
 * {
 *     return mts_server_on_log(server, keep, MTS_LOG_NOTICE, NULL);
 * }
 * @endcode
 * @see mts_log_stderr(), mts_server_set_name()
 */
MTS_API int mts_server_on_log(mts_server *server, mts_log_hook hook, int max_level, void *user);

/**
 * A ready log hook: writes each message to standard error, as one line.
 *
 * Where standard error goes to the journal of systemd, so that JOURNAL_STREAM in the environment
 * names it (systemd.exec(5)), the line begins with the level as the journal wants it,
 * `<3>message` (sd-daemon(3)). Elsewhere it begins with the time, in UTC, and the level's name:
 * `2026-11-26T22:05:06.123Z error: message`.
 *
 * The line goes out in one write(2), past the buffer of `stderr`. With its newline it is 4,096 bytes
 * at most, so a pipe takes all of it or nothing, and lines of several threads or processes do not
 * mix (PIPE_BUF, pipe(7)). A longer message is cut, and ends with `...`. Where there is no room, as
 * in a full pipe, this waits, also when the descriptor is non-blocking; what has taken a part of a
 * line gets the rest of it. Only when writing fails for good, as when standard error is closed or
 * its reader has gone, the line is lost. That raises no SIGPIPE.
 *
 * Each call looks at the environment, so the program should not change it while the server runs
 * (setenv(3)).
 *
 * @param level one of #mts_log_level; another one of syslog(3) is fine, and what is out of the range
 *        0 to 7 counts as the nearest level in it
 * @param message one line without newline; not kept. NULL counts as "". A control character in it
 *        becomes a question mark; the library's own messages have none.
 * @param user not used
 * @par Threads
 * Any, and all at the same time, but no signal handler.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
 * @endcode
 * @see mts_server_on_log(), mts_server_set_name()
 */
MTS_API void mts_log_stderr(int level, const char *message, void *user);

/**
 * Names a reason.
 *
 * @param reason one of #mts_closed
 * @return a constant string such as "by peer"; NULL when there is no such reason, so that a loop
 *         from 0 up meets them all
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * for (int reason = 0; mts_closed_name(reason) != NULL; reason++) {
 *     printf("%d: %s\n", reason, mts_closed_name(reason));
 * }
 * @endcode
 * @see mts_server_on_close(), mts_server_on_fault()
 */
MTS_API const char *mts_closed_name(int reason);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
