#!/bin/sh
# There is one manual page for each public function and no other; each has its sections, refers to
# pages that exist, and groff has nothing to say about it.
. "$srcdir/tests/checks/common.sh"

pages=$builddir/doc/man
[ -f "$pages/stamp" ] || pages=$srcdir/doc/man
[ -f "$pages/stamp" ] || skip "no manual pages were made: that takes Doxygen and xsltproc"

public_functions >"$work/functions"
(cd "$pages" && ls -- *.3) | sed 's/\.3$//' | LC_ALL=C sort >"$work/pages"
same "the public functions (-) and the manual pages (+) differ" "$work/functions" "$work/pages"

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
