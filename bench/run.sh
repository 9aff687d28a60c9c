#!/bin/sh
# The benchmark: loads against servers, in rounds, and the tables of what it cost.
#
#   bench/run.sh [--quick | --full] [--pin] [--syscalls]
#
# Without an option a selection of loads in short rounds, about five minutes; it says how long.
# --quick     one round with short windows, less than 30 seconds: does it work, roughly how fast
# --full      every load and server, more and longer rounds
# --pin       the server on CPU 0 and the generator on CPU 1, in all loads
# --syscalls  afterwards each load once more under strace, for the system calls per request
#
# Environment, with what is used when it is not set:
#   ROUNDS=3        how often everything is run (5 with --full)
#   SECONDS_PER=0.8 the measured window of each run (2 with --full); some loads take more
#   LOADS, SERVERS  which, out of those below
#   BENCH_BUILDDIR  where the programs are: beside this script
#   BENCH_CSV       where every single run's figures go: results.csv in BENCH_BUILDDIR
#   BENCH_SELFTEST=no  leaves out the test of the generator
#
# The servers take turns within a round (A B A B), so that what the machine does meanwhile hits all
# of them; ratios are made within a round, then their median is taken.  A server is a program that
# keeps to contract.h; a load is a set of options of `load`, and of the servers.  To add either,
# add a line to the two functions below.  The status is 1 when any run had an error.
set -u

yardstick=bare_threads
servers="bare_threads bare_epoll ours ours_on_demand ours_defer go_net"
full_servers="bare_threads bare_epoll ours ours_per_client ours_on_demand ours_defer go_net"
quick_loads="pingpong-1 pingpong-64 pingpong-1000 paced-30 connect-64 pipeline-64 block1-64 \
	ramp-1000 idle-1000"
loads="pingpong-1 pingpong-64 pingpong-1000 pingpong-10000 pinned-64 paced-30 connect-64 \
	pipeline-64 firehose-50 block0-64 block1-64 block100-1000 ramp-1000 idle-10000"
full_loads="pingpong-1 pingpong-64 pingpong-1000 pingpong-10000 pinned-1 pinned-64 pinned-1000 \
	pinned-10000 paced-30 connect-64 pipeline-1 pipeline-64 firehose-50 sleep40us-64 block0-64 block1-64 \
	block0-1000 block1-1000 block100-1000 burn1ms-64 burn5ms-64 ramp-1000 idle-1000 idle-10000"

# NAME-CLIENTS; sets $mode, $work (the server's options), $options (the generator's), and $window
# and $warmup in ms.
describe_load() {
	clients=${1##*-} mode='echo' work='' options=''
	window=$window_ms
	case $1 in
	pingpong-*) ;;
	pinned-*) options="--pin" ;;
	paced-*) options="--rate $clients" clients=1 window=$((window < paced_ms ? paced_ms : window)) ;;
	connect-*) options="--shape connect" mode=hello ;;
	pipeline-*) options="--pipeline 32" mode=lines ;;
	sleep40us-*) options="--mark 100" work="--sleep 40" ;;
	block0-*) options="--mark 1" ;; # what block1 is compared with: marked, but to no effect
	block1-*) options="--mark 1" work="--sleep 10000" ;;
	block100-*) options="--mark 100" work="--sleep 10000" ;;
	burn1ms-*) options="--mark 100" work="--burn 1000" ;;
	burn5ms-*) options="--mark 10" work="--burn 5000" ;;
	ramp-*) options="--shape ramp --mark 100" work="--sleep 10000" ;;
	firehose-*) options="--firehose" ;; # and one more client that never stops sending
	idle-*) options="--shape idle" ;;
	*)
		echo "run.sh: no such load: $1" >&2
		exit 2
		;;
	esac
	warmup=$((window / 4 < 500 ? window / 4 : 500))
	case $1 in
	idle-*) warmup=$rest_ms window=$((window < rest_ms ? rest_ms : window)) ;;
	ramp-*) warmup=$rest_ms window=$((window < ramp_ms ? ramp_ms : window)) ;;
	esac
	options="$options --clients $clients --size 32"
}

