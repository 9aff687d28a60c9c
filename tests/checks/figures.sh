#!/bin/sh
# The benchmark's arithmetic, on figures that are known: medians, spreads, ratios within a round, what
# was not measured, and errors that must not be lost on the way to the tables; and the model of many CPUs.
. "$srcdir/tests/checks/common.sh"

bench=$srcdir/bench

# runs: three rounds. CPU of the loop is 2, 4, 3, of ours 3, 4, 6: ratios of 1.5, 1 and 2.
cat >"$work/raw" <<'END'
round=1 load=pingpong-64 server=bare_epoll status=0 clients=64 cpu_us_per_request=2 requests_per_s=100 p99_us=10 errors=0
round=1 load=pingpong-64 server=ours status=0 clients=64 cpu_us_per_request=3 user_ns_per_request=500 requests_per_s=50 p99_us=8 errors=0
round=2 load=pingpong-64 server=bare_epoll status=0 clients=64 cpu_us_per_request=4 requests_per_s=300 p99_us=10 errors=0
round=2 load=pingpong-64 server=ours status=0 clients=64 cpu_us_per_request=4 user_ns_per_request=1500 requests_per_s=30 p99_us=9 errors=0
round=3 load=pingpong-64 server=bare_epoll status=0 clients=64 cpu_us_per_request=3 requests_per_s=200 p99_us=10 errors=0
round=3 load=pingpong-64 server=ours status=0 clients=64 cpu_us_per_request=6 user_ns_per_request=1000 requests_per_s=40 p99_us=30 errors=0
round=1 load=idle-4 server=ours status=0 clients=4 seconds=2 cpu_us_per_request=na cpu_ms=3 rss_kib=900 exact_rss_kib=1024 threads=2 switches=8 errors=0
END
echo "pingpong-64 clients that ask" >"$work/titles"
echo "idle-4 four that rest" >>"$work/titles"

summarize()
{
	awk -v csv="$work/results.csv" -v summary="$work/summary.csv" -f "$bench/summary.awk" "$work/raw"
}

expect()
{
	if ! grep -qxF -- "$2" "$work/$1"; then
		fail "$1 lacks: $2"
	fi
}

# in_table TEXT: with whatever spaces.
in_table()
{
	if ! tr -s ' ' <"$work/tables.md" | grep -qF -- "$1"; then
		fail "the tables lack: $1"
	fi
}

tables()
{
	awk -v handlers="${1-}" -f "$bench/table.awk" "$work/titles" "$work/summary.csv" "$work/results.csv" >"$work/tables.md" ||
		fail "table.awk failed"
}

summarize || fail "summary.awk found an error where there is none"
expect summary.csv "pingpong-64,bare_epoll,cpu_us_per_request,3,3,2,4"
expect summary.csv "pingpong-64,ours,cpu_us_per_request,3,4,3,6"
expect summary.csv "pingpong-64,ours,cpu_us_per_request/bare_epoll,3,1.5,1,2"
expect summary.csv "pingpong-64,ours,requests_per_s/bare_epoll,3,0.2,0.1,0.5"
expect summary.csv "pingpong-64,ours,user_us_per_request,3,1,0.5,1.5"
expect summary.csv "pingpong-64,ours,system_us_per_request,3,2.5,2.5,5"
expect summary.csv "pingpong-64,bare_epoll,p99_us/ours,3,1.11111,0.333333,1.25"
expect summary.csv "idle-4,ours,rss_kib,1,1024,1024,1024"
if grep -q "idle-4,ours,cpu_us_per_request," "$work/summary.csv"; then
	fail "summary.csv has a figure that was not measured"
fi
test "$(wc -l <"$work/results.csv")" -eq 8 || fail "results.csv has not a line for each run"

tables
in_table "## pingpong-64: clients that ask"
in_table "| server | CPU us/request |"
in_table "| ours | 4 (3-6) | 1 | 2.50 | - | 1.50 | 40 (30-50) | - | 9 (8-30) | - | - | - | - | - | - | 0 |"
in_table "| ours | 1 | - | 256 | 2 | 1.50 | 4 | 0 |"
in_table "- pingpong-64: CPU bare_epoll 0.67; p99 -"

tables pingpong-64
in_table "| ours | 40 (30-50) | 1 (1-1) | - | - | 9 (8-30) | 1 (1-1) | 4 (3-6) | 1 (1-1) |"
in_table "| bare_epoll | 200 (100-300) | 5 (2-10) | - | - | 10 (10-10) | 1.11 (0.33-1.25) |"

sed -i '2s/status=0/status=1/; 2s/errors=0/errors=3/' "$work/raw"
if summarize; then
	fail "summary.awk lost an error"
fi
tables
in_table "- | 3 |"

# Locks: 3 takes in 2 calls between the short run and the long one, one of them contended; medians of two
# rounds, the second of which is the same but for how long the lock was held.
for round in 1 2; do
	cat <<END
cost $round pair=10 line=0 event=0
plain burn20us-64 ours $round 26 1000
calls burn20us-64 ours $round short 8
calls burn20us-64 ours $round long 10
lock burn20us-64 ours $round short crew 4 0 50
lock burn20us-64 ours $round long crew 7 1 ${round}00
lock burn20us-64 ours $round short door 2 0 50
lock burn20us-64 ours $round long door 3 0 40
END
done >"$work/raw"
awk -v figures="$work/figures" -f "$bench/locks.awk" "$work/raw" >"$work/tables.md" || fail "locks.awk failed"
in_table "| burn20us-64 | on demand | 1.50 | 33.33 | 150 | 0 | - | - | door 0.50 (40) |"
expect figures "takes 1.5"
expect figures "cpu 26"

# One queue of 1 us and 10 us beside it: 90.9 a millisecond alone, 353.3 for four, and 1,000 at most.
printf '%s\n' "takes 1" "held 1000" "pair 0" "cpu 26" "line 0" "event 0" |
	awk -f "$bench/mva.awk" >"$work/tables.md" || fail "mva.awk failed"
in_table "| handlers of 5 us | 4 | 353 (97 %) |"
in_table "| handlers of 5 us | 64 | 1000 (17 %) |"
in_table "| 0 | 5.00 | 1.00 | 0.00 | 1000 | 10 | 26 | 116 |"

if command -v gnuplot >/dev/null; then
	"$bench/plot.sh" "$work" || fail "plot.sh failed"
	grep -q bare-epoll "$work/cpu.svg" || fail "the plot of CPU does not name its servers"
	test -s "$work/throughput.png" || fail "there is no throughput.png"
fi
finish
