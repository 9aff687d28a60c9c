# Read by the checks of the example files: it runs on $work/site, and is asked in raw bytes.
. "$srcdir/tests/checks/common.sh"

[ -n "$HTTP_PARSER_LIBS" ] || skip "configured without http_parser"
cd "$builddir" || exit 99
LC_ALL=C # bytes, not characters
export LC_ALL

# What all requests have, and one that must not be answered when it comes after another one.
v=HTTP/1.1
h='Host: a\r\n'
next="GET /second.txt $v\\r\\n$h\\r\\n"

# start_files BEFORE OPTION...: runs it; $address is where. BEFORE: a program that runs it.
start_files()
{
	before=$1
	shift
	: >"$work/files.err" # what an earlier one has said is not waited for
	# shellcheck disable=SC2086 # a command with arguments
	serve files $before ./examples/files/files "$@" localhost:0 "$work/site"
	ready files "does not say where it serves" serves_somewhere files || return
	address=$(serving files | head -n 1)
}

# talk_raw SENTENCE [OPTION]...: sends $work/sent; what comes is in $work/got.
talk_raw()
{
	sentence=$1
	shift
	"$builddir/tests/checks/talk" -r "$@" "$address" <"$work/sent" >"$work/got" 2>"$work/said" || {
		fail "files: $sentence: the talk did not come to its end"
		sed 's/^/    /' "$work/said"
	}
}

status_is()
{
	grep -aq "^HTTP/1.1 $2 " "$work/got" && return
	fail "files: $1: $2 was expected, but there came:"
	head -n 5 "$work/got" | sed 's/^/    /'
}

# ask SENTENCE STATUS REQUEST: the request is a format of printf(1).
ask()
{
	printf "$3" >"$work/sent"
	talk_raw "$1"
	status_is "$1" "$2"
}

# The statuses of all answers that have come.
answers()
{
	grep -aoE 'HTTP/1\.1 [0-9]+ [A-Z]' "$work/got" | cut -d ' ' -f 2 | xargs
}

# statuses SENTENCE "STATUS STATUS..." REQUEST: the answers that come.
statuses()
{
	printf "$3" >"$work/sent"
	talk_raw "$1"
	lines=$(answers)
	[ "$lines" = "$2" ] || fail "files: $1: $2 was expected, but $lines came"
}

# closed SENTENCE STATUS REQUEST: the server answers once, and ends the connection by itself.
closed()
{
	printf "$3" >"$work/sent"
	talk_raw "$1" -k
	status_is "$1" "$2"
	[ "$(answers)" = "$2" ] || fail "files: $1: there is more than one answer"
	has 'Connection: close'
	lacks second
}

# has PATTERN..., lacks PATTERN...: what came last.
has()
{
	for pattern; do
		grep -aq -e "$pattern" "$work/got" || fail "files: $sentence: there is no $pattern"
	done
}

lacks()
{
	for pattern; do
		grep -aq -e "$pattern" "$work/got" && fail "files: $sentence: there is $pattern"
	done
}

# Whichever way its address is given, the second server on a port gives up.
port_in_use()
{
	timeout 60 $RUNNER "./$1" "$2" >"$work/second.out" 2>"$work/second.err"
	status=$?
	[ "$status" = 1 ] || fail "$1 on a port in use ended with status $status, not 1"
	grep -q 'in use' "$work/second.err" || fail "$1 on a port in use does not say so"
}
