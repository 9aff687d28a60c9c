#!/bin/sh
# The benchmark: loads against servers, in rounds, and the tables and plots of what it cost.
#
#   bench/run.sh [--quick] [--pin] [--syscalls] [--before PATH]
#                [--only LOADS] [--servers SERVERS] [--rounds N]
#
# Without an option everything, which takes about 35 minutes; it says how long.
# --quick     a selection of loads, one round, short windows: less than 3 minutes; does it work,
#             roughly how fast
# --pin       the server on CPU 0 and the generator on CPU 1, in all loads
# --syscalls  afterwards each load once more under strace, for the system calls per request
# --before PATH  one more server, ours_before, in the same rounds: that of another build, or if PATH is a
#             folder, today's with the libmtserver.so.0 that is there (lib/.libs of another build)
# --only LOADS  these alone, or all whose names begin so, and 11 rounds; the generator is not tested, and
#             the tables have ratios to ours. For who tries something out:
#             --only burn20us --servers "ours ours_before asio_n" --before ../before/lib/.libs
# --servers SERVERS, --rounds N  as SERVERS and ROUNDS
#
# Environment, with what is used when it is not set:
#   ROUNDS           how often everything is run: 5, handlers that take their time 11 (1 with --quick)
#   SECONDS_PER=0.6  the measured window of each run (0.15 with --quick); some loads take more, and
#                    burnNus 0.2, but with --only
#   LIMIT=2400       no run begins after so many seconds (170 with --quick)
#   OPEN_RATE=20000  requests a second of the loads that go by the clock
#   THREADS          of the generator: half of the CPUs
#   LOADS, SERVERS   which, out of those in matrix.sh
#   BENCH_BUILDDIR   where the programs are: beside this script
#   BENCH_OUT        where results go: results in BENCH_BUILDDIR
#   BENCH_SELFTEST=no  leaves out the test of the generator
#
# The servers take turns within a round (A B C A B C), so that what the machine does meanwhile hits
# all of them; ratios are made within a round, then their median is taken.  The status is 1 when any
# run had an error.
set -u

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
}

here=$(dirname "$0")
rest_ms=1000  # at rest before and while it is measured
ramp_ms=600   # until the full rate has shown itself
burn_ms=200   # there are many of these loads, and rounds
paced_ms=2000 # few requests a second take some time to be many
# shellcheck source=bench/matrix.sh
. "$here/matrix.sh"

rounds=${ROUNDS:-5}
handler_rounds=${ROUNDS:-11}
seconds=${SECONDS_PER:-0.6}
limit=${LIMIT:-2400}
open_rate=${OPEN_RATE:-20000}
cpus=$(getconf _NPROCESSORS_ONLN)
threads=${THREADS:-$(((cpus + 1) / 2))}
loads=$full_loads
pin=''
syscalls=''
before=''
only=''
selftest=${BENCH_SELFTEST:-yes}
placement="nothing is pinned: server and generator share them"
while [ $# -gt 0 ]; do
	case $1 in
	--before | --only | --servers | --rounds)
		[ $# -ge 2 ] || { usage >&2; exit 2; }
		;;
	esac
	case $1 in
	--quick)
		rounds=${ROUNDS:-1} handler_rounds=$rounds seconds=${SECONDS_PER:-0.15} limit=${LIMIT:-170}
		rest_ms=150 paced_ms=500 ramp_ms=400 loads=$quick_loads
		;;
	--pin) pin=--pin placement="the server is pinned to CPU 0, the generator to CPU 1" ;;
	--syscalls) syscalls=yes ;;
	--before) shift; before=$1 ;;
	--only) shift; only=$1 rounds=$handler_rounds ;;
	--servers) shift; SERVERS=$1 ;;
	--rounds) shift; rounds=$1 handler_rounds=$1 ;;
	--help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done

# Those of all loads that are named, or whose names begin so; others as they are.
expand() {
	for name in "$@"; do
		matches=''
		for load in $quick_loads $full_loads; do
			case $load in
			"$name") matches=" $load"; break ;;
			"$name"*)
				# shellcheck disable=SC2086
				is_one_of "$load" $matches || matches="$matches $load"
				;;
			esac
		done
		printf '%s ' "${matches:-$name}"
	done
}
bin=${BENCH_BUILDDIR:-$here}
out=${BENCH_OUT:-$bin/results}
loads=${LOADS:-$loads}
window_ms=$(echo "$seconds" | awk '{ printf "%d", $1 * 1000 }')
if [ -n "$only" ]; then
	# shellcheck disable=SC2086
	loads=$(expand $only)
	also_handler_loads=$loads selftest=no burn_ms=$window_ms
fi
servers=${SERVERS:-$all_servers}
mkdir -p "$out" || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# How often the present load is run against the present server.
set_repeats() {
	repeats=$rounds
	# shellcheck disable=SC2086
	if is_one_of "$load" $handler_loads $also_handler_loads && is_one_of "$server" $handler_servers; then
		repeats=$handler_rounds
	fi
}

