/**
 * @file mtserver/server.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup server Server
 * Make a server, let it listen, run it, stop it.
 *
 * Functions that can fail return 0 or a negative errno value (errno(3)); `errno` itself means
 * nothing after a call. Functions that configure a server are called before it runs, by one thread
 * at a time, and return -EBUSY afterwards; mts_server_error() then has the whole sentence.
 *
 * A server belongs to the process that has started it: its threads exist only there. So start it
 * after daemon(3), not before. Before the start, a child made by fork(2) may use its copy in every
 * way, and several processes may start their copies, on the same listening sockets. After the
 * start, a child has only a copy of another process's server, in callbacks and elsewhere. In such a
 * child, everything that would lock, wait for or change something returns -ECHILD at once;
 * mts_server_stop() does nothing; mts_server_stat() is 0. Functions that only read answer as of the
 * moment of the fork (mts_server_address(), mts_server_listener_fd(), mts_server_error(),
 * mts_client_fd(), mts_client_id(), mts_client_data() and the like), so a handler's child can make the client's socket its standard
 * output and become another program. mts_server_destroy() closes what the copy keeps open: call it
 * in a child that lives on, or the port and the clients' connections stay open, unserved, as long
 * as it does. A child may make servers of its own. A child that was made in a callback must not
 * return from it.
 * @{
 */
#ifndef MTSERVER_SERVER_H
#define MTSERVER_SERVER_H

#include <stddef.h>

#include <mtserver/export.h>
#include <mtserver/handler.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A server: its listeners, clients and threads. It runs once. */
typedef struct mts_server mts_server;

/**
 * Makes a server. It opens nothing and starts nothing.
 *
 * @param handler called for each request
 * @param user handed to @p handler; stays the caller's
 * @return the server, to be freed with mts_server_destroy(); NULL when memory is short or
 *         @p handler is NULL
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * mts_server *server = mts_server_create(answer, NULL);
 * if (server == NULL) {
 *     return EXIT_FAILURE; // memory is short
 * }
 * if (mts_server_listen(server, "localhost:5000") != 0 || mts_server_run_until_signal(server) != 0) {
 *     fprintf(stderr, "%s\n", mts_server_error(server));
 * }
 * mts_server_destroy(server);
 * @endcode
 * @see mts_server_listen(), mts_server_frame_lines(), mts_server_run_until_signal(),
 *      mts_client_write()
 */
MTS_API mts_server *mts_server_create(mts_handler handler, void *user);

/**
 * Names the server, so that several in one process, or on one machine, can be told apart. Its
 * threads are called `NAME-worker`, `NAME-keeper`, `NAME-poller` and `NAME-log`, and each line of
 * its log begins with `NAME: `. Without a name the threads are called `mts-worker` and so on, and
 * lines begin with nothing.
 *
 * The kernel keeps 15 bytes of a thread's name (pthread_setname_np(3)), so there only the first
 * eight bytes of the server's name are seen. Lines have all of it.
 *
 * @param server the server
 * @param name at most 63 bytes of printable ASCII, spaces among them; copied. NULL or "": as
 *        without a name.
 * @retval 0 done
 * @retval -EINVAL @p server is NULL; or @p name is too long, or has other bytes in it, and then the
 *         name stays as it was
 * @retval -EBUSY the server runs or ran
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_set_name(server, "front");
 * @endcode
 * @see mts_server_on_log(), mts_log_stderr()
 */
MTS_API int mts_server_set_name(mts_server *server, const char *name);

