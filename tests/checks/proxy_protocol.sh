#!/bin/sh
# Servers behind real proxies: curl, which can act as one, HAProxy and nginx, as far as they are there.
# What the proxy says is where the client comes from; a server that trusts somebody else believes
# nobody. The proxies' health checks find the server well.
. "$srcdir/tests/checks/common.sh"

command -v curl >/dev/null || skip "curl was not found"
PATH=$PATH:/usr/sbin
cd "$builddir" || exit 99

# behind NAME ARGUMENT...: starts a server; $at is its address.
behind()
{
	name=$1
	shift
	serve "$name" ./tests/checks/behind "$@"
	ready "$name" "does not listen" grep -q : "$work/$name.out" || finish
	at=$(sed -n 1p "$work/$name.out")
}

# asks SENTENCE CURL...: $said is what the server answers, and $own where curl has connected from.
asks()
{
	sentence=$1
	shift
	try "$sentence: curl fails" curl -sS --max-time 60 -w '%{local_ip}:%{local_port}' -o "$work/answer" "$@" ||
		return
	own=$(cat "$work/said")
	said=$(cat "$work/answer")
}

# expect SENTENCE PATTERN: it was that.
expect()
{
	# shellcheck disable=SC2254 # it is a pattern
	case $said in
	$2) ;;
	*) fail "$1: not $2, but $said" ;;
	esac
}

behind required required
direct=$at
direct_pid=$pid
behind trusting required 127.0.0.0/8
trusting=$at
behind distrusting required 10.0.0.0/8
distrusting=$at
behind mixed from-trusted 127.0.0.1
mixed=$at
behind values required 127.0.0.0/8
values=$at
behind plain off
plain=$at

asks "plain" "http://$plain/"
expect "plain" "$own by "
if curl -sS --max-time 60 "http://$direct/" >"$work/said" 2>&1; then
	fail "a server that requires a header answers without one"
fi
if curl --help all | grep -q haproxy-protocol; then
	for server in "$direct" "$trusting" "$mixed"; do
		asks "curl" --haproxy-protocol "http://$server/"
		expect "curl" "$own by $own"
	done
	if curl --help all | grep -q haproxy-clientip; then
		asks "curl for another" --haproxy-clientip 192.0.2.7 "http://$direct/"
		expect "curl for another" "192.0.2.7:* by $own"
	fi
	if curl -sS --max-time 60 --haproxy-protocol "http://$distrusting/" >"$work/said" 2>&1; then
		fail "a server that does not trust curl believes it"
	fi
else
	echo "curl cannot act as a proxy: left out"
fi

# through PROXY URL KIND VALUES CURL-OPTION...: curl asks through that proxy, which says so much besides.
through()
{
	kind="$1, $3" url=$2 more=$4
	shift 4
	wait_until "$kind: the proxy does not listen" \
		curl -sS --max-time 5 -o "$work/first" "$@" "$url" || return
	asks "$kind" "$@" "$url"
	expect "$kind" "$own by 127.0.0.1:*$more"
}

# checked SERVER: it was, three times: by connections that are the proxy's own.
checked()
{
	[ "$(awk '$1 == "client" && $2 == $4' "$work/$1.out" | wc -l)" -ge "$((curls + 3))" ]
}
curls=1 # curl acts as its own proxy

# make_certificate FILE NAME: a certificate that vouches for itself, and its key.
make_certificate()
{
	try "openssl makes no certificate" openssl req -x509 -newkey rsa:2048 -nodes -days 2 \
		-subj "/CN=$2" -keyout "$work/$1.key" -out "$work/$1.crt"
	cat "$work/$1.crt" "$work/$1.key" >"$work/$1.pem"
}

# HAProxy ends TLS, and tells how the client has come by it; with its certificate, if it has one.
tls=no
add_tls()
{
	tls=yes
	make_certificate site site.test
	make_certificate ada ada
	cat >>"$work/haproxy.cfg" <<END
listen tls
	bind $own_host:5004 ssl crt $work/site.pem alpn http/1.1
	server it $values send-proxy-v2-ssl proxy-v2-options authority check inter 100 check-send-proxy
listen certificates
	bind $own_host:5005 ssl crt $work/site.pem ca-file $work/ada.crt verify optional
	server it $values send-proxy-v2-ssl-cn proxy-v2-options crc32c,ssl-cipher,cert-sig,cert-key check inter 100 check-send-proxy
END
}

