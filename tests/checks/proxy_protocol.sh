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

# through PROXY PORT KIND: curl asks through that proxy.
through()
{
	wait_until "$1 does not listen for $3" curl -sS --max-time 5 -o "$work/first" "http://127.0.0.1:$2/" || return
	asks "$1, $3" "http://127.0.0.1:$2/"
	expect "$1, $3" "$own by 127.0.0.1:*"
}

# Ports that were free a moment ago: those of the servers that are asked for and given back.
free_port()
{
	behind "free$1" off
	kill "$pid"
	wait_until "free$1 does not end" gone "$pid"
	port=${at##*:}
}

# checked SERVER: it was, three times: by connections that are the proxy's own.
checked()
{
	[ "$(awk '$1 == "client" && $2 == $4' "$work/$1.out" | wc -l)" -ge "$((curls + 3))" ]
}
curls=1 # curl acts as its own proxy

if command -v haproxy >/dev/null; then
	free_port 1 && one=$port
	free_port 2 && two=$port
	cat >"$work/haproxy.cfg" <<END
defaults
	mode tcp
	timeout connect 30s
	timeout client 30s
	timeout server 30s
listen version1
	bind 127.0.0.1:$one
	server it $trusting send-proxy check inter 100 check-send-proxy
listen version2
	bind 127.0.0.1:$two
	server it $mixed send-proxy-v2 check inter 100 check-send-proxy
END
	haproxy -db -f "$work/haproxy.cfg" >"$work/haproxy.out" 2>&1 &
	jobs_to_stop="$jobs_to_stop $!"
	through HAProxy "$one" "version 1"
	through HAProxy "$two" "version 2"
	wait_until "HAProxy does not check version 1" checked trusting
	wait_until "HAProxy does not check version 2" checked mixed
	if grep -i 'is DOWN' "$work/haproxy.out"; then
		fail "HAProxy's health checks do not find the server well"
	fi
else
	echo "haproxy was not found: left out"
fi

if command -v nginx >/dev/null && { [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || nginx -V 2>&1 | grep -q 'with-stream '; }; then
	free_port 3 && one=$port
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
		listen 127.0.0.1:$one;
		proxy_pass $trusting;
		proxy_protocol on;
	}
}
END
	nginx -c "$work/nginx.conf" >"$work/nginx.out" 2>&1 &
	jobs_to_stop="$jobs_to_stop $!"
	through nginx "$one" "version 1"
else
	echo "nginx with streams was not found: left out"
fi

# What was wrong so far, and nothing else: one connection without a header.
pid=$direct_pid
end_server required TERM
grep -qx '1 wrong' "$work/required.out" || fail "not one was wrong: $(tail -n 1 "$work/required.out")"
grep -q 'no PROXY header' "$work/required.err" || fail "the log says nothing of it"
finish