/**
 * Binds an address and listens on it, at once: peers can connect from now on, and are served as
 * soon as the server runs. It may be called several times.
 *
 * | address | where |
 * |---|---|
 * | `5000`, `*:5000` | every address of this machine, IPv4 and IPv6 |
 * | `localhost:5000` | 127.0.0.1 and ::1, whatever the resolver says |
 * | `127.0.0.1:5000`, `[::1]:5000` | that address |
 * | `name:5000` | all addresses that the name resolves to |
 * | `[fe80::1%eth0]:5000` | a link-local address, with its interface |
 * | `unix:/path` | a Unix socket; a stale file is replaced only when nobody answers on it, any other file is left alone |
 * | `unix:@name` | a Unix socket in Linux's abstract name space (unix(7)) |
 * | `systemd:NAME`, `systemd:` | the listening sockets of that name, or all, that a service manager has passed; since 0.2 |
 *
 * Port 0 takes a free port, one for all addresses of the call: mts_server_address() tells which. Of
 * several addresses, some are left out if another one could be bound: those that this machine does
 * not have, for example since it lacks their family, and those at which nobody could be served
 * (multicast, link-local without an interface, IPv4 in IPv6 form). The log says so when the server
 * starts.
 *
 * The file of a Unix socket gets the mode 0777 less the process's umask(2), and a user who is to
 * connect must have the right to write to it. So with the usual umask of 022 only this user may
 * connect. To change this, set umask(2) before this call; or chmod(2) the file after it, in which
 * case the wrong users may be let in or turned away for a moment; or put the file into a folder
 * that only the right users can enter. Or make the socket yourself, set its mode by fchmod(2)
 * before bind(2), and give it to mts_server_listen_fd().
 *
 * That file is removed when the server stops, or is destroyed without having run, if it is still
 * the same file, whatever has become of the working directory, the root or the path meanwhile. If
 * several processes have copies of the server, it is removed by the last to end of these: the
 * process that has listened, and those that have started their copy. Other copies leave it alone.
 * When the rights do not suffice any more, for example after setuid(2), the file stays, and the log
 * says so. It also stays after mts_server_keep_paths(). Each such socket takes three descriptors.
 *
 * A service manager opens the sockets before it starts the program, so clients can connect all the
 * while, also when the program is started anew (sd_listen_fds(3), systemd.socket(5)). NAME is what
 * FileDescriptorName= in the socket unit says, and is compared byte by byte; the environment
 * (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES) is only read. Such sockets are taken over as by
 * mts_server_listen_fd(): all that are meant, or none of them, and then they are as they were. They are
 * made close-on-exec, as by sd_listen_fds(3). Others, under other names, are left alone. A process takes each
 * of them once: the environment goes on naming them, but whoever asks for one that a server of this
 * process has, or has had, is refused. mts_server_destroy() closes them, and then nobody has them, and their
 * numbers may be those of other files. (So does the end of a server that ran.) A child that
 * becomes another program finds the number of this process in LISTEN_PID, so it takes nothing. A
 * program calls daemon(3) after this or not at all, since a child is another process. Neither the
 * backlog nor the files of Unix sockets are this server's business then. (A host with the name
 * `systemd` is written `systemd.:5000`.)
 *
 * @param server the server
 * @param address a string as above; not kept
 * @retval 0 it listens
 * @retval -EINVAL @p server or @p address is NULL, or the address cannot be understood; or what the
 *         service manager has said cannot, or a socket that it has passed is none on which this server
 *         can listen, for example a connection (Accept=yes)
 * @retval -EBADF what it says it has passed is not open
 * @retval -ENOTSOCK it has passed something that is no socket
 * @retval -EALREADY this server listens on one of these sockets already
 * @retval -ENAMETOOLONG the path of a Unix socket is too long, or NAME is
 * @retval -EMFILE the server would have more than 65,535 listeners; or as socket(2) says it
 * @retval -EBUSY the server runs or ran; or one of these sockets was taken before, by another server of
 *         this process
 * @retval -EADDRINUSE somebody else has that port or path, or the path is no socket
 * @retval -EADDRNOTAVAIL this machine has none of the addresses, or nobody could be served there
 * @retval -ENOENT the name does not resolve, there is no such interface, or the folder of the path
 *         does not exist; or no service manager has passed a socket of that name to this process
 * @retval -EAGAIN the name does not resolve at the moment
 * @retval -ENOMEM memory is short
 * @retval "another negative errno" what socket(2), bind(2) or listen(2) said. On failure nothing of
 *         this call stays bound.
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * if (mts_server_listen(server, "*:5000") != 0 || mts_server_listen(server, "unix:/run/program.sock") != 0) {
 *     fprintf(stderr, "%s\n", mts_server_error(server));
 *     return EXIT_FAILURE;
 * }
 * @endcode
 * @see mts_server_address(), mts_server_run(), mts_server_set_access(),
 *      mts_server_set_proxy_protocol()
 */
