#!/bin/sh
# The units of the example echo: systemd finds nothing wrong in them, and next to nothing that a service
# could do to the rest of the machine. And the example serves on what systemd passes to it, under the
# names that systemd gives: for that systemd need not be running.
. "$srcdir/tests/checks/common.sh"

command -v systemd-analyze >/dev/null || skip "systemd-analyze was not found"
command -v systemd-socket-activate >/dev/null || skip "systemd-socket-activate was not found"
cd "$builddir" || exit 99

mkdir "$work/units"
for unit in echo.socket echo.service; do
	sed "s,^ExecStart=[^ ]*,ExecStart=$builddir/examples/echo," "$srcdir/examples/systemd/$unit" \
		>"$work/units/$unit"
done
grep -q "^ExecStart=$builddir/examples/echo systemd:echo\$" "$work/units/echo.service" ||
	fail "the unit does not start echo on the sockets of that name"
try "systemd-analyze verify fails" systemd-analyze verify --man=no "$work/units/echo.service" \
	"$work/units/echo.socket" && [ ! -s "$work/said" ] || {
	fail "systemd has something to say about the units:"
	sed 's/^/    /' "$work/said"
}
try "the service may do more than it needs" \
	systemd-analyze security --offline=yes --threshold=10 "$work/units/echo.service"

# activate NAME ARGUMENT...: starts echo when somebody connects to one of two sockets, with two names.
# Here the runner goes before the program, not before systemd.
runner=$RUNNER
RUNNER=
one=@mtserver-systemd-$$-one
two=@mtserver-systemd-$$-two
activate()
{
	name=$1
	shift
	# shellcheck disable=SC2086 # a command with arguments
	serve "$name" systemd-socket-activate -l "$one" -l "$two" --fdname=one:two $runner \
		./examples/echo "$@"
	ready "$name" "does not listen" grep -q "$two as 4" "$work/$name.err"
}

# says SENTENCE NAME ADDRESS: echo says hello there.
says()
{
	echo hello >"$work/wanted"
	"$builddir/tests/checks/talk" "unix:$3" hello >"$work/got" ||
		fail "$1: the talk did not come to its end"
	same "$1: another answer was expected" "$work/wanted" "$work/got"
}

# listens SENTENCE NAME ADDRESS...: echo says that it listens there, and nowhere else.
listens()
{
	sentence=$1 name=$2
	shift 2
	for address; do
		echo "unix:$address"
	done >"$work/wanted"
	wait_until "$sentence: it does not say where it serves" serves_somewhere "$name"
	serving "$name" >"$work/got"
	same "$sentence: it listens elsewhere" "$work/wanted" "$work/got"
}

if activate all systemd:; then
	says "all sockets" all "$one"
	says "all sockets" all "$two"
	listens "all sockets" all "$one" "$two"
	end_server all TERM
fi

if activate named systemd:two; then
	says "one of two names" named "$two"
	listens "one of two names" named "$two"
	end_server named INT
fi

if activate unknown systemd:three; then
	"$builddir/tests/checks/talk" "unix:$one" hello >/dev/null 2>&1
	wait_until "echo serves under a name that there is not" gone "$pid"
	grep -q '^cannot listen on systemd:three: no socket that was passed has this name' \
		"$work/unknown.err" || fail "echo does not say that there is no such name"
fi

finish
