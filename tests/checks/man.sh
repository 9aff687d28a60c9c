#!/bin/sh
# There is one manual page for each public function, one of the whole, mtserver(7), which lists them all, and
# an alias for each public type, and no other. Each page has its sections, refers to pages that exist, names
# what one needs next, says everything in whole sentences, and groff has nothing to say about it.
. "$srcdir/tests/checks/common.sh"

pages=$builddir/doc/man
[ -f "$pages/stamp" ] || pages=$srcdir/doc/man
[ -f "$pages/stamp" ] || skip "no manual pages were made: that takes Doxygen and xsltproc"

cd "$pages" || exit 99

public_functions >"$work/functions"
grep -L '^\.so ' -- *.3 | sed 's/\.3$//' | LC_ALL=C sort >"$work/pages"
same "the public functions (-) and the manual pages (+) differ" "$work/functions" "$work/pages"

# The types, and another name of the library, lead to a page that shows them.
public_types >"$work/types"
grep -l '^\.so ' -- *.3 | sed 's/\.3$//' | LC_ALL=C sort >"$work/aliases"
same "the public types (-) and the aliases (+) differ" "$work/types" "$work/aliases"
[ "$(cat libmtserver.7)" = ".so man7/mtserver.7" ] || fail "libmtserver(7) is no alias of mtserver(7)"
while read -r type; do
	page=$(sed -n 's,^\.so man[37]/,,p' "$type.3")
	if ! [ -f "$page" ]; then
		fail "$type(3) leads to $page, which does not exist"
	elif ! grep -q "\b$type\b" "$page"; then
		fail "$type(3) leads to $page, which does not mention it"
	fi
done <"$work/types"

sed -n '/^\.SH "PAGES BY SUBJECT"/,$ s/^\.BR \(mts_[a-z0-9_]*\) (3)$/\1/p' mtserver.7 |
	LC_ALL=C sort >"$work/listed"
same "the public functions (-) and those that mtserver(7) lists (+) differ" \
	"$work/functions" "$work/listed"
for section in NAME LIBRARY SYNOPSIS DESCRIPTION '"A FIRST PROGRAM"' '"HOW TO LINK"' '"THREADS"' \
	'"LIMITS"' '"EXAMPLES"' '"SEE ALSO"'; do
	grep -q "^\.SH $section\$" mtserver.7 || fail "mtserver(7) has no section $section"
done

# Each of these has one thing wrong, and the search for what is no sentence has to find it.
cat >"$work/broken.3" <<'END'
.SH DESCRIPTION
.PP
signals are blocked there.
.PP
Called with no lock held.
.PP
It ends in the middle
.PP
It ends well. but it goes on.
.PP
It shows @p size to the reader.
.PP
It shows `size` to the reader.
.PP
It counts (among others.
.TP
.B \-EINVAL
.TP
.B \-EPIPE
the client is lost. It may be
.TP
.B \-ENOMEM
memory is short, or
.SH THREADS
any.
END
wrong=$(awk -f "$srcdir/tests/checks/sentences.awk" "$work/broken.3" | wc -l)
[ "$wrong" -eq 11 ] || fail "of 11 things that are no sentences $wrong were found"

read_pages=$(sed 's/$/.3/' "$work/functions")
# shellcheck disable=SC2086 # names of files
awk -f "$srcdir/tests/checks/sentences.awk" $read_pages mtserver.7 >"$work/fragments"
if [ -s "$work/fragments" ]; then
	fail "these are no sentences:"
	sed 's/^/    /' "$work/fragments"
fi

for name in $read_pages; do
	for section in NAME LIBRARY SYNOPSIS DESCRIPTION '"RETURN VALUE"' '"THREADS"' HISTORY EXAMPLES \
		'"SEE ALSO"'; do
		grep -q "^\.SH $section\$" "$name" || fail "$name has no section $section"
	done
	sed -n '/^\.SH "SEE ALSO"/,$p' "$name" | grep -q '^\.BR mts_' ||
		fail "$name does not say what one needs next (@see)"
done

for page in $read_pages mtserver.7; do
	name=$page
	for other in $(grep -oE 'mts_[a-z0-9_]+(\\fP| )\(3\)' "$page" | grep -oE 'mts_[a-z0-9_]+'); do
		[ -f "$other.3" ] || fail "$name refers to $other(3), which does not exist"
	done
	if [ -n "$GROFF" ]; then
		"$GROFF" -man -ww -Tutf8 "$page" 2>"$work/said" >/dev/null
		if [ -s "$work/said" ]; then
			fail "groff warns about $name:"
			sed 's/^/    /' "$work/said"
		fi
	fi
done

finish
