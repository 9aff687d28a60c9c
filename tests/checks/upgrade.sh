#!/bin/sh
# The example upgrade: one process after the other takes over, in both ways, while clients come without
# end, and none of these is refused, reset or left without an answer. A new process that fails changes
# nothing. MTS_TEST_UPGRADES and MTS_TEST_RATE: how many, and how many connections a second.
. "$srcdir/tests/checks/common.sh"

cd "$builddir" || exit 99
: "${MTS_TEST_UPGRADES:=6}" "${MTS_TEST_RATE:=300}"
door=$work/door
program=$work/program

# The program that SIGHUP starts; it is replaced, as an upgrade does.
replace_program()
{
	printf '#!/bin/sh\n%s\n' "$1" >"$program.new" && chmod +x "$program.new" &&
		mv "$program.new" "$program"
}

serving()
{
	grep -c ' serves$' "$work/upgrade.out"
}

# Whether the number of processes that have come to serve is this; $current is the latest.
served_by()
{
	[ "$(serving)" = "$1" ] &&
		current=$(sed -n 's/ serves$//p' "$work/upgrade.out" | tail -n 1)
}

gone_on()
{
	[ "$(grep -c ' goes on, ' "$work/upgrade.out")" = "$1" ]
}

# A new process that is started by hand, and finds the old one by its door.
come_to_the_door()
{
	# shellcheck disable=SC2086 # a command with arguments
	$RUNNER ./examples/upgrade "$1" "$door" "$program" >>"$work/upgrade.out" 2>>"$work/upgrade.err" &
	jobs_to_stop="$jobs_to_stop $!"
}

# upgrade NUMBER ADDRESS: the next process takes over, and the one before it ends.
upgrade()
{
	old=$current
	if [ $(($1 % 2)) = 0 ]; then
		kill -HUP "$old"
	else
		come_to_the_door "$2"
	fi
	wait_until "upgrade: process $1 does not come to serve" served_by "$1" || return
	jobs_to_stop="$jobs_to_stop $current"
	wait_until "upgrade: the process before number $1 does not end" gone "$old"
}

start()
{
	serve upgrade ./examples/upgrade "$1" "$door" "$program"
	ready upgrade "does not serve" served_by 1 || finish
}

# The last one ends, and leaves no door.
end()
{
	kill -TERM "$current"
	wait_until "upgrade does not end on SIGTERM" gone "$current"
	[ ! -e "$door" ] || fail "upgrade leaves its door behind"
	[ ! -s "$work/upgrade.err" ] || { fail "upgrade has complained:"; cat "$work/upgrade.err"; }
}

replace_program "exec $RUNNER $PWD/examples/upgrade \"\$@\""
start 127.0.0.1:0
port=$(sed -n 's/^Listening on .*://p' "$work/upgrade.out" | head -n 1)
"$builddir/tests/checks/askers" "$port" "$MTS_TEST_RATE" >"$work/answers" 2>&1 &
askers=$!
jobs_to_stop="$jobs_to_stop $askers"

# One that ends at once, and one that asks at the door and goes.
replace_program 'exit 1'
kill -HUP "$current"
wait_until "upgrade: a process that has failed is not noticed" gone_on 1
"$builddir/tests/checks/talk" "unix:$door" >"$work/said" 2>&1
wait_until "upgrade: one that leaves its door is not noticed" gone_on 2
served_by 1 || fail "upgrade: another process serves"
replace_program "exec $RUNNER $PWD/examples/upgrade \"\$@\""

number=1
while [ "$number" -le "$MTS_TEST_UPGRADES" ] && [ "$failed" = 0 ]; do
	number=$((number + 1))
	upgrade "$number" "127.0.0.1:$port"
done
kill -TERM "$askers"
wait "$askers" || { fail "upgrade: clients were not served:"; tail -n 5 "$work/answers"; }
tail -n 1 "$work/answers"
end

# A new process accepts nobody before it was told to go on, and ends if it is not to. It goes on if there is
# nobody who could tell it.
for word in late no go ends; do
	rm -f "$door"
	# shellcheck disable=SC2086 # a command with arguments
	try "upgrade: a new process and an old one that says or does this: $word" \
		./tests/checks/predecessor "$word" "$door" $RUNNER ./examples/upgrade 127.0.0.1:0 "$door"
done
rm -f "$door"

# The path of a Unix socket stays.
start "unix:$work/socket"
for number in 2 3; do
	upgrade "$number" "unix:$work/socket"
	echo "$current more" >"$work/wanted"
	"$builddir/tests/checks/talk" "unix:$work/socket" hello >"$work/got" 2>&1
	same "upgrade: on a Unix socket another answer was expected" "$work/wanted" "$work/got"
done
end

finish
