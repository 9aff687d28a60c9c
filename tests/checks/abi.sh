#!/bin/sh
# Programs that were compiled for an earlier release run with this library: each function is there, under
# the version that the program was linked with, and takes and returns the same; and constants have the
# values that were compiled in. What has been added since is fine. `make abi` runs this.
#
# What a release was like lies in tests/abi: RELEASE.names, its functions and constants; and RELEASE.abi, the
# types of all functions, in the words of libabigail. For this release both are written by `make abi-record`.
#
#   abi.sh [record]
. "$srcdir/tests/checks/common.sh"

libraries=$builddir/lib/.libs
records=$srcdir/tests/abi
[ -e "$libraries/libmtserver.so" ] || skip "no shared library was built"
for tool in abidw abidiff; do
	command -v $tool >/dev/null || skip "$tool was not found; Debian's package abigail-tools has it"
done

includes()
{
	public_headers | sed 's/.*/#include <&>/'
}

# describe NAME: what libabigail says about a file of declarations.
describe()
{
	$CC -g -fPIC -shared -I"$srcdir/include" -o "$work/$1.so" -x c - && (
		cd "$work" && abidw --no-corpus-path --no-comp-dir-path --no-show-locs "$1.so"
	)
}

# Functions with their versions; constants with their values, but for those that say which release it is.
names()
{
	$NM -D --defined-only "$libraries"/libmtserver*.so |
		awk 'NF == 3 && $2 != "A" { sub(/@@/, "@", $3); print $3 }'
	includes | $CC -I"$srcdir/include" -x c -E -dM - |
		sed -nE '/MTS_(API|VERSION_[A-Z]+) /d; s/^#define (MTS_[A-Z_]+) (.*)/\1 \2/p'
	{
		includes
		sed -nE 's/^enum ([a-z_]+) \{$/enum \1 value_of_\1;/p' "$srcdir"/include/mtserver/*.h
	} | describe constants | sed -nE "s/.*<enumerator name='(.*)' value='(.*)'.*/\1 \2/p"
}

# From an object that has a variable of each function's type. The library would tell of its internals too.
types()
{
	{
		includes
		public_functions | sed 's/.*/__typeof__(\&&) type_of_&;/'
	} | describe types
}

# compatible NAMES ABI: whether programs for these run with this library; else, $work/breaks says why.
compatible()
{
	LC_ALL=C comm -23 "$1" "$work/now.names" | sed 's/^/no longer there: /' >"$work/breaks"
	abidiff --no-added-syms "$2" "$work/now.abi" >"$work/difference" 2>&1
	# It says 4 also where there is nothing but additions.
	case $? in
	0) ;;
	4) grep -q '^Variables changes summary: 0 Removed, 0 Changed' "$work/difference" ||
		cat "$work/difference" >>"$work/breaks" ;;
	*) cat "$work/difference" >>"$work/breaks" ;;
	esac
	[ ! -s "$work/breaks" ]
}

# differs WHAT FILE SED-SCRIPT: the release as it is, and as it would be with that difference.
differs()
{
	cp "$work/now.names" "$work/then.names"
	cp "$work/now.abi" "$work/then.abi"
	sed "$3" "$work/now.$2" >"$work/then.$2"
	! cmp -s "$work/now.$2" "$work/then.$2" || fail "nothing to try this with: $1"
}

finds()
{
	differs "$@"
	! compatible "$work/then.names" "$work/then.abi" || fail "this is not found: $1"
}

passes()
{
	differs "$@"
	compatible "$work/then.names" "$work/then.abi" || fail "this counts as a break: $1"
}

names 2>"$work/said" | LC_ALL=C sort >"$work/now.names"
types >"$work/now.abi" 2>>"$work/said" && [ ! -s "$work/said" ] || {
	fail "the library cannot be described:"
	sed 's/^/    /' "$work/said"
	finish
}
architecture=$(head -n 1 "$work/now.abi" | grep -o "architecture='[^']*'")
grep -q "$architecture" "$records"/*.abi || skip "no release is recorded with $architecture"
if [ "${1-}" = record ]; then
	cp "$work/now.names" "$records/$version.names" && cp "$work/now.abi" "$records/$version.abi" || fail "no record"
	finish
fi

finds "a function less" names 's/^mts_notify@.*/&\nmts_notify_all@MTSERVER_0.2/'
finds "another version of a function" names 's/^mts_notify@.*/mts_notify@MTSERVER_0.1/'
finds "another value of a macro" names 's/^\(MTS_TIMEOUT_INHERIT\) .*/\1 0/'
finds "another value of a constant" names 's/^\(MTS_CLOSED_IDLE\) .*/\1 99/'
number=$(sed -n "s/.*name='unsigned int'.* id='\(.*\)'.*/\1/p" "$work/now.abi")
other=$(sed -n "s/.*type-decl name='int'.* id='\(.*\)'.*/\1/p" "$work/now.abi")
finds "another type of a parameter" abi "s/<parameter type-id='$number'/<parameter type-id='$other'/"
passes "a function more" names '/^mts_notify@/d'
passes "a constant more" names '/^MTS_CLOSED_IDLE /d'

releases=0
for record in "$records"/*.names; do
	releases=$((releases + 1))
	record=${record%.names}
	if compatible "$record.names" "$record.abi"; then
		echo "programs for ${record##*/} run with this library"
	else
		fail "programs for ${record##*/} do not run with this library:"
		sed 's/^/    /' "$work/breaks"
	fi
done
[ "$releases" -gt 0 ] || fail "no release is recorded in tests/abi"
if ! cmp -s "$work/now.names" "$records/$version.names"; then
	echo "what has been added to $version is not recorded yet: make abi-record"
fi

finish