MTS_API int mts_server_listen(mts_server *server, const char *address);

/**
 * Says whether other processes of the same user may listen on the same ports as this server, if they
 * say so too (SO_REUSEPORT, socket(7)): several that share the work, or an old one and its successor. The
 * kernel gives each connection to one of them, whether that is busy or not, by its addresses and ports. It
 * holds for the mts_server_listen() calls that follow. Unix sockets, and those that were made by others, are
 * left as they are.
 *
 * A warning: each process has a queue of its own. When one ends, or closes its listeners, the
 * connections that wait in its queue are lost: their peers are reset, although the others could serve them
 * (unless net.ipv4.tcp_migrate_req is set, Linux 5.14). So to replace a process that serves, rather hand
 * its sockets to the new one: one queue, which both have, loses nothing (mts_server_listen_fd(),
 * mts_server_suspend()).
 *
 * With port 0 each still gets a port that nobody has, at none of the addresses of the call; others may
 * share it from then on.
 *
 * @param server the server
 * @param on 0, the default: a port that somebody has is an error, -EADDRINUSE; otherwise it can be shared
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -EBUSY the server listens already, runs or ran
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before listen.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_set_reuse_port(server, 1);
 * int result = mts_server_listen(server, "*:5000"); // as do the other processes
 * @endcode
 * @see mts_server_listen(), mts_server_listener_fd(), mts_server_listen_fd()
 */
MTS_API int mts_server_set_reuse_port(mts_server *server, int on);

/**
 * Takes over a listening stream socket that the caller made or inherited. (For what a service manager
 * passes there is an address: mts_server_listen().)
 *
 * @param server the server
 * @param fd the socket; it belongs to the server after success, and stays the caller's on failure.
 *        It is made non-blocking and close-on-exec, and is made non-blocking again when another
 *        process that has it makes it blocking. A process that does that, and takes a connection at
 *        the same moment, can still have one thread of the server wait in accept(2), until the next
 *        connection comes. Nothing else is held up, but a stop meanwhile ends with -EBUSY. So a
 *        process that shares the socket should leave it non-blocking, and use poll(2). The file of
 *        a Unix socket is left alone at the end.
 * @retval 0 taken
 * @retval -EINVAL @p server is NULL, or @p fd is not a listening stream socket, or the server has
 *         it already
 * @retval -EBADF @p fd is no open descriptor
 * @retval -ENOTSOCK @p fd is no socket
 * @retval -EMFILE the server would have more than 65,535 listeners
 * @retval -EBUSY the server runs or ran
 * @retval -ENOMEM memory is short
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * One at a time, before run.
 * @since 0.1
 * @par Example
 * @code
 * // A socket with a mode that no umask gives:
 * struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/program.sock"};
 * int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
 * if (fchmod(fd, 0660) != 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0
 *     || listen(fd, SOMAXCONN) != 0 || mts_server_listen_fd(server, fd) != 0) {
 *     close(fd); // still ours
 *     return EXIT_FAILURE;
 * }
 * @endcode
 * @see mts_server_listen(), mts_server_listener_fd(), mts_server_keep_paths()
 */
MTS_API int mts_server_listen_fd(mts_server *server, int fd);

/**
 * Says whether the files of the server's Unix sockets stay when it stops, or is destroyed without having
 * run. For a program that has handed these sockets to another process, which serves on them from now on:
 * without this, peers would not find them any more. *Live*: what was said last when the listeners close,
 * at the beginning of the stop, holds.
 *
 * The process that has taken a socket over leaves its file alone (mts_server_listen_fd()), so in the
 * end it stays behind. That does no harm: mts_server_listen() replaces a file on which nobody answers.
 * Where processes have copies of one server by fork(2), each says this for its own copy.
 *
 * @param server the server
 * @param on 0, the default: they are removed; otherwise they stay
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_keep_paths(server, 1); // another process has them now
 * mts_server_stop(server);
 * @endcode
 * @see mts_server_listener_fd(), mts_server_listen_fd(), mts_server_stop()
 */
MTS_API int mts_server_keep_paths(mts_server *server, int on);

