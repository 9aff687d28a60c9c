#!/bin/sh
# The example files, as an HTTP client sees it to the byte: what it answers to good requests, that it
# takes no bad ones, and that no path leads out of its folder.
. "$srcdir/tests/checks/files_common.sh"

mkdir -p "$work/site/sub/deep" "$work/site/page" "$work/outside" || exit 99
echo out >"$work/outside/secret.txt"
printf 0123456789 >"$work/site/ten.txt"
printf second >"$work/site/second.txt"
printf hidden >"$work/site/.hidden"
printf '<p>index' >"$work/site/page/index.html"
printf 'a name' >"$work/site/sub/a b"
: >"$work/site/empty.bin"
chmod 0 "$work/site/empty.bin" && chmod 644 "$work/site/empty.bin"
mkfifo "$work/site/pipe"
ln -s ten.txt "$work/site/link"
ln -s ../../outside "$work/site/sub/out"
ln -s "$work/outside/secret.txt" "$work/site/absolute"
ln -s ../outside/secret.txt "$work/site/secret"
ln -s /proc/self/root "$work/site/machine"

check_heads()
{
	ask "GET" 200 "GET /ten.txt $v\r\n$h\r\n"
	has 'Content-Type: text/plain; charset=utf-8' 'Content-Length: 10' 'Accept-Ranges: bytes' \
		'Date: [A-Z][a-z][a-z], [0-9 ]* [A-Z][a-z][a-z] [0-9]* [0-9:]* GMT' \
		'Last-Modified: .* GMT' 'ETag: "..*"' 0123456789
	ask "HEAD" 200 "HEAD /ten.txt $v\r\n$h\r\n"
	has 'Content-Length: 10'
	lacks 0123456789
	ask "a query" 200 "GET /ten.txt?a=/../b $v\r\n$h\r\n"
	ask "a whole URL" 200 "GET http://elsewhere/%%74en.txt $v\r\n$h\r\n"
	ask "a URL without path" 200 "GET http://elsewhere $v\r\n$h\r\n"
	ask "index.html" 200 "GET /page/ $v\r\n$h\r\n"
	has '<p>index' 'Content-Type: text/html; charset=utf-8'
	ask "a folder without its slash" 301 "GET /sub/deep $v\r\n$h\r\n"
	has 'Location: /sub/deep/'
	ask "two slashes make no other host" 301 "GET //sub//deep $v\r\n$h\r\n"
	has 'Location: /sub/deep/'
	ask "a file with a slash" 404 "GET /ten.txt/ $v\r\n$h\r\n"
	ask "no such file" 404 "GET /nothing $v\r\n$h\r\n"
	ask "a pipe" 403 "GET /pipe $v\r\n$h\r\n"
	ask "an empty file" 200 "GET /empty.bin $v\r\n$h\r\n"
	has 'Content-Length: 0' 'Content-Type: application/octet-stream'
	ask "spaces in names" 200 "GET /sub/a%%20b $v\r\n$h\r\n"
	has 'a name'
	ask "another method" 405 "POST /ten.txt $v\r\n${h}Content-Length: 0\r\n\r\n"
	has 'Allow: GET, HEAD, PUT'
	ask "a method that is none" 501 "FOO /ten.txt $v\r\n$h\r\n"
	closed "a body nobody wants" 200 "GET /ten.txt $v\r\n${h}Content-Length: 4\r\n\r\nGET $next"
	closed "another expectation" 417 "PUT /x $v\r\n${h}Expect: more\r\nContent-Length: 1\r\n\r\n"
}

# The connection stays, unless one side wants its end.
check_connections()
{
	two="200 200"
	statuses "two at once" "$two" "GET /ten.txt $v\r\n$h\r\nGET /second.txt $v\r\n$h\r\n"
	statuses "an empty line between" "$two" "GET /ten.txt $v\r\n$h\r\n\r\nHEAD /ten.txt $v\r\n$h\r\n"
	statuses "after an error" "404 200" \
		"GET /no $v\r\n$h\r\nGET /ten.txt $v\r\n$h\r\n"
	closed "Connection: close" 200 "GET /ten.txt $v\r\n${h}Connection: close\r\n\r\n$next"
	closed "HTTP/1.0" 200 "GET /ten.txt HTTP/1.0\r\n\r\n$next"
	statuses "HTTP/1.0 that stays" "$two" \
		"GET /ten.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /ten.txt HTTP/1.0\r\n\r\n"
	has 'Connection: keep-alive'
}

