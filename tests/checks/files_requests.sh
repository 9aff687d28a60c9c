#!/bin/sh
# The example files, and requests that others might understand differently, so that one could be
# smuggled in another: each is refused with 400, and the connection ends there. And uploads, whatever
# way their bytes come.
. "$srcdir/tests/checks/files_common.sh"

mkdir -p "$work/site/sub" || exit 99
echo second >"$work/site/second.txt"
put="PUT /up $v\\r\\n$h"
te='Transfer-Encoding: chunked\r\n'

# refuse SENTENCE REQUEST: it is refused, and so is what might be taken for the next request.
refuse()
{
	closed "$1" "${3-400}" "$2$next"
	[ ! -e "$work/site/up" ] || fail "files: $1: there is a file"
}

check_lines()
{
	refuse "LF alone after the request line" "GET / $v\n$h\r\n"
	refuse "LF alone after a field" "GET / $v\r\nHost: a\n\r\n"
	refuse "LF alone as the empty line" "GET / $v\r\n$h\n"
	refuse "LF alone all over" "GET / $v\nHost: a\n\n"
	closed "LF alone, and nothing more" 400 "GET / $v\n"
	refuse "CR alone" "GET / $v\r\n${h}X: a\rb\r\n\r\n"
	refuse "CR CR LF" "GET / $v\r\r\n$h\r\n"
	refuse "a field that is continued" "GET / $v\r\n${h}X: a\r\n b\r\n\r\n"
	refuse "a field that is continued after a tab" "GET / $v\r\n${h}X: a\r\n\tb\r\n\r\n"
	refuse "a field that begins with a space" "GET / $v\r\n X: a\r\n$h\r\n"
	refuse "a space before the colon" "$put""Content-Length : 1\r\n\r\nx"
	refuse "a tab before the colon" "$put""Content-Length\t: 1\r\n\r\nx"
	refuse "a space in a name" "GET / $v\r\n${h}X Y: a\r\n\r\n"
	refuse "no name" "GET / $v\r\n${h}: a\r\n\r\n"
	refuse "no colon" "GET / $v\r\n${h}X\r\n\r\n"
	refuse "NUL in a value" "GET / $v\r\n${h}X: a\000b\r\n\r\n"
	refuse "NUL in a name" "GET / $v\r\n${h}X\000: b\r\n\r\n"
	refuse "NUL in the target" "GET /\000 $v\r\n$h\r\n"
	refuse "a control character" "GET / $v\r\n${h}X: \001\r\n\r\n"
	refuse "two spaces" "GET  / $v\r\n$h\r\n"
	refuse "a space at the end" "GET / $v \r\n$h\r\n"
	refuse "a tab" "GET\t/ $v\r\n$h\r\n"
	refuse "no version" "GET /\r\n$h\r\n"
	refuse "half a version" "GET / HTTP/1\r\n$h\r\n"
	refuse "a small version" "GET / http/1.1\r\n$h\r\n"
	refuse "version 2" "GET / HTTP/2.0\r\n$h\r\n" 505
	refuse "version 0.9" "GET / HTTP/0.9\r\n$h\r\n" 505
	refuse "no host" "GET / $v\r\n\r\n"
	refuse "two hosts" "GET / $v\r\n$h$h\r\n"
}

