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

# drive KNOWN'S OPTIONS: one run of the generator, with its $options.
drive() {
	# shellcheck disable=SC2086
	"$bin/load" --warmup 0.1 --patience 0.3 $options -- "$bin/servers/known" --port 0 "$@"
}

# run OPTIONS -- WHAT DRIVE TAKES: leaves the line of figures in $line, the status in $status.
run() {
	options=
	while [ "$1" != -- ]; do
		options="$options $1"
		shift
	done
	shift
	line=$(drive "$@" 2>"$errors")
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
	within cpu_us_per_request 195 245
}
# Four threads on fewer CPUs: what a preempted one burns must not depend on its waiting.
burnt_when_marked() {
	within cpu_us_per_request 1980 2200
}
marks_apart() {
	within fast_p99_us 0 6000
	within slow_p50_us 10000 12500
	within p99_us 10000 16000
	value fast | awk -v slow="$(value slow)" '{ exit !(slow * 15 > $1 + slow && slow * 7 < $1 + slow) }' \
		|| why="$why; $(value slow) marked beside $(value fast), expected one in 10"
}
by_the_clock() {
	within requests_per_s 195 205
	within missed 0 2
}
# A reply takes two and a half of the clock's steps, so after 0.6 s 48 of 120 requests are answered.
# In the window 100 are due; the last waits for as long as 72 steps, whether it is sent or not.
clock_too_fast() {
	within requests_per_s 75 81
	within missed 60 76
	within p50_us 160000 270000
	within p999_us 300000 400000
}
# All are held up for 100 ms of each 300, so a third of the timetable's requests waits, evenly from
# 0 to 100 ms: 30 % longer than 10, 10 % longer than 70, 1 % longer than 97.
stalls_by_the_clock() {
	within p50_us 1000 2000
	within p99_us 90000 107000
	within requests_per_s 1900 2100
	within missed 0 0
}
# Asked by a closed loop, that server looks good: 8 requests of some 5,000 are held up in a period.
stalls_unnoticed() {
	within p50_us 250 900
	within p99_us 250 9000
}
# It has a thread of its own: 16 KiB each 2 ms, and the others are as slow as ever.
hosed() {
	within p50_us 2000 2600
	within hose_mib_per_s 3 8.5
}
# Five of them, each as fast as the one.
hosed_by_five() {
	within p50_us 2000 2600
	within hose_mib_per_s 15 42
}
lines_together() {
	within p50_us 2000 2600
	within requests_per_s 48000 64000 # four times 32 in 2.1 ms
}
# All have made their share, and no one more.
all_made() {
	within all_requests 800 800
	within requests 792 792 # without the first of each
}
lines_made() {
	within all_requests 2560 2560
}
# In each round of eight one is slow, and the others wait for it.
in_step() {
	within requests_per_s 400 800
	within all_requests 160 160
}
# Cold until 200 ms, and the last cold request takes until 240.
slow_ramp() {
	within ramp_ms 230 300
}
no_ramp() {
	within ramp_ms 10 35
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
timed "200 us burnt by all" burnt --clients 2 --seconds 0.3 -- --burn-all 200

timed "2 ms burnt when marked" burnt_when_marked --clients 4 --mark 100 --seconds 0.3 \
	-- --burn 2000
timed "one in 10 marked" marks_apart --clients 8 --mark 10 --seconds 0.4 \
	-- --delay-us 1000 --sleep 10000
timed "200 a second" by_the_clock --clients 2 --rate 200 --seconds 0.5 -- --delay-us 1000
timed "200 a second, but slow" clock_too_fast --rate 200 --seconds 0.5 -- --delay-us 12500
stalls="--stall-ms 100 --stall-every-ms 300 --delay-us"
# shellcheck disable=SC2086
{
	timed "stalls by the clock" stalls_by_the_clock --clients 256 --rate 2000 --seconds 0.9 \
		-- $stalls 1000
	timed "stalls, two threads" stalls_by_the_clock --threads 2 --clients 256 --rate 2000 \
		--seconds 0.9 -- $stalls 1000
	timed "stalls unnoticed" stalls_unnoticed --clients 8 --seconds 0.9 -- $stalls 250
}
timed "a firehose" hosed --clients 4 --firehose --seconds 0.3 -- --delay-us 2000
timed "five firehoses" hosed_by_five --clients 4 --firehoses 5 --seconds 0.3 -- --delay-us 2000
timed "lines together" lines_together --clients 4 --pipeline 32 --size 24 --seconds 0.2 \
	-- --mode lines --delay-us 2000
timed "so many requests" all_made --clients 8 --requests 800 --
timed "so many, two threads" all_made --clients 8 --threads 2 --requests 800 --
timed "so many connections" all_made --shape connect --clients 8 --requests 800 -- --mode hello
timed "so many lines" lines_made --clients 4 --lines --requests 2560 -- --mode lines
timed "so many batches" lines_made --clients 4 --pipeline 32 --requests 2560 -- --mode lines
timed "in step" in_step --clients 8 --requests 160 -- --slow-us 10000 --slow-every 8
ramp="--shape ramp --clients 16 --mark 100 --seconds 0.6"
# shellcheck disable=SC2086
{
	timed "cold for 200 ms" slow_ramp $ramp -- --delay-us 10000 --cold-ms 200 --cold-us 80000
	timed "warm at once" no_ramp $ramp -- --delay-us 10000
}

misbehaves "a wrong line" wrong --clients 4 --pipeline 32 --size 24 --warmup 0.02 --seconds 0.1 \
	-- --mode lines --wrong-every 500
misbehaves "a wrong reply" wrong --clients 4 --warmup 0.02 --seconds 0.1 -- --wrong-every 500
misbehaves "half a reply" short --clients 4 --warmup 0.02 --seconds 0.1 -- --short-every 500
misbehaves "no reply" lost --clients 4 --warmup 0.02 --seconds 0.1 -- --silent-every 500
misbehaves "no reply, so many requests" lost --clients 4 --requests 4000 -- --silent-every 500
misbehaves "nobody listens" refused --clients 4 --warmup 0.02 --seconds 0.1 -- --refuse
misbehaves "nobody listens" refused --shape connect --clients 4 --warmup 0.02 --seconds 0.1 -- --refuse
misbehaves "a wrong hello" wrong --shape connect --clients 4 --warmup 0.02 --seconds 0.1 \
	-- --mode hello --wrong-every 50

# The same for the HTTP servers' generator, where it is: drive SERVER ITS-OPTIONS.
drive() {
	server=$1
	shift
	# shellcheck disable=SC2086
	"$bin/wrk" --warmup 0.1 --seconds 0.3 $options -- "$bin/servers/$server" --port 0 "$@"
}
http_delay() {
	within p50_us 2000 2600
	within requests_per_s 3000 4000 # eight clients, 2.1 ms: 3,800, less the time to connect
}
http_burnt() {
	within cpu_us_per_request 200 260
}
if command -v wrk >/dev/null; then
	timed "HTTP, 2 ms" http_delay --clients 8 -- ours_http --sleep 2000
	timed "HTTP, 200 us burnt" http_burnt --clients 2 -- ours_http --burn 200
	misbehaves "not HTTP" wrong --clients 4 -- known --mode hello
	misbehaves "no HTTP server" refused --clients 4 -- known --refuse
	misbehaves "HTTP, but not kept" reset --clients 4 -- ours_http --close
	if [ -x "$bin/servers/httplib" ]; then
		misbehaves "HTTP clients left waiting" lost --clients 4 -- httplib --pool 2
	fi
fi

if [ "$failed" -ne 0 ]; then
	echo "selftest: the generator's figures cannot be believed here" >&2
	exit 1
fi
