#!/bin/sh
# The example files, and clients that others have written: curl, ab, wrk, and a browser without a
# screen, each where it is installed. MTS_TEST_UPLOAD says how many MiB are uploaded, 64 by default.
. "$srcdir/tests/checks/files_common.sh"

mkdir -p "$work/site/big" || exit 99
printf 0123456789 >"$work/site/ten.txt"
tried=

# here PROGRAM: whether it is installed.
here()
{
	if command -v "$1" >/dev/null; then
		tried="$tried $1"
	else
		echo "$1 was not found, so that it is not tried"
		return 1
	fi
}

# curl_says SENTENCE WANTED ARGUMENT...: what curl prints.
curl_says()
{
	sentence=$1 wanted=$2
	shift 2
	got=$(curl --silent --show-error --max-time 120 "$@" 2>&1 | tr -d '\r')
	[ "$got" = "$wanted" ] || fail "curl, $sentence: $wanted was expected, but $got came"
}

check_curl()
{
	url=http://$address
	code='%{http_code} '
	curl_says "one connection for all" "1 0 0 " -w '%{num_connects} ' \
		-o "$work/1" -o "$work/2" -o "$work/3" "$url/ten.txt" "$url/nothing" "$url/ten.txt"
	curl_says "a range" 234 -r 2-4 "$url/ten.txt"
	curl_says "several ranges" 0123456789 -r 0-1,4-5 "$url/ten.txt"
	printf 0123 >"$work/part"
	curl_says "the rest of a file" "206 " -w "$code" -C - -o "$work/part" "$url/ten.txt"
	same "curl, the rest of a file: it differs" "$work/site/ten.txt" "$work/part"
	curl_says "the same file again" "200 304 " -w "$code" -o "$work/1" "$url/ten.txt" \
		--etag-save "$work/tag" --next --silent --max-time 120 -w "$code" -o "$work/2" \
		--etag-compare "$work/tag" "$url/ten.txt"
	curl_says "the same date again" "304 " -w "$code" -o "$work/1" -z "$work/site/ten.txt" \
		"$url/ten.txt"
	curl_says "HEAD" "200 10 " -w "$code%header{content-length} " -o "$work/1" -I "$url/ten.txt"
	upload "an upload" "$srcdir/README" "$srcdir/README"
	upload "a chunked upload" "$srcdir/README" - -H 'Transfer-Encoding: chunked'
	upload "an upload that asks first" "$srcdir/README" "$srcdir/README" -H 'Expect: 100-continue'
	upload "HTTP/1.0" "$srcdir/README" "$srcdir/README" --http1.0
	curl_says "too much" "413 " -w "$code" -o "$work/1" -H 'Expect: 100-continue' -T "$work/large" \
		"$url/up"
}

# upload SENTENCE FILE -T's-ARGUMENT ARGUMENT...: afterwards it is there.
upload()
{
	sentence=$1 file=$2 argument=$3
	shift 3
	rm -f "$work/site/up"
	curl_says "$sentence" "201 " -w "$code" -o "$work/1" -T "$argument" "$@" "$url/up" <"$file"
	same "curl, $sentence: the file differs" "$file" "$work/site/up"
}

# However large it is, the server needs no more memory than before, or hardly more.
check_large_uploads()
{
	truncate -s "${MTS_TEST_UPLOAD:-64}M" "$work/big"
	before=$(peak)
	for argument in "$work/big" -; do
		curl_says "a large upload" "201 " -w "$code" -o "$work/1" -T "$argument" \
			"$url/big/up" <"$work/big"
		curl -sS --max-time 120 "$url/big/up" 2>&1 | cmp - "$work/big" ||
			fail "curl, a large upload: what comes back differs"
		rm -f "$work/site/big/up"
	done
	more=$(($(peak) - before))
	echo "${MTS_TEST_UPLOAD:-64} MiB were uploaded twice, which took $more KiB of memory"
	[ "$more" -lt 16384 ] || fail "files took $more KiB of memory for an upload"
	[ -z "$(ls -A "$work/site/big")" ] || fail "files left something of an upload behind"
}

# The most memory that the server has had so far, in KiB.
peak()
{
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"
}

check_ab()
{
	try "ab fails" ab -q -n 2000 -c 20 -k "http://$address/ten.txt" || return
	for line in 'Complete requests: *2000' 'Failed requests: *0' 'Keep-Alive requests: *2000'; do
		grep -q "^$line\$" "$work/said" || fail "ab does not say $line"
	done
	! grep -q 'Non-2xx' "$work/said" || fail "ab got something else than the file"
	try "ab without keep-alive fails" ab -q -n 500 -c 20 "http://$address/ten.txt" || return
	grep -q '^Failed requests: *0$' "$work/said" || fail "ab without keep-alive has failed requests"
}

check_wrk()
{
	try "wrk fails" wrk -t 1 -c 20 -d 1s "http://$address/ten.txt" || return
	grep -q 'requests in' "$work/said" || fail "wrk says nothing"
	! grep -E 'Socket errors|Non-2xx' "$work/said" || fail "wrk met errors"
}

# A script on the page counts the images that have been shown.
check_browser()
{
	mkdir "$work/site/page"
	echo '<svg xmlns="http://www.w3.org/2000/svg" width="3" height="3"/>' >"$work/site/page/1.svg"
	echo iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg== |
		base64 -d >"$work/site/page/2 <b>.png"
	echo 'onload = () => { document.body.dataset.shown = [...document.images].filter(i => i.naturalWidth).length }' \
		>"$work/site/page/count.js"
	printf '%s\n' '<!DOCTYPE html><script src="count.js"></script><body>' \
		'<img src="1.svg"><img src="2%20%3Cb%3E.png"><img src="3.png">' >"$work/site/page/index.html"
	if ! HOME=$work timeout 60 chromium --headless --no-sandbox --disable-gpu --dump-dom \
		"http://$address/page" >"$work/dom" 2>"$work/said"; then
		fail "the browser fails"
		sed 's/^/    /' "$work/said"
		return
	fi
	grep -q 'data-shown="2"' "$work/dom" || fail "the browser shows something else than two images"
}

truncate -s 1025M "$work/large"
start_files "" -w "$((1024 * 1024 * 1024))" || finish
if here curl; then
	check_curl
	check_large_uploads
fi
if here ab; then
	check_ab
fi
if here wrk; then
	check_wrk
fi
if here chromium; then
	check_browser
fi
end_server files TERM

[ -n "$tried" ] || skip "there is no client to try"
finish
