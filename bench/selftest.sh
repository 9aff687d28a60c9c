#!/bin/sh
# Is the generator to be believed?  It is driven against servers whose behaviour is known, and
# must report just that: their delays, the CPU that they burn, and every way they misbehave.
# run.sh runs this first.  BENCH_BUILDDIR: where the programs are; default: beside this script.
#
# One slow reply in 100 puts the edge right on the 99th percentile, where one sample more or less
# decides; so that is checked by the mean pace and p999, and p99 with one in 50 and one in 200.
set -u
bin=${BENCH_BUILDDIR:-$(dirname "$0")}
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT
trap 'exit 130' INT TERM
failed=0

# run OPTIONS -- KNOWN'S OPTIONS: leaves the line of figures in $line, the status in $status.
run() {
	options=
	while [ "$1" != -- ]; do
		options="$options $1"
		shift
	done
	shift
	# shellcheck disable=SC2086
	line=$("$bin/load" --warmup 0.1 --patience 0.3 $options -- "$bin/known" --port 0 "$@" \
		2>"$errors")
	status=$?
}

value() {
	printf '%s\n' "$line" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

# within NAME LOW HIGH
within() {
	value "$1" | awk -v low="$2" -v high="$3" '
		$1 != "na" && $1 + 0 >= low && $1 + 0 <= high { good = 1 }
		END { exit !good }' || {
		why="$why; $1 is $(value "$1"), expected $2 to $3"
		return 1
	}
}

# timed NAME CHECK OPTIONS…: three attempts, since a busy machine delays a reply now and then, but
# does not make a wrong generator right.
timed() {
	name=$1
	check=$2
	shift 2
	for attempt in 1 2 3; do
		why=
		run "$@"
		[ "$status" -eq 0 ] || why="; it failed: $(cat "$errors")"
		$check
		[ -z "$why" ] && return
		echo "selftest: $name, attempt $attempt$why" >&2
	done
	failed=1
}

# misbehaves NAME ERROR OPTIONS…: the run must fail, with that error counted.
misbehaves() {
	name=$1
	error=$2
	shift 2
	run "$@"
	count=$(value "$error")
	if [ "$status" -ne 1 ] || [ "${count:-0}" -lt 1 ]; then
		echo "selftest: $name: status $status, $error=$count was not noticed" >&2
		failed=1
	fi
}

one_in_100() {
	within p50_us 2000 2500
	within p999_us 20000 26000
	within requests_per_s 3200 3700 # eight clients, 2.18 ms on average: 3,670
}
one_in_50() {
	within p50_us 2000 2500
	within p99_us 20000 23000
}
one_in_200() {
	within p99_us 2000 8000 # a busy machine may delay some, but not to 20 ms
	within p999_us 20000 26000
}
hello_delay() {
	within p50_us 2000 3000
}
burnt() {
	within cpu_us_per_request 200 245
}

"$bin/hist_test" || failed=1
delays="--delay-us 2000 --slow-us 20000"
# shellcheck disable=SC2086
{
	timed "one reply in 100 slow" one_in_100 --clients 8 --seconds 0.5 -- $delays --slow-every 100
	timed "one reply in 50 slow" one_in_50 --clients 8 --seconds 0.3 -- $delays --slow-every 50
	timed "one reply in 200 slow" one_in_200 --clients 8 --seconds 0.3 -- $delays --slow-every 200
}
timed "a connection each" hello_delay --shape connect --clients 4 --seconds 0.2 \
	-- --mode hello --delay-us 2000
timed "200 us burnt" burnt --clients 2 --seconds 0.3 -- --burn-us 200

misbehaves "a wrong reply" wrong --clients 4 --warmup 0.02 --seconds 0.1 -- --wrong-every 500
misbehaves "half a reply" short --clients 4 --warmup 0.02 --seconds 0.1 -- --short-every 500
misbehaves "no reply" lost --clients 4 --warmup 0.02 --seconds 0.1 -- --silent-every 500
misbehaves "nobody listens" refused --clients 4 --warmup 0.02 --seconds 0.1 -- --refuse
misbehaves "nobody listens" refused --shape connect --clients 4 --warmup 0.02 --seconds 0.1 -- --refuse
misbehaves "a wrong hello" wrong --shape connect --clients 4 --warmup 0.02 --seconds 0.1 \
	-- --mode hello --wrong-every 50

if [ "$failed" -ne 0 ]; then
	echo "selftest: the generator's figures cannot be believed here" >&2
	exit 1
fi
