#!/bin/sh
# How often a request takes each lock, how often it was taken already, and how long it is held; and what
# follows from that for more CPUs than there are here (mva.awk). doc/PERFORMANCE.md shows one run.
#
#   bench/locks.sh
#
# Environment, with what is used when it is not set:
#   ROUNDS=5         how often everything is run
#   SECONDS_PER=0.5  how long each run is measured
#   LOADS            which, out of those in matrix.sh
#   BENCH_BUILDDIR   where the programs are: beside this script
#
# In each round each load is run against the server as it is, for its CPU time, and twice against one that
# counts what it does to its locks (servers/locks.c), a moment and for longer: the difference is without
# what starting, connecting and ending cost. Counts do not depend on what else the machine does, how long a
# lock is held hardly, CPU time does; all of it is the median of the rounds.
set -u

here=$(dirname "$0")
# What describe_load() asks for.
# shellcheck disable=SC2034
rest_ms=0 ramp_ms=0 paced_ms=0 open_rate=0
# shellcheck source=bench/matrix.sh
. "$here/matrix.sh"

rounds=${ROUNDS:-5}
bin=${BENCH_BUILDDIR:-$here}
loads=${LOADS:-pingpong-64 pingpong-1000 burn20us-64 burn100us-64 sleep40us-64 block1-1000 connect-64 firehose-50}
long_ms=$(echo "${SECONDS_PER:-0.5}" | awk '{ printf "%d", $1 * 1000 }')
short_ms=$((long_ms / 5))
[ $# -eq 0 ] || {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

in_seconds() {
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

try() {
	# shellcheck disable=SC2086
	line=$("$bin/load" $options --warmup "$(in_seconds "$warmup")" --seconds "$(in_seconds "$window")" \
		-- "$bin/servers/$1" --mode "$mode" $arguments $work --port 0)
}

# run PROGRAM MS: one run, whose line goes to $line. Where others take the CPUs a window may pass without a
# request, which is an error: so it has three attempts.
run() {
	window_ms=$2 burn_ms=$2
	describe_load "$load"
	try "$1" || try "$1" || try "$1" || {
		echo "locks.sh: $load, $1 $arguments: the run failed: $line" >&2
		exit 1
	}
}

# counted LENGTH MS: one run that counts.
counted() {
	LOCKS_OUT="$scratch/counts" run ours_locks "$2"
	awk -v where="$load $server $round $1" -v round="$round" '
		$1 == "lock" { print "lock", where, $2, $3, $4, $5 }
		$1 == "calls" { print "calls", where, $2 }
		/_ns / { sub(/_ns/, "", $1); cost = cost " " $1 "=" $2 }
		END { print "cost", round cost }' "$scratch/counts" >>"$scratch/raw"
}

figure() {
	echo "$line" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

round=1
while [ "$round" -le "$rounds" ]; do
	echo "round $round of $rounds" >&2
	cost=$("$bin/lock_cost") || exit 1
	echo "cost $round $cost" >>"$scratch/raw"
	for load in $loads; do
		for server in ours ours_per_client; do
			describe_server "$server"
			run "$program" "$long_ms"
			echo "plain $load $server $round $(figure cpu_us_per_request) $(figure requests_per_s)" \
				>>"$scratch/raw"
			counted short "$short_ms"
			counted long "$long_ms"
		done
	done
	round=$((round + 1))
done

awk -v figures="$scratch/figures" -f "$here/locks.awk" "$scratch/raw" || exit 1
echo
awk '{ printf "%s%s %.2f", sep, $1, $2; sep = ", " } END { print "" }' "$scratch/figures"
echo
awk -f "$here/mva.awk" "$scratch/figures"
