# What is measured: the servers, the loads, and which go together; run.sh reads this. To add either,
# add a line to the functions below. A server is a program that keeps to servers/contract.h.
# shellcheck shell=sh disable=SC2034 # run.sh uses what is set here

tcp_servers="bare_threads bare_epoll bare_epoll_n ours ours_before ours_per_client libevent libuv glib asio \
	asio_n go_net python_tcp"
http_servers="ours_http ours_http_per_client mhd_threads mhd_pool httplib"
all_servers="$tcp_servers $http_servers"
# With these, handlers that take their time are compared. ours_before is there with --before only.
handler_servers="bare_threads bare_epoll bare_epoll_n ours ours_before ours_per_client asio_n"

quick_loads="pingpong-1 pingpong-64 pingpong-1000 paced-30 open-64 connect-64 pipeline-64 \
	burn20us-64 block1-64 ramp-1000 idle-1000 http-64"
full_loads="pingpong-1 pingpong-64 pingpong-1000 pingpong-10000 pinned-64 pinned-1000 connect-64 \
	deferred-64 pipeline-64 paced-30 open-64 open-1000 openblock1-1000 block1-64 block100-1000 \
	ramp-1000 sleep40us-64 burn1ms-64 burn5ms-64 firehose-50 idle-10000 http-64"
# Handlers that take their time, where a few percent decide: these have more rounds.
handler_loads="burn10us-64 burn20us-64 burn50us-64 burn100us-64 burn300us-64 \
	burn10us-block1-64 burn20us-block1-64 burn50us-block1-64 burn100us-block1-64 \
	burn300us-block1-64 burn10us-pinned-64 burn20us-pinned-64 burn50us-pinned-64 \
	burn100us-pinned-64 burn300us-pinned-64 block1-1000 firehoses-50"
also_handler_loads="sleep40us-64 block100-1000 burn5ms-64" # of the full ones
full_loads="$full_loads $handler_loads"

# NAME-NUMBER; sets $driver, the number of $clients, $mode and $work (the server's options), $options
# (the driver's), $window and $warmup in ms, and the $title.
describe_load() {
	driver=load clients=${1##*-} mode=echo work='' options='' window=$window_ms
	case $1 in
	pingpong-*)
		title="$clients client(s), each asking again as soon as it has its reply"
		;;
	pinned-*)
		options="--pin"
		title="$clients clients, as pingpong; the server is held to CPU 0, the generator to CPU 1"
		;;
	paced-*)
		options="--rate $clients" title="one client, $clients requests a second by the clock"
		clients=1 window=$((window < paced_ms ? paced_ms : window))
		;;
	open-*)
		options="--rate $open_rate"
		title="$open_rate requests a second by the clock, over $clients clients"
		;;
	openblock1-*)
		options="--rate $open_rate --mark 1" work="--sleep 10000"
		title="$open_rate requests a second by the clock, over $clients clients; 1 % block for 10 ms"
		;;
	connect-*)
		options="--shape connect" mode=hello
		title="$clients at a time connect, send one request, read the reply until its end, close"
		;;
	deferred-*)
		options="--shape connect" mode=hello work="--defer-accept 10"
		title="as connect, with TCP_DEFER_ACCEPT at the server"
		;;
	pipeline-*)
		options="--pipeline 32" mode=lines
		title="$clients clients, each sending 32 lines at once; a line is a request, the latency that of all 32"
		;;
	block1-*)
		options="--mark 1" work="--sleep 10000"
		title="as pingpong-$clients, but 1 % of the requests block for 10 ms; latencies of the others"
		;;
	block100-*)
		options="--mark 100" work="--sleep 10000"
		title="$clients clients, and every request blocks for 10 ms"
		;;
	sleep40us-*)
		options="--mark 100" work="--sleep 40"
		title="$clients clients, and every request sleeps for 40 us"
		;;
	burn1ms-*)
		options="--mark 100" work="--burn 1000"
		title="$clients clients, and every request takes 1 ms of CPU"
		;;
	burn5ms-*)
		options="--mark 10" work="--burn 5000"
		title="$clients clients, and every tenth request takes 5 ms of CPU; latencies of the others"
		;;
	burn*us-*)
		describe_burn "$1"
		;;
	ramp-*)
		options="--shape ramp --mark 100" work="--sleep 10000"
		warmup=$rest_ms window=$((window < ramp_ms ? ramp_ms : window))
		title="as block100, from idle: how long until 90 % of the full throughput"
		;;
	firehose-*)
		options="--firehose"
		title="$clients clients as pingpong, beside one more that sends as much as it can"
		;;
	firehoses-*)
		options="--firehoses $clients" title="10 clients as pingpong, beside $clients that send as much as they can"
		clients=10
		;;
	idle-*)
		options="--shape idle" window=$((window < rest_ms ? rest_ms : window))
		title="$clients clients that have each had one reply, and now say nothing"
		;;
	http-*)
		driver=wrk mode='' window=1000
		title="HTTP: $clients connections that are kept, GET of 21 bytes, by wrk"
		;;
	*)
		echo "run.sh: no such load: $1" >&2
		exit 2
		;;
	esac
	case $1 in
	idle-* | ramp-*) warmup=$rest_ms ;;
	*) warmup=$((window / 4 < 500 ? window / 4 : 500)) ;;
	esac
	options="$options --clients $clients"
	[ "$driver" = wrk ] || options="$options --size 32"
}

