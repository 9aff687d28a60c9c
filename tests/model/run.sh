#!/bin/sh
# Checks the models of the thread protocol with spin, and that spin finds what is wrong with each
# mutant: make check-model, or run.sh by itself. README.md says what the models are.
#
# JOBS: how many to run at once. KEEP: a folder for what spin leaves, trails too; else it is removed.

here=$(cd "$(dirname "$0")" && pwd) || exit 99
for tool in spin ${CC:=gcc}; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "The models cannot be checked: $tool is not installed. (Debian has the package spin.)" >&2
		exit 99
	fi
done

if [ -n "${KEEP-}" ]; then
	mkdir -p "$KEEP" && work=$(cd "$KEEP" && pwd) && rm -rf "$work"/job.* || exit 99
else
	work=$(mktemp -d) || exit 99
fi
lanes=
trap 'test -n "${KEEP-}" || rm -rf "$work"' EXIT
trap 'test -z "$lanes" || kill $lanes 2>/dev/null; exit 99' HUP INT TERM

# MODEL, what the search looks for, what it should come to, what for spin.
#   safety  assertions, and ends that are none
#   cycles  these, and whether anything can go round for ever
#   fair    assertions, and the model's ltl, under weak fairness
# The longest go first.
cat >"$work/jobs" <<'END'
crew fair holds
crew fair holds -DNEEDLESS -DTIMEOUTS=0
crew fair holds -DNEEDLESS -DREQUESTS=1
crew fair holds -DNUDGES=1 -DREQUESTS=1 -DTIMEOUTS=0
stop safety holds
crew fair holds -DFOREVER=2 -DLIMIT=3 -DREQUESTS=1
crew fair holds -DFAILURES=1 -DREQUESTS=1
stop cycles holds -DPEERS=1
crew fair holds -DLIMIT=1
crew fair holds -DLIMIT=1 -DNUDGES=2 -DREQUESTS=1
claim safety holds
claim cycles holds
crew fair found -DMUTANT_ARMS_BY_OLD_NEWS -DTIMEOUTS=0
crew fair found -DMUTANT_FLAG_LEFT_ARMED -DTIMEOUTS=0
crew fair found -DMUTANT_LEAVES_WITHOUT_LOOKING
crew fair found -DMUTANT_SLEEPS_BY_OLD_NEWS -DTIMEOUTS=0
crew fair found -DMUTANT_ARRIVAL_NOT_COUNTED
crew fair found -DMUTANT_AWAY_TWICE
crew fair found -DMUTANT_BELL_EMPTIED_BEFORE -DNUDGES=1 -DREQUESTS=1
crew fair found -DMUTANT_CONDITION_FREED -DTIMEOUTS=2 -DREQUESTS=1
crew fair found -DMUTANT_DISARMS_AFTER_TURN -DTIMEOUTS=0
crew fair found -DMUTANT_FAILURE_NOT_ARMED -DFAILURES=1 -DREQUESTS=1
crew fair found -DMUTANT_GOES_AWAY_QUIETLY
crew fair found -DMUTANT_KEEPER_MARKS_QUIETLY
crew fair found -DMUTANT_KEEPER_SPARES_BUSY -DTIMEOUTS=0
crew fair found -DMUTANT_KEEPS_BATCH
crew fair found -DMUTANT_NEVER_ARMS
crew fair found -DMUTANT_NOBODY_SENT_TO_POLL
crew fair found -DMUTANT_NO_BELL -DNUDGES=1 -DREQUESTS=1
crew fair found -DMUTANT_RESTS_AFTER_TURN
crew fair found -DMUTANT_RUNG_FOR_EVER -DLIMIT=1 -DNUDGES=2 -DREQUESTS=1
crew fair found -DMUTANT_TAKES_QUIETLY -DTIMEOUTS=0
claim safety found -DMUTANT_BORN_WITHOUT_OWNER
claim safety found -DMUTANT_CLAIM_IN_TWO_STEPS
claim safety found -DMUTANT_CLEAR_LATE
claim safety found -DMUTANT_FREE_WITHOUT_OWNER
claim safety found -DMUTANT_NO_AGAIN
claim safety found -DMUTANT_REGISTER_LATE
claim safety found -DMUTANT_RELEASE_BLINDLY
claim safety found -DMUTANT_SHORT_READ_IS_ENOUGH
claim safety found -DMUTANT_THOROUGH_FORGOTTEN
stop safety found -DMUTANT_COUNTED_LATE
stop safety found -DMUTANT_DESTROYED_DURING_STOP -DTIMEOUTS=0
stop safety found -DMUTANT_DISMISSED_SLEEP_ON -DTIMEOUTS=0
stop safety found -DMUTANT_DISMISSED_WITHOUT_BELL
stop safety found -DMUTANT_LAST_CLIENT_IS_SILENT
stop safety found -DMUTANT_LOOKS_BEFORE_RECEIVING -DTIMEOUTS=0
stop safety found -DMUTANT_NO_CLAIM -DTIMEOUTS=0
stop safety found -DMUTANT_NO_CLIENT_LOCK
stop safety found -DMUTANT_NO_LISTENER_LOCK
stop safety found -DMUTANT_NO_SHUTDOWN
stop cycles found -DMUTANT_RELIEF_WHEN_DISMISSED -DPEERS=1 -DTIMEOUTS=0
stop safety found -DMUTANT_STOPPING_SET_LATE
stop safety found -DMUTANT_TOUCHES_AFTER_LEAVING
stop safety found -DMUTANT_WAITS_FOR_NO_THREADS
stop safety found -DMUTANT_WAKE_EMPTIED_LATE
END

