#!/bin/sh
# side_by_side.sh MAKE ARGUMENT...: make, for tests: most of them wait most of the time, so that more of
# them run at once than there are CPUs, TESTS_PER_CPU of them for each, whatever number of jobs the make
# that comes in here was told. TEST_JOBS says how many in all, and -j1 means one at a time.

jobs=${TEST_JOBS-}
flags=${MAKEFLAGS%%-- *} # what follows are variables
variables=${MAKEFLAGS#"$flags"}
case " $flags " in
*' -j1 '*) jobs=${jobs:-1} ;;
esac
if [ -z "$jobs" ]; then
	jobs=$(($(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN || echo 1) * ${TESTS_PER_CPU:-2}))
fi
# A make that has a number of its own is not to ask the other one for jobs.
flags=$(printf '%s\n' "$flags" | sed -E 's/(^| )(-j[0-9]*|--jobserver-(auth|fds)=[^ ]*)//g')
MAKEFLAGS="$flags $variables"
export MAKEFLAGS
exec "$@" -j"$jobs"
