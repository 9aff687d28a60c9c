# Read by every check: a folder to work in, and a plain word for what failed. A check goes on after a
# failure, so that one run shows everything that is wrong; it ends with `finish`.
#
# tests/tests.am says what is in the environment: where things are, and how to build.

# An address of this machine that no other check has meanwhile: for programs that have to be given a port.
own_host=127.$(($$ / 62500 % 250 + 1)).$(($$ / 250 % 250 + 1)).$(($$ % 250 + 1))

work=$(mktemp -d "$builddir/tests/work.XXXXXX") || exit 99
jobs_to_stop=
trap 'clean_up' EXIT
trap 'exit 99' HUP INT TERM
failed=0

clean_up()
{
	for job in $jobs_to_stop; do
		kill -KILL "$job" 2>/dev/null
	done
	rm -rf "$work"
}

fail()
{
	echo "FAILED: $*"
	failed=1
}

skip()
{
	echo "skipped: $*"
	exit 77
}

finish()
{
	exit "$failed"
}

# try SENTENCE COMMAND...: fails with the sentence and what the command said, unless it succeeds.
try()
{
	sentence=$1
	shift
	if ! "$@" >"$work/said" 2>&1; then
		fail "$sentence"
		sed 's/^/    /' "$work/said"
		return 1
	fi
}

# same SENTENCE WANTED GOT: compares two files.
same()
{
	if ! cmp -s "$2" "$3"; then
		fail "$1"
		diff -u "$2" "$3" | sed '1,2d; s/^/    /'
		return 1
	fi
}

public_headers()
{
	(cd "$srcdir/include" && find mtserver.h mtserver -name '*.h' | LC_ALL=C sort)
}

# The functions that the public headers declare.
public_functions()
{
	# shellcheck disable=SC2086 # flags are words
	echo '#include <mtserver.h>' | $CC $CPPFLAGS -D_GNU_SOURCE -I"$srcdir/include" -x c -E -P - |
		tr '\n' ' ' | grep -oE '\bmts_[a-z0-9_]+ *\(' | tr -d ' (' | LC_ALL=C sort -u
}

# The types that they declare: typedefs and enumerations.
public_types()
{
	for header in $(public_headers); do
		sed -nE 's/^enum (mts_[a-z0-9_]+) \{.*/\1/p
			s/^typedef struct mts_[a-z0-9_]+ (mts_[a-z0-9_]+);/\1/p
			s/^typedef [a-z0-9_ ]+ \(\*(mts_[a-z0-9_]+)\).*/\1/p' "$srcdir/include/$header"
	done | LC_ALL=C sort -u
}

# The program that the README shows.
readme_program()
{
	awk '/^```/ { inside = !done && $0 == "```c"; done = done || inside; next } inside' \
		"$srcdir/README"
}

# The user's flags that a C++ compiler knows as well, a sanitizer's among them.
common_flags()
{
	for flag in $CFLAGS; do
		case $flag in
		-f* | -g* | -m* | -O*) echo "$flag" ;;
		esac
	done
}

# wait_until SENTENCE COMMAND...: waits up to 30 seconds for the command to succeed.
wait_until()
{
	sentence=$1
	shift
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 600 ]; then
			fail "$sentence"
			return 1
		fi
		sleep 0.05
	done
}

# serve NAME COMMAND...: starts a server in the background; its output goes to $work/NAME.out and
# $work/NAME.err, and $pid is its process. A shell has SIGINT ignored in what it starts in the
# background, and so it would be in the server, whose end by Ctrl-C is to be seen.
serve()
{
	name=$1
	shift
	# shellcheck disable=SC2086 # a command with arguments
	env --default-signal=INT $RUNNER "$@" >"$work/$name.out" 2>"$work/$name.err" &
	pid=$!
	jobs_to_stop="$jobs_to_stop $pid"
}

# serves_somewhere NAME: whether its log says where it serves.
serves_somewhere()
{
	grep -q 'serving on ' "$work/$1.err"
}

# serving NAME: the addresses at which it serves, as its log says, a line each.
serving()
{
	sed -n 's/.*serving on \(.*\), at most.*/\1/p' "$work/$1.err" | sed 's/, /\n/g'
}

# A process that has ended and waits for its parent counts as gone.
gone()
{
	case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
	'' | Z*) true ;;
	*) false ;;
	esac
}

# ready NAME SENTENCE COMMAND...: waits for the server in $pid as wait_until does, but not when it has
# ended already.
ready()
{
	server=$1 complaint=$2
	shift 2
	wait_until "$server $complaint" succeeded_or_gone "$@" || return
	if ! "$@"; then
		fail "$server $complaint, but ends"
		sed 's/^/    /' "$work/$server.err"
		return 1
	fi
}

succeeded_or_gone()
{
	"$@" || gone "$pid"
}

# end_server NAME SIGNAL: stops the server in $pid, which must then end well and in time.
end_server()
{
	kill -"$2" "$pid" || fail "$1 was gone before it was stopped"
	wait_until "$1 does not end on SIG$2" gone "$pid" || return
	wait "$pid"
	status=$?
	jobs_to_stop=$(echo " $jobs_to_stop " | sed "s/ $pid / /")
	if [ "$status" != 0 ]; then
		fail "$1 ended with status $status on SIG$2"
		sed 's/^/    /' "$work/$1.err"
	fi
}
