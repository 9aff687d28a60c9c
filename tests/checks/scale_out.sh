#!/bin/sh
# The example scale-out: three instances behind HAProxy, while clients come without end. One that is told
# to end drains, ends and is replaced, and every client is answered; of one that is killed, only its own
# open connections are lost. HAProxy's checks find all of them well, and leave no line in their logs.
# MTS_TEST_REPLACED and MTS_TEST_RATE: how many are replaced, and how many connections a second.
. "$srcdir/tests/checks/common.sh"

PATH=$PATH:/usr/sbin
command -v haproxy >/dev/null || skip "haproxy was not found"
cd "$builddir" || exit 99
: "${MTS_TEST_REPLACED:=1}" "${MTS_TEST_RATE:=300}"

SCALE_HOST=$own_host
INSTANCE="$RUNNER $builddir/examples/scale-out/instance"
RUNNER= # it goes before the instances, not before the script
export SCALE_HOST INSTANCE
out=$work/scale-out.out err=$work/scale-out.err

# The instances and HAProxy end with the script that has started them, whatever becomes of this one.
trap 'end_all; clean_up' EXIT
runner=
end_all()
{
	[ -n "$runner" ] && kill "$runner" 2>/dev/null && wait "$runner"
	runner=
}

# The process of the instance of that name.
process()
{
	sed -n "s/^$1 \([0-9]*\) serves .*/\1/p" "$out" | tail -n 1
}

# served NAME NUMBER: so many processes have served under that name.
served()
{
	[ "$(grep -c "^$1 [0-9]* serves " "$out")" = "$2" ]
}

# state NAME PATTERN: the last that HAProxy has said about that one.
state()
{
	grep "^Server service/$1 " "$out" | tail -n 1 | grep -qE "$2"
}

is_well()
{
	! state "$1" 'is DOWN'
}

# Whether all of them serve, HAProxy has nothing against any, and brings clients.
all_serve()
{
	for name in one two three; do
		served "$name" 1 && is_well "$name" || return
	done
	"$builddir/tests/checks/talk" "$SCALE_HOST:5000" "?" 2>/dev/null | grep -q ' more$'
}

# ask: clients that come without end; $askers.
ask()
{
	"$builddir/tests/checks/askers" "$SCALE_HOST:5000" "$MTS_TEST_RATE" >"$work/answers" 2>&1 &
	askers=$!
	jobs_to_stop="$jobs_to_stop $askers"
}

# Whether nobody was left without an answer.
all_were_answered()
{
	kill -TERM "$askers"
	wait "$askers"
}

# replace NAME: it drains, ends, and the next one of that name serves.
replace()
{
	old=$(process "$1")
	before=$(grep -c "^$1 [0-9]* serves " "$out")
	kill "$old"
	wait_until "HAProxy does not hear that $1 drains" grep -q "^Server service/$1 enters drain state" "$out"
	wait_until "$1 does not end" gone "$old"
	wait_until "$1 is not replaced" served "$1" $((before + 1))
	wait_until "HAProxy brings nobody to the new $1" state "$1" 'is UP'
}

# lose NAME: it is killed, and started again.
lose()
{
	before=$(grep -c "^$1 [0-9]* serves " "$out")
	kill -KILL "$(process "$1")"
	wait_until "$1 is not started again" served "$1" $((before + 1))
	wait_until "HAProxy does not find the new $1 well" is_well "$1"
}

# came_to NAME: each client that was not answered had come to that instance. HAProxy's log says so, which
# has a line for each connection that has ended; those since clients have come again, since ports return.
came_to()
{
	sed -n 's/^askers: port \([0-9]*\): .*/\1/p' "$work/answers" >"$work/lost"
	while read -r port; do
		tail -n "+$since" "$out" | grep -q "^[0-9.]*:$port .* service/$1 " || return
	done <"$work/lost"
}

only_clients_of()
{
	grep '^askers: .*: connect: ' "$work/answers" && fail "clients could not connect"
	grep -q '^askers: ' "$work/answers" || fail "$1 was killed, and its clients have not noticed"
	wait_until "a client of another one than $1 was not answered" came_to "$1" ||
		grep '^askers: ' "$work/answers"
}

# Whether each client that has stayed came from where the instance has said, by HAProxy's log.
came_from_there()
{
	sed -n 's/^stays: \([a-z]*\) \([0-9.:]*\) .*/\1 \2/p' "$work/answers" >"$work/stays"
	while read -r name from; do
		grep -q "^$from .* service/$name " "$out" || return
	done <"$work/stays"
}

# Whether somebody has been answered, and stays with the instance that $at then is.
somebody_stays()
{
	at=$(sed -n 's/^stays: \([a-z]*\) .* more$/\1/p' "$work/answers" | tail -n 1)
	[ -n "$at" ]
}

serve scale-out sh "$srcdir/examples/scale-out/run.sh"
runner=$pid
ready scale-out "does not serve" all_serve || finish

ask
number=0
while [ "$number" -lt "$MTS_TEST_REPLACED" ] && [ "$failed" = 0 ]; do
	number=$((number + 1))
	replace "$(echo one two three | cut -d ' ' -f $((number % 3 + 1)))"
done
all_were_answered || { fail "clients were not answered while an instance was replaced:"; cat "$work/answers"; }
tail -n 1 "$work/answers"

since=$(wc -l <"$out")
ask
wait_until "nobody stays with an instance" somebody_stays && lose "$at"
all_were_answered
only_clients_of "$at"
wait_until "clients come from elsewhere than the instances say" came_from_there
echo "killed: $(tail -n 1 "$work/answers")"

# HAProxy's own lines begin with a bracket; the shell has a word about the one that was killed; and valgrind
# has three lines about an ioctl that it does not know.
grep -v -e '^\[' -e Killed -e 'noted but unhandled ioctl' -e 'could cause spurious value errors' \
	-e 'See README_MISSING_SYSCALL' "$err" >"$work/said" && {
	fail "the instances have something to say:"
	head "$work/said"
}
runner=
end_server scale-out TERM
finish
