#!/bin/sh
# What a request costs in instructions of the server's own, in user space, whatever else the machine
# does: under callgrind, so the figure hardly depends on the moment, and a change of a percent shows.
#
#   bench/count.sh [--check]
#
# --check  fails when one of ours is above its ceiling (count.ceilings)
#
# Environment, with what is used when it is not set:
#   SERVERS, LOADS   which, out of those below
#   BENCH_BUILDDIR   where the programs are: beside this script
#
# Each load is run with a few requests and with more, each time an exact number of them. The
# difference of the instructions by that of the requests is the figure, so that starting, connecting
# and ending are not in it (but with `connect`, where they are the load). The longer run of ours is made
# three times, and the middle one counts.
#
# What is counted: all threads of the server, with the C library, but not the kernel. Of ours all but
# the keeper, which sees to what is due by the clock, the watchdog above all: how often it looks
# depends on the time that has passed, not on the requests, and under valgrind fifty times as much
# passes. It is left out as the thread in whose part of the profile its function is found. What others
# do because of it is in the figure: valgrind runs one thread at a time, so the watchdog sees threads
# wait for their turn, as if they waited in a callback, and has others relieve them, or samples how often
# they do.
#
# So that the figures agree from run to run, all clients ask at once (--requests of load), and server and
# generator are held to one CPU, where the server, as a batch process, leaves the generator its turn:
# else how many requests the server finds at a time, and how often it looks in vain, would depend on the
# race between the two. Ours then does what it does on one CPU.
#
# Another compiler, other CFLAGS or another C library give other figures: the ceilings are for those of
# Debian 12 as ./configure finds them.
set -u

here=$(dirname "$0")
# shellcheck source=bench/matrix.sh
. "$here/matrix.sh"

bin=${BENCH_BUILDDIR:-$here}
servers=${SERVERS:-bare_epoll libuv asio libevent ours ours_per_client}
loads=${LOADS:-pingpong lines pipelined connect by-id}
clients=64
ceilings=$here/count.ceilings
check=''
case $#${1-} in
0) ;;
1--check) check=yes ;;
*)
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

command -v valgrind >/dev/null || {
	echo "count.sh: there is no valgrind (./bootstrap --bench)" >&2
	exit 1
}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
cpu=$(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//')

fail() {
	echo "count.sh: $server, $load: $1" >&2
	sed 's/^/    /' "$scratch/said" >&2
	exit 1
}

# Sets the server's $mode, the generator's $options, and the two numbers of requests, $few and $many.
describe_count() {
	mode='--mode echo' options='' few=640 many=19200
	case $1 in
	pingpong) ;;
	lines) mode='--mode lines' options='--lines' ;;
	pipelined) mode='--mode lines' options='--pipeline 32' few=20480 many=102400 ;;
	connect) mode='--mode hello' options='--shape connect' many=9600 ;;
	by-id) mode='--mode echo --by-id' ;;
	*)
		echo "count.sh: no such load: $1" >&2
		exit 2
		;;
	esac
}

# profiled NUMBER: one run, whose figures go to $line and the profiles of its threads to files.
profiled() {
	rm -f "$scratch"/part*
	# shellcheck disable=SC2086
	line=$(taskset -c "$cpu" "$bin/load" --clients "$clients" --size 32 --patience 30 --requests "$1" \
		$options -- chrt --batch 0 valgrind --tool=callgrind --separate-threads=yes \
		--fair-sched=yes --compress-strings=no --log-file="$scratch/log" \
		--callgrind-out-file="$scratch/part" \
		"$bin/servers/$program" $mode $arguments --port 0 2>"$scratch/said")
}

# profile NUMBER: sets $requests and $instructions. Where others take the CPU, a stop of ours may be
# over, and the run failed, before all threads under valgrind have ended: so it has three attempts.
profile() {
	profiled "$1" || profiled "$1" || profiled "$1" || fail "the run failed: $line"
	requests=$(echo "$line" | tr ' ' '\n' | sed -n 's/^all_requests=//p')
	instructions=$(awk '
		function add() { if (keeper) keepers++; else sum += total; keeper = 0 }
		FNR == 1 { add(); total = 0 }
		/^totals:/ { total = $2 }
		/^fn=(mtsi_keeper|keeper_body)$/ { keeper = 1 }
		END { add(); printf "%d %.0f\n", keepers, sum }' "$scratch"/part*)
	case $program:${instructions% *} in
	ours*:1 | [!o]*:0) instructions=${instructions#* } ;;
	*) fail "the profile of the keeper's thread is in ${instructions% *} parts" ;;
	esac
}

count_one() {
	case $load:$program in
	by-id:ours*) ;;
	by-id:*)
		figure=-
		return
		;;
	esac
	describe_count "$load"
	case $program in
	ours) runs=3 ;;
	*) runs=1 ;;
	esac
	profile "$few"
	few_requests=$requests few_instructions=$instructions
	: >"$scratch/runs"
	while [ "$runs" -gt 0 ]; do
		profile "$many"
		echo $(((instructions - few_instructions) / (requests - few_requests))) >>"$scratch/runs"
		runs=$((runs - 1))
	done
	figure=$(sort -n "$scratch/runs" | awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }')
	echo "$server $load $figure" >>"$scratch/figures"
}

row() {
	printf '| %-27s |' "$1"
	shift
	printf ' %9s |' "$@"
	echo
}

# The ceilings that are broken, and those that say nothing any more; fails on the former.
compare() {
	awk '
		FNR == NR { if ($0 !~ /^#/ && NF) ceiling[$1, $2] = $3; next }
		$1 !~ /^ours/ { next }
		!(($1, $2) in ceiling) { print "count.sh: no ceiling of " $1 ", " $2; bad = 1; next }
		$3 > ceiling[$1, $2] {
			print "count.sh: " $1 ", " $2 ": " $3 " instructions a request, above its ceiling of " \
				ceiling[$1, $2] " (bench/count.ceilings)"
			bad = 1
		}
		$3 * 1.05 < ceiling[$1, $2] {
			print "count.sh: " $1 ", " $2 ": " $3 " is far below its ceiling of " ceiling[$1, $2] \
				", which can be lowered"
		}
		END { exit bad }' "$ceilings" "$scratch/figures" >&2
}

: >"$scratch/figures"
# shellcheck disable=SC2086
row "user instructions a request" $loads
# shellcheck disable=SC2046
row "---------------------------" $(for load in $loads; do echo --------:; done)
for server in $servers; do
	describe_server "$server"
	if [ ! -x "$bin/servers/$program" ]; then
		echo "$server is left out: what it is built with is not installed (./bootstrap --bench)" >&2
		continue
	fi
	set --
	for load in $loads; do
		count_one
		set -- "$@" "$figure"
	done
	row "$server" "$@"
done
[ -z "$check" ] || compare
