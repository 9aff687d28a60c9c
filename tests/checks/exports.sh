#!/bin/sh
# The functions in the public headers, the names in the version script, and what the shared library
# exports are the same; and the static library brings no name into a program that is not ours.
. "$srcdir/tests/checks/common.sh"

shared=$builddir/lib/.libs/libmtserver.so
static=$builddir/lib/.libs/libmtserver.a

public_functions >"$work/headers"
[ -s "$work/headers" ] || fail "no function was found in the public headers"

# Each node of the version script by its number, and the names in it.
awk '/^MTSERVER_/ { node++; within = 0 } /^local:|^}/ { within = 0 }
	within && /;/ { sub(/;.*/, ""); print node, $1 } /^global:/ { within = 1 }' \
	"$srcdir/lib/mtserver.map" >"$work/nodes"
LC_ALL=C sort -s -u -k1,1n -k2,2 "$work/nodes" >"$work/sorted"
same "a node of lib/mtserver.map is not in alphabetical order" "$work/sorted" "$work/nodes"
cut -d' ' -f2 "$work/nodes" | LC_ALL=C sort >"$work/map"
same "the public headers (-) and lib/mtserver.map (+) differ" "$work/headers" "$work/map"

if [ -f "$shared" ]; then
	$NM -D --defined-only "$shared" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' |
		LC_ALL=C sort >"$work/shared"
	same "the public headers (-) and what libmtserver.so exports (+) differ" \
		"$work/headers" "$work/shared"
else
	echo "no shared library was built, so that its exports are not checked"
fi

if [ -f "$static" ]; then
	# A sanitizer adds names of its own.
	$NM -g --defined-only "$static" | awk 'NF == 3 { print $3 }' |
		grep -vE '^(mtsi?_[a-z0-9_]+$|__(odr_)?asan)' >"$work/stray"
	if [ -s "$work/stray" ]; then
		fail "libmtserver.a defines names that begin with neither mts_ nor mtsi_:"
		sed 's/^/    /' "$work/stray"
	fi
else
	echo "no static library was built, so that its names are not checked"
fi

finish