# Calls "$@" for every run of a round, in order.
for_each_run() {
	for load in $loads; do
		describe_load "$load"
		for server in $servers; do
			describe_server "$server"
			set_repeats
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
	if [ -n "$script" ]; then
		set -- "$@" python3 "$here/servers/$script"
	elif [ -n "$libraries" ]; then
		set -- "$@" env "LD_LIBRARY_PATH=$libraries" "$path"
	else
		set -- "$@" "$path"
	fi
	[ -z "$mode" ] || set -- "$@" --mode "$mode"
	# shellcheck disable=SC2086
	"$bin/$driver" $options --threads "$threads" --warmup "$(in_seconds "$warmup")" \
		--seconds "$(in_seconds "$length")" $pin -- "$@" $arguments $work --port 0
}

leave_out() {
	echo "$server is left out: $1" >&2
}

# Whether the server gets its library from the folder that was said.
loads_before() {
	LD_LIBRARY_PATH=$libraries ldd "$path" 2>/dev/null | grep -qF "=> ${libraries%/}/libmtserver.so"
}

# Drops what cannot run here from $servers, and says so.
drop_missing() {
	there=''
	clients=1
	for server in $servers; do
		[ "$server${before:-}" != ours_before ] || continue
		describe_server "$server"
		if [ -n "$libraries" ] && ! loads_before; then
			leave_out "$libraries has no library that it can be run with"
			continue
		elif [ -n "$script" ]; then
			command -v python3 >/dev/null || { leave_out "there is no python3"; continue; }
		elif [ ! -x "$path" ]; then
			leave_out "what it is built with is not installed (./bootstrap --bench)"
			continue
		fi
		case $server in
		*http* | mhd_*) command -v wrk >/dev/null || { leave_out "there is no wrk"; continue; } ;;
		esac
		there="$there $server"
	done
	servers=$there
}

count_one() {
	total=$((total + repeats))
	# Many clients take their time to connect and to end.
	total_ms=$((total_ms + repeats * (window + warmup + 130 + clients / 5)))
	grep -qs "^$load " "$scratch/titles" || echo "$load $title" >>"$scratch/titles"
}

elapsed() {
	echo $(($(date +%s) - begun))
}

run_one() {
	[ "$round" -le "$repeats" ] || return
	number=$((number + 1))
	if [ "$(elapsed)" -ge "$limit" ]; then
		left_out=$((left_out + 1))
		return
	fi
	printf '[%d/%d, %d s] round %d, %s, %s: ' "$number" "$total" "$(elapsed)" "$round" "$load" \
		"$server" >&2
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
	idle-* | ramp-* | *pinned-* | http-* | *-10000) return ;;
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

# The processor as the machine names it.
processor() {
	sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1
}

drop_missing
total=0
total_ms=0
for_each_run count_one
if [ "$cpus" -lt 2 ]; then
	case $pin$loads in
	*--pin* | *pinned*)
		echo "run.sh: --pin and the pinned loads need two CPUs" >&2
		exit 1
		;;
	esac
fi
expected=$((total_ms / 1000 + 20))
echo "$total runs, about $((expected / 60)) min $((expected % 60)) s in all, at most $limit s" >&2
load_average=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null)
begun=$(date +%s)
if [ "$selftest" != no ]; then
	echo "testing the generator" >&2
	BENCH_BUILDDIR=$bin "$here/selftest.sh" || exit 1
fi
number=0
left_out=0
round=1
while [ "$round" -le "$rounds" ] || [ "$round" -le "$handler_rounds" ]; do
	for_each_run run_one
	round=$((round + 1))
done
[ "$left_out" -eq 0 ] || echo "$left_out of $total runs are left out: the time is up" >&2
if [ -n "$syscalls" ] && command -v strace >/dev/null; then
	for_each_run trace_one
elif [ -n "$syscalls" ]; then
	echo "no strace here, so no system calls are counted" >&2
fi

awk -v csv="$out/results.csv" -v summary="$out/summary.csv" -f "$here/summary.awk" "$scratch/raw"
status=$?
{
	echo "# libmtserver benchmark, $(date -u '+%Y-%m-%d %H:%M') UTC"
	echo
	echo "- $(uname -srm), $(processor), $cpus CPUs; $placement;"
	echo "  load average before: $load_average; generator threads: $threads"
	echo "- rounds: $rounds ($handler_rounds where handlers take their time), $seconds s each run; median (least-greatest); a ratio is made within a round,"
	echo "  then its median taken; runs left out for want of time: $left_out"
	cat "$here/legend.md"
	awk -v handlers="$handler_loads $also_handler_loads" -f "$here/table.awk" "$scratch/titles" "$out/summary.csv" "$out/results.csv"
	if [ -s "$scratch/syscalls" ]; then
		awk -f "$here/syscalls.awk" "$scratch/syscalls"
	fi
} >"$out/tables.md"
cat "$out/tables.md"
"$here/plot.sh" "$out"
[ "$status" -eq 0 ] || echo "SOME RUNS FAILED: see the errors above." >&2
echo "Tables, plots and every run's figures are in $out" >&2
exit "$status"