/**
 * Makes a connected stream socket a client of the running server, as if it had been accepted: one that
 * inetd(8) has passed, that another process has sent (unix(7), SCM_RIGHTS), one half of a
 * socketpair(2), or a connection that the program has made itself. The open hook, limits, timeouts and
 * the stop hold for it as for all others; mts_client_listener() answers -ENOENT for it.
 *
 * It does not wait for room. If #MTS_OVERLOAD_EVICT was chosen, and a client is idle, that one is evicted;
 * otherwise -EAGAIN.
 *
 * @param server the server
 * @param fd the socket. After success it is the server's, which closes it, as at a stop that begins at
 *        this moment. It is made blocking, for all who have it (O_NONBLOCK is a flag of the open file,
 *        open(2)), and close-on-exec, and gets the options of accepted sockets (TCP_NODELAY,
 *        SO_OOBINLINE, and those of mts_server_set_keepalive()). If this fails, the socket stays the
 *        caller's, and is as it was again.
 * @param data what mts_client_data() gives from the open hook on; not touched, and the program's to
 *        free. If the server stops before the open hook is called, no hook is called for it.
 * @retval 0 it is a client
 * @retval -EINVAL @p server is NULL, @p fd is no stream socket, or the server does not run yet
 * @retval -EBADF @p fd is no open descriptor
 * @retval -ENOTSOCK @p fd is no socket
 * @retval -ENOTCONN @p fd is not connected, or not any more
 * @retval -EACCES its peer may not connect: mts_server_set_access()
 * @retval -EAGAIN there is no room: mts_server_set_max_clients() or
 *         mts_server_set_max_clients_per_address()
 * @retval -ENOMEM memory is short
 * @retval -ECANCELED the server is to stop, or has stopped
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, also in callbacks; not in signal handlers.
 * @since 0.2
 * @par Example
 * @code
 * // A connection that another process has passed, and what is known of it:
 * int result = mts_server_adopt(server, fd, session);
 * if (result < 0) {
 *     close(fd);
 *     free(session);
 * }
 * @endcode
 * @see mts_client_data(), mts_server_on_open(), mts_server_set_max_clients()
 */
MTS_API int mts_server_adopt(mts_server *server, int fd, void *data);

/**
 * Has the server accept no connection, until mts_server_resume(): for a while in which it could not
 * serve them, or for good, since another process that has the same sockets is to have them
 * (mts_server_listen_fd()). Clients that are connected are served as ever. When it is suspended already
 * nothing changes.
 *
 * The kernel goes on completing connections, as many as fit into each listener's queue
 * (mts_server_set_backlog()). So peers can connect, and even send; they wait there for whoever accepts
 * first. When the queue is full, TCP peers try again by themselves for a minute or two, and connect(2) to
 * a Unix socket waits, or says EAGAIN.
 *
 * When this has returned, none is accepted any more: it waits for a thread that accepts at this moment,
 * which takes microseconds. There is one exception. If another process has made a shared socket blocking,
 * a thread may sleep in accept(2) there (mts_server_listen_fd()); this waits no longer than a second for it,
 * and the next connection that comes there is accepted and served.
 *
 * Clients that were accepted, and are held until there is room for them, still come in.
 * mts_server_adopt() works. Called before run, it makes the server start suspended. A server that is
 * suspended is not woken by connections that wait. The log says when it is suspended, and when it goes on
 * (#MTS_LOG_INFO).
 *
 * @param server the server
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -ECANCELED the server is to stop, or has stopped
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, also in callbacks; not in signal handlers.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_suspend(server); // its successor, which has the same sockets, serves already
 * mts_server_stop(server);
 * @endcode
 * @see mts_server_resume(), mts_server_stop(), mts_server_set_drain()
 */
MTS_API int mts_server_suspend(mts_server *server);

/**
 * Has the server accept connections again, those first that have waited in the kernel meanwhile. When it
 * is not suspended nothing changes.
 *
 * @param server the server
 * @retval 0 done
 * @retval -EINVAL @p server is NULL
 * @retval -ECANCELED the server is to stop, or has stopped
 * @retval -ECHILD the server was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any, also in callbacks; not in signal handlers.
 * @since 0.2
 * @par Example
 * @code
 * mts_server_resume(server); // the successor could not start
 * @endcode
 * @see mts_server_suspend()
 */