range()
{
	ask "Range: $1" "$2" "GET /ten.txt $v\r\n${h}Range: $1\r\n\r\n"
	shift 2
	has "$@"
}

check_ranges()
{
	range bytes=2-4 206 'Content-Range: bytes 2-4/10' 'Content-Length: 3' 234
	range bytes=8- 206 'Content-Range: bytes 8-9/10' 89
	range bytes=-3 206 'Content-Range: bytes 7-9/10' 789
	range bytes=-99 206 'Content-Range: bytes 0-9/10' 0123456789
	range bytes=5-99999999999999999999999 206 'Content-Range: bytes 5-9/10' 56789
	range bytes=10- 416 'Content-Range: bytes \*/10'
	range bytes=-0 416 'Content-Range: bytes \*/10'
	range bytes=99999999999999999999999- 416 'Content-Range: bytes \*/10'
	for whole in bytes=0-1,3-4 bytes=4-2 bytes=x bytes=-- bytes=1 lines=1-2 bytes=1-2x; do
		range "$whole" 200 0123456789
	done
	ask "a range of nothing" 200 "GET /empty.bin $v\r\n${h}Range: bytes=-5\r\n\r\n"
	ask "HEAD has no ranges" 200 "HEAD /ten.txt $v\r\n${h}Range: bytes=2-4\r\n\r\n"
}

condition()
{
	ask "$2" "$1" "GET /ten.txt $v\r\n$h$2\r\n${3+$3\r\n}\r\n"
}

check_conditions()
{
	touch -d '2020-01-02 03:04:05 UTC' "$work/site/ten.txt"
	ask "GET" 200 "GET /ten.txt $v\r\n$h\r\n"
	tag=$(tr -d '\r' <"$work/got" | sed -n 's/^ETag: //p')
	date=$(tr -d '\r' <"$work/got" | sed -n 's/^Last-Modified: //p')
	[ "$date" = "Thu, 02 Jan 2020 03:04:05 GMT" ] || fail "files: Last-Modified is $date"
	condition 304 "If-None-Match: $tag"
	has "ETag: $tag"
	lacks 0123456789
	condition 304 "If-None-Match: \"x\", W/$tag"
	condition 304 "If-None-Match: *"
	condition 200 "If-None-Match: \"x\""
	condition 200 "If-None-Match: \"x\"" "If-Modified-Since: $date"
	condition 304 "If-Modified-Since: $date"
	condition 304 "If-Modified-Since: Thursday, 02-Jan-20 03:04:05 GMT"
	condition 304 "If-Modified-Since: Thu Jan  2 03:04:05 2020"
	condition 200 "If-Modified-Since: Thu, 02 Jan 2020 03:04:04 GMT"
	condition 200 "If-Modified-Since: yesterday"
	condition 412 "If-Match: \"x\""
	condition 412 "If-Match: W/$tag"
	condition 200 "If-Match: $tag"
	condition 412 "If-Unmodified-Since: Thu, 02 Jan 2020 03:04:04 GMT"
	condition 206 "If-Range: $tag" "Range: bytes=0-0"
	condition 200 "If-Range: \"x\"" "Range: bytes=0-0"
	condition 206 "If-Range: $date" "Range: bytes=0-0"
	condition 200 "If-Range: Thu, 02 Jan 2020 03:04:06 GMT" "Range: bytes=0-0"
}