through_tls()
{
	by_name="--resolve site.test:5004:$own_host"
	# shellcheck disable=SC2086 # words
	through HAProxy "https://site.test:5004/" "version 2 with TLS" \
		" alpn=http/1.1 name=site.test tls=1,0 version=TLSv1*" -k $by_name
	through HAProxy "https://$own_host:5005/" "version 2 without a client's certificate" \
		" checksum=right tls=1,0 version=TLSv1* cipher=*" -k
	case $said in
	*" cn="*) fail "somebody without a certificate has its name" ;;
	esac
	# The flags say that it has shown its certificate in this connection (2), and in this session (4).
	through HAProxy "https://$own_host:5005/" "version 2 with a client's certificate" \
		" checksum=right tls=7,0 version=TLSv1* cn=ada*" -k --cert "$work/ada.pem"
}

if command -v haproxy >/dev/null; then
	cat >"$work/haproxy.cfg" <<END
defaults
	mode tcp
	timeout connect 30s
	timeout client 30s
	timeout server 30s
listen version1
	bind $own_host:5001
	server it $trusting send-proxy check inter 100 check-send-proxy
listen version2
	bind $own_host:5002
	server it $mixed send-proxy-v2 check inter 100 check-send-proxy
listen more
	bind $own_host:5003
	unique-id-format client-%cp
	server it $values send-proxy-v2 proxy-v2-options crc32c,unique-id check inter 100 check-send-proxy
END
	if ! command -v openssl >/dev/null; then
		echo "openssl was not found: HAProxy with TLS is left out"
	elif ! haproxy -vv | grep -q '+OPENSSL'; then
		echo "HAProxy was built without TLS: left out"
	else
		add_tls
	fi
	haproxy -db -f "$work/haproxy.cfg" >"$work/haproxy.out" 2>&1 &
	jobs_to_stop="$jobs_to_stop $!"
	through HAProxy "http://$own_host:5001/" "version 1" ""
	through HAProxy "http://$own_host:5002/" "version 2" ""
	through HAProxy "http://$own_host:5003/" "version 2 with a checksum" " id=client-* checksum=right"
	expect "version 2 with an identifier" "$own * id=client-${own##*:} *"
	[ "$tls" = no ] || through_tls
	wait_until "HAProxy does not check version 1" checked trusting
	wait_until "HAProxy does not check version 2" checked mixed
	wait_until "HAProxy does not check version 2 with values" checked values
	if grep -i 'is DOWN' "$work/haproxy.out"; then
		fail "HAProxy's health checks do not find the server well"
	fi
else
	echo "haproxy was not found: left out"
fi

if command -v nginx >/dev/null && { [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || nginx -V 2>&1 | grep -q 'with-stream '; }; then
	module=
	[ ! -e /usr/lib/nginx/modules/ngx_stream_module.so ] ||
		module="load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
	cat >"$work/nginx.conf" <<END
$module
daemon off;
master_process off;
pid $work/nginx.pid;
error_log stderr;
events {}
stream {
	server {
		listen $own_host:5006;
		proxy_pass $trusting;
		proxy_protocol on;
	}
}
END
	nginx -c "$work/nginx.conf" >"$work/nginx.out" 2>&1 &
	jobs_to_stop="$jobs_to_stop $!"
	through nginx "http://$own_host:5006/" "version 1" ""
else
	echo "nginx with streams was not found: left out"
fi

# What was wrong so far, and nothing else: one connection without a header.
pid=$direct_pid
end_server required TERM
grep -qx '1 wrong' "$work/required.out" || fail "not one was wrong: $(tail -n 1 "$work/required.out")"
grep -q 'no PROXY header' "$work/required.err" || fail "the log says nothing of it"
finish