MTS_API int mts_server_resume(mts_server *server);

/**
 * Tells where the server listens.
 *
 * @param server the server
 * @param index which address, from 0 up, in the order of binding
 * @return text as `127.0.0.1:49152`, `[::1]:49152` or `unix:/path`, with the real port; NULL past
 *         the last address, or when @p server is NULL. It belongs to the server and is valid until
 *         that is destroyed.
 * @par Threads
 * Any, once the listen calls are done.
 * @since 0.1
 * @par Example
 * @code
 * const char *address;
 * for (size_t i = 0; (address = mts_server_address(server, i)) != NULL; i++) {
 *     printf("Listening on %s\n", address);
 * }
 * @endcode
 * @see mts_server_listen(), mts_client_listener()
 */
MTS_API const char *mts_server_address(const mts_server *server, size_t index);

/**
 * Gives a listening socket, so that it can be handed on: to a new version of the program that takes its
 * place, over a Unix socket (unix(7), SCM_RIGHTS), or to one that this process becomes (execve(2)). Who
 * has it takes connections from the same queue, so none is lost between the two.
 *
 * It stays the server's, which closes it at the stop. So it is to be copied (dup(2)) or sent before
 * that; afterwards the number may be that of another file. It is non-blocking and
 * close-on-exec, and has to stay non-blocking (mts_server_listen_fd() says why). The file of a Unix
 * socket is removed when this server stops, whoever else has the socket, unless mts_server_keep_paths() was
 * told that it stays. All of this is in examples/upgrade.c.
 *
 * @param server the server
 * @param index which address, from 0 up, as in mts_server_address()
 * @return a descriptor, or:
 * @retval -EINVAL @p server is NULL
 * @retval -ENOENT @p index is past the last address
 * @retval -EBADF it is closed, or about to be: the server stops, or has stopped
 * @par Threads
 * Any, once the listen calls are done; not in signal handlers. In a child of the process that has
 * started the server it answers as of the moment of the fork (fork(2)).
 * @since 0.2
 * @par Example
 * @code
 * // Become the new version, which is told the number, and gives it to mts_server_listen_fd():
 * char number[16];
 * int copy = dup(mts_server_listener_fd(server, 0));
 * mts_server_stop(server);
 * mts_server_join(server);
 * snprintf(number, sizeof(number), "%d", copy);
 * execl(program, program, number, NULL);
 * @endcode
 * @see mts_server_listen_fd(), mts_server_suspend(), mts_server_keep_paths()
 */
MTS_API int mts_server_listener_fd(const mts_server *server, size_t index);

/**
 * Serves until the server is stopped; blocks.
 *
 * Callbacks run on the library's threads, never on this one.
 *
 * @param server the server
 * @retval 0 it was asked to stop, and has; also when clients had to be cut off at the deadline
 * @retval -EBUSY it was asked to stop, and callbacks, the log hook among them, were still running at
 *         the deadline
 * @retval -EINVAL @p server is NULL, or it has no listener
 * @retval -EALREADY it runs or ran
 * @retval -EDEADLK called from a callback of this server
 * @retval "another negative errno" it could not start: no descriptor, memory or thread
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any but the server's own.
 * @since 0.1
 * @par Example
 * @code
 * int result = mts_server_run(server); // until somebody calls mts_server_stop()
 * if (result != 0) {
 *     fprintf(stderr, "%s\n", mts_server_error(server));
 * }
 * @endcode
 * @see mts_server_run_until_signal(), mts_server_start(), mts_server_stop(), mts_server_error()
 */
MTS_API int mts_server_run(mts_server *server);

