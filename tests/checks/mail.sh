#!/bin/sh
# The example mail, driven by swaks and curl: what they send is in its folder, whole and as it was, and
# nothing else is.
. "$srcdir/tests/checks/common.sh"

command -v swaks >/dev/null || skip "swaks was not found"
command -v curl >/dev/null || skip "curl was not found"
cd "$builddir" || exit 99

mkdir "$work/mail"
serve mail ./examples/mail 127.0.0.1:0 "$work/mail"
ready mail "does not listen" serves_somewhere mail || finish
port=$(serving mail | sed -n 's/^127.0.0.1://p')

# Lines of all kinds, in bytes of all kinds, as they are sent: with CR LF, which
# the last one gets from the client.
{
	printf 'Subject: dots\r\n\r\n.\r\n..\r\n.dot\r\nno dot\r\n\r\n \t\r\n\303\244\377\001\r\n'
	printf '%998s\r\n' long
	printf last
} >"$work/message"
printf 'Return-Path: <a@b.c>\nDelivered-To: <d@e.f>\n' >"$work/one"
printf 'Return-Path: <a@b.c>\nDelivered-To: <d@e.f>\nDelivered-To: <"g h"@i.j>\n' >"$work/two"

# kept SENTENCE ENVELOPE: the one message in the folder is this; it is taken out.
kept()
{
	cat "$2" >"$work/wanted"
	{ tr -d '\r' <"$work/message" && echo; } >>"$work/wanted"
	set -- "$1" "$work/mail"/*
	if [ $# != 2 ]; then
		fail "$1: there are $(($# - 1)) messages in the folder, not one"
	fi
	same "$1: the message is another one" "$work/wanted" "$2"
	rm -f "$work/mail"/*
}

swaks_says()
{
	swaks --server 127.0.0.1 --port "$port" --helo me --from a@b.c --to d@e.f "$@"
}

try "swaks fails" swaks_says --data "@$work/message"
kept swaks "$work/one"
try "swaks fails with all commands at once" swaks_says --pipeline --data "@$work/message"
kept "swaks, all commands at once" "$work/one"
try "curl fails" curl -sS "smtp://127.0.0.1:$port/me" --mail-from a@b.c --mail-rcpt d@e.f \
	--mail-rcpt '"g h"@i.j' -T "$work/message"
kept curl "$work/two"

# refused SENTENCE CODE COMMAND...: it fails, and says so.
refused()
{
	sentence=$1 code=$2
	shift 2
	if "$@" >"$work/said" 2>&1; then
		fail "$sentence: nobody minds"
	elif ! grep -q "$code" "$work/said"; then
		fail "$sentence: nobody says $code"
		tail -n 5 "$work/said" | cut -c 1-100 | sed 's/^/    /'
	fi
}

# A client that says how much it is, and one that does not.
yes "$(printf '%78s' x)" | head -c 10500000 >"$work/large"
refused "too large, said before" 552 curl -sS "smtp://127.0.0.1:$port/me" --mail-from a@b.c \
	--mail-rcpt d@e.f -T "$work/large"
yes "$(printf '%78s' x)" | head -c 10500000 |
	refused "too large" 552 curl -v -sS "smtp://127.0.0.1:$port/me" --mail-from a@b.c \
		--mail-rcpt d@e.f -T -
try "swaks cannot hang up" swaks_says --drop-after DATA

# A stop in the middle of a message, and of a line: it is taken all the same, and then the session ends.
# swaks is written in Perl, so there is Perl.
listens()
{
	grep -q ":$(printf %04X "$port") 00000000:0000 0A" /proc/net/tcp
}
mkfifo "$work/go"
perl -MIO::Socket::INET -e '
	my $peer = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die;
	$| = 1;
	for ("HELO me", "MAIL FROM:<a\@b.c>", "RCPT TO:<d\@e.f>", "DATA") {
		print scalar <$peer>;
		print $peer "$_\r\n";
	}
	print scalar <$peer>;
	print $peer "half a li";
	<STDIN>;
	print $peer "ne\r\n.\r\n";
	print <$peer>;' "$port" <"$work/go" >"$work/said" 2>&1 &
sender=$!
jobs_to_stop="$jobs_to_stop $sender"
exec 3>"$work/go"
wait_until "DATA is not answered" grep -q ^354 "$work/said"
listens || fail "it is not seen where mail listens"
kill "$pid"
wait_until "mail listens after a stop" eval '! listens'
echo >&3
exec 3>&-
wait "$sender"
[ "$(cut -c 1-3 "$work/said" | xargs)" = "220 250 250 250 354 250 421" ] ||
	fail "a message that comes at a stop is not taken: $(tail -n 1 "$work/said")"
printf 'half a line' >"$work/message"
kept "a stop" "$work/one"
wait_until "mail does not end" gone "$pid"
wait "$pid" || fail "mail did not end well"
for file in "$work/mail"/* "$work/mail"/.[!.]*; do
	[ ! -e "$file" ] || fail "there is $file in the folder, which nobody has sent"
done
[ "$(tail -n 1 "$work/mail.out")" = "Received 4" ] || fail "mail has counted wrong"

finish
