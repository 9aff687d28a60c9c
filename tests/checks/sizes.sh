#!/bin/sh
# What one has to keep in mind at once stays small: no C file of the library or the examples has more
# than 400 lines, and no function more than 50 between its braces.
. "$srcdir/tests/checks/common.sh"

cd "$srcdir" || exit 99

find lib examples -name '*.c' | LC_ALL=C sort >"$work/files"
[ -s "$work/files" ] || fail "there are no files to look at"

while read -r file; do
	awk -v file="$file" '
	/^[A-Za-z_].*\(/ { head = $0 }
	/^{/ { begun = NR }
	/^}/ && begun {
		if (NR - begun - 1 > 50) print file ": " NR - begun - 1 " lines in " head
		begun = 0
	}
	END { if (NR > 400) print file ": " NR " lines" }' "$file"
done <"$work/files" >"$work/large"

if [ -s "$work/large" ]; then
	fail "too large:"
	sed 's/^/    /' "$work/large"
fi

finish