# Sets $program and $arguments.
describe_server() {
	program=$1 arguments=''
	case $1 in
	bare_threads | bare_epoll | go_net | ours) ;;
	ours_per_client) program=ours arguments="--threads per-client" ;;
	ours_on_demand) program=ours arguments="--threads on-demand" ;;
	ours_defer) program=ours arguments="--defer-accept 10" ;;
	*)
		echo "run.sh: no such server: $1" >&2
		exit 2
		;;
	esac
}

# Whether the load $1 is for the server $2.
goes_with() {
	case $2:$1 in
	ours_defer:connect-*) return 0 ;; # it makes no difference elsewhere
	ours_defer:*) return 1 ;;
	# One thread, and every client in turn blocks it for 10 ms.
	bare_epoll:block100-* | bare_epoll:ramp-*) return 1 ;;
	esac
}

rounds=${ROUNDS:-3}
seconds=${SECONDS_PER:-0.8}
rest_ms=1000  # at rest before and while it is measured
ramp_ms=600   # until the full rate has shown itself
paced_ms=2000 # few requests a second take some time to be many
pin=''
syscalls=''
placement="nothing pinned"
for argument in "$@"; do
	case $argument in
	--quick)
		rounds=${ROUNDS:-1} seconds=${SECONDS_PER:-0.15} rest_ms=150 paced_ms=500
		ramp_ms=400 loads=$quick_loads
		;;
	--full)
		rounds=${ROUNDS:-5} seconds=${SECONDS_PER:-2} rest_ms=2000
		loads=$full_loads servers=$full_servers
		;;
	--pin) pin=--pin placement="server pinned to CPU 0, generator to CPU 1" ;;
	--syscalls) syscalls=yes ;;
	*)
		sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	esac
done
here=$(dirname "$0")
bin=${BENCH_BUILDDIR:-$here}
csv=${BENCH_CSV:-$bin/results.csv}
loads=${LOADS:-$loads}
servers=${SERVERS:-$servers}
window_ms=$(echo "$seconds" | awk '{ printf "%d", $1 * 1000 }')
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# Calls "$@" for every run of a round, in order.
for_each_run() {
	for load in $loads; do
		describe_load "$load"
		for server in $servers; do
			describe_server "$server"
			if goes_with "$load" "$server"; then
				"$@"
			fi
		done
	done
}

in_seconds() {
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

# run_load MS-OF-WINDOW [PREFIX…]: one run, whose line goes to standard output.
run_load() {
	length=$1
	shift
	# shellcheck disable=SC2086
	"$bin/load" $options --warmup "$(in_seconds "$warmup")" --seconds "$(in_seconds "$length")" \
		$pin -- "$@" "$bin/servers/$program" $arguments $work --mode "$mode" --port 0
}

# Drops what cannot run here from $servers, and says so.
drop_missing() {
	there=''
	for server in $servers; do
		describe_server "$server"
		if [ "$server" = go_net ] && [ ! -x "$bin/servers/$program" ]; then
			echo "go_net is left out: there is no Go to build it with" >&2
		elif [ ! -x "$bin/servers/$program" ]; then
			echo "run.sh: $bin/servers/$program is missing" >&2
			exit 1
		elif [ "$server" = ours_on_demand ] && ! "$bin/load" --warmup 0 --seconds 0.02 -- \
			"$bin/servers/ours" --threads on-demand --port 0 >"$scratch/probe" 2>&1; then
			echo "ours_on_demand is left out: this library does not have that model" >&2
		else
			there="$there $server"
		fi
	done
	servers=$there
}

count_one() {
	total=$((total + 1))
	# Many clients take their time to connect and to end.
	total_ms=$((total_ms + window + warmup + 60 + clients / 6))
}

run_one() {
	number=$((number + 1))
	printf '[%d/%d] round %d, %s, %s: ' "$number" "$total" "$round" "$load" "$server" >&2
	line=$(run_load "$window")
	status=$?
	# Without figures it failed at the start, and that is an error like any other.
	[ -n "$line" ] || line=errors=1
	echo "round=$round load=$load server=$server status=$status $line" >>"$scratch/raw"
	if [ "$status" -eq 0 ]; then
		echo "$line" | awk '{
			for (i = 1; i <= NF; i++) { split($i, pair, "="); value[pair[1]] = pair[2] }
			if (value["cpu_us_per_request"] == "na") print value["exact_rss_kib"] " KiB"
			else print value["cpu_us_per_request"] " us/request"
		}' >&2
	else
		echo "FAILED: $line" >&2
	fi
}

