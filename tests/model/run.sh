#!/bin/sh
# Checks the models of the thread protocol with spin, and that spin finds what is wrong with each
# mutant: make check-model, or run.sh by itself. README.md says what the models are.
#
# JOBS: how many to run at once. KEEP: a folder for what spin leaves, trails too; else it is removed.
# ONLY: a pattern (grep -E); only those searches are run whose line below it fits.

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
#   safety  assertions, and ends that are none; without the ltl
#   cycles  these, and whether anything can go round for ever
#   fair    assertions, and the model's ltl, under weak fairness
# The longest go first.
cat >"$work/jobs" <<'END'
crew fair holds
crew safety holds -DREQUESTS=2
stop safety holds
crew safety holds -DNEXT=0 -DREQUESTS=2 -DLATERS=1
crew safety holds -DNEXT=0 -DBLOCKING=1
crew safety holds -DNEXT=0 -DTIMEOUTS=1
stop cycles holds -DPEERS=1
stop safety holds -DWIDTH=2 -DTIMEOUTS=0
stop safety holds -DGRACE=1 -DTIMEOUTS=0
stop safety holds -DGRACE=1 -DENDS=0 -DPEERS=1 -DTIMEOUTS=0
stop cycles holds -DGRACE=1 -DPEERS=1 -DTIMEOUTS=0
crew safety holds -DNUDGES=1 -DNEXT=0
crew safety holds -DLIMIT=3 -DNEXT=0
crew safety holds -DNEXT=0 -DFAILURES=1
linger safety holds -DBORN=2 -DEXPIRIES=0 -DDEADLINES=0
crew safety holds -DNEXT=0 -DWIDEST=2
linger safety holds -DLOOKS=0 -DEVICTIONS=0 -DDEADLINES=0
linger safety holds -DBORN=2 -DEXPIRIES=0 -DEVICTIONS=0
crew safety holds -DNEXT=0 -DNEEDLESS
crew fair holds -DNEXT=0 -DPOLLED
crew fair holds -DNEXT=0 -DHOOK_FIRST=1
crew fair holds -DLIMIT=1 -DHOOK_FIRST=1
crew fair holds -DLIMIT=1 -DREQUESTS=2 -DLATERS=1
crew fair holds -DLIMIT=1 -DNUDGES=2
crew fair holds -DLIMIT=1 -DFAILURES=1
crew fair holds -DLIMIT=1 -DBLOCKING=1
linger safety holds -DLOOKS=0 -DEVICTIONS=0 -DEXPIRIES=0 -DDEADLINES=0 -DNEEDLESS
crew fair holds -DLIMIT=1 -DPOLLED
crew fair holds -DLIMIT=1 -DPOLLED -DNEEDLESS
deadline safety holds
deadline safety holds -DCHANGES=0
deadline safety holds -DCHANGES=0 -DOUTPUT=1 -DINPUTS=0
deadline safety holds -DCHANGES=0 -DSLEEPS=1
output cycles holds
output safety holds
output safety holds -DCUTS=0
output safety holds -DREQUESTS=1 -DMESSAGES=2
accept safety holds
accept safety holds -DTHEFTS=0
accept safety holds -DADOPTS=2 -DPEERS=2
limit safety holds
limit safety holds -DFOREVER=1
limit safety holds -DTIRED=1 -DREQUESTS=2
own safety holds
own safety holds -DINPUTS=2 -DCHANGES=0
own safety holds -DOUTPUT=1
tasks safety holds
log safety holds
log safety holds -DLINES=4
claim cycles holds
claim safety holds
claim safety holds -DNEEDLESS
claim safety holds -DCLOSES=1 -DREQUESTS=1
claim cycles holds -DCLOSES=1 -DREQUESTS=1
claim safety holds -DDEFERS=1
claim safety holds -DDEFERS=2 -DEXPIRES=0
claim safety holds -DDEFERS=1 -DREQUESTS=1 -DCLOSES=1
claim cycles holds -DDEFERS=1 -DREQUESTS=1
crew safety found -DMUTANT_ARRIVAL_NOT_COUNTED -DNEXT=0
crew safety found -DMUTANT_AWAY_TWICE
crew safety found -DMUTANT_HOOKS_QUIETLY -DLIMIT=3 -DNEXT=0 -DREQUESTS=2
crew safety found -DMUTANT_HUNG_HOOKS_BREED
crew safety found -DMUTANT_HOOKS_BREED_A_SECOND -DLIMIT=3 -DNEXT=0
crew fair found -DMUTANT_ASKS_QUIETLY -DNEXT=0
crew fair found -DMUTANT_BELL_EMPTIED_BEFORE -DNUDGES=1
crew safety found -DMUTANT_COMES_TWICE -DNEXT=0
crew safety found -DMUTANT_CONDITION_FREED -DTIMEOUTS=2 -DNEXT=0 -DWIDEST=2
crew fair found -DMUTANT_COUNTED_ON_TO_STAND_IN -DNEXT=0
crew safety found -DMUTANT_FLAG_LEFT_ARMED -DNEXT=0
crew safety found -DMUTANT_GOES_AWAY_QUIETLY
crew fair found -DMUTANT_HOOK_NOT_GIVEN_UP -DNEXT=0
crew safety found -DMUTANT_JOINS_QUIETLY -DTIMEOUTS=1 -DNEXT=0
crew safety found -DMUTANT_KEEPER_MARKS_QUIETLY -DNEXT=0
crew fair found -DMUTANT_KEEPER_SPARES_BUSY -DNEXT=0
crew fair found -DMUTANT_KEEPS_BATCH -DNEXT=0
crew fair found -DMUTANT_LATER_LEFT -DLATERS=1 -DREQUESTS=2 -DWIDEST=2
crew fair found -DMUTANT_LATER_WAITS_FOR_EVENTS -DLIMIT=1 -DLATERS=1 -DREQUESTS=2
crew safety found -DMUTANT_LEAVES_WITHOUT_LOOKING -DTIMEOUTS=1 -DNEXT=0 -DREQUESTS=2
crew safety found -DMUTANT_NEVER_ARMS -DNEXT=0
crew safety found -DMUTANT_NOBODY_SENT_TO_POLL -DNEXT=0
crew fair found -DMUTANT_NOBODY_STANDS_IN -DPOLLED -DLIMIT=1 -DNEXT=0
crew safety found -DMUTANT_NO_BELL -DNUDGES=1 -DLIMIT=1
crew safety found -DMUTANT_RESTS_AFTER_TURN
crew fair found -DMUTANT_RUNG_FOR_EVER -DLIMIT=1 -DNUDGES=2
crew safety found -DMUTANT_SLEEPS_BY_OLD_NEWS -DNEXT=0
crew safety found -DMUTANT_SLEEPS_DURING_HOOK -DNEXT=0
crew safety found -DMUTANT_SLEEPS_WHILE_COUNTED_ON -DNEXT=0
crew safety found -DMUTANT_STANDS_IN_QUIETLY -DNEXT=0
crew safety found -DMUTANT_TAKES_QUIETLY -DNEXT=0 -DBLOCKING=1
accept safety found -DMUTANT_ADOPTED_BEFORE_IT_IS_POSTED -DADOPTS=1 -DPEERS=1
accept safety found -DMUTANT_ADOPTED_WITHOUT_LOCK -DADOPTS=1 -DPEERS=1
accept safety found -DMUTANT_CLIENT_WITHOUT_LOCK
accept safety found -DMUTANT_CLOSED_UNDER_ACCEPT
accept safety found -DMUTANT_LEFT_OPEN
accept safety found -DMUTANT_PUT_OFF_FOR_EVER -DTHEFTS=0
accept safety found -DMUTANT_PUT_OFF_IN_TWO_STEPS -DTHEFTS=0
accept safety found -DMUTANT_SUSPENDED_NOT_LOOKED_AT
accept safety found -DMUTANT_SUSPENDS_WITHOUT_WAITING
accept safety found -DMUTANT_TURN_NOT_LOOKED_AT
claim safety found -DMUTANT_BORN_WITHOUT_OWNER
claim safety found -DMUTANT_CLAIM_IN_TWO_STEPS
claim safety found -DMUTANT_CLEAR_LATE
claim safety found -DMUTANT_CLOSE_NOT_SEEN_AT_FIRST -DCLOSES=1 -DREQUESTS=1
claim safety found -DMUTANT_CLOSE_NOT_SEEN_BEFORE_WAIT -DCLOSES=1 -DREQUESTS=1
claim safety found -DMUTANT_CLOSE_NOT_SEEN_WHEN_IDLE -DCLOSES=1 -DREQUESTS=1
claim safety found -DMUTANT_CLOSE_NOT_SEEN_WITH_INPUT -DCLOSES=1 -DREQUESTS=1
claim safety found -DMUTANT_CLOSE_READ_AWAY -DCLOSES=1 -DREQUESTS=2
claim safety found -DMUTANT_CLOSE_UNCLAIMED -DCLOSES=1 -DREQUESTS=1
claim safety found -DMUTANT_CLOSE_WAKES_NOBODY -DCLOSES=1 -DREQUESTS=1
claim safety found -DMUTANT_DRAINED_OVER_CLEAR
claim safety found -DMUTANT_FREE_WITHOUT_OWNER
claim safety found -DMUTANT_LATER_BELIEVED_WATCHED -DDEFERS=1 -DREQUESTS=1 -DEXPIRES=0
claim safety found -DMUTANT_LATER_GIVEN_UP_BLINDLY -DDEFERS=1 -DREQUESTS=1
claim safety found -DMUTANT_LATER_LOOKED_AT_FIRST -DDEFERS=1 -DREQUESTS=1 -DEXPIRES=0
claim safety found -DMUTANT_LATER_NOT_SEEN_ON_RETURN -DDEFERS=1 -DREQUESTS=1 -DEXPIRES=0
claim safety found -DMUTANT_LATER_NOT_VOID -DDEFERS=1 -DREQUESTS=1
claim safety found -DMUTANT_LATER_UNCLAIMED -DDEFERS=1 -DREQUESTS=1 -DEXPIRES=0
claim safety found -DMUTANT_LET_GO_LATER
claim safety found -DMUTANT_NO_AGAIN
claim safety found -DMUTANT_REGISTER_LATE
claim safety found -DMUTANT_RELEASE_BLINDLY
claim safety found -DMUTANT_SHORT_READ_IS_ENOUGH
claim safety found -DMUTANT_THOROUGH_FORGOTTEN
claim safety found -DMUTANT_THOROUGH_LATE
deadline safety found -DMUTANT_ARMED_LEFT -DCHANGES=0
deadline safety found -DMUTANT_ARMED_READ_FIRST -DCHANGES=0
deadline safety found -DMUTANT_ARMS_QUIETLY -DCHANGES=0
deadline safety found -DMUTANT_CHANGES_QUIETLY
deadline safety found -DMUTANT_ENDS_WITHOUT_TAKING -DCHANGES=0 -DINPUTS=2
deadline safety found -DMUTANT_EXPIRES_BLINDLY -DCHANGES=0
deadline safety found -DMUTANT_MARKS_WITHOUT_LOOK -DCHANGES=0
deadline safety found -DMUTANT_REARM_FORGOTTEN -DCHANGES=0 -DOUTPUT=1 -DINPUTS=0
deadline safety found -DMUTANT_SPARES_FOR_EVER -DCHANGES=0 -DSLEEPS=1
deadline safety found -DMUTANT_SPARES_QUIETLY -DCHANGES=0 -DSLEEPS=1
deadline safety found -DMUTANT_THROWS_AWAY -DCHANGES=0
deadline safety found -DMUTANT_WORD_READ_FIRST -DCHANGES=0
limit safety found -DMUTANT_COUNTS_WHO_LEAVES
limit safety found -DMUTANT_DISTURBS_NOBODY
limit safety found -DMUTANT_GOES_ON_SERVING
limit safety found -DMUTANT_JOINS_QUIETLY -DFOREVER=1
limit safety found -DMUTANT_LEAVES_QUIETLY
limit safety found -DMUTANT_MADE_BY_OLD_NEWS
limit safety found -DMUTANT_RAISED_QUIETLY -DFOREVER=1
limit safety found -DMUTANT_STAYS_OVER
linger safety found -DMUTANT_ASKED_BEFORE_THE_LOCK -DBORN=2
linger safety found -DMUTANT_CLOSES_WITHOUT_CLAIM
linger safety found -DMUTANT_FINISH_STOPS_AT_MARKED
linger safety found -DMUTANT_HANDED_OVER_UNOWNED
linger safety found -DMUTANT_LOOK_LETS_GO_FIRST -DBORN=2
linger safety found -DMUTANT_NUDGES_LINGERERS
linger safety found -DMUTANT_ONLY_A_STOP_IS_KNOWN -DBORN=2 -DEXPIRIES=0 -DEVICTIONS=0 -DLOOKS=0
linger safety found -DMUTANT_OVER_IS_NOT_SEEN -DBORN=2
linger safety found -DMUTANT_UNLINKS_LATE
log safety found -DMUTANT_ENDS_QUIETLY
log safety found -DMUTANT_ENDS_WHILE_A_HANDLER_HANGS
log safety found -DMUTANT_LEAVES_LINES
log safety found -DMUTANT_LOSES_IN_SILENCE
log safety found -DMUTANT_LOSS_NEEDS_A_LINE
log safety found -DMUTANT_NOT_JOINED
log safety found -DMUTANT_PUTS_QUIETLY
log safety found -DMUTANT_SLEEPS_BY_OLD_NEWS
log safety found -DMUTANT_TAKES_AFTER_THE_END
log safety found -DMUTANT_WAITS_WITHOUT_ENDING
output safety found -DMUTANT_CUT_LOOKS_FIRST
output safety found -DMUTANT_CUT_WITHOUT_CLAIM
output safety found -DMUTANT_ENDS_AND_TAKES_MORE
output safety found -DMUTANT_ENDS_WITHIN_THE_LIMIT
output safety found -DMUTANT_HELD_NOT_ASKED_AGAIN
output safety found -DMUTANT_LOOKS_BEFORE_IT_STAGES
output safety found -DMUTANT_LOST_IS_SILENT
output safety found -DMUTANT_MESSAGE_LEFT_BEHIND
output safety found -DMUTANT_QUEUE_NOT_MISSED
output safety found -DMUTANT_RELEASE_BLINDLY
output safety found -DMUTANT_ROOM_FORGOTTEN
output safety found -DMUTANT_SENDER_IS_SILENT
output safety found -DMUTANT_STAGED_NO_MORE_TOO_EARLY
output safety found -DMUTANT_WISH_IN_TWO_STEPS
own safety found -DMUTANT_ARMED_LEFT -DCHANGES=0
own safety found -DMUTANT_CHANGED_WITHOUT_LOCK -DINPUTS=2 -DCHANGES=0
own safety found -DMUTANT_CHANGES_QUIETLY -DCHANGES=0
own safety found -DMUTANT_SERVER_CHANGES_QUIETLY
own safety found -DMUTANT_SERVER_REACHES_ALL
own safety found -DMUTANT_WAKES_NOBODY -DOUTPUT=1 -DCHANGES=0
stop safety found -DMUTANT_COUNTED_LATE
stop safety found -DMUTANT_DESTROYED_DURING_STOP -DTIMEOUTS=0
stop safety found -DMUTANT_DISMISSED_SLEEP_ON -DTIMEOUTS=0
stop safety found -DMUTANT_DISMISSED_WITHOUT_BELL
stop safety found -DMUTANT_GRACE_ENDS_LATE -DGRACE=1 -DPEERS=1 -DTIMEOUTS=0
stop safety found -DMUTANT_LAST_CLIENT_IS_SILENT
stop safety found -DMUTANT_LAST_IS_SILENT_IN_THE_GRACE -DGRACE=1 -DENDS=0 -DPEERS=1 -DTIMEOUTS=0
stop safety found -DMUTANT_LAST_REQUEST_WAITS_ON -DGRACE=1 -DENDS=0 -DPEERS=1 -DTIMEOUTS=0
stop safety found -DMUTANT_LOOKS_BEFORE_RECEIVING -DTIMEOUTS=0
stop safety found -DMUTANT_NO_CLAIM -DTIMEOUTS=0
stop safety found -DMUTANT_NO_CLIENT_LOCK
stop safety found -DMUTANT_NO_LISTENER_LOCK
stop safety found -DMUTANT_NO_SHUTDOWN
stop safety found -DMUTANT_ONE_POLLER_IS_LEFT -DWIDTH=2 -DTIMEOUTS=0
stop safety found -DMUTANT_READERS_ARE_SHUT -DTIMEOUTS=0
stop cycles found -DMUTANT_RELIEF_WHEN_DISMISSED -DPEERS=1 -DTIMEOUTS=0
stop safety found -DMUTANT_STOPPER_COUNTED_LATE -DTIMEOUTS=0
stop safety found -DMUTANT_STOPPER_TOUCHES -DTIMEOUTS=0
stop safety found -DMUTANT_STOPPING_SET_LATE
stop safety found -DMUTANT_STEP_SEEN_BEFORE_WORD -DGRACE=1 -DPEERS=1 -DTIMEOUTS=0
stop safety found -DMUTANT_STOP_SEEN_BEFORE_WORD -DPEERS=1 -DTIMEOUTS=0
stop safety found -DMUTANT_TOLD_IN_THE_GRACE -DGRACE=1 -DPEERS=1 -DTIMEOUTS=0
stop safety found -DMUTANT_TOUCHES_AFTER_LEAVING
stop safety found -DMUTANT_WAITS_FOR_NO_THREADS
stop safety found -DMUTANT_WAKE_EMPTIED_LATE
stop safety found -DMUTANT_WORD_SEEN_BEFORE_TOLD -DPEERS=1 -DTIMEOUTS=0
tasks safety found -DMUTANT_CANCEL_FORGETS_THE_LINE
tasks safety found -DMUTANT_OFFERS_FIRST
tasks safety found -DMUTANT_PLANNED_SET_LATE
tasks safety found -DMUTANT_PLANNED_WHILE_IT_RUNS
tasks safety found -DMUTANT_PLANS_QUIETLY
tasks safety found -DMUTANT_WAKE_EMPTIED_LATE
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
	safety) compile='-DSAFETY -DNOCLAIM' options= ;;
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
	case $wanted$* in
	found* | *-DLIMIT=1* | *-DFAILURES* | *-DBLOCKING* | *-DWIDEST* | *-DPOLLED* | *-DNEEDLESS*)
		optimise=-O0 # soon done: compiling would take longer
		;;
	esac
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
for model in accept claim crew deadline limit linger log output own stop tasks; do
	for mutant in $(grep -o 'MUTANT_[A-Z_]*' "$here/$model.pml" | sort -u); do
		grep -q "^$model .* found -D$mutant\( \|\$\)" "$work/jobs" ||
			fail "$model.pml has $mutant, which is not run"
	done
done
if [ -n "${ONLY-}" ]; then
	grep -E -- "$ONLY" "$work/jobs" >"$work/only" || fail "no search fits $ONLY"
	mv "$work/only" "$work/jobs"
fi
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
echo "$models searches of 11 models, $mutants mutants, $(($(date +%s) - begin)) s: $failures failed"
test "$failures" = 0
