#!/bin/sh
# The example proxy, between curl and a TLS site of the test's own: what comes through it is what the
# site has, and what cannot be reached is said so.
. "$srcdir/tests/checks/common.sh"

command -v openssl >/dev/null || skip "openssl was not found"
command -v curl >/dev/null || skip "curl was not found"
cd "$builddir" || exit 99

mkdir "$work/site"
head -c 20000000 /dev/urandom >"$work/site/large"
echo small >"$work/site/small"
try "openssl makes no certificate" openssl req -x509 -newkey rsa:2048 -nodes -days 2 \
	-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
	-keyout "$work/key" -out "$work/certificate"
(cd "$work/site" && exec openssl s_server -WWW -accept 127.0.0.1:0 -key ../key -cert ../certificate) \
	>"$work/site.out" 2>&1 &
site=$!
serve proxy ./examples/proxy 127.0.0.1:0
ready proxy "does not listen" serves_somewhere proxy || finish
port=$(serving proxy | sed -n 's/^127.0.0.1://p')
ready proxy "the site does not listen" grep -q '^ACCEPT .*:[0-9]' "$work/site.out" || finish
at=$(sed -n 's/^ACCEPT .*:\([0-9]*\).*/\1/p' "$work/site.out" | head -n 1)

# through HOW WHERE NAME: gets it by way of the proxy.
through()
{
	try "$1, $2: curl fails" curl -sS --max-time 60 --cacert "$work/certificate" \
		--proxy "$1://127.0.0.1:$port" "https://$2:$at/$3" -o "$work/got"
	same "$1, $2: what comes is something else" "$work/site/$3" "$work/got"
}

through socks5h localhost small # the proxy looks up the name
through socks5 127.0.0.1 small
through socks5h localhost large

# refused SENTENCE CODE CURL...: curl says that the proxy has not connected it, and why.
refused()
{
	sentence=$1 code=$2
	shift 2
	if curl -sS --max-time 60 --proxy "socks5h://127.0.0.1:$port" "$@" >"$work/said" 2>&1; then
		fail "$sentence: curl is content"
	elif ! grep -qi "socks5.*($code)" "$work/said"; then
		fail "$sentence: curl is not told $code"
		sed 's/^/    /' "$work/said"
	fi
}

kill "$site"
wait "$site" 2>/dev/null
refused "nobody listens" 5 "https://127.0.0.1:$at/"
refused "no such name" 4 "http://nobody.invalid/"
finish