# burnNus-CLIENTS, with -block1, -pinned or both in between.
describe_burn() {
	burn=${1#burn}
	burn=${burn%%us-*}
	work="--burn-all $burn" window=$((window < burn_ms ? window : burn_ms))
	title="$clients clients, and every request takes $burn us of CPU"
	case $1 in
	*-block1-*)
		options="--mark 1" work="$work --sleep 10000"
		title="$title; 1 % block for 10 ms besides, latencies of the others"
		;;
	esac
	case $1 in
	*-pinned-*)
		options="$options --pin"
		title="$title; the server is held to CPU 0, the generator to CPU 1"
		;;
	esac
}

# Sets $program, its $path and $arguments, and $libraries, a folder to take those from; or $script, for an
# interpreter.
describe_server() {
	program=$1 arguments='' script='' libraries='' path=''
	case $1 in
	bare_threads | bare_epoll | ours | libevent | libuv | glib | asio | go_net | ours_http) ;;
	bare_epoll_n) program=bare_epoll arguments="--loops 0" ;;
	asio_n) program=asio arguments="--threads 0" ;;
	ours_before)
		program=ours
		if [ -d "${before:-}" ]; then
			libraries=$before
		else
			path=${before:-}
		fi
		;;
	ours_per_client) program=ours arguments="--threads per-client" ;;
	ours_http_per_client) program=ours_http arguments="--threads per-client" ;;
	mhd_threads) program=mhd arguments="--model thread-per-connection" ;;
	mhd_pool) program=mhd arguments="--model pool" ;;
	httplib) arguments="--pool $clients" ;;
	python_tcp) script=python_tcp.py ;;
	*)
		echo "run.sh: no such server: $1" >&2
		exit 2
		;;
	esac
	path=${path:-$bin/servers/$program}
}

# is_one_of WORD LIST…
is_one_of() {
	word=$1
	shift
	for one in "$@"; do
		[ "$one" != "$word" ] || return 0
	done
	return 1
}

# Whether the load $1 is for the server $2.
goes_with() {
	case $1 in
	burn*us-* | block1-1000 | firehoses-*)
		# shellcheck disable=SC2086
		is_one_of "$2" $handler_servers
		return
		;;
	esac
	case $2:$1 in
	*http*:http-* | mhd_*:http-*) return 0 ;;
	*http*:* | mhd_*:* | *:http-*) return 1 ;;
	# Every client in turn would block a loop, or the few threads that it has, for 10 ms.
	bare_epoll*:block100-* | bare_epoll*:ramp-*) return 1 ;;
	libevent:block100-* | libevent:ramp-* | libuv:block100-* | libuv:ramp-*) return 1 ;;
	asio*:block100-* | asio*:ramp-*) return 1 ;;
	# With so many threads asking for the interpreter it loses replies.
	python_tcp:*-10000) return 1 ;;
	esac
}