/**
 * Serves as mts_server_run() does, and lets SIGINT and SIGTERM stop the server.
 *
 * While it runs, these two signals are handled by a function that calls mts_server_stop() for this
 * server, and for no other. They are unblocked in the calling thread, so that one can always be
 * taken; it does not matter which thread of the program takes it. A signal that is ignored when
 * this is called stays ignored, as nohup(1) and shells want it for jobs in the background. Then
 * only the other one stops the server, or mts_server_stop(). Before it returns, whatever it
 * returns, the old handling of both signals, and the signal mask of the calling thread, are put
 * back.
 *
 * Further signals while the stop goes on change nothing: it ends by its deadline (#MTS_TIMEOUT_STOP),
 * after the grace if there is one (mts_server_set_drain()), in any case. Who cannot wait for that sends SIGQUIT (Ctrl-\ on a terminal) or SIGKILL.
 *
 * The library's threads block both signals. So raise(3) in a callback has no effect, since it asks
 * for that very thread; use mts_server_stop() there, or kill(2). A child that fork(2) makes meanwhile
 * inherits the handling, and in it both signals do nothing; so it should set its own, or become
 * another program.
 *
 * @param server the server
 * @retval 0 it was asked to stop, by a signal or otherwise, and has; also when clients had to be cut
 *         off at the deadline
 * @retval -EBUSY it was asked to stop, and callbacks, the log hook among them, were still running at
 *         the deadline
 * @retval -EINVAL @p server is NULL, or it has no listener
 * @retval -EAGAIN this function, or mts_serve(), runs in this process already, and nothing was done;
 *         or no thread can be made at the moment. mts_server_error() says which.
 * @retval -EALREADY it runs or ran
 * @retval -EDEADLK called from a callback of this server
 * @retval "another negative errno" it could not start: no descriptor, memory or thread. If a signal
 *         has come meanwhile, the next run returns at once.
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any but the server's own, one at a time in a process.
 * @since 0.2
 * @par Example
 * @code
 * int result = mts_server_run_until_signal(server);
 * if (result != 0)
 *     fprintf(stderr, "%s\n", mts_strerror(result));
 * mts_server_destroy(server);
 * @endcode
 * @see mts_server_set_drain(), mts_server_destroy(), mts_server_error()
 */
MTS_API int mts_server_run_until_signal(mts_server *server);

/**
 * Serves in the background: clients are served as soon as it returns.
 *
 * @param server the server
 * @retval 0 it runs
 * @retval -EINVAL @p server is NULL, or it has no listener
 * @retval -EALREADY it runs or ran
 * @retval -EDEADLK called from a callback of this server
 * @retval "another negative errno" it could not start: no descriptor, memory or thread
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any but the server's own.
 * @since 0.1
 * @par Example
 * @code
 * if (mts_server_start(server) != 0) {
 *     fprintf(stderr, "%s\n", mts_server_error(server));
 *     return EXIT_FAILURE;
 * }
 * go_on_with_other_things();
 * mts_server_stop(server);
 * return mts_server_join(server);
 * @endcode
 * @see mts_server_join(), mts_server_stop(), mts_server_error()
 */
MTS_API int mts_server_start(mts_server *server);

/**
 * Waits until a server that was started has stopped. It may be called more than once.
 *
 * @param server the server
 * @retval 0 it was asked to stop, and has
 * @retval -EBUSY it was asked to stop, and callbacks, the log hook among them, were still running at
 *         the deadline
 * @retval -EINVAL @p server is NULL, or was never started
 * @retval -EDEADLK called from a callback of this server
 * @retval -ECHILD it was started by another process, of which this one is a child (fork(2))
 * @par Threads
 * Any but the server's own.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_stop(server);
 * if (mts_server_join(server) == -EBUSY) {
 *     fprintf(stderr, "a handler still runs\n");
 * }
 * @endcode
 * @see mts_server_start(), mts_server_stop(), mts_server_destroy()
 */
MTS_API int mts_server_join(mts_server *server);

/**
 * Asks the server to stop; returns at once. Asking again changes nothing; asking before run makes
 * run return at once. In a child of the process that has started it nothing happens.
 *
 * After mts_server_set_drain(), clients are first given some time for one more request each. What
 * follows, within the stop timeout (#MTS_TIMEOUT_STOP) and 100 ms: no new clients; requests
 * that have been received whole are served, partial ones dropped; requests in progress finish, what
 * their handlers read (mts_client_read()) is still received, and their replies go out; at the
 * deadline the sockets are cut, and no further request is handled. Callbacks that still run then are
 * reported in the log, and the last message is waited for within the same time (#mts_log_hook). Thousands of threads, slow destructors of thread-specific data,
 * and threads that get no CPU may need longer to end than that; threads that get no CPU have a
 * second.
 *
 * @param server the server; NULL is fine
 * @par Threads
 * Any, and any callback, and any signal handler: async-signal-safe, errno preserved.
 * @since 0.1
 * @par Example
 * @code
 * static mts_server *the_server;
 *
 * static void hear(int signal) // as well as from any thread, and any callback
 * {
 *     (void)signal;
 *     mts_server_stop(the_server);
 * }
 * @endcode
 * @see mts_server_set_drain(), mts_server_join(), mts_server_destroy()
 */
