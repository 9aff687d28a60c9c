#!/bin/sh
# Each public header compiles alone, also twice in a row, as C11 and as C++17, without a warning; and
# so does the program that the README shows.
. "$srcdir/tests/checks/common.sh"

warnings="-Wall -Wextra -Wpedantic -Wundef -Werror"

# compile SENTENCE FILE: as C11 and C++17, as far as there are compilers.
compile()
{
	# shellcheck disable=SC2086 # flags are words
	try "$1 does not compile as C11" \
		$CC $CPPFLAGS $CFLAGS -std=c11 $warnings -I"$srcdir/include" -fsyntax-only -x c "$2"
	[ -n "$CXX" ] || return
	# shellcheck disable=SC2086
	try "$1 does not compile as C++17" \
		$CXX $CPPFLAGS -std=c++17 $warnings -I"$srcdir/include" -fsyntax-only -x c++ "$2"
}

[ -n "$CXX" ] || echo "no C++ compiler was found, so that only C is tried"

for header in $(public_headers); do
	printf '#include <%s>\n#include <%s>\nint x;\n' "$header" "$header" >"$work/alone.c"
	compile "<$header> alone" "$work/alone.c"
done

readme_program >"$work/readme.c"
[ -s "$work/readme.c" ] || fail "README shows no program"
compile "the program in README" "$work/readme.c"

finish
