/*
 * cpp-httplib: a C++ HTTP library with blocking handlers, which gives each connection a thread of a
 * pool for as long as it lasts.
 *
 * --pool N must be no less than the number of clients.  By default there are eight threads on a
 * small machine, so eight clients would be served and all others never, not even slowly.  Here it
 * is 64.  The other setting that is not the default is the count of requests after which a
 * connection is closed, 5, since the clients of the others do not connect anew either.
 *
 * A thread that waits for its client's next request wakes up every 11 ms to look at the time, which
 * is what 1,000 clients make it do above all else.
 *
 * It listens with a backlog of 5, fixed when Debian compiled it, which loses connects of many
 * clients at once and has them tried again a second later.  So it is told a larger one by a second
 * listen() on its socket: all servers have the same.
 *
 * --mode means nothing here, and --sleep and --burn concern every request.
 */
#include "contract.h"

#include <httplib.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>
#include <unistd.h>

static struct contract contract;
static size_t pool = 64;

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (contract_option(&contract, argc, argv, &i)) {
			continue;
		}
		if (std::strcmp(argv[i], "--pool") != 0) {
			contract_usage(argv[0], argv[i]);
		}
		pool = contract_number(argc, argv, &i, 100000);
		if (pool == 0) {
			contract_usage(argv[0], "--pool 0");
		}
	}
}

/* The socket that it listens on afterwards; -1: failed. */
static int bind_to_loopback(httplib::Server &server)
{
	int listener = -1;

	server.set_socket_options([&](socket_t socket) {
		int yes = 1;

		listener = socket;
		setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	});
	if (contract.port > 0) {
		return server.bind_to_port("127.0.0.1", static_cast<int>(contract.port)) ? listener : -1;
	}
	return server.bind_to_any_port("127.0.0.1") > 0 ? listener : -1;
}

static void configure(httplib::Server &server)
{
	server.new_task_queue = [] { return new httplib::ThreadPool(pool); };
	server.set_keep_alive_max_count(1000000000);
	server.set_tcp_nodelay(true);
	server.Get("/", [](const httplib::Request &, httplib::Response &response) {
		contract_work_always(&contract);
		response.set_content(CONTRACT_HELLO, "text/plain");
	});
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	/* Blocked before there are threads, so that it waits for sigwait below. */
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, nullptr);

	httplib::Server server;
	configure(server);
	int listener = bind_to_loopback(server);
	if (listener < 0 || listen(listener, SOMAXCONN) != 0) {
		std::perror("httplib: cannot listen");
		return 1;
	}
	std::thread stopper([&] {
		int got;

		sigwait(&term, &got);
		while (!server.is_running()) { /* before that, stop() would do nothing */
			std::this_thread::yield();
		}
		server.stop();
	});
	contract_announce(contract_port(listener));
	if (!server.listen_after_bind()) {
		std::perror("httplib: cannot accept");
		_exit(1); /* as nothing will end the other thread */
	}
	stopper.join();
	return 0;
}