MTS_API void mts_server_stop(mts_server *server);

/**
 * Frees the server; stops it and waits for its end first where needed. In a child of the process
 * that has started it, it closes all descriptors of the copy, and does nothing else: it waits for
 * nothing and frees no memory.
 *
 * @param server the server; NULL is fine
 * @retval 0 done: no callback runs any more, and no thread, descriptor or byte is left (in such a
 *         child: no descriptor)
 * @retval -EDEADLK called from a callback of this server; nothing was done
 * @retval -EBUSY callbacks were still running at the stop deadline, or the log hook has not had all
 *         messages yet: nothing is freed. Call this again once the callbacks have returned, or
 *         exit.
 * @par Threads
 * Any but the server's own. No other thread may use the server at the same time, except threads
 * that wait in mts_server_run() or mts_server_join(): these return first.
 * @since 0.1
 * @par Example
 * @code
 * mts_server_stop(server);
 * if (mts_server_destroy(server) == -EBUSY) {
 *     _exit(EXIT_FAILURE); // a handler hangs, and what it uses must stay
 * }
 * @endcode
 * @see mts_server_stop(), mts_server_join()
 */
MTS_API int mts_server_destroy(mts_server *server);

/**
 * Gives the sentence of the last configuration call, start or run that failed: what was tried, on
 * what, and why. Calls that only came too late (-EALREADY) or from a callback (-EDEADLK) leave it alone.
 *
 * @param server the server
 * @return a sentence such as `cannot listen on 127.0.0.1:80: Permission denied`; "" when nothing failed or
 *         @p server is NULL. It belongs to the server and is valid until the next such call.
 * @par Threads
 * The one that configures.
 * @since 0.1
 * @par Example
 * @code
 * if (mts_server_set_max_request(server, size) != 0) {
 *     fprintf(stderr, "%s\n", mts_server_error(server)); // what is wrong with the size
 * }
 * @endcode
 * @see mts_strerror(), mts_server_on_log()
 */
MTS_API const char *mts_server_error(const mts_server *server);

/**
 * Runs a whole server in one call: makes it, listens, serves until SIGINT or SIGTERM, frees it.
 *
 * While it runs it handles these two signals as mts_server_run_until_signal() does, and puts the old
 * handling back at the end. A signal that is ignored when this is called stays ignored; then only the
 * other signal ends the server, or mts_server_stop() in a callback. A failure is printed on standard
 * error.
 *
 * @param address where to listen, as in mts_server_listen()
 * @param handler called for each request
 * @param user handed to @p handler
 * @return an exit status for main(): EXIT_SUCCESS after a stop, otherwise EXIT_FAILURE. That is
 *         also the answer to a second call while one is being served in this process, or while
 *         mts_server_run_until_signal() runs.
 * @par Threads
 * Any, one at a time in a process.
 * @since 0.1
 * @par Example
 * @code
 * int main(void)
 * {
 *     return mts_serve("localhost:5000", answer, NULL);
 * }
 * @endcode
 * @see mts_server_create(), mts_client_write(), mts_client_next()
 */
MTS_API int mts_serve(const char *address, mts_handler handler, void *user);

/**
 * Names an error code.
 *
 * @param code what a function returned: 0 or a negative errno value
 * @return a short text, never NULL, in the words of strerror(3); not to be freed
 * @par Threads
 * Any.
 * @since 0.1
 * @par Example
 * @code
 * int result = mts_server_kick(server, id);
 * if (result != 0) {
 *     fprintf(stderr, "cannot kick: %s\n", mts_strerror(result));
 * }
 * @endcode
 * @see mts_server_error()
 */
MTS_API const char *mts_strerror(int code);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