# traced KIND MS: one run under strace, as lines `KIND load server name calls requests`.  -D makes
# strace a grandchild, so that the server stays the generator's own child and gets its SIGTERM.
traced() {
	rm -f "$scratch/calls"
	line=$(run_load "$2" strace -D -f -c -o "$scratch/calls" 2>"$scratch/probe")
	requests=$(echo "$line" | tr ' ' '\n' | sed -n 's/^all_requests=//p')
	if [ -z "$requests" ]; then # where tracing is forbidden, for one
		echo "run.sh: no figures under strace: $(tail -n 1 "$scratch/probe")" >&2
		return
	fi
	# The summary comes after the server's end, in its own time.
	tries=0
	while [ "$tries" -lt 50 ] && ! grep -qs ' total$' "$scratch/calls"; do
		sleep 0.1
		tries=$((tries + 1))
	done
	awk -v kind="$1" -v load="$load" -v server="$server" -v requests="$requests" '
		$4 ~ /^[0-9]+$/ && $NF != "total" { print kind, load, server, $NF, $4, requests }
	' "$scratch/calls" >>"$scratch/syscalls"
}

# A short run and a longer one: the difference is without what starting, connecting and ending cost.
trace_one() {
	case $load in
	idle-* | ramp-* | pinned-* | *-10000) return ;;
	esac
	echo "tracing $load, $server" >&2
	case $load in
	paced-*) ;;
	*) window=400 ;;
	esac
	warmup=0
	traced short 10
	traced long "$window"
}

drop_missing
total=0
total_ms=0
for_each_run count_one
total=$((total * rounds))
if [ "$(getconf _NPROCESSORS_ONLN)" -lt 2 ]; then
	case $pin$loads in
	*--pin* | *pinned*)
		echo "run.sh: --pin and the pinned loads need two CPUs" >&2
		exit 1
		;;
	esac
fi
echo "$total runs, about $((total_ms * rounds / 1000 + 8)) s in all" >&2
load_average=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null)
if [ "${BENCH_SELFTEST:-yes}" != no ]; then
	echo "testing the generator" >&2
	BENCH_BUILDDIR=$bin "$here/selftest.sh" || exit 1
fi
number=0
round=1
while [ "$round" -le "$rounds" ]; do
	for_each_run run_one
	round=$((round + 1))
done
if [ -n "$syscalls" ] && command -v strace >/dev/null; then
	for_each_run trace_one
elif [ -n "$syscalls" ]; then
	echo "no strace here, so no system calls are counted" >&2
fi

echo "libmtserver benchmark, $(date -u '+%Y-%m-%d %H:%M') UTC"
echo "$(uname -srm), $(getconf _NPROCESSORS_ONLN) CPUs, $placement, load average before $load_average"
echo "rounds: $rounds, $seconds s each run; median (min-max); ratios to $yardstick in the same round"
echo
awk -v yardstick="$yardstick" -v csv="$csv" -f "$here/table.awk" "$scratch/raw"
status=$?
if [ -s "$scratch/syscalls" ]; then
	echo
	awk -f "$here/syscalls.awk" "$scratch/syscalls"
fi
exit "$status"
