#!/bin/sh
# Each example serves a sample session as its head promises, ends well on SIGINT and SIGTERM, and says
# in one sentence when its port is in use.
. "$srcdir/tests/checks/common.sh"

cd "$builddir" || exit 99
talk=$builddir/tests/checks/talk

# The address that an example says it serves; the first, where there are several.
address_of()
{
	sed -n 's/^Listening on //p; s/^Server running on //p' "$work/$1.out" | head -n 1
}

# start NAME WORDS ARGUMENT...: runs the example until it prints WORDS; $address is where.
start()
{
	name=$1 words=$2
	shift 2
	serve "$name" "./examples/$name" "$@"
	ready "$name" "does not say \"$words\"" grep -q "^$words" "$work/$name.out" || return
	address=$(address_of "$name")
}

# session SENTENCE WANTED TALK-ARGUMENT...: what a client that talks so is told.
session()
{
	sentence=$1
	printf "$2" >"$work/wanted"
	shift 2
	"$talk" "$@" >"$work/got" || fail "$sentence: the talk did not come to its end"
	same "$sentence: another answer was expected" "$work/wanted" "$work/got"
}

# printed NAME PATTERN: the example says so, now or soon.
printed()
{
	wait_until "$1 does not print: $2" grep -qE "^$2\$" "$work/$1.out"
}

check_hello()
{
	start hello "Server running on" localhost 0 || return
	printed hello 'Server running on localhost:[1-9][0-9]*'
	session "hello" "Hello from the server" -k "$address" "$(printf 'hi\001')"
	printed hello 'New connection from .*:[0-9]+'
	printed hello 'Received data: hi.+'
	printed hello 'Connection closed with .*:[0-9]+'
	if grep -q "$(printf '\001')" "$work/hello.out"; then
		fail "hello prints a peer's control characters as they are"
	fi
	port_in_use hello localhost "${address##*:}"
	end_server hello INT
}

# Whichever way its address is given, the second server on a port gives up.
port_in_use()
{
	# shellcheck disable=SC2086
	timeout 60 $RUNNER "./examples/$1" "$2" ${3+"$3"} >"$work/second.out" 2>"$work/second.err"
	status=$?
	[ "$status" = 1 ] || fail "$1 on a port in use ended with status $status, not 1"
	if [ "$(wc -l <"$work/second.err")" != 1 ] || ! grep -q 'in use' "$work/second.err"; then
		fail "$1 on a port in use said this, not one clear sentence:"
		sed 's/^/    /' "$work/second.err"
	fi
	[ ! -s "$work/second.out" ] || fail "$1 on a port in use printed something on standard output"
}

check_echo()
{
	start echo "Listening on" localhost:0 || return
	session "echo" "one\ntwo\nthree\n" "$address" one two three
	session "echo, nothing sent" "" "$address"
	port_in_use echo "$address"
	end_server echo TERM
}

check_upper()
{
	start upper "Listening on" 127.0.0.1:0 || return
	session "upper" "HELLO, WORLD\n\n1 + 1\n" "$address" "Hello, world" "" "1 + 1"
	port_in_use upper "$address"
	end_server upper INT
}

check_dialogue()
{
	whole="Who are you?\nAnd where do you live, Ada?\nGoodbye, Ada of London.\n"
	start dialogue "Listening on" "unix:@mtserver-dialogue-$$" || return
	session "dialogue" "$whole" -k -t "$address" Ada London
	session "dialogue, all said at once" "$whole" -k "$address" Ada London
	session "dialogue, hung up" "Who are you?\nAnd where do you live, Ada?\n" "$address" Ada
	port_in_use dialogue "$address"
	end_server dialogue TERM
}

# Ada comes first, so she may kick; Bob says something, and is kicked; Eve just says goodbye.
check_chat()
{
	start chat "Listening on" "unix:@mtserver-chat-$$" || return
	"$talk" -t "$address" Ada ... ... "/kick Bob" "/kick Bob" /quit >"$work/ada" &
	ada=$!
	jobs_to_stop="$jobs_to_stop $ada"
	wait_until "chat: Ada does not come in" grep -q "Ada is here" "$work/ada" || return
	session "chat, who is kicked" "Your name?\n* Bob is here\n" -k -t "$address" Bob hello
	wait "$ada" || fail "chat: Ada's talk did not come to its end"
	printf '%s\n' "Your name?" "* Ada is here" "* Bob is here" "Bob: hello" "* Bob was kicked" \
		"You cannot kick Bob." Goodbye. >"$work/wanted"
	same "chat: Ada was told something else" "$work/wanted" "$work/ada"
	session "chat, all said at once" "Your name?\n* Eve is here\nGoodbye.\n" -k "$address" Eve \
		"nobody hears this" /quit
	port_in_use chat "$address"
	end_server chat TERM
}

check_child()
{
	start child "Listening on" localhost:0 || return
	session "child" "42\n7\n" "$address" "6 * 7" "2 + 5"
	session "child, nonsense" "" "$address" "6 *"
	port_in_use child "$address"
	end_server child INT
}

check_hello
check_echo
check_upper
check_dialogue
check_chat
check_child

for source in "$srcdir"/examples/*.c; do
	case ${source##*/} in
	hello.c | echo.c | upper.c | dialogue.c | chat.c | child.c) ;;
	*) fail "${source##*/} is an example that tests/checks/examples.sh does not know" ;;
	esac
done

finish
