#!/bin/sh
# The recipes of doc/COOKBOOK.md do what they say: they are built as they are printed there, and run.
# fragments.sh compiles those that are not run.
. "$srcdir/tests/checks/common.sh"

talk=$builddir/tests/checks/talk
cookbook=$srcdir/doc/COOKBOOK.md
cd "$work" || exit 99

# recipe TITLE: the code below that heading.
recipe()
{
	awk -v title="$1" '/^```/ { code = !code; next } !code && /^#/ { here = $0 == title }
		here && code' "$cookbook"
}

# build NAME COMPILER FLAGS...: NAME.c or NAME.cc with the library.
build()
{
	name=$1
	shift
	# shellcheck disable=SC2086 # flags are words
	try "the recipe \"$name\" cannot be built" "$builddir/libtool" --quiet --tag=CC --mode=link \
		"$@" $CPPFLAGS $LDFLAGS -I"$srcdir/include" -D_GNU_SOURCE -o "$name" \
		"$builddir/lib/libmtserver.la" $PTHREAD_LIBS
}

# start NAME TITLE: builds the recipe, with the program around it where it has none of its own, and runs it.
start()
{
	name=$1
	address=unix:@mtserver-cookbook-$name-$$
	recipe "$2" >"$name.code"
	[ -s "$name.code" ] || fail "there is no recipe \"$2\""
	{
		grep -q '^#include' "$name.code" || echo "#include \"$srcdir/tests/checks/fragments.h\""
		cat "$name.code"
		grep -q 'int main' "$name.code" || recipe "# Cookbook"
	} >"$name.c"
	# shellcheck disable=SC2086
	build "$name" $CC $CFLAGS -std=c11 "$name.c" || return
	serves
}

serves()
{
	serve "$name" "./$name" "$address"
	ready "$name" "does not listen" listens
}

listens()
{
	grep -q "@${address#*@}\$" /proc/net/unix
}

# said NAME WANTED TALK-ARGUMENT...: what a client that talks so is told.
said()
{
	sentence=$1
	printf "$2" >wanted
	shift 2
	"$talk" "$@" >got || fail "$sentence: the talk did not come to its end"
	same "$sentence: another answer was expected" wanted got
}

answers()
{
	"$talk" "$address" "$1" | grep -q "$2"
}

check_periodic()
{
	echo "It rains." >news.txt
	start periodic "## Periodic work" || return
	wait_until "periodic: the file is not read" answers what "It rains."
	end_server periodic TERM
}

check_threads()
{
	start threads "## State for each thread" || return
	said "state for each thread" "olleh\n\n321\n" "$address" hello "" 123
	end_server threads TERM
}

check_bad_requests()
{
	start bad "## Answering a bad request" || return
	said "a good request" "250 Fine\n" "$address" hello
	said "a bad request" "250 Fine\n500 That line is too long\n" "$address" hello "$(printf '%200s' x)"
	"$talk" -k "$address" hello >stopped &
	jobs_to_stop="$jobs_to_stop $!"
	last=$!
	wait_until "a bad request: no answer" grep -q 250 stopped
	end_server bad TERM
	wait "$last"
	grep -q 421 stopped || fail "who is connected when the server stops is not told so"
}

check_reload()
{
	echo "10 60" >limits.conf
	start reload "## Reloading limits at SIGHUP" || return
	wait_until "the limits are not read" grep -q "^now 10 clients, and 60 seconds" reload.err
	echo "20 30" >limits.conf
	kill -HUP "$pid"
	wait_until "the limits are not read again" grep -q "^now 20 clients, and 30 seconds" reload.err
	echo "none" >limits.conf
	kill -HUP "$pid"
	wait_until "wrong limits are not refused" grep -q "^limits.conf is wrong" reload.err
	said "after wrong limits" "hello\n" "$address" hello
	end_server reload TERM
}

check_uploads()
{
	start uploads "## Uploads" || return
	head -c 100000 /dev/urandom >sent
	{ echo 100000 && cat sent; } | "$talk" -r "$address" >got || fail "uploads: the talk did not end"
	[ "$(cat got)" = "Thank you." ] || fail "uploads: another answer was expected"
	cmp -s sent upload || fail "what was uploaded is not what was sent"
	said "an upload that is too large" "How many bytes? At most 1,000,000,000.\n" "$address" 2000000000
	printf '10\nhalf' | "$talk" -r "$address" >got 2>&1
	cmp -s sent upload || fail "an upload that was cut off has taken the place of the last one"
	wait_until "what was cut off stays" no_halves
	end_server uploads TERM
}

