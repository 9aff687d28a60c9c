#!/bin/sh
# The HTML, as `make doc` makes it: no link is broken, no page is without a title, each public function is
# reached from the first page in three clicks, each example has a page that the functions it uses link to, and
# the search knows all functions. Where there is a browser, no page is wider than a narrow screen, and pictures
# of some pages are made, light and dark, wide and narrow: doc/pictures, to be looked at.
. "$srcdir/tests/checks/common.sh"

[ -n "$DOXYGEN" ] || skip "Doxygen was not found"

unset MAKEFLAGS MFLAGS MAKELEVEL
try "make doc fails" make -C "$builddir" doc || finish
cp -R "$builddir/doc/html" "$work/html"
cd "$work/html" || exit 99

awk -f "$srcdir/tests/checks/links.awk" -- *.html *.js >"$work/links"
grep -v '^reach \|^apart ' "$work/links" >"$work/wrong"
if [ -s "$work/wrong" ]; then
	fail "the HTML has links that lead nowhere, or pages without a title:"
	sed 's/^/    /; 20q' "$work/wrong"
fi

public_functions >"$work/functions"
awk '$1 == "reach" && $2 <= 3 { print $4 }' "$work/links" | LC_ALL=C sort -u >"$work/reached"
LC_ALL=C comm -23 "$work/functions" "$work/reached" >"$work/missing"
if [ -s "$work/missing" ]; then
	fail "it takes more than three clicks from the first page to these functions:"
	sed 's/^/    /' "$work/missing"
fi

sed -n 's/^\t\["\(mts_[a-z0-9_]*\)()".*/\1/p' names.js | LC_ALL=C sort -u >"$work/found"
same "the public functions (-) and those that the search knows (+) differ" "$work/functions" "$work/found"

# The names of files in the HTML: keys/keys.c is keys_2keys_8c-example.html.
for source in "$srcdir"/examples/*.c "$srcdir"/examples/*/*.c; do
	page=$(echo "${source#"$srcdir/examples/"}" | sed 's,/,_2,; s,\.c$,_8c-example.html,')
	[ -f "$page" ] || fail "there is no page of ${source##*/}"
	! grep -q 'mts_[a-z_]*(' "$source" || grep -q "$page" group__*.html ||
		fail "no function that ${source##*/} uses links to its page"
done

for page in cookbook choosing reliability threading performance architecture hacking pages; do
	[ -f "$page.html" ] || fail "there is no page $page.html"
	! grep -qx "apart $page.html" "$work/links" || fail "no way leads from the first page to $page.html"
done

# Each of these has to be found: a page and a place that there are not, and a missing title.
mkdir "$work/broken"
cd "$work/broken" || exit 99
echo '<title>libmtserver: </title><a href="nowhere.html">x</a><a href="#nowhere">y</a>' >index.html
[ "$(awk -f "$srcdir/tests/checks/links.awk" index.html | grep -c 'index.html: ')" = 3 ] ||
	fail "of three things that are wrong not all were found"
cd "$work/html" || exit 99

# sheet WIDTH...: a page that shows others in frames of these widths, and says below which of them are wider.
sheet()
{
	echo '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>sheet</title>'
	for width in "$@"; do
		for page in $shown; do
			echo "<iframe src=\"$page\" width=\"$width\" height=\"1000\"></iframe>"
		done
	done
	cat <<'END'
<pre id="wider"></pre>
<script>
addEventListener("load", () => {
	for (const frame of document.querySelectorAll("iframe")) {
		const page = frame.contentDocument.documentElement;
		if (page.scrollWidth > frame.clientWidth) {
			document.getElementById("wider").append("wider: " + frame.src + " " + page.scrollWidth + "\n");
		}
	}
	document.getElementById("wider").append("all were looked at\n");
});
</script>
END
}

browse()
{
	HOME=$work timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
		--user-data-dir="$work/browser" --allow-file-access-from-files --virtual-time-budget=5000 "$@" \
		2>"$work/browser.err"
}

look()
{
	shown=$(ls ./*.html | grep -v sheet)
	sheet 400 >sheet.html
	browse --dump-dom "file://$work/html/sheet.html" >"$work/dom" || fail "the browser fails"
	grep -q "^all were looked at" "$work/dom" || grep -q "all were looked at" "$work/dom" ||
		fail "the browser does not show the pages"
	if grep 'wider: file' "$work/dom" >"$work/wider"; then
		fail "these pages are wider than a screen of 400 pixels:"
		sed "s,.*$work/html/,    ," "$work/wider"
	fi
	shown="index.html group__reach.html upper_8c-example.html cookbook.html"
	mkdir -p "$builddir/doc/pictures"
	for width in 400 1400; do
		sheet "$width" >sheet.html
		for scheme in dark light; do
			picture=$builddir/doc/pictures/$scheme-$width.png
			rm -f "$picture"
			browse --blink-settings="preferredColorScheme=$([ $scheme = dark ] && echo 0 || echo 1)" \
				--window-size="$((width * 2 + 60)),2060" --screenshot="$picture" \
				"file://$work/html/sheet.html" || fail "the browser makes no picture"
			[ "$(wc -c <"$picture")" -gt 20000 ] || fail "$picture shows next to nothing"
		done
		! cmp -s "$builddir/doc/pictures/dark-$width.png" "$builddir/doc/pictures/light-$width.png" ||
			fail "in the dark the pages look as in the light"
	done
}

if command -v chromium >/dev/null; then
	look
else
	echo "chromium was not found, so that nobody looks at the pages"
fi

finish
