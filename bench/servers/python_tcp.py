"""The peer Python: socketserver.ThreadingTCPServer, a thread for every client.

It is what the standard library's documentation teaches for a server whose handlers block: a
BaseRequestHandler that receives and sends on its own socket.  Lines are cut out of what came with
one recv, and answered by one sendall: StreamRequestHandler, which hands them out one by one, would
send each by itself.  TCP_NODELAY is set on the listener, from where Linux hands it down, since
disable_nagle_algorithm is an attribute of the stream handlers only.

The threads take turns at the interpreter, and each that waits for its turn asks for it every 5 ms:
with more than some hundred busy clients that asking takes nearly all of the time.  The interval
(sys.setswitchinterval) is left at its default, as nothing tells a user to change it.

The contract is that of contract.h.  `python3 PATH-OF-THIS` starts it; it need not be built.
"""

import socket
import socketserver
import sys
import time

HELLO = b"Hello from the server"
MARK_AT = 16
MARK = ord("!")
BUFFER_SIZE = 16 * 1024

options = {"--mode": "echo", "--port": 0, "--sleep": 0, "--burn": 0, "--defer-accept": 0}
LIMITS = {"--port": 65535, "--sleep": 60000000, "--burn": 60000000, "--defer-accept": 3600}
MODES = ("echo", "hello", "lines")


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def work(request):
    if len(request) <= MARK_AT or request[MARK_AT] != MARK:
        return
    if options["--burn"] > 0:
        burn(options["--burn"] / 1e6)
    if options["--sleep"] > 0:
        time.sleep(options["--sleep"] / 1e6)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.serve()
        except ConnectionError:  # the client has gone, which is no news here
            pass


class Echo(Handler):
    def serve(self):
        while request := self.request.recv(BUFFER_SIZE):
            work(request)
            self.request.sendall(request)


class Hello(Handler):
    def serve(self):
        if request := self.request.recv(BUFFER_SIZE):
            work(request)
            self.request.sendall(HELLO)


class Lines(Handler):
    def serve(self):
        rest = b""
        while block := self.request.recv(BUFFER_SIZE):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                work(line)
            if lines:
                self.request.sendall(b"\n".join(lines) + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = socket.SOMAXCONN

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        if options["--defer-accept"] > 0:
            self.socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, options["--defer-accept"]
            )
        super().server_bind()


def usage(text):
    print(f"{sys.argv[0]}: unknown option or bad value: {text}", file=sys.stderr)
    sys.exit(2)


def parse(arguments):
    words = iter(arguments)
    for name in words:
        value = next(words, None)
        if name not in options or value is None:
            usage(name)
        if name == "--mode":
            if value not in MODES:
                usage(value)
            options[name] = value
        elif value.isdecimal() and int(value) <= LIMITS[name]:
            options[name] = int(value)
        else:
            usage(value)


def main():
    parse(sys.argv[1:])
    handler = {"echo": Echo, "hello": Hello, "lines": Lines}[options["--mode"]]
    with Server(("127.0.0.1", options["--port"]), handler) as server:
        print(f"port {server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