no_halves()
{
	! ls upload.* >/dev/null 2>&1
}

check_long_polls()
{
	start polls "## Long polls" || return
	for client in 1 2; do
		"$talk" "$address" wait >"news.$client" &
		jobs_to_stop="$jobs_to_stop $!"
	done
	told=0
	wait_until "long polls: not both are told" tell_news
	wait_until "long polls: the news do not come" grep -q . news.1
	wait_until "long polls: the news do not come" grep -q . news.2
	end_server polls TERM
}

tell_news()
{
	told=$((told + $("$talk" "$address" "It rains." | sed 's/ .*//')))
	[ "$told" -eq 2 ]
}

check_subscribers()
{
	start pubsub "## Publish and subscribe, with slow subscribers" || return
	"$talk" -k "$address" subscribe >heard &
	jobs_to_stop="$jobs_to_stop $!"
	wait_until "nobody may subscribe" grep -q "You will hear." heard
	said "who publishes" "Published.\n" "$address" rain
	wait_until "a subscriber does not hear" grep -q rain heard
	end_server pubsub TERM
}

# The backend is another recipe.
check_proxying()
{
	start proxying "## Proxying" || return
	said "a proxy without a backend" "The backend does not answer.\n" "$address" hello
	end_server proxying TERM
	backend_on_a_port || return
	BACKEND=$port
	export BACKEND
	name=proxying
	address=unix:@mtserver-cookbook-proxying-$$
	serves || return
	said "a proxy" "olleh\n" "$address" hello
	end_server proxying TERM
	pid=$backend
	end_server backend TERM
}

# On a port that the system has chosen, and tells in /proc.
backend_on_a_port()
{
	serve backend ./threads localhost:0
	backend=$pid
	wait_until "the backend does not listen" port_of "$backend"
}

port_of()
{
	port=
	for link in $(readlink /proc/"$1"/fd/* | sed -n 's/^socket:\[\(.*\)\]$/\1/p'); do
		found=$(awk -v inode="$link" '$10 == inode && $4 == "0A" { sub(/.*:/, "", $2); print $2 }' \
			/proc/net/tcp)
		[ -z "$found" ] || port=$((0x$found))
	done
	[ -n "$port" ]
}

check_cpp()
{
	name=cpp
	address=unix:@mtserver-cookbook-$name-$$
	recipe "## C++: exceptions and lambdas" >cpp.cc
	# shellcheck disable=SC2046
	build cpp $CXX $(common_flags) -std=c++17 cpp.cc || return
	serves || return
	said "C++" "20\n42\n" "$address" 20 22
	said "C++, an exception" "" "$address" nonsense
	said "C++, after it" "43\n" "$address" 1
	end_server cpp TERM
	grep -q "a handler has failed" cpp.err || fail "an exception is not told"
}

check_profiling()
{
	start profiling "## Profiling" || return
	said "profiling" "hello\n" "$address" hello
	end_server profiling TERM
}

check_children()
{
	start children "## Children, and the signal at the death of the parent" || return
	said "children" "1\n2\n10\n" "$address" 10 2 1 ""
	end_server children TERM
}

# The process that was started ends well, and another one serves.
check_daemon()
{
	start daemon "## daemon(3) before start"
	wait_until "the daemon does not listen" listens || return
	said "a daemon" "hello\n" "$address" hello
	for process in /proc/[0-9]*; do
		if tr '\0' ' ' <"$process/cmdline" | grep -q "daemon $address"; then
			kill -TERM "${process#/proc/}"
		fi
	done 2>/dev/null
	wait_until "the daemon does not end" gone_from_the_list
}

gone_from_the_list()
{
	! listens
}

check_periodic
check_threads
check_bad_requests
check_reload
check_uploads
check_long_polls
check_subscribers
check_proxying
[ -z "$CXX" ] || check_cpp
check_profiling
check_children
check_daemon

finish
