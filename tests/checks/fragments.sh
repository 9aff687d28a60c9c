#!/bin/sh
# Each function's description has an example, and every piece of code in the documentation compiles: in the
# doc comments of the public headers, and in the Markdown files. tests/checks/fragments.awk says how a piece
# becomes something to compile, and fragments.h what it may take for granted.
. "$srcdir/tests/checks/common.sh"

checks=$srcdir/tests/checks
warnings="-Wall -Wextra -Werror -Wno-unused-function -Wno-unused-parameter -Wno-unused-variable"
warnings="$warnings -Wno-unused-but-set-variable"

# Prints the functions whose comment has no example.
cat >"$work/without.awk" <<'END'
/^\/\*\*/ { shown = 0 }
/^ \* @par Example$/ { getline; shown = $0 == " * @code" }
/^MTS_API / {
	name = $0
	sub(/\(.*/, "", name)
	sub(/.*[^a-z0-9_]/, "", name)
	if (!shown)
		print name
	shown = 0
}
END
for header in $(public_headers); do
	awk -f "$work/without.awk" "$srcdir/include/$header"
	# A block that is only indented would be compiled by nobody.
	grep -n '^ \*     [^ ].*[;{}]$' "$srcdir/include/$header" | sed 's/:.*//' >"$work/lines"
	while read -r line; do
		awk -v line="$line" '/@code/ { inside = 1 } /@endcode/ { inside = 0 }
			NR == line { exit !inside }' "$srcdir/include/$header" ||
			fail "<$header> has code outside of @code in line $line"
	done <"$work/lines"
done >"$work/without"
if [ -s "$work/without" ]; then
	fail "the descriptions of these functions have no example (@par Example), or their code is not marked:"
	sed 's/^/    /' "$work/without"
fi

# take DOCUMENT PREFIX: its pieces of code, as files.
take()
{
	awk -v folder="$work" -v prefix="$2" -v prelude="$checks/fragments.h" \
		-f "$checks/fragments.awk" "$1" >>"$work/pieces" || fail "$1 cannot be read"
}

for header in $(public_headers); do
	take "$srcdir/include/$header" "$(basename "$header" .h)-"
done
for document in README doc/COOKBOOK.md doc/CHOOSING.md doc/mainpage.md; do
	[ ! -f "$srcdir/$document" ] || take "$srcdir/$document" "$(basename "$document" .md)-"
done
[ "$(wc -l <"$work/pieces")" -gt 90 ] || fail "hardly any code was found in the documentation"

# All at once, which is soon done; one after the other where there is something to show.
compile()
{
	# shellcheck disable=SC2046,SC2086 # flags and files are words
	grep '\.c$' "$work/pieces" | xargs $CC $CPPFLAGS -std=c11 -D_GNU_SOURCE $warnings \
		-I"$srcdir/include" -fsyntax-only 2>/dev/null
}
compile || while read -r piece; do
	case $piece in
	*.c)
		# shellcheck disable=SC2086
		try "a piece of code does not compile" $CC $CPPFLAGS -std=c11 -D_GNU_SOURCE $warnings \
			-I"$srcdir/include" -fsyntax-only "$piece"
		;;
	esac
done <"$work/pieces"

if [ -n "$CXX" ]; then
	grep '\.cc$' "$work/pieces" >"$work/cpp"
	while read -r piece; do
		# shellcheck disable=SC2086
		try "a piece of C++ does not compile" $CXX $CPPFLAGS -std=c++17 -D_GNU_SOURCE $warnings \
			-I"$srcdir/include" -fsyntax-only "$piece"
	done <"$work/cpp"
else
	echo "no C++ compiler was found, so that only C is tried"
fi

# With something wrong in a piece, it would have been found.
printf '```c\nint result = mts_server_listen(server);\n```\n' >"$work/broken.md"
: >"$work/pieces"
take "$work/broken.md" broken
! compile || fail "a piece of code that is wrong compiles"

finish