# No such path, and if there were one, it would lead out.
check_paths()
{
	for path in /../outside/secret.txt /%%2e%%2e/outside/secret.txt /.%%2E/outside/secret.txt \
		/..%%2foutside%%2fsecret.txt /sub/../../outside/secret.txt //../outside/secret.txt \
		/sub/out/secret.txt /absolute /secret /machine/etc/passwd /..\\\\outside\\\\secret.txt \
		/%%c0%%ae%%c0%%ae/outside/secret.txt http://a/../outside/secret.txt /. /./ten.txt /sub/.. \
		/.hidden /%%2ehidden /sub%%2fdeep /ten.txt/../second.txt "$work/outside/secret.txt"; do
		ask "$path$1" 404 "GET $path $v\r\n$h\r\n"
		lacks out hidden 0123456789
	done
	for path in /%%00 /ten.txt%%00.html /%% /%%4 /%%zz ten.txt '*' '/a\001' '/\200' '/a#b' 'ftp:'; do
		ask "$path$1" 400 "GET $path $v\r\n$h\r\n"
	done
	printf 'GET /ten.txt%s HTTP/1.1\r\nHost: a\r\n\r\n' "$(printf '%05000d' 0)" >"$work/sent"
	talk_raw "a very long path$1"
	status_is "a very long path$1" 414
	# Valgrind may not know openat2(2) either.
	[ -n "$RUNNER" ] || ask "a link that stays inside$1" "${2-200}" "GET /link $v\r\n$h\r\n"
}

# Where the kernel lacks openat2(2), or a sandbox does not know it. Valgrind and the search for leaks
# do not work below strace.
check_paths_without_openat2()
{
	if [ -n "$RUNNER" ] || echo "$CFLAGS" | grep -q -e -fsanitize || ! strace -D -f -qq -o /dev/null -e inject=openat2:error=ENOSYS true 2>/dev/null
	then
		echo "strace was not found, or does not work here: the way without openat2 is not tried"
		return
	fi
	start_files "strace -D -f -qq -o /dev/null -e inject=openat2:error=ENOSYS" -w 1000000
	check_paths " without openat2" 404
	ask "a file in a folder" 200 "GET /page/index.html $v\r\n$h\r\n"
	end_server files TERM
}

# Every link of the page of a folder leads to the file whose name it shows, whatever that is.
check_listing()
{
	mkdir "$work/site/odd"
	count=0
	for name in '<script>alert(1)<' '"onload="x' "it's" 'a&amp;b' 'javascript:x' '%2e%2e' '?q' '#f' ' ' \
		"$(printf 'new\nline')" "$(printf '\377\001')" 'x:y' '~'; do
		count=$((count + 1))
		printf '%s' "no-$count-" >"$work/site/odd/$name"
	done
	mkdir "$work/site/odd/folder"
	: >"$work/site/odd/.hidden"
	ask "a page" 200 "GET /odd/ $v\r\n$h\r\n"
	has 'Content-Type: text/html; charset=utf-8' '<li><a href="./folder/">folder/</a>' \
		'<li><a href="./%3Cscript%3Ealert%281%29%3C">&lt;script&gt;alert(1)&lt;</a>'
	lacks '<script' '"onload' 'hidden' 'href="[^.]'
	sed -n 's/.*href="\.\/\([^"]*[^"/]\)".*/\1/p' "$work/got" | sed 's/%/%%/g' >"$work/links"
	[ "$(wc -l <"$work/links")" = "$count" ] || fail "files: a page has not one link for each name"
	while read -r link; do
		ask "the link $link" 200 "GET /odd/$link $v\r\n$h\r\n"
		grep -ao 'no-[0-9]*-' "$work/got" >>"$work/numbers"
	done <"$work/links"
	[ "$(sort -u "$work/numbers" | wc -l)" = "$count" ] || fail "files: not every file of a page came"
	ask "HEAD of a page" 200 "HEAD /odd/ $v\r\n$h\r\n"
	lacks folder
}

start_files "" -w 1000000 || finish
check_heads
check_connections
check_ranges
check_conditions
check_paths ""
check_listing
end_server files TERM
check_paths_without_openat2

start_files ""
ask "PUT is not allowed unless asked for" 405 "PUT /x $v\r\n${h}Content-Length: 1\r\n\r\nx"
has 'Allow: GET, HEAD'
[ ! -e "$work/site/x" ] || fail "files wrote a file without -w"
port_in_use examples/files/files "$address"
end_server files INT

finish