check_lengths()
{
	for length in -1 +1 0x1 1,1 '1 1' 1x '' 18446744073709551616 99999999999999999999999; do
		refuse "Content-Length: $length" "$put""Content-Length: $length\r\n\r\nx"
	done
	refuse "two lengths" "$put""Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"
	refuse "one length twice" "$put""Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"
	refuse "chunked with a length" "$put${te}Content-Length: 5\r\n\r\n0\r\n\r\n"
	refuse "a length with chunked" "$put""Content-Length: 5\r\n${te}\r\n0\r\n\r\n"
	refuse "chunked twice" "$put$te$te\r\n0\r\n\r\n"
	refuse "chunked, chunked" "$put""Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"
	refuse "chunked in HTTP/1.0" "PUT /up HTTP/1.0\r\n$te\r\n0\r\n\r\n"
	refuse "another coding" "$put""Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" 501
	for coding in xchunked 'chunked, gzip' identity '\013chunked' '"chunked"' 'chunked;a=b'; do
		refuse "Transfer-Encoding: $coding" "$put""Transfer-Encoding: $coding\r\n\r\n0\r\n\r\n"
	done
	refuse "no length" "$put\r\n" 411
	refuse "too long" "$put""Content-Length: 1001\r\n\r\n" 413
	refuse "the longest" "$put""Content-Length: 9223372036854775807\r\n\r\n" 413
	refuse "a part" "$put""Content-Range: bytes 0-0/2\r\nContent-Length: 1\r\n\r\nx"
}

check_chunks()
{
	end='0\r\n\r\n'
	for size in '' ' 1' '1 ' 0x1 -1 +1 g 1g 1,1 '1\t' 0000000000000001 ffffffffffffffff \
		10000000000000001 ';a' '1\000' '1;\001' '1;a\n'; do
		refuse "the chunk size $size" "$put$te\r\n$size\r\nx\r\n$end"
	done
	refuse "LF alone after a size" "$put$te\r\n1\nx\r\n$end"
	refuse "LF alone after the data" "$put$te\r\n1\r\nx\n$end"
	refuse "other bytes after a size" "$put$te\r\n1\rXx\r\n$end"
	refuse "other bytes after the data" "$put$te\r\n1\r\nxXX$end"
	refuse "other bytes for CR" "$put$te\r\n1\r\nxX\n$end"
	refuse "other bytes for LF" "$put$te\r\n1\r\nx\rX$end"
	refuse "other bytes in the trailer" "$put$te\r\n0\r\nX: y\rX\r\n"
	refuse "other bytes at the end" "$put$te\r\n0\r\n\rX"
	refuse "data too long" "$put$te\r\n1\r\nxx\r\n$end"
	refuse "data too short" "$put$te\r\n3\r\nx\r\n$end"
	refuse "LF alone in the trailer" "$put$te\r\n1\r\nx\r\n0\r\nX: y\n\r\n"
	refuse "LF alone at the end" "$put$te\r\n1\r\nx\r\n0\r\n\n"
	refuse "CR CR LF" "$put$te\r\n1\r\r\nx\r\n$end"
	refuse "more than allowed" "$put$te\r\n3e8\r\n$(printf '%01000d' 0)\r\n1\r\nx\r\n$end" 413
	refuse "extensions without end" "$put$te\r\n1;$(printf '%09000d' 0)\r\nx\r\n$end"
	refuse "a trailer without end" "$put$te\r\n0\r\nX: $(printf '%09000d' 0)\r\n\r\n"
	ask "the end in a body" 400 "$put""Content-Length: 9\r\n\r\nx"
	ask "the end in a chunk" 400 "$put$te\r\n9\r\nx"
	[ -z "$(ls -A "$work/site/sub")" ] || fail "files left something behind"
	[ "$(ls -A "$work/site")" = "$(printf 'second.txt\nsub')" ] || fail "files left something behind"
}

# stored SENTENCE "STATUS STATUS..." TEXT REQUEST [OPTION]: an upload, and a request after it.
stored()
{
	rm -f "$work/site/up"
	printf "$4GET /up $v\r\n$h\r\n" >"$work/sent"
	talk_raw "$1" ${5-}
	[ "$(answers)" = "$2" ] || fail "files: $1: $2 was expected, but $(answers) came"
	printf '%s' "$3" >"$work/wanted"
	same "files: $1: another file was expected" "$work/wanted" "$work/site/up"
}

