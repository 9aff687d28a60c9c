#!/bin/sh
# The benchmark: every load against every server, in rounds, and the table of what it cost.
#
#   bench/run.sh [--quick] [--pin]
#
# --quick  one round with short windows, less than 20 seconds: does it work, roughly how fast
# --pin    the server on CPU 0 and the generator on CPU 1; otherwise nothing is pinned
#
# Environment, with what is used when it is not set:
#   ROUNDS=5        how often everything is run
#   SECONDS_PER=2   the measured window of each run
#   LOADS, SERVERS  which, out of those below
#   BENCH_BUILDDIR  where the programs are: beside this script
#   BENCH_CSV       where every single run's figures go: results.csv in BENCH_BUILDDIR
#   BENCH_SELFTEST=no  leaves out the test of the generator
#
# The servers take turns within a round (A B A B), so that what the machine does meanwhile hits all
# of them; ratios are made within a round, then their median is taken.  A server is a program with
# `--mode echo|hello --port 0` that prints `port N` and ends on SIGTERM; a load is a set of options
# of `load`.  To add either, add it to the two functions below.  The status is 1 when any run had
# an error.
set -u

yardstick=bare_threads
all_servers="bare_threads bare_epoll ours ours_defer"
all_loads="pingpong-1 pingpong-64 pingpong-1000 connect-64 idle-1000"

# Sets $mode and $options.
describe_load() {
	mode='echo'
	case $1 in
	pingpong-*) options="--shape keep" ;;
	connect-*) options="--shape connect" mode=hello ;;
	idle-*) options="--shape idle" ;;
	*)
		echo "run.sh: no such load: $1" >&2
		exit 2
		;;
	esac
	options="$options --clients ${1##*-} --size 32"
}

# Sets $program, $arguments and $only: the loads that it is for.
describe_server() {
	program=$1 arguments='' only='*'
	case $1 in
	bare_threads | bare_epoll | ours) ;;
	ours_defer) program=ours arguments="--defer-accept 10" only='connect-*' ;;
	ours_on_demand) program=ours arguments="--threads on-demand" ;;
	*)
		echo "run.sh: no such server: $1" >&2
		exit 2
		;;
	esac
}

rounds=${ROUNDS:-5}
seconds=${SECONDS_PER:-2}
pin=''
placement="nothing pinned"
for argument in "$@"; do
	case $argument in
	--quick) rounds=${ROUNDS:-1} seconds=${SECONDS_PER:-0.25} ;;
	--pin) pin=--pin placement="server pinned to CPU 0, generator to CPU 1" ;;
	*)
		sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	esac
done
bin=${BENCH_BUILDDIR:-$(dirname "$0")}
csv=${BENCH_CSV:-$bin/results.csv}
loads=${LOADS:-$all_loads}
servers=${SERVERS:-$all_servers}
warmup=$(echo "$seconds" | awk '{ print $1 / 4 < 0.5 ? $1 / 4 : 0.5 }')
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# Calls "$@ ROUND LOAD SERVER" for every run, in order.
for_each_run() {
	round=1
	while [ "$round" -le "$rounds" ]; do
		for load in $loads; do
			for server in $servers; do
				describe_server "$server"
				# shellcheck disable=SC2254
				case $load in
				$only) "$@" ;;
				esac
			done
		done
		round=$((round + 1))
	done
}

check_one() {
	describe_load "$load"
	total=$((total + 1))
	if [ ! -x "$bin/$program" ]; then
		echo "run.sh: $bin/$program is missing" >&2
		exit 1
	fi
}

run_one() {
	number=$((number + 1))
	describe_load "$load"
	printf '[%d/%d] round %d, %s, %s: ' "$number" "$total" "$round" "$load" "$server" >&2
	# shellcheck disable=SC2086
	line=$("$bin/load" $options --warmup "$warmup" --seconds "$seconds" $pin -- \
		"$bin/$program" $arguments --mode "$mode" --port 0)
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

total=0
for_each_run check_one
if [ -n "$pin" ] && [ "$(getconf _NPROCESSORS_ONLN)" -lt 2 ]; then
	echo "run.sh: --pin needs two CPUs" >&2
	exit 1
fi
echo "$total $seconds $warmup" | awk '{
	printf "%d runs of %g s, about %d s in all\n", $1, $2, $1 * ($2 + $3 + 0.15) + 5
}' >&2
load_average=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null)
if [ "${BENCH_SELFTEST:-yes}" != no ]; then
	echo "testing the generator" >&2
	BENCH_BUILDDIR=$bin "$(dirname "$0")/selftest.sh" || exit 1
fi
number=0
for_each_run run_one

echo "libmtserver benchmark, $(date -u '+%Y-%m-%d %H:%M') UTC"
echo "$(uname -srm), $(getconf _NPROCESSORS_ONLN) CPUs, $placement, load average before $load_average"
echo "rounds: $rounds, $seconds s each run; median (min-max); ratios to $yardstick in the same round"
echo
awk -v yardstick="$yardstick" -v csv="$csv" -f "$(dirname "$0")/table.awk" "$scratch/raw"
