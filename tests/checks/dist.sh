#!/bin/sh
# The same sources give the same tarball, byte for byte, whatever the umask, the time zone and the language
# of whoever makes it, and whenever the files were made. And who makes it is not in it.
. "$srcdir/tests/checks/common.sh"

[ -f "$builddir/doc/man/stamp" ] || [ -f "$srcdir/doc/man/stamp" ] ||
	skip "no manual pages were made, which a tarball has: that takes Doxygen and xsltproc"
tar --version 2>/dev/null | grep -q GNU || skip "make dist needs GNU tar"

unset MAKEFLAGS MFLAGS MAKELEVEL SOURCE_DATE_EPOCH
tarball=libmtserver-$version.tar.gz
cd "$builddir" || exit 99
[ ! -e "$tarball" ] || mv "$tarball" "$work/there-before.tar.gz"

# make_dist NAME UMASK VARIABLE...
make_dist()
{
	name=$1
	umask "$2"
	shift 2
	try "make dist fails" env "$@" make dist && mv "$tarball" "$work/$name.tar.gz"
}

make_dist one 022 TZ=UTC LC_ALL=C
make_dist two 007 TZ=Asia/Tokyo LC_ALL=C.UTF-8 MAKEFLAGS=-j2
make_dist three 077 SOURCE_DATE_EPOCH=1000000000
[ ! -e "$work/there-before.tar.gz" ] || mv "$work/there-before.tar.gz" "$tarball"
[ "$failed" = 0 ] || finish

list()
{
	TZ=UTC LC_ALL=C tar --full-time --numeric-owner -tvzf "$work/$1.tar.gz"
}

if ! cmp -s "$work/one.tar.gz" "$work/two.tar.gz"; then
	list one >"$work/one"
	list two >"$work/two"
	same "two tarballs of the same sources list other things" "$work/one" "$work/two" &&
		fail "two tarballs of the same sources differ"
fi
list three | grep -vE '^.rwxr.xr.x 0/0 .* 2001-09-09 01:46:40 |^-rw-r--r-- 0/0 .* 2001-09-09 01:46:40 ' >"$work/stray"
if [ -s "$work/stray" ]; then
	fail "these have an owner, a time or rights of their own:"
	sed 's/^/    /' "$work/stray"
fi

finish
