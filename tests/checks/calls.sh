#!/bin/sh
# Calls go down only: each name of ours that an object uses is defined on its own floor or on a lower
# one (tests/checks/floors lists them, the lowest first). And no more than three files of one floor call
# each other in a circle, so that what a file needs can be read in an order.
. "$srcdir/tests/checks/common.sh"

# "FILE defines|uses NAME" lines, of the latest object of each source.
for source in $(cd "$srcdir/lib" && find . -name '*.c' | sed 's|^\./||' | LC_ALL=C sort); do
	folder=$builddir/lib/${source%/*}
	name=$(basename "$source" .c)
	object=$(ls -t "$folder/.libs/$name.o" "$folder/$name.o" 2>/dev/null | head -n 1)
	if [ -z "$object" ]; then
		fail "lib/$source has no object"
		continue
	fi
	$NM "$object" | sed -nE "s|.* U (mtsi?_[a-z0-9_]+)\$|$source uses \\1|p
		s|.* [A-TV-Z] (mtsi?_[a-z0-9_]+)\$|$source defines \\1|p"
done >"$work/names"

awk '
function floor_of(file) { sub("/[^/]*$", "", file); return file }
FILENAME == ARGV[1] { height[$1] = FNR; next }
$2 == "defines" { home[$3] = $1; next }
{ uses[++count] = $0 }
END {
	for (i = 1; i <= count; i++) {
		split(uses[i], use, " ")
		from = use[1]
		to = home[use[3]]
		if (to == "" || to == from) {
			continue
		}
		calls++
		if (height[floor_of(to)] > height[floor_of(from)]) {
			print "up " from " calls " use[3] "() of " to
		}
		if (floor_of(to) == floor_of(from)) {
			reach[from, to] = 1
			files[from] = files[to] = 1
		}
	}
	for (via in files) for (a in files) if ((a, via) in reach) for (b in files) {
		if ((via, b) in reach) reach[a, b] = 1
	}
	for (a in files) {
		size = 0
		circle = ""
		for (b in files) if ((a, b) in reach && (b, a) in reach) {
			size++
			circle = circle " " b
		}
		if (size > 3) print "circle " a " calls itself through" circle
	}
	print "calls " calls + 0
}' "$srcdir/tests/checks/floors" "$work/names" | LC_ALL=C sort >"$work/found"

grep -q '^calls [1-9][0-9][0-9]' "$work/found" || fail "hardly any calls were found"
if grep -E '^(up|circle) ' "$work/found" >"$work/bad"; then
	fail "calls go up, or more than three files call each other:"
	sed 's/^/    /' "$work/bad"
fi

finish
