# Read by the checks of what `make install` puts down: installs into $root, has pkg-config look there, and
# makes $work/program.c out of the README's program, which then serves at $address.

[ -n "$PKG_CONFIG" ] || skip "pkg-config was not found"

root=$work/root
unset MAKEFLAGS MFLAGS MAKELEVEL
try "make install fails" make -C "$builddir" install DESTDIR="$root" || finish

file=$(find "$root" -name mtserver.pc)
PKG_CONFIG_LIBDIR=${file%/mtserver.pc}
PKG_CONFIG_SYSROOT_DIR=$root
PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_ALLOW_SYSTEM_CFLAGS
export PKG_CONFIG_ALLOW_SYSTEM_LIBS
libraries=${PKG_CONFIG_LIBDIR%/pkgconfig}

# A name in the abstract name space takes no port that somebody else may have.
address=unix:@mtserver-$(basename "$0" .sh)-$$
readme_program | sed "s/localhost:5000/$address/" >"$work/program.c"
grep -q "$address" "$work/program.c" || fail "the README's program serves at another address"

# The user's flags that a C++ compiler knows as well, a sanitizer's among them.
common_flags()
{
	for flag in $CFLAGS; do
		case $flag in
		-f* | -g* | -m* | -O*) echo "$flag" ;;
		esac
	done
}

# serves PROGRAM: it answers as the README's program does. It is named by its path in $work.
serves()
{
	called=$(echo "$1" | tr / -)
	serve "$called" "$work/$1"
	ready "$called" "does not listen" grep -q "@${address#*@}\$" /proc/net/unix || return
	"$builddir/tests/checks/talk" "$address" hi >"$work/got"
	printf 'Hello from the server' >"$work/wanted"
	same "$1 does not answer as it should" "$work/wanted" "$work/got"
	end_server "$called" TERM
}
