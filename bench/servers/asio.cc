/*
 * The peer Boost.Asio, in the manner of its own example async_tcp_echo_server.cpp.
 *
 * A session for each client, which keeps itself alive by shared_from_this while an operation is
 * outstanding: async_read_some, then async_write of the whole reply, then the next read.  In lines
 * it is async_read_until into a streambuf, and one async_write for all lines that are complete
 * there, straight out of it.
 *
 * With --threads N (default 1; 0: one for each CPU) one io_context is run by N threads, the way its
 * documentation gives for a pool.  A session has one operation outstanding at a time, which is an
 * implicit strand, so none is needed.  The io_context is told N as its concurrency hint, which for
 * 1 saves it waking others.  A handler runs in one of these threads: while N marked requests block,
 * everybody waits.
 */
#include "contract.h"

#include <boost/asio.hpp>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>

using boost::asio::ip::tcp;
using boost::system::error_code;

static struct contract contract;

namespace {

constexpr std::size_t buffer_size = 16 * 1024;
constexpr unsigned long max_threads = 1024;

class block_session : public std::enable_shared_from_this<block_session> {
  public:
	explicit block_session(tcp::socket socket) : socket_(std::move(socket))
	{
	}

	void start()
	{
		socket_.async_read_some(boost::asio::buffer(data_),
			[this, self = shared_from_this()](error_code error, std::size_t size) {
				if (!error) {
					answer(size);
				}
			});
	}

  private:
	void answer(std::size_t size)
	{
		contract_work(&contract, data_, size);
		if (contract.hello) {
			/* The last reference to the session goes with this, which closes the socket. */
			boost::asio::async_write(socket_,
				boost::asio::buffer(CONTRACT_HELLO, sizeof(CONTRACT_HELLO) - 1),
				[self = shared_from_this()](error_code, std::size_t) {});
			return;
		}
		boost::asio::async_write(socket_, boost::asio::buffer(data_, size),
			[this, self = shared_from_this()](error_code error, std::size_t) {
				if (!error) {
					start();
				}
			});
	}

	tcp::socket socket_;
	char data_[buffer_size];
};

class line_session : public std::enable_shared_from_this<line_session> {
  public:
	explicit line_session(tcp::socket socket) : socket_(std::move(socket))
	{
		/* async_read_until reads as much as there is room for without growing. */
		input_.prepare(buffer_size);
	}

	void start()
	{
		boost::asio::async_read_until(socket_, input_, '\n',
			[this, self = shared_from_this()](error_code error, std::size_t) {
				if (!error) {
					answer();
				}
			});
	}

  private:
	/* Handles all complete lines, of which there is one at least; their replies gather. */
	void handle()
	{
		const boost::asio::const_buffer data = input_.data();
		const char *const begin = static_cast<const char *>(data.data());
		const char *const end = begin + data.size();
		const char *next = begin;

		while (const void *lf = std::memchr(next, '\n', std::size_t(end - next))) {
			const char *const after = static_cast<const char *>(lf) + 1;

			contract_work(&contract, next, std::size_t(after - next));
			replies_.append(next, std::size_t(after - next));
			next = after;
		}
		input_.consume(std::size_t(next - begin));
	}

	void answer()
	{
		replies_.clear();
		handle();
		boost::asio::async_write(socket_, boost::asio::buffer(replies_),
			[this, self = shared_from_this()](error_code error, std::size_t) {
				if (!error) {
					start();
				}
			});
	}

	tcp::socket socket_;
	boost::asio::streambuf input_{buffer_size};
	std::string replies_;
};

class server {
  public:
	server(boost::asio::io_context &context, int listener) : acceptor_(context)
	{
		acceptor_.assign(tcp::v4(), listener);
		accept();
	}

  private:
	void accept()
	{
		acceptor_.async_accept([this](error_code error, tcp::socket socket) {
			if (error) {
				std::fprintf(stderr, "asio: cannot accept: %s\n", error.message().c_str());
				std::this_thread::sleep_for(std::chrono::milliseconds(10));
			} else if (contract.lines) {
				std::make_shared<line_session>(std::move(socket))->start();
			} else {
				std::make_shared<block_session>(std::move(socket))->start();
			}
			accept();
		});
	}

	tcp::acceptor acceptor_;
};

unsigned threads_value(int argc, char **argv, int *index)
{
	const unsigned long count = contract_number(argc, argv, index, max_threads);

	return count > 0 ? unsigned(count) : contract_cpus();
}

void serve(unsigned threads)
{
	boost::asio::io_context context(static_cast<int>(threads));
	const int listener = contract_listen(&contract, SOCK_NONBLOCK);
	const server server(context, listener);
	std::vector<std::thread> others;

	while (others.size() + 1 < threads) {
		others.emplace_back([&context] { context.run(); });
	}
	contract_announce(contract_port(listener));
	context.run();
}

} // namespace

int main(int argc, char **argv)
{
	unsigned threads = 1;

	for (int i = 1; i < argc; i++) {
		if (std::strcmp(argv[i], "--threads") == 0) {
			threads = threads_value(argc, argv, &i);
		} else if (!contract_option(&contract, argc, argv, &i)) {
			contract_usage(argv[0], argv[i]);
		}
	}
	try {
		serve(threads);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "asio: %s\n", error.what());
	}
	return 1;
}
