#!/bin/sh
# Every public function says what it returns, from which threads it may be called, and since when; the
# tests that the documentation names are there; and Doxygen has no warning about it.
. "$srcdir/tests/checks/common.sh"

# Prints "function: what is missing" for each declaration, from the comment that stands before it.
cat >"$work/comments.awk" <<'END'
/^\/\*\*/ { comment = ""; inside = 1 }
inside { comment = comment "\n" $0 }
/\*\// { inside = 0 }
!inside && /^(MTS_API|[a-z]).*[^*(a-z0-9_]\**mts_[a-z0-9_]+\(/ && !/^typedef/ {
	name = $0
	sub(/\(.*/, "", name)
	sub(/.*[^a-z0-9_]/, "", name)
	if (comment == "")
		print name ": a comment"
	if (comment !~ /@par Threads\n/)
		print name ": @par Threads"
	if (comment !~ /@since [0-9]/)
		print name ": @since"
	if (comment !~ /@ret(urn|val) / && $0 !~ /^(MTS_API )?void mts_/)
		print name ": @return or @retval"
	print name >seen
	comment = ""
}
END
for header in $(public_headers); do
	awk -v seen="$work/seen.$(basename "$header")" -f "$work/comments.awk" "$srcdir/include/$header"
done >"$work/missing"
if [ -s "$work/missing" ]; then
	fail "the comments of these functions lack something:"
	sed 's/^/    /' "$work/missing"
fi
public_functions >"$work/functions"
cat "$work"/seen.* | LC_ALL=C sort -u >"$work/seen"
same "the public functions (-) and those whose comments were read (+) differ" \
	"$work/functions" "$work/seen"

for header in $(public_headers); do
	case $header in
	mtserver.h | mtserver/export.h) ;;
	*)
		grep -qE '^ \* @defgroup [a-z]+ [A-Z][a-z]+$' "$srcdir/include/$header" ||
			fail "<$header> is not a group of the documentation with a title of one word"
		;;
	esac
done

# test_of PROGRAM[.TEST]: whether a program of that name has it, and runs it.
test_of()
{
	program=${1%%.*}
	for source in "$srcdir"/tests/*/"$program.c" "$srcdir"/tests/unit/*/"$program.c"; do
		if [ "$program" = "$1" ] && [ -f "$source" ]; then
			return 0
		elif grep -qsF "START_TEST(${1#*.})" "$source" &&
			[ "$(grep -cwF "${1#*.}" "$source")" -ge 2 ]; then
			return 0
		fi
	done
	return 1
}

for source in "$srcdir"/examples/*.c "$srcdir"/examples/*/*.c; do
	source=${source#"$srcdir/examples/"}
	grep -qxF " * @example $source" "$srcdir/doc/examples.dox" ||
		fail "doc/examples.dox does not show $source"
done

# Lines of code, without those that are empty or comments: of C, C++ and Go, or of Python.
code_lines()
{
	case $1 in
	*.py) sed 's/^[ \t]*#.*//' "$1" | awk '/^[ \t]*"""/ { next } NF' ;;
	*) sed 's,//.*,,; s,/\*.*\*/,,' "$1" | awk '/\/\*/ { out = 1; next } /\*\// { out = 0; next } !out && NF' ;;
	esac | wc -l
}

# doc/CHOOSING.md says how many lines programs have.
grep -oE '^\|[^|]*\| `[a-z_/.]+` \| [0-9]+ \|' "$srcdir/doc/CHOOSING.md" |
	sed 's/.*| `\(.*\)` | \([0-9]*\) |/\1 \2/' >"$work/counted"
[ "$(wc -l <"$work/counted")" -ge 10 ] || fail "doc/CHOOSING.md says of no program how many lines it has"
while read -r source lines; do
	[ "$(code_lines "$srcdir/$source")" = "$lines" ] ||
		fail "$source has $(code_lines "$srcdir/$source") lines, and not $lines, as doc/CHOOSING.md says"
done <"$work/counted"

# doc/RELIABILITY.md names tests as program.test: each of them is there.
tests_named=$(grep -oE '`test_[a-z0-9_]+(\.[a-z0-9_]+)?`' "$srcdir/doc/RELIABILITY.md" | tr -d '`' |
	LC_ALL=C sort -u)
[ -n "$tests_named" ] || fail "doc/RELIABILITY.md names no tests"
for named in $tests_named; do
	test_of "$named" || fail "doc/RELIABILITY.md names $named, which there is not"
done

if [ -n "$DOXYGEN" ]; then
	cd "$builddir" || exit 99
	{
		cat doc/Doxyfile
		echo "GENERATE_HTML=YES"
		echo "HTML_OUTPUT=$work/html"
		echo "WARN_AS_ERROR=FAIL_ON_WARNINGS"
	} >"$work/Doxyfile"
	try "Doxygen has warnings" "$DOXYGEN" "$work/Doxyfile"
else
	echo "Doxygen was not found, so that its warnings are not looked for"
fi

finish
