#!/bin/sh
# Programs of others find the installed library by the usual means of three build systems, and serve:
# plain make with pkg-config, CMake and Meson; shared and static, in C, and with CMake in C++ too.
. "$srcdir/tests/checks/common.sh"
. "$srcdir/tests/checks/install_common.sh"

kinds=
[ ! -e "$libraries/libmtserver.so" ] || kinds="$kinds shared"
[ ! -e "$libraries/libmtserver.a" ] || kinds="$kinds static"
prefix=$root$(sed -n 's/^prefix=//p' "$file")

# Compilers and flags are in the environment, where all three look for them.
CFLAGS="$CPPFLAGS $CFLAGS"
CXXFLAGS="$CPPFLAGS $(common_flags | tr '\n' ' ')"
export CXXFLAGS

# project FOLDER: the program, in a folder of its own.
project()
{
	mkdir -p "$work/$1"
	cp "$work/program.c" "$work/$1/program.c"
}

# with_make KIND HOW: HOW is what pkg-config is told besides.
with_make()
{
	project make
	cat >"$work/make/Makefile" <<'END_OF_FILE'
CFLAGS += `$(PKG_CONFIG) --cflags mtserver`
LDLIBS += `$(PKG_CONFIG) $(HOW) --libs mtserver`

$(PROGRAM): program.o
	$(CC) $(CFLAGS) $(LDFLAGS) program.o $(LDLIBS) -o $@
END_OF_FILE
	try "plain make fails ($1)" make -C "$work/make" PROGRAM="$1" HOW="$2" PKG_CONFIG="$PKG_CONFIG"
}

# with_cmake FOLDER LANGUAGE: in CMake's words, C or CXX.
with_cmake()
{
	project "$1"
	{
		echo "cmake_minimum_required(VERSION 3.5)"
		echo "project(consumer $2)"
		echo "find_package(mtserver CONFIG REQUIRED)"
		echo "set_source_files_properties(program.c PROPERTIES LANGUAGE $2)"
		for kind in $kinds; do
			target=mtserver
			[ "$kind" = shared ] || target=mtserver-static
			echo "add_executable($kind program.c)"
			echo "target_link_libraries($kind mtserver::$target)"
		done
	} >"$work/$1/CMakeLists.txt"
	try "CMake does not find the library ($2)" \
		cmake -S "$work/$1" -B "$work/$1" -DCMAKE_PREFIX_PATH="$prefix" &&
		try "CMake does not build with the library ($2)" cmake --build "$work/$1"
}

with_meson()
{
	project meson
	{
		echo "project('consumer', 'c')"
		for kind in $kinds; do
			static=false
			[ "$kind" = shared ] || static=true
			echo "library = dependency('mtserver', static: $static)"
			echo "executable('$kind', 'program.c', dependencies: library)"
		done
	} >"$work/meson/meson.build"
	try "Meson does not find the library" meson setup "$work/meson/build" "$work/meson" &&
		try "Meson does not build with the library" ninja -C "$work/meson/build"
}

# What CMake is to say to a project that asks for releases and parts of the library.
cmake_answers()
{
	mkdir "$work/asks"
	major=${version%%.*}
	cat >"$work/asks/CMakeLists.txt" <<END_OF_FILE
cmake_minimum_required(VERSION 3.5)
project(asks NONE)

function(ask wanted)
	unset(mtserver_DIR CACHE)
	find_package(mtserver \${ARGN} CONFIG QUIET)
	if((wanted AND NOT mtserver_FOUND) OR (mtserver_FOUND AND NOT wanted))
		message(SEND_ERROR "find_package(mtserver \${ARGN}) says \${mtserver_FOUND}")
	endif()
endfunction()

ask(FALSE COMPONENTS no-such-part)
ask(TRUE)
ask(TRUE $version EXACT)
ask(TRUE ${version%.*})
ask(TRUE $major.0.1)
ask(FALSE $major.0.1 EXACT)
ask(FALSE $version.1)
ask(FALSE $major.999)
ask(FALSE $((major + 1)))
if(NOT CMAKE_VERSION VERSION_LESS 3.19)
	ask(TRUE $major.0.1...$version)
	ask(FALSE $major.0.1...<$version)
	ask(TRUE $major.0.1...<$((major + 1)))
	ask(FALSE $((major + 1))...$((major + 2)))
endif()
ask(TRUE COMPONENTS mtserver)
ask(TRUE OPTIONAL_COMPONENTS no-such-part)

find_package(mtserver CONFIG REQUIRED)
if(NOT mtserver_VERSION STREQUAL "$version")
	message(SEND_ERROR "mtserver_VERSION is \${mtserver_VERSION}")
endif()
get_target_property(headers mtserver::mtserver INTERFACE_INCLUDE_DIRECTORIES)
if(NOT EXISTS "\${headers}/mtserver.h")
	message(SEND_ERROR "there is no \${headers}/mtserver.h")
endif()
END_OF_FILE
	# /lib is a link to /usr/lib on many systems.
	ln -s "$libraries" "$work/link"
	for folder in "$libraries" "$work/link"; do
		try "CMake's answers are wrong, with the library in ${folder#"$work/"}" \
			cmake -S "$work/asks" -B "$work/asks/build" -DCMAKE_PREFIX_PATH="$folder/cmake"
		rm -rf "$work/asks/build"
	done
}

folders=
if command -v cmake >/dev/null; then
	cmake_answers
	with_cmake cmake C && folders="$folders cmake"
	if [ -n "$CXX" ]; then
		with_cmake cmake-c++ CXX && folders="$folders cmake-c++"
	fi
else
	echo "CMake was not found, so that finding the library with it is not tried"
fi
if command -v meson >/dev/null && command -v ninja >/dev/null; then
	with_meson && folders="$folders meson/build"
else
	echo "Meson or ninja was not found, so that finding the library with them is not tried"
fi

case $kinds in
*shared*)
	with_make shared "" && folders="$folders make"
	LD_LIBRARY_PATH=$libraries
	export LD_LIBRARY_PATH
	for folder in $folders; do
		serves "$folder/shared"
	done
	;;
esac
case $kinds in
*static*)
	# Where both are there, the linker takes the shared one; and what runs without it is linked statically.
	rm -f "$libraries"/libmtserver.so*
	with_make static --static && folders="$folders make"
	for folder in $(printf '%s\n' $folders | sort -u); do
		serves "$folder/static"
	done
	;;
esac

finish