check_uploads()
{
	sized="$put""Content-Length: 5\r\n\r\nhello"
	chunked="$put$te\r\n3;a=\"b\"\r\nhel\r\n00000002\r\nlo\r\n0\r\nX: y\r\n\r\n"
	for option in "" -b; do
		stored "sized $option" "201 200" hello "$sized" $option
		stored "chunked $option" "201 200" hello "$chunked" $option
		stored "three in one $option" "201 204 204 200" hello "$chunked$sized$chunked" $option
		stored "the word first $option" "100 201 200" hello \
			"${put}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" $option
		stored "nothing $option" "201 200" "" "${put}Content-Length: 0\r\n\r\n" $option
		stored "no chunk $option" "201 200" "" "$put$te\r\n0\r\n\r\n" $option
	done
	stored "as much as allowed" "201 200" "$(printf '%01000d' 0)" \
		"${put}Content-Length: 1000\r\n\r\n$(printf '%01000d' 0)"
	closed "Expect and too long" 413 "${put}Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n"
	closed "If-None-Match: *" 412 "${put}If-None-Match: *\r\nContent-Length: 1\r\n\r\nx"
	closed "a folder" 409 "PUT /sub $v\r\n${h}Content-Length: 1\r\n\r\nx"
	closed "a folder's name" 409 "PUT /sub/ $v\r\n${h}Content-Length: 1\r\n\r\nx"
	closed "no such folder" 404 "PUT /no/x $v\r\n${h}Content-Length: 1\r\n\r\nx"
	ln -s ../.. "$work/site/sub/out"
	closed "a folder outside" 404 "PUT /sub/out/x $v\r\n${h}Content-Length: 1\r\n\r\nx"
	closed "a hidden name" 404 "PUT /.x $v\r\n${h}Content-Length: 1\r\n\r\nx"
	echo outside >"$work/outside"
	ln -s ../outside "$work/site/link"
	ask "a link that leads out" 204 "PUT /link $v\r\n${h}Content-Length: 1\r\n\r\nx"
	grep -q outside "$work/outside" || fail "files wrote through a symbolic link"
}

# What the library ends by itself, it does not end without a word.
check_faults()
{
	for name in '' X:; do
		refuse "a head too large $name" "GET / $v\r\n$h$name$(printf '%020000d' 0)\r\n\r\n" 431
	done
	refuse "a large head without end" "GET / $v\r\n${h}X: $(printf '%0500000d' 0)" 431
	ask "half a head, and the end" 400 "GET / $v\r\n"
}

check_timeouts()
{
	rm -f "$work/site/up"
	closed "half a head" 408 "GET / $v\r\n"
	closed "half a body" 408 "${put}Content-Length: 9\r\n\r\nhello"
	closed "half a chunk" 408 "$put$te\r\n9\r\nhello"
	if ls -A "$work/site" | grep -q up; then
		fail "files keeps half a file"
	fi
}

# One place, and somebody has it.
check_crowd()
{
	printf "GET /second.txt $v\r\n$h\r\n" >"$work/sent"
	"$builddir/tests/checks/talk" -k -r "$address" <"$work/sent" >"$work/first" 2>"$work/said" &
	first=$!
	jobs_to_stop="$jobs_to_stop $first"
	wait_until "files: the first is not served" grep -q second "$work/first" || return
	closed "there is no room" 503 "GET / $v\r\n$h\r\n"
	has 'Retry-After: 5'
	kill -KILL "$first"
	wait_until "files: the place is not free again" comes_in
}

comes_in()
{
	"$builddir/tests/checks/talk" -r "$address" <"$work/sent" 2>"$work/said" | grep -aq second
}

start_files "" -w 1000 || finish
check_lines
check_lengths
check_chunks
check_faults
check_uploads
end_server files TERM

start_files "" -w 1000 -t 1 || finish
check_timeouts
end_server files TERM

start_files "" -c 1 || finish
check_crowd
end_server files TERM

finish
