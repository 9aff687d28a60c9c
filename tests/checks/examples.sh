#!/bin/sh
# Each example serves a sample session as its head promises, ends well on SIGINT and SIGTERM, and says
# in one sentence when its port is in use.
. "$srcdir/tests/checks/common.sh"

cd "$builddir" || exit 99
talk=$builddir/tests/checks/talk

# start NAME ARGUMENT...: runs the example until it says where it serves; $address is the first of these.
start()
{
	name=$1
	shift
	program=./examples/$name
	[ ! -d "$program" ] || program=$program/$name
	serve "$name" "$program" "$@"
	ready "$name" "does not say where it serves" serves_somewhere "$name" || return
	address=$(serving "$name" | head -n 1)
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
	program=./examples/hello
	serve hello "$program" localhost 0
	ready hello "does not say where it serves" grep -q "^Server running on" "$work/hello.out" || return
	address=$(sed -n 's/^Server running on //p' "$work/hello.out")
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
	timeout 60 $RUNNER "$program" "$2" ${3+"$3"} >"$work/second.out" 2>"$work/second.err"
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
	start echo localhost:0 || return
	session "echo" "one\ntwo\nthree\n" "$address" one two three
	session "echo, nothing sent" "" "$address"
	port_in_use echo "$address"
	end_server echo TERM
}

check_upper()
{
	start upper 127.0.0.1:0 || return
	session "upper" "HELLO, WORLD\n\n1 + 1\n" "$address" "Hello, world" "" "1 + 1"
	port_in_use upper "$address"
	end_server upper INT
}

check_dialogue()
{
	whole="Who are you?\nAnd where do you live, Ada?\nGoodbye, Ada of London.\n"
	start dialogue "unix:@mtserver-dialogue-$$" || return
	session "dialogue" "$whole" -k -t "$address" Ada London
	session "dialogue, all said at once" "$whole" -k "$address" Ada London
	session "dialogue, hung up" "Who are you?\nAnd where do you live, Ada?\n" "$address" Ada
	port_in_use dialogue "$address"
	end_server dialogue TERM
}

# Ada comes first, so she may kick; Bob says something, and is kicked; Eve just says goodbye.
check_chat()
{
	start chat "unix:@mtserver-chat-$$" || return
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
	start child localhost:0 || return
	session "child" "42\n7\n" "$address" "6 * 7" "2 + 5"
	session "child, nonsense" "" "$address" "6 *"
	port_in_use child "$address"
	end_server child INT
}

# As many wait as the limit of open files allows, up to 10,000, and one tells them all.
check_poll()
{
	ulimit -n "$(ulimit -H -n)" 2>/dev/null
	crowd=$(ulimit -n)
	[ "$crowd" != unlimited ] && [ "$crowd" -lt 10100 ] && crowd=$((crowd - 100)) || crowd=10000
	[ -z "$RUNNER" ] || crowd=100
	start poll 127.0.0.1:0 $((crowd + 1)) || return
	session "poll" "0 waiting\n0 told\nwait, count, or tell NEWS?\n" "$address" count "tell x" what
	echo "$crowd told" >"$work/wanted"
	"$builddir/tests/checks/crowd" "${address##*:}" "$crowd" >"$work/got" ||
		fail "poll: the crowd did not come to its end"
	same "poll: not all were told" "$work/wanted" "$work/got"
	port_in_use poll "$address"
	end_server poll TERM
}

# mail_answers SENTENCE CODES LINE...: how a session of these lines is answered, and then ended.
mail_answers()
{
	sentence=$1
	echo "$2" >"$work/wanted"
	shift 2
	"$talk" "$address" "$@" >"$work/said" || fail "$sentence: the talk did not come to its end"
	cut -c 1-3 "$work/said" | xargs >"$work/got"
	same "$sentence: another answer was expected" "$work/wanted" "$work/got"
}

