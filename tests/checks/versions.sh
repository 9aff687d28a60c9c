#!/bin/sh
# The number of the release is the same wherever it is written by hand, and CHANGELOG tells of each function
# that it brings.
. "$srcdir/tests/checks/common.sh"

# said WHERE NUMBER
said()
{
	[ "$2" = "$version" ] || fail "$1 says version $2, and include/mtserver/version.h $version"
}
said CHANGELOG "$(sed -nE 's/^## ([0-9.]+) .*/\1/p' "$srcdir/CHANGELOG" | head -n 1)"
said debian/changelog "$(sed -nE '1s/.*\((.*)-[0-9]+\).*/\1/p' "$srcdir/debian/changelog")"

node=MTSERVER_${version%.*}
awk -v node="$node" '$1 == node { inside = 1 } /^}/ { inside = 0 } inside && /;/ { sub(/;/, ""); print $1 }' \
	"$srcdir/lib/mtserver.map" | grep '^mts_' >"$work/functions"
if [ ! -s "$work/functions" ] && grep -rqx " \* @since ${version%.*}" "$srcdir/include"; then
	fail "lib/mtserver.map has no functions of $node, and the headers have"
fi
while read -r function; do
	grep -q "\`$function()\`" "$srcdir/CHANGELOG" || fail "CHANGELOG does not tell of $function()"
done <"$work/functions"

finish
