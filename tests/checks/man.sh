#!/bin/sh
# There is one manual page for each public function and no other; each has its sections, refers to
# pages that exist, says everything in whole sentences, and groff has nothing to say about it.
. "$srcdir/tests/checks/common.sh"

pages=$builddir/doc/man
[ -f "$pages/stamp" ] || pages=$srcdir/doc/man
[ -f "$pages/stamp" ] || skip "no manual pages were made: that takes Doxygen and xsltproc"

public_functions >"$work/functions"
(cd "$pages" && ls -- *.3) | sed 's/\.3$//' | LC_ALL=C sort >"$work/pages"
same "the public functions (-) and the manual pages (+) differ" "$work/functions" "$work/pages"

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

awk -f "$srcdir/tests/checks/sentences.awk" "$pages"/*.3 >"$work/fragments"
if [ -s "$work/fragments" ]; then
	fail "these are no sentences:"
	sed "s,^$pages/,    ," "$work/fragments"
fi

for page in "$pages"/*.3; do
	name=${page##*/}
	for section in NAME SYNOPSIS DESCRIPTION '"RETURN VALUE"' THREADS HISTORY '"SEE ALSO"'; do
		grep -q "^\.SH $section\$" "$page" || fail "$name has no section $section"
	done
	for other in $(grep -oE 'mts_[a-z0-9_]+(\\fP| )\(3\)' "$page" | grep -oE 'mts_[a-z0-9_]+'); do
		[ -f "$pages/$other.3" ] || fail "$name refers to $other(3), which does not exist"
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
