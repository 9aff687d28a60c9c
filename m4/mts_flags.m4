# Probing of compiler and linker flags, one at a time.
#
# A compiler may meet a flag it does not know with a warning only, so every probe turns
# warnings into errors.  What passes goes to a variable of ours, never to the user's
# CFLAGS or LDFLAGS.

# MTS_COMPILER_FLAGS(VARIABLE, FLAGS)
# Appends to VARIABLE each of FLAGS with which the C compiler compiles without a word.
AC_DEFUN([MTS_COMPILER_FLAGS],
[m4_foreach_w([mts_flag], [$2], [MTS_COMPILER_FLAG([$1], m4_quote(mts_flag))
])])

AC_DEFUN([MTS_COMPILER_FLAG],
[AS_VAR_PUSHDEF([mts_cache], [mts_cv_compiler_$2])dnl
AC_CACHE_CHECK([whether $CC accepts $2], [mts_cache],
	[mts_save_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS -Werror $2"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([mts_cache], [yes])],
		[AS_VAR_SET([mts_cache], [no])])
	CFLAGS=$mts_save_CFLAGS])
AS_VAR_IF([mts_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([mts_cache])])

# MTS_LINKER_FLAGS(VARIABLE, FLAGS)
# Appends to VARIABLE each of FLAGS with which a program links without a word.
AC_DEFUN([MTS_LINKER_FLAGS],
[m4_foreach_w([mts_flag], [$2], [MTS_LINKER_FLAG([$1], m4_quote(mts_flag))
])])

AC_DEFUN([MTS_LINKER_FLAG],
[AS_VAR_PUSHDEF([mts_cache], [mts_cv_linker_$2])dnl
AC_CACHE_CHECK([whether the linker accepts $2], [mts_cache],
	[mts_save_LDFLAGS=$LDFLAGS
	LDFLAGS="$LDFLAGS -Werror $2"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([mts_cache], [yes])],
		[AS_VAR_SET([mts_cache], [no])])
	LDFLAGS=$mts_save_LDFLAGS])
AS_VAR_IF([mts_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([mts_cache])])

# MTS_FORTIFY(VARIABLE)
# Appends -D_FORTIFY_SOURCE=2 to VARIABLE where it can work and nobody has decided about it:
# the compiler optimises, the macro is not set yet (some distributions' compilers set it), and
# no sanitizer is in use, which would lose sight of what the checking functions touch.
AC_DEFUN([MTS_FORTIFY],
[AC_CACHE_CHECK([whether _FORTIFY_SOURCE is ours to set], [mts_cv_fortify],
	[mts_cv_fortify=no
	AS_CASE([" $CPPFLAGS $CFLAGS "], [*" -fsanitize="*], [],
		[AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#if !defined __OPTIMIZE__ || defined _FORTIFY_SOURCE
#error "not here"
#endif
int main(void) { return 0; }
]])], [mts_cv_fortify=yes])])])
AS_VAR_IF([mts_cv_fortify], [yes], [AS_VAR_APPEND([$1], [" -D_FORTIFY_SOURCE=2"])])])

# MTS_VERSION_SCRIPT(VARIABLE, MAP)
# Appends to VARIABLE the linker flag that applies the version script MAP, where the linker
# has such a thing.
AC_DEFUN([MTS_VERSION_SCRIPT],
[AC_CACHE_CHECK([whether the linker takes a version script], [mts_cv_version_script],
	[AS_ECHO(["PROBE_1 { global: main; local: *; };"]) >conftest.map
	mts_save_LDFLAGS=$LDFLAGS
	LDFLAGS="$LDFLAGS -Wl,--version-script=conftest.map"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()], [mts_cv_version_script=yes],
		[mts_cv_version_script=no])
	LDFLAGS=$mts_save_LDFLAGS
	rm -f conftest.map])
AS_VAR_IF([mts_cv_version_script], [yes],
	[AS_VAR_APPEND([$1], [" -Wl,--version-script=$2"])])])

# MTS_CXX_HEADER(VARIABLE, HEADER)
# Sets VARIABLE to yes or no: whether the C++ compiler, which nothing else needs, has HEADER.
AC_DEFUN([MTS_CXX_HEADER],
[AS_VAR_PUSHDEF([mts_cache], [mts_cv_cxx_$2])dnl
AC_CACHE_CHECK([for $2], [mts_cache],
	[AS_ECHO(["#include <$2>"]) >conftest.cc
	AS_IF([test -n "$CXX" && $CXX $CPPFLAGS -E conftest.cc >/dev/null 2>&1],
		[AS_VAR_SET([mts_cache], [yes])], [AS_VAR_SET([mts_cache], [no])])
	rm -f conftest.cc])
AS_VAR_COPY([$1], [mts_cache])
AS_VAR_POPDEF([mts_cache])])
