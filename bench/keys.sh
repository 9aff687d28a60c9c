#!/bin/sh
# The example keys beside redis-server: what redis-benchmark gets out of both, and what that costs.
#
#   bench/keys.sh [--quick]
#
# Takes about three minutes.  --quick: one round, few requests; does it work?
#
# Environment, with what is used when it is not set:
#   ROUNDS=5         how often everything is run
#   REQUESTS=200000  of each run; four times as many where 16 are sent at once
#   KEYS             the program: examples/keys/keys in the folder where this is run
#
# The servers take turns within a round, so that what the machine does meanwhile hits both; a ratio is
# made within a round, and of all figures the median is shown, with the least and the greatest.  CPU is
# that of the server's whole process, user and system, in microseconds a request; the kernel counts it
# in hundredths of a second.  50 clients, values of 3 bytes, 100,000 keys at random.
set -u

rounds=${ROUNDS:-5}
requests=${REQUESTS:-200000}
keys=${KEYS:-examples/keys/keys}
case $#${1-} in
0) ;;
1--quick) rounds=${ROUNDS:-1} requests=${REQUESTS:-20000} ;;
*)
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

for program in "$keys" redis-server redis-benchmark redis-cli; do
	command -v "$program" >/dev/null || {
		echo "keys.sh: there is no $program (./bootstrap --bench && make)" >&2
		exit 1
	}
done
scratch=$(mktemp -d) || exit 1
servers=''
clean_up() {
	# shellcheck disable=SC2086 # a list
	kill $servers 2>/dev/null
	wait
	rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# until_it COMMAND...: waits for at most ten seconds for the command to succeed.
until_it() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ "$tries" -gt 200 ]; then
			echo "keys.sh: in vain: $*" >&2
			exit 1
		fi
		sleep 0.05
	done
}

# Starts the example on a port that nobody has: sets $pid and $port.
start_keys() {
	"$keys" 127.0.0.1:0 2>"$scratch/log" &
	pid=$!
	servers="$servers $pid"
	until_it grep -q 'serving on ' "$scratch/log"
	port=$(sed -n 's/.*serving on [^ ,]*:\([0-9]*\),.*/\1/p' "$scratch/log")
}

# One that was free a moment ago does for the other server.
start_keys
kill "$pid"
wait "$pid"
redis_port=$port
redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no --dir "$scratch" \
	>"$scratch/redis.out" &
redis_pid=$!
servers=$redis_pid
start_keys
until_it redis-cli -h 127.0.0.1 -p "$redis_port" ping

ticks() {
	sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# run SERVER PID PORT: a line with the load, the server, the round, requests a second and CPU.
run() {
	before=$(ticks "$2")
	# shellcheck disable=SC2086 # words
	redis-benchmark -h 127.0.0.1 -p "$3" -c 50 -n "$count" -r 100000 -P "$depth" -t "$command" --csv \
		>"$scratch/said" 2>"$scratch/errors" </dev/null || {
		echo "keys.sh: redis-benchmark fails:" >&2
		sed 's/^/    /' "$scratch/errors" >&2
		exit 1
	}
	awk -F '","|"' -v name="$load $1 $round" -v ticks="$(($(ticks "$2") - before))" -v count="$count" \
		-v hertz="$(getconf CLK_TCK)" '
		NR == 2 { print name, $3, ticks / hertz * 1000000 / count }' "$scratch/said"
}

round=1
while [ "$round" -le "$rounds" ]; do
	for depth in 1 16; do
		count=$requests
		[ "$depth" = 1 ] || count=$((requests * 4))
		for command in ping_mbulk set get incr; do
			load="$command-P$depth"
			echo "round $round of $rounds, $load" >&2
			run keys "$pid" "$port"
			run redis "$redis_pid" "$redis_port"
		done
	done
	round=$((round + 1))
done >"$scratch/raw"

echo "$(uname -srm), $(getconf _NPROCESSORS_ONLN) CPUs, load $(cut -d' ' -f1 /proc/loadavg); \
$(redis-server --version | cut -d' ' -f1-3); rounds: $rounds"
echo
awk '
	function median(list, n,   i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
				t = list[j]; list[j] = list[j - 1]; list[j - 1] = t
			}
		return (list[int((n + 1) / 2)] + list[int(n / 2) + 1]) / 2
	}
	function show(format, what,   n, r, list) {
		n = 0
		for (r = 1; (load, what, r) in value; r++)
			list[++n] = value[load, what, r]
		t = sprintf(format, median(list, n))
		return n < 2 ? t : t " (" sprintf(format, list[1]) "-" sprintf(format, list[n]) ")"
	}
	{
		if (!($1 in seen)) order[++loads] = $1
		seen[$1] = 1
		value[$1, $2 "/s", $3] = $4
		value[$1, $2 " us", $3] = $5
		if ($2 == "redis") {
			value[$1, "/s", $3] = value[$1, "keys/s", $3] / $4
			value[$1, "us", $3] = $5 > 0 ? value[$1, "keys us", $3] / $5 : 0
		}
	}
	END {
		print "| load | keys, requests/s | redis | keys/redis | keys, CPU us a request | redis | keys/redis |"
		print "|---|---|---|---|---|---|---|"
		for (i = 1; i <= loads; i++) {
			load = order[i]
			print "| " load " | " show("%d", "keys/s") " | " show("%d", "redis/s") " | " \
				show("%.2f", "/s") " | " show("%.2f", "keys us") " | " show("%.2f", "redis us") " | " \
				show("%.2f", "us") " |"
		}
	}' "$scratch/raw"
