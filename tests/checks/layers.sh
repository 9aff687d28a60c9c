#!/bin/sh
# The floors hold: a file includes only headers of its own floor or of lower ones. Only lib/os knows
# the system calls, nothing knows the kernel's own headers, and what users are shown (the examples, the
# tests of the interface) includes public headers only. Clients' bytes pass through one file, and so
# does what epoll is told.
. "$srcdir/tests/checks/common.sh"

cd "$srcdir" || exit 99

# included FOLDER: "file header" lines of what its files include, with <> or "" around the header.
included()
{
	find "$1" -name '*.[ch]' -exec grep -EHo '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]*[>"]' {} + |
		sed 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*/ /'
}

# refuse WHY FOLDER PATTERN: no header that a file in the folder includes may match.
refuse()
{
	included "$2" | grep -E " $3" >"$work/found"
	if [ -s "$work/found" ]; then
		fail "$1:"
		sed 's/^/    /' "$work/found"
	fi
}

# floor NAME LOWER...: every header of ours that the floor includes is "floor/header.h", of this floor
# or a lower one.
floor()
{
	[ -d "lib/$1" ] || fail "tests/checks/floors lists lib/$1, which is not there"
	allowed=$(echo "$*" | tr ' ' '|')
	included "lib/$1" | grep ' "' | grep -vE " \"($allowed)/[a-z0-9_]+\.h\"" >"$work/found"
	if [ -s "$work/found" ]; then
		fail "lib/$1 may include \"FLOOR/HEADER.h\" of these floors only: $*. But:"
		sed 's/^/    /' "$work/found"
	fi
}

# The floors from the lowest to the highest (tests/checks/floors). wire and os do not know each other.
lower=
while read -r name; do
	case $name in
	os | wire)
		floor "$name"
		;;
	*)
		# shellcheck disable=SC2086 # a list
		floor "$name" $lower
		;;
	esac
	lower="$lower $name"
done <tests/checks/floors

for name in lib/*/ lib/engine/*/; do
	name=${name#lib/}
	name=${name%/}
	[ "$name" = engine ] || grep -qx "$name" tests/checks/floors ||
		fail "lib/$name is a floor that tests/checks/floors does not know"
done

kernel='<(linux|asm|asm-generic)/'
for folder in include lib examples tests; do
	refuse "the kernel's own headers are for nobody" "$folder" "$kernel"
done

calls='<(sys/(epoll|eventfd|ioctl|mman|prctl|resource|signalfd|stat|syscall|timerfd|uio)|fcntl|netdb|netinet/tcp|poll|sched|unistd)\.h>'
for name in api engine wire; do
	refuse "only lib/os makes system calls" "lib/$name" "$calls"
done
refuse "lib/wire has no clock and no threads" lib/wire '<(pthread|sys/time|threads|time)\.h>'

# only WHY PATTERN FILE...: nobody above lib/os says what matches the pattern, except these files.
only()
{
	why=$1
	pattern=$2
	shift 2
	grep -nE "$pattern" /dev/null $(find lib/api lib/engine -name '*.[ch]') >"$work/found"
	for file; do
		[ -f "lib/engine/$file" ] || fail "lib/engine/$file is not there"
		grep -v "^lib/engine/$file:" "$work/found" >"$work/left"
		mv "$work/left" "$work/found"
	done
	if [ -s "$work/found" ]; then
		fail "$why:"
		sed 's/^/    /' "$work/found"
	fi
}

# A descriptor that is no client's, or not yet, is accepted and closed by those who have it.
conn=client/conn.h
only "what is done to a client's socket is done by $conn" \
	'mtsi_(socket|sendfile)_[a-z_]+\(' $conn \
	door/accept.c door/entry.c door/listener.c door/refusal.c run/abandon.c run/lifecycle.c
# Where no descriptor is left for a client, a connection is told so before it is closed (refusal.c).
only "descriptors that are no client's are accepted and closed, nothing else" \
	'mtsi_(socket_(receive|peek|send|wait|shut|reset|abort|un|peer|is|user|state)|sendfile)[a-z_]*\(' $conn \
	door/refusal.c
only "a client's descriptor is for $conn and the registration" \
	'mtsi_(socket|sendfile|poll|listening)_[a-z_]+\([^)]*client->fd' $conn client/registration.c
only "only the registration and the poller speak to epoll" \
	'MTSI_POLL_|mtsi_poll_(add|change|remove|wait)\(' client/registration.c run/poller.c

refuse "the public headers include each other as <mtserver/HEADER.h>" include '"'
refuse "the examples use the public interface, and what is beside them, only" examples '(".*/|<mtserver/)'
included tests/api | grep ' ".*/' >"$work/found"
if [ -s "$work/found" ]; then
	fail "the tests of the interface use the public headers and their own only:"
	sed 's/^/    /' "$work/found"
fi

finish
