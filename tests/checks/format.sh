#!/bin/sh
# Every C file is laid out as .clang-format says. Versions of clang-format differ in details, so that
# only the one counts that the file was written for.
. "$srcdir/tests/checks/common.sh"

[ -n "$CLANG_FORMAT" ] || skip "clang-format was not found"
case $("$CLANG_FORMAT" --version) in
*"version 14."*) ;;
*) skip "$CLANG_FORMAT is not version 14" ;;
esac

cd "$srcdir" || exit 99
# Not what other checks have in their folders at the moment, tests/work.*, which comes and goes.
find include lib examples tests bench -path 'tests/work.*' -prune -o -name '*.[ch]' -print |
	LC_ALL=C sort >"$work/files"

# All at once, which is soon done; one after the other where there is something to show.
if ! xargs "$CLANG_FORMAT" --style=file --dry-run --Werror <"$work/files" >/dev/null 2>&1; then
	while read -r file; do
		"$CLANG_FORMAT" --style=file "$file" >"$work/formatted"
		same "$file is not formatted; \`make format\` does it" "$file" "$work/formatted"
	done <"$work/files"
	[ "$failed" = 1 ] || fail "$CLANG_FORMAT --dry-run fails"
fi

finish
