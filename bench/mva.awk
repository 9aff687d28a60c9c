# What one crew could do on many CPUs, by a queueing model, from what was measured on two; locks.sh calls it.
#
# Reads lines `name value`: takes and held (of the crew's lock, a request; ns a take), cpu (us a request of
# which the handler burns 20), and what lock_cost prints: pair, line, event (ns).
#
# Each of N CPUs has one worker, which goes round and round: the handler and its own part of the request,
# then the crew's lock, then the lock of the epoll instance. At a lock those who come are served one after
# the other. That is a closed network with two queues and a delay, and mean value analysis computes its
# throughput, one worker after the other: who comes to a queue finds there what would be there on average
# without him. doc/PERFORMANCE.md says what is assumed.

{ given[$1] = $2 }

# Sets own, lock and poll (in us a request): what it takes a worker beside the handler, and what each queue
# takes, where so many cache lines under the crew's lock come from another CPU, one after the other.
function demands(lines) {
	lock = given["takes"] * (given["held"] + given["pair"]) / 1000
	poll = given["event"] / 1000
	own = given["cpu"] - 20 - lock - poll
	if (lines > 0) {
		lock += given["takes"] * lines * given["line"] / 1000
		poll += given["line"] / 1000
		own += 3 * given["line"] / 1000 # of the client
	}
}

# Requests a millisecond that n workers handle, each of which takes so many us.
function throughput(n, handler,    i, x, at_lock, at_poll, r_lock, r_poll) {
	for (i = 1; i <= n; i++) {
		r_lock = lock * (1 + at_lock)
		r_poll = poll * (1 + at_poll)
		x = i / (handler + own + r_lock + r_poll)
		at_lock = x * r_lock
		at_poll = x * r_poll
	}
	return 1000 * x
}

# From how many CPUs on two crews, with half of them each, do a tenth more than one.
function pays_from(handler,    n) {
	for (n = 2; n <= 1024; n += 2)
		if (2 * throughput(n / 2, handler) >= 1.1 * throughput(n, handler))
			return n
	return "-"
}

function cell(n, handler,    x) {
	x = throughput(n, handler)
	return sprintf("%.0f (%.0f %%)", x, 100 * x / (n * throughput(1, handler)))
}

END {
	handlers = split("5 20 100", handler)
	sizes = split("4 16 64", size)
	cases = split("0 3 8", lines)
	print "| thousand requests/s |  CPUs | lines here   | 3 in a row   | 8 in a row   |"
	print "| ------------------- | ----: | -----------: | -----------: | -----------: |"
	for (i = 1; i <= handlers; i++)
		for (j = 1; j <= sizes; j++) {
			printf "| %-19s | %5d |", "handlers of " handler[i] " us", size[j]
			for (k = 1; k <= cases; k++) {
				demands(lines[k])
				printf " %12s |", cell(size[j], handler[i])
			}
			print ""
		}
	print ""
	print "| lines in a row | own, us | lock, us | epoll, us | at most, thousand/s | two crews pay from: 5 us | 20 us | 100 us |"
	print "| -------------: | ------: | -------: | --------: | ------------------: | -----------------------: | ----: | -----: |"
	for (k = 1; k <= cases; k++) {
		demands(lines[k])
		printf "| %14d | %7.2f | %8.2f | %9.2f | %19.0f | %24s | %5s | %6s |\n", lines[k], own, lock,
			poll, 1000 / (lock > poll ? lock : poll), pays_from(5), pays_from(20), pays_from(100)
	}
}