# What clients may say wrong; mail.sh has those that do it right.
check_mail()
{
	start mail localhost:0 || return
	mail_answers "mail, greetings" "220 503 501 501 250 250 250 250 250 221" "MAIL FROM:<a@b>" \
		HELO "EHLO " "helo me" "EHLO me" QUIT
	mail_answers "mail, senders" "220 250 503 501 501 501 501 501 555 552 552 250 503 250 250 221" \
		"HELO me" "RCPT TO:<a@b>" MAIL "MAIL FROM: a@b" "MAIL FROM:<a b>" "MAIL TO:<a@b>" \
		"MAIL FROM:<a@b> SIZE=1x" "MAIL FROM:<a@b> X=Y" "MAIL FROM:<a@b> SIZE=99999999999999999999" \
		"MAIL FROM:<a@b> SIZE=10485761" "mail from:<> body=8bitmime size=10485760" \
		"MAIL FROM:<a@b>" RSET "MAIL FROM: <\"a b\"@c> BODY=7BIT" QUIT
	mail_answers "mail, recipients" "220 250 250 503 501 501 555 501 250 250 221" "HELO me" \
		"MAIL FROM:<a@b>" DATA "RCPT TO:<>" "RCPT TO:<c d>" "RCPT TO:<c@d> X=Y" \
		"RCPT TO:<$(printf '%300s' '' | tr ' ' c)@d>" "RCPT TO:<c@d>" "RCPT TO:<e@f>" QUIT
	mail_answers "mail, messages" "220 250 250 250 501 354 250 503 250 503 250 252 500 500 501 221" \
		"HELO me" "MAIL FROM:<a@b>" "RCPT TO:<c@d>" "DATA x" DATA QUIT "" "..dot" . DATA RSET \
		"RCPT TO:<c@d>" "NOOP x" "VRFY x" "EXPN x" "NOOPS" "QUIT now" QUIT NOOP
	mail_answers "mail, hung up" "220 250 250 250 354" "HELO me" "MAIL FROM:<a@b>" "RCPT TO:<c@d>" \
		DATA half
	mail_answers "mail, a line too long" "220 250 500" "HELO me" "$(printf '%70000s' x)"
	mail_answers "mail, a first line too long" "220 500" "$(printf '%70000s' x)"
	port_in_use mail "$address"
	# Who is connected at the end is told so, whether a command has been said or none.
	"$talk" -k "$address" >"$work/silent" &
	silent=$!
	"$talk" -kt "$address" "helo me" >"$work/greeted" &
	greeted=$!
	jobs_to_stop="$jobs_to_stop $silent $greeted"
	wait_until "mail: nobody is greeted" grep -q ^220 "$work/silent"
	wait_until "mail: HELO is not answered" grep -q ^250 "$work/greeted"
	end_server mail TERM
	wait "$silent" "$greeted"
	[ "$(cut -c 1-3 "$work/silent" "$work/greeted" | xargs)" = "220 421 220 250 421" ] ||
		fail "mail: at the end a client is not told so"
	printed mail 'Received 1'
}

# raw SENTENCE WANTED SENT: what is answered to these bytes, whole or one by one.
raw()
{
	printf -- "$2" >"$work/wanted"
	for how in -r -rb; do
		printf "$3" | "$talk" $how "$address" >"$work/got" ||
			fail "$1: the talk did not come to its end"
		same "$1: another answer was expected" "$work/wanted" "$work/got"
	done
}

# What redis-cli does not send, or does not show; keys.sh has the rest.
check_keys()
{
	error='-ERR Protocol error\r\n'
	start keys localhost:0 || return
	raw "keys, lines" '+PONG\r\n+OK\r\n+OK\r\n$3\r\na b\r\n$2\r\n12\r\n' \
		'ping\r\n\r\n  \nset\tkey  12 \r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na b\r\nget k\nget key\r\n'
	raw "keys, no words" '+PONG\r\n' '*0\r\n*-1\r\nPING\r\n'
	raw "keys, any bytes" '+OK\r\n*2\r\n$4\r\n\r\n\001\377\r\n$-1\r\n' \
		'*3\r\n$3\r\nset\r\n$2\r\n\r\n\r\n$4\r\n\r\n\001\377\r\n*3\r\n$4\r\nmget\r\n$2\r\n\r\n\r\n$0\r\n\r\n'
	raw "keys, numbers" '+OK\r\n:9223372036854775807\r\n-ERR value is not an integer or out of range\r\n' \
		'set n 9223372036854775806\r\nincr n\r\nincr n\r\n'
	raw "keys, a command with a NUL" '-ERR unknown command\r\n' '*1\r\n$8\r\nget\000\000\000\000\000\r\n'
	confirmed=''
	for word in subscribe:1 subscribe:1 unsubscribe:0 unsubscribe:0; do
		confirmed="$confirmed*3\\r\\n\$$((${#word} - 2))\\r\\n${word%:*}\\r\\n\$1\\r\\nc\\r\\n:${word#*:}\\r\\n"
	done
	raw "keys, who subscribes" \
		"+PONG\r\n$confirmed*3\r\n\$11\r\nunsubscribe\r\n\$-1\r\n:0\r\n+PONG\r\n" \
		'PING\r\nSUBSCRIBE c c\r\nUNSUBSCRIBE c\r\nUNSUBSCRIBE c\r\nUNSUBSCRIBE\r\nPING\r\n'
	raw "keys, who has subscribed" \
		'*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n-ERR only (UN)SUBSCRIBE and PING while subscribed\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n' \
		'SUBSCRIBE c\r\nGET c\r\nPING\r\n'
	for wrong in '*x\r\n' '*1\n' '*1\r\nPING\r\n' '*1\r\n$-1\r\n' '*1\r\n$3\r\nPING\r\n' '*257\r\n' \
		'*1\r\n$1048577\r\n' '*12345678901234567' "$(printf '%514s' '' | sed 's/  /x /g')\n"; do
		raw "keys, $wrong" "+PONG\r\n$error" "PING\r\n$wrong"
	done
	raw "keys, cut off" "+PONG\r\n$error" 'PING\r\n*1\r\n$4\r\nPIN'
	port_in_use keys "$address"
	end_server keys INT
}

check_hello
check_echo
check_upper
check_dialogue
check_chat
check_child
check_poll
check_mail
check_keys

for source in "$srcdir"/examples/*.c; do
	case ${source##*/} in
	hello.c | echo.c | upper.c | dialogue.c | chat.c | child.c | poll.c | mail.c | proxy.c | upgrade.c) ;;
	*) fail "${source##*/} is an example that tests/checks/examples.sh does not know" ;;
	esac
done

finish
