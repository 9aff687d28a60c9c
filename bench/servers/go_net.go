// The peer from another language: Go's net package, a goroutine for every connection.
//
// It is what a Go programmer writes first, and the closest to a blocking callback that the language
// has: the code waits, the runtime's poller does not.  A handler that blocks does so in a system
// call (syscall.Nanosleep), as one that calls a C library would, and not in time.Sleep, which the
// runtime knows how to park.  The contract is that of contract.h; TCP_NODELAY is Go's default.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

const (
	hello      = "Hello from the server"
	bufferSize = 16 * 1024
	markAt     = 16
	mark       = '!'
	threadCPU  = 3 // CLOCK_THREAD_CPUTIME_ID
	spins      = 5000
)

var (
	mode    = flag.String("mode", "echo", "echo, hello or lines")
	port    = flag.Int("port", 0, "0: any")
	sleepUS = flag.Int64("sleep", 0, "microseconds that a marked request blocks")
	deferS  = flag.Int("defer-accept", 0, "seconds of TCP_DEFER_ACCEPT")
	burnUS  = flag.Int64("burn", 0, "microseconds of CPU that a marked request takes")
	sink    int
)

func cpuTime() int64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

// The clock is that of the thread, so the goroutine has to stay on it.
func burn(microseconds int64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sum := 0
	for end := cpuTime() + microseconds*1000; cpuTime() < end; {
		for i := 0; i < spins; i++ {
			sum += i ^ sum
		}
	}
	if sum == 1 { // never, but the compiler does not know
		sink++
	}
}

func work(request []byte) {
	if len(request) <= markAt || request[markAt] != mark {
		return
	}
	if *burnUS > 0 {
		burn(*burnUS)
	}
	if *sleepUS > 0 {
		left := syscall.NsecToTimespec(*sleepUS * int64(time.Microsecond))
		for syscall.Nanosleep(&left, &left) == syscall.EINTR {
		}
	}
}

func echoBlocks(client net.Conn) {
	buffer := make([]byte, bufferSize)
	for {
		size, err := client.Read(buffer)
		if err != nil {
			return
		}
		work(buffer[:size])
		if _, err = client.Write(buffer[:size]); err != nil {
			return
		}
	}
}

func sayHello(client net.Conn) {
	buffer := make([]byte, bufferSize)
	size, err := client.Read(buffer)
	if err != nil {
		return
	}
	work(buffer[:size])
	client.Write([]byte(hello))
}

func lineIsThere(reader *bufio.Reader) bool {
	there, _ := reader.Peek(reader.Buffered())
	return bytes.IndexByte(there, '\n') >= 0
}

func echoLines(client net.Conn) {
	reader := bufio.NewReaderSize(client, bufferSize)
	writer := bufio.NewWriterSize(client, bufferSize)
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return
		}
		work(line)
		writer.Write(line) // its error stays, and is Flush's
		if !lineIsThere(reader) && writer.Flush() != nil {
			return
		}
	}
}

func serve(client net.Conn) {
	defer client.Close()
	switch *mode {
	case "lines":
		echoLines(client)
	case "hello":
		sayHello(client)
	default:
		echoBlocks(client)
	}
}

func parse() {
	flag.Parse()
	switch *mode {
	case "echo", "hello", "lines":
	default:
		fmt.Fprintln(os.Stderr, "go_net: bad value:", *mode)
		os.Exit(2)
	}
	if *port < 0 || *port > 65535 {
		fmt.Fprintln(os.Stderr, "go_net: bad value:", *port)
		os.Exit(2)
	}
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "go_net: unknown option:", flag.Arg(0))
		os.Exit(2)
	}
}

func setOptions(network, address string, socket syscall.RawConn) error {
	var failed error
	err := socket.Control(func(fd uintptr) {
		if *deferS > 0 {
			failed = syscall.SetsockoptInt(
				int(fd), syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, *deferS)
		}
	})
	if err != nil {
		return err
	}
	return failed
}

func main() {
	parse()
	config := net.ListenConfig{Control: setOptions}
	listener, err := config.Listen(context.Background(), "tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		client, err := listener.Accept()
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serve(client)
	}
}
