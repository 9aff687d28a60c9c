#!/bin/sh
# side_by_side.sh MAKE ARGUMENT...: make, for tests, in two lanes, whatever number of jobs the make that
# comes in here was told. Most tests wait most of the time, so that more of them run at once than there
# are CPUs. Those in BUSY_TESTS compute, or take the time of what is done: of them there is one for each
# CPU, and beside it TESTS_PER_CPU - 1 that wait. TEST_JOBS says how many run in all, whatever they do, and
# -j1 means one at a time.

per_cpu=${TESTS_PER_CPU:-4}
cpus=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN || echo 1)
jobs=${TEST_JOBS-}
flags=${MAKEFLAGS%%-- *} # what follows are variables
variables=${MAKEFLAGS#"$flags"}
case " $flags " in
*' -j1 '*) jobs=${jobs:-1} ;;
esac
[ "$per_cpu" -gt 1 ] || jobs=${jobs:-$cpus}
# A make that has a number of its own is not to ask the other one for jobs.
flags=$(printf '%s\n' "$flags" | sed -E 's/(^| )(-j[0-9]*|--jobserver-(auth|fds)=[^ ]*)//g')
MAKEFLAGS="$flags $variables"
export MAKEFLAGS
[ -z "$jobs" ] || exec "$@" -j"$jobs"

# What is made of the logs comes last, and what forces them to be made again is for the lanes only.
logs=
summary=
for argument; do
	shift
	case $argument in
	TEST_LOGS=*) logs=${argument#*=} ;;
	*.log) summary=$argument ;;
	*) set -- "$@" "$argument" ;;
	esac
done

busy=
waiting=
for log in $logs; do
	case " $BUSY_TESTS " in
	*" ${log%.log} "* | *" ${log%.log}.sh "*) busy="$busy $log" ;;
	*) waiting="$waiting $log" ;;
	esac
done

# A pipe through which nothing goes: unlike with &, an interrupt reaches both lanes.
exec 3>&1
# shellcheck disable=SC2086 # names
{
	[ -z "$busy" ] || "$@" -j"$cpus" $busy
} >&3 3>&- | {
	[ -z "$waiting" ] || "$@" -j$((cpus * (per_cpu - 1))) $waiting
} 3>&- </dev/null
exec 3>&-
exec "$@" "$summary" am__force_recheck= TEST_LOGS="$logs"
