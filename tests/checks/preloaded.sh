#!/bin/sh
# A library that is preloaded has functions of its own in place of recv and send, as network stacks in
# user space do. It sees the library's calls, whether that is shared or a part of the program, and
# whether the program is position-independent or not.
. "$srcdir/tests/checks/common.sh"

case $CFLAGS in
*-fsanitize*) skip "sanitizers replace these functions, too" ;;
esac
libraries=$builddir/lib/.libs
sources=$srcdir/tests/checks

# shellcheck disable=SC2086 # flags are words
$CC $CPPFLAGS -D_GNU_SOURCE $CFLAGS -fPIC -shared -o "$work/preloaded.so" "$sources/preloaded.c" \
	>"$work/said" 2>&1 || skip "no shared library can be built"
printf 'recv\nsend\n' >"$work/wanted"

# seen NAME LIBRARY FLAG...: a program that is built in this way.
seen()
{
	name=$1 library=$2
	shift 2
	[ -f "$library" ] || { echo "$library was not built: left out"; return; }
	# shellcheck disable=SC2086 # flags are words
	try "$name cannot be built" $CC $CPPFLAGS -D_GNU_SOURCE -I"$srcdir/include" $CFLAGS "$@" \
		-o "$work/$name" "$sources/preloads.c" "$library" -pthread || return
	LD_LIBRARY_PATH=$libraries LD_PRELOAD=$work/preloaded.so "$work/$name" >"$work/got" 2>&1 ||
		fail "$name fails"
	LC_ALL=C sort "$work/got" >"$work/sorted"
	same "$name: not all calls were seen" "$work/wanted" "$work/sorted"
}

seen shared "$libraries/libmtserver.so" -fPIE -pie
seen shared-fixed "$libraries/libmtserver.so" -fno-pie -no-pie
seen static "$libraries/libmtserver.a" -fPIE -pie
seen static-fixed "$libraries/libmtserver.a" -fno-pie -no-pie

finish
