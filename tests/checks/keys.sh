#!/bin/sh
# The example keys, driven by the clients that it is for: redis-cli and redis-benchmark.
. "$srcdir/tests/checks/common.sh"

command -v redis-cli >/dev/null || skip "redis-cli was not found"
command -v redis-benchmark >/dev/null || skip "redis-benchmark was not found"
cd "$builddir" || exit 99

serve keys ./examples/keys/keys 127.0.0.1:0
ready keys "does not listen" serves_somewhere keys || finish
port=$(serving keys | sed -n 's/^127.0.0.1://p')

cli="redis-cli -h 127.0.0.1 -p $port"

# One command a line, in one session.
cat >"$work/commands" <<'END'
PING
PING "a word"
GET key
SET key "one two"
GET key
set KEY ""
MGET key KEY nothing
INCR number
INCR number
INCR key
GET number
DEL key KEY nothing
MGET key number
SET one
FLUSHALL
END
cat >"$work/wanted" <<'END'
PONG
"a word"
(nil)
OK
"one two"
OK
1) "one two"
2) ""
3) (nil)
(integer) 1
(integer) 2
(error) ERR value is not an integer or out of range
"2"
(integer) 2
1) (nil)
2) "2"
(error) ERR wrong number of arguments for 'set' command
(error) ERR unknown command
END
$cli --no-raw <"$work/commands" | sed '/^$/d' >"$work/got"
same "redis-cli hears something else" "$work/wanted" "$work/got"

# Two who subscribe, and a message that only one of them hears.
$cli subscribe a b >"$work/first" 2>&1 &
jobs_to_stop="$jobs_to_stop $!"
$cli subscribe b >"$work/second" 2>&1 &
second=$!
jobs_to_stop="$jobs_to_stop $second"
heard()
{
	[ "$(tail -n "$(echo "$2" | wc -w)" "$1" | xargs)" = "$2" ]
}
published()
{
	[ "$($cli publish "$1" "$2")" = "$3" ]
}
wait_until "nobody is confirmed" heard "$work/first" "subscribe b 2"
wait_until "nobody else is confirmed" heard "$work/second" "subscribe b 1"
published a one 1 || fail "a message is for one, and others get it"
published b two 2 || fail "a message is for two, and not both get it"
published c three 0 || fail "a message is for nobody, and somebody gets it"
wait_until "the first does not hear all" heard "$work/first" "message a one message b two"
wait_until "the second does not hear all" heard "$work/second" "subscribe b 1 message b two"
kill "$second"
wait_until "who has gone is still told" published b four 1

# A value that is too large is refused by its length, and the client hears so while it still sends.
head -c 2000000 /dev/zero | $cli -x set big 2>&1 | xargs >"$work/got"
echo "ERR Protocol error" >"$work/wanted"
same "a large value is not refused" "$work/wanted" "$work/got"

# benchmark WORDS: it ends well, and has figures for each command.
benchmark()
{
	# shellcheck disable=SC2086 # words
	redis-benchmark -h 127.0.0.1 -p "$port" -c 20 -n 2000 -r 1000 -t ping,set,get,incr --csv $1 \
		>"$work/said" 2>"$work/complaints" </dev/null
	status=$?
	cut -d, -f1 "$work/said" | xargs >"$work/got"
	echo test PING_INLINE PING_MBULK SET GET INCR >"$work/wanted"
	[ "$status" = 0 ] || fail "redis-benchmark $1 ended with status $status"
	same "redis-benchmark $1 has no figures" "$work/wanted" "$work/got"
	if grep -v 'Could not fetch server CONFIG' "$work/complaints"; then
		fail "redis-benchmark $1 has complained"
	fi
}
benchmark ""
benchmark "-P 16"
benchmark "-d 100000 -n 200"

end_server keys TERM
finish
