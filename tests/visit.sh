#!/bin/sh
# The first visit: who comes to a bare Debian, clones the repository, and types what README says, has the hello
# running in under three minutes, and the tests passed in under five. `make check-visit` does exactly that, in a
# folder that debootstrap fills; as root, and with the network. It takes as long, and some 1.5 GB.
#
#   make check-visit [VISIT_TESTS="TEST..."]     with names of tests: only these, instead of all
#
# MTS_MIRROR and MTS_SUITE are where the Debian comes from, and which it is; MTS_BARE is a folder with one that
# is there already, and is copied. The time for that does not count: the visitor has a Debian.

. "${srcdir:-.}/tests/checks/common.sh"

mirror=${MTS_MIRROR:-http://deb.debian.org/debian}
suite=${MTS_SUITE:-bookworm}
bare=$work/bare

command -v debootstrap >/dev/null || skip "debootstrap was not found"
[ "$(id -u)" = 0 ] || skip "only root can enter another Debian"
git -c safe.directory='*' -C "$srcdir" rev-parse --git-dir >/dev/null 2>&1 || skip "this is no clone of the repository"

inside()
{
	chroot "$bare" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

leave()
{
	for job in $jobs_to_stop; do
		kill -KILL "$job" 2>/dev/null
	done
	umount "$bare/proc" "$bare/dev" 2>/dev/null
	# Not while the machine's own devices are in there.
	mountpoint -q "$bare/dev" || clean_up
}

# seconds SENTENCE LIMIT COMMAND...: the command, which must succeed within so many.
seconds()
{
	sentence=$1 limit=$2
	shift 2
	began=$(date +%s)
	if ! "$@" >"$work/said" 2>&1; then
		fail "$sentence: it fails"
		tail -n 20 "$work/said" | sed 's/^/    /'
		return 1
	fi
	took=$(($(date +%s) - began))
	echo "$sentence: $took seconds"
	[ "$took" -lt "$limit" ] || fail "$sentence took $took seconds, and $limit are promised"
}

# As README says, and until it answers.
hello_runs()
{
	setsid chroot "$bare" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		sh -c 'cd /libmtserver && ./bootstrap && exec make run-hello' >"$work/hello.out" 2>&1 &
	hello=$!
	jobs_to_stop="$jobs_to_stop -$hello"
	until grep -q '^Server running on localhost:5000' "$work/hello.out"; do
		if gone "$hello"; then
			tail -n 20 "$work/hello.out"
			return 1
		fi
		sleep 0.2
	done
	[ "$(inside perl -MIO::Socket::INET -e 'my $peer = IO::Socket::INET->new("127.0.0.1:5000") or exit 1;
		print $peer "hi"; shutdown($peer, 1); print <$peer>')" = "Hello from the server" ]
}

trap leave EXIT
if [ -n "${MTS_BARE-}" ]; then
	cp -a "$MTS_BARE" "$bare"
else
	try "debootstrap fails" debootstrap --variant=minbase "$suite" "$bare" "$mirror" || finish
fi
for file in /etc/apt/apt.conf.d/*proxy* /etc/resolv.conf; do
	[ ! -f "$file" ] || cp "$file" "$bare$file"
done
mount -t proc proc "$bare/proc"
mount --bind /dev "$bare/dev"
git -c safe.directory='*' clone -q "$srcdir" "$bare/libmtserver"

seconds "until hello runs" 180 hello_runs
kill -TERM "-$hello" 2>/dev/null # the group of make and hello
wait "$hello"
jobs_to_stop=
[ "$#" = 0 ] || set -- "TESTS=$*"
seconds "until the tests have passed" 300 inside sh -c \
	'cd /libmtserver && ./bootstrap && exec make check "$@"' sh "$@"

finish