: >"$work/failed"

# fail SENTENCE [FILE]
fail()
{
	echo "FAILED: $1"
	echo "$1" >>"$work/failed"
	if [ -n "${2-}" ]; then
		sed 's/^/    /' "$2" | head -n 20
	fi
}

# check NUMBER MODEL SEARCH WANTED FLAGS..., in a folder of its own.
check()
{
	dir=$work/job.$1
	model=$2
	search=$3
	wanted=$4
	shift 4
	what="$model.pml, $search${*:+, $*}"
	case $search in
	safety) compile=-DSAFETY options= ;;
	cycles) compile=-DNP options=-l ;;
	fair) compile=-DNFAIR=3 options='-a -f' ;;
	esac
	cd "$dir" || exit 99
	from=$(date +%s)
	cp "$here/$model.pml" . || exit 99
	if ! spin "$@" -a "$model.pml" >said 2>&1 || grep -q 'Error' said; then
		fail "$what: spin does not take it" said
		return
	fi
	optimise=-O1
	test "$wanted" = holds || optimise=-O0 # found soon, mostly: compiling takes longer
	if ! $CC $optimise -w -DMEMLIM=4096 $compile -o pan pan.c >said 2>&1; then
		fail "$what: $CC does not take what spin has made of it" said
		return
	fi
	./pan $options -m1000000 >said 2>&1
	rm -f pan pan.?
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' said)
	error=$(sed -n 's/^pan:[0-9]*: \(.*\) (at depth.*/\1/p' said | cut -c 1-60)
	took="$(($(date +%s) - from)) s"
	if ! grep -q 'errors: 0$' said && { [ -z "$states" ] || [ -z "$error" ]; }; then
		fail "$what: the search broke off" said
	elif grep -q 'errors: 0$' said && grep -qE 'not completed|too small|out of memory' said; then
		fail "$what: the search was not complete" said
	elif [ "$wanted" = holds ] && grep -q 'errors: 0$' said; then
		echo "holds: $what: $states states, $took"
	elif [ "$wanted" = holds ]; then
		fail "$what: $error; KEEP=folder keeps the trail" said
	elif grep -q 'errors: 0$' said; then
		fail "$what: the mutant is not found, in $states states" said
	else
		echo "found: $what: $states states, $took: $error"
	fi
}

# Takes the jobs nobody has taken; a folder can be made once only.
lane()
{
	number=0
	while read -r line; do
		number=$((number + 1))
		if mkdir "$work/job.$number" 2>/dev/null; then
			(check "$number" $line)
			echo >"$work/job.$number/done"
		fi
	done <"$work/jobs"
}

begin=$(date +%s)
for model in claim crew stop; do
	for mutant in $(grep -o 'MUTANT_[A-Z_]*' "$here/$model.pml" | sort -u); do
		grep -q "^$model .* found -D$mutant\( \|\$\)" "$work/jobs" ||
			fail "$model.pml has $mutant, which is not run"
	done
done
count=${JOBS:-$(nproc 2>/dev/null || echo 1)}
while [ "$count" -gt 0 ]; do
	lane &
	lanes="$lanes $!"
	count=$((count - 1))
done
wait

for job in "$work"/job.*; do
	test -e "$job/done" || fail "a check was broken off: $job"
done
models=$(grep -c ' holds' "$work/jobs")
mutants=$(grep -c ' found' "$work/jobs")
failures=$(grep -c . "$work/failed")
echo "$models searches of 3 models, $mutants mutants, $(($(date +%s) - begin)) s: $failures failed"
test "$failures" = 0
