#!/bin/sh
# What `make install` puts down is all that a user needs: the README's program and the examples are
# built through the installed pkg-config file, shared and static, as C11 and as C++17, and the program
# serves.
. "$srcdir/tests/checks/common.sh"
. "$srcdir/tests/checks/install_common.sh"

if [ "$($PKG_CONFIG --modversion mtserver)" != "$version" ]; then
	fail "mtserver.pc does not say version $version"
fi

# Everything is there?
for header in $(public_headers); do
	find "$root" -path "*/include/$header" | grep -q . || fail "<$header> is not installed"
done
for page in "$builddir"/doc/man/*.[37] "$srcdir"/doc/man/*.[37]; do
	[ -f "$page" ] || continue
	find "$root" -path "*/man${page##*.}/${page##*/}" | grep -q . || fail "${page##*/} is not installed"
done
for name in README CHANGELOG COPYING; do
	find "$root" -name "$name" | grep -q . || fail "$name is not installed"
done
if find "$root" -name '*.so' | grep -q . && ! [ -e "$libraries/libmtserver.so.0" ]; then
	fail "libmtserver.so.0 is not installed"
fi

# build NAME LANGUAGE SOURCES HOW COMPILER...: HOW is what pkg-config is told besides.
build()
{
	name=$1 language=$2 source=$3 how=$4
	shift 4
	# shellcheck disable=SC2046,SC2086 # flags are words
	try "$name cannot be built against the installed library" \
		"$@" -x "$language" $source -x none $CPPFLAGS $LDFLAGS \
		-Wall -Wextra -Wpedantic -Werror -o "$work/$name" \
		$($PKG_CONFIG $how --cflags --libs mtserver)
}

# The example that is several files, and takes a library more.
build_files()
{
	# shellcheck disable=SC2046,SC2086
	try "files-$suffix cannot be built against the installed library" \
		$CC $CPPFLAGS $CFLAGS $LDFLAGS -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror \
		-o "$work/files-$suffix" $(find "$root" -path '*/examples/files/*.c') \
		$HTTP_PARSER_LIBS $($PKG_CONFIG $how --cflags --libs mtserver)
}

# all_of HOW...: the programs in every language there is a compiler for.
all_of()
{
	suffix=$1 how=$2
	# shellcheck disable=SC2086
	build "c-$suffix" c "$work/program.c" "$how" $CC $CFLAGS -std=c11 && serves "c-$suffix"
	if [ -n "$CXX" ]; then
		# shellcheck disable=SC2046,SC2086
		build "c++-$suffix" c++ "$work/program.c" "$how" $CXX $(common_flags) -std=c++17 &&
			serves "c++-$suffix"
	fi
	# A folder there is one program; files takes a library more, and is built above.
	for source in $(find "$root" -path '*/examples/*.c' ! -path '*/files/*' |
		sed 's,\(/examples/[^/]*\)/.*,\1,' | sort -u); do
		name=${source##*/}
		[ ! -d "$source" ] || source=$(find "$source" -name '*.c')
		# shellcheck disable=SC2086
		build "${name%.c}-$suffix" c "$source" "$how" $CC $CFLAGS
	done
	[ -z "$HTTP_PARSER_LIBS" ] || build_files
}

[ -n "$CXX" ] || echo "no C++ compiler was found, so that only C is tried"
if [ -e "$libraries/libmtserver.so" ]; then
	LD_LIBRARY_PATH=$libraries
	export LD_LIBRARY_PATH
	all_of shared ""
fi
if [ -e "$libraries/libmtserver.a" ]; then
	rm -f "$libraries"/libmtserver.so*
	all_of static --static
fi

finish
