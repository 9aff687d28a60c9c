#!/bin/sh
# Debian's packages: dpkg-buildpackage makes them of the tarball, needing no network and no root; lintian
# finds no error in them; they have what a user of each expects; and the README's program is built with
# them and serves, by the very test that Debian would run (debian/tests). `make check-deb` runs this.
#
# The tests of the library itself are left out here, since make check runs them.
. "$srcdir/tests/checks/common.sh"

for tool in dpkg-buildpackage dh lintian; do
	command -v $tool >/dev/null || skip "$tool was not found: Debian's packages debhelper and lintian are needed"
done
case $($CC -dumpmachine) in
*musl*) skip "the packages are built with Debian's own C library" ;;
esac

name=libmtserver-$version
tree=$work/$name
unset MAKEFLAGS MFLAGS MAKELEVEL CC CXX CPPFLAGS CFLAGS LDFLAGS SOURCE_DATE_EPOCH
try "make dist fails" make -C "$builddir" dist || finish
cp "$builddir/$name.tar.gz" "$work/libmtserver_$version.orig.tar.gz"
tar -C "$work" -xzf "$builddir/$name.tar.gz"

cd "$tree" || exit 99
# Where that can be had, without a network. And nothing of this build is to be met in that one.
offline=
! unshare --net true 2>/dev/null || offline="unshare --net"
# shellcheck disable=SC2086 # a command with arguments
$offline env -u srcdir -u builddir -u version DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" DEB_BUILD_PROFILES=nocheck \
	dpkg-buildpackage -us -uc >"$work/built" 2>&1 || {
	fail "dpkg-buildpackage fails"
	tail -n 60 "$work/built" | sed 's/^/    /'
	finish
}
try "lintian finds errors" lintian --allow-root --fail-on error "$work"/*.changes
cat "$work/said"

# holds PACKAGE FILE...: patterns of what has to be in it. Each package is unpacked into one tree.
root=$work/root
holds()
{
	package=$1
	shift
	dpkg-deb --contents "$work/$package"_*.deb | awk '{ print $6 }' | sed 's/^\.//' >"$work/contents"
	dpkg-deb --extract "$work/$package"_*.deb "$root"
	for file; do
		grep -qxE "$file" "$work/contents" || fail "$package has no $file"
	done
}
lib='/usr/lib/[a-z0-9_-]*'
doc=/usr/share/doc
holds libmtserver0 "$lib/libmtserver\.so\.0" "$doc/libmtserver0/changelog\.gz"
holds libmtserver-dev /usr/include/mtserver.h "$lib/libmtserver\.so" "$lib/libmtserver\.a" \
	"$lib/pkgconfig/mtserver\.pc" "$lib/cmake/mtserver/mtserver-config\.cmake" \
	'/usr/share/man/man3/mts_serve\.3\.gz'
holds libmtserver-doc "$doc/libmtserver-doc/html/index\.html" "$doc/libmtserver-doc/examples/hello\.c" \
	"$doc/libmtserver-doc/RELIABILITY\.md"
for header in $(cd "$tree/include" && find . -name '*.h'); do
	[ -f "$root/usr/include/$header" ] || fail "libmtserver-dev has no ${header#./}"
done

# What programs depend on: functions of 0.2 need this release, and those of before any.
symbols=$work/symbols
dpkg-deb --info "$work"/libmtserver0_*.deb symbols >"$symbols"
grep -qx ' mts_serve@MTSERVER_0.1 0.1.0' "$symbols" || fail "mts_serve() would not do with 0.1.0"
grep -qx ' mts_notify@MTSERVER_0.2 0.2.0' "$symbols" || fail "mts_notify() would do with an earlier release"

libraries=$(dirname "$(find "$root" -name mtserver.pc)")
PKG_CONFIG_LIBDIR=$libraries
PKG_CONFIG_SYSROOT_DIR=$root
LD_LIBRARY_PATH=${libraries%/pkgconfig}
PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
AUTOPKGTEST_TMP=$work
export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR LD_LIBRARY_PATH PKG_CONFIG_ALLOW_SYSTEM_CFLAGS
export PKG_CONFIG_ALLOW_SYSTEM_LIBS AUTOPKGTEST_TMP
try "debian/tests/readme fails" debian/tests/readme

finish
