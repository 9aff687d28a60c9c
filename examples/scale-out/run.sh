#!/bin/sh
# Three instances behind HAProxy, on port 5000 of this machine, until Ctrl-C or SIGTERM.
#
#     run.sh
#     nc localhost 5000       # each line is answered by one of them
#     kill PID                # this one drains, ends, and is replaced, while nobody is left without an answer
#     kill -KILL PID          # this one takes its own clients with it, and no others
#
# What has ended is started again, as a service manager would do it. INSTANCE is the command for an
# instance, SCALE_HOST the address of all, also that from which HAProxy connects; "run.sh one two" starts
# these only.
set -u

folder=$(dirname "$0")
PATH=$PATH:/usr/sbin
: "${SCALE_HOST:=127.0.0.1}"
export SCALE_HOST
case $SCALE_HOST in
127.*) trusted=127.0.0.0/8 ;;
*) trusted=$SCALE_HOST ;;
esac
command -v haproxy >/dev/null || {
	echo "run.sh: haproxy was not found" >&2
	exit 1
}

# instance ARGUMENT...: becomes one.
instance()
{
	# shellcheck disable=SC2086 # a command with arguments
	[ -z "${INSTANCE-}" ] || exec $INSTANCE "$@"
	exec "$folder/instance" "$@"
}

# keep NAME NUMBER: one instance, again and again, until this shell is told to end.
keep()
{
	ending=no child=
	trap 'ending=yes; [ -z "$child" ] || kill "$child" 2>/dev/null' TERM
	trap '' HUP
	while [ "$ending" = no ]; do
		instance "$1" "$SCALE_HOST:500$2" "$SCALE_HOST:600$2" "$trusted" &
		child=$!
		[ "$ending" = no ] || kill "$child"
		wait "$child"
		status=$?
		# If a signal has interrupted the wait, the instance drains, and is waited for.
		while kill -0 "$child" 2>/dev/null; do
			wait "$child"
			status=$?
		done
		child=
		[ "$status" = 0 ] || sleep 1 # one that cannot start would be started without end
	done
}

# end STATUS: the instances drain while HAProxy still asks them; then that ends, too.
end()
{
	trap '' HUP INT TERM
	# shellcheck disable=SC2086 # a list
	[ -z "$keepers" ] || { kill $keepers && wait $keepers; }
	[ -z "$haproxy" ] || { kill "$haproxy" && wait "$haproxy"; } 2>/dev/null
	exit "$1"
}

keepers='' haproxy='' number=0
trap 'end 0' HUP INT TERM
for name in one two three; do
	number=$((number + 1))
	case " ${*:-one two three} " in
	*" $name "*) keep "$name" "$number" & keepers="$keepers $!" ;;
	esac
done
[ -n "$keepers" ] || {
	echo "run.sh: instances are called one, two and three" >&2
	exit 1
}
# To HAProxy an instance that does not serve yet is one that was down, and gets clients little by little.
sleep 1
haproxy -db -f "$folder/haproxy.cfg" &
haproxy=$!
wait "$haproxy"
status=$? haproxy=
end "$status"
