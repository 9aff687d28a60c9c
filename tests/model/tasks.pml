/* SPDX-License-Identifier: MIT */
/*
 * Tasks: who adds and cancels them, the keeper that finds out which are due, and the workers that run them.
 *
 * Two tasks, one that is called again and again and one that is called once; a thread that adds them and one
 * that cancels one of them; the keeper; two workers; and a stop, which comes at any time or never. The clock
 * goes on whenever it likes, a few times. What is done under a lock is one step.
 *
 * A task does not run twice at the same time, nor start after a cancel of it has returned 0; and when
 * nothing moves any more, and there was no stop, no task is left whose time has come, and no job.
 */
#define NEVER 255
#define LAST 4 /* the clock ends here */

mtype = { FREE, PLANNED, DUE, RUNNING };

byte now = 1;
bool stop, wake;

/* Under the lock of the tasks. */
mtype state[2] = FREE;
byte key[2];
bool cancelled[2];
chan line = [2] of { byte };
byte planned = NEVER; /* also read without it */

byte jobs; /* under the crew's lock */

/* Only for the proofs. */
byte inside[2];
bool gone[2]; /* a cancel has returned 0 */

inline plan(t, at, sooner)
{
	state[t] = PLANNED;
	key[t] = at;
	sooner = key[t] < planned;
	if
	:: sooner -> planned = key[t]
	:: else
	fi
}

inline wake_if(sooner)
{
	if
#ifndef MUTANT_PLANS_QUIETLY
	:: sooner -> wake = true
#endif
	:: else
	fi
}

inline line_up(t)
{
	if
	:: state[t] == PLANNED && key[t] <= now ->
		state[t] = DUE;
		line!t;
		count++;
		if
		:: t == 0 && now + 1 < next -> next = now + 1 /* its period is 1 */
		:: else
		fi
	:: state[t] == PLANNED && key[t] > now && key[t] < next -> next = key[t]
	:: else
	fi
}

active proctype keeper()
{
	byte due = NEVER;
	byte count, next;
end:
	do
	:: stop -> break
	:: atomic { wake || now >= due;
#ifndef MUTANT_WAKE_EMPTIED_LATE
		wake = false;
#endif
		due = planned }
		if
		:: atomic { stop -> break }
		:: atomic { !stop && now < due -> skip }
		:: atomic { !stop && now >= due -> count = 0; next = NEVER };
#ifdef MUTANT_OFFERS_FIRST
			atomic {
				if
				:: state[0] == PLANNED && key[0] <= now -> jobs++
				:: else
				fi;
				if
				:: state[1] == PLANNED && key[1] <= now -> jobs++
				:: else
				fi
			}
#endif
			atomic {
				line_up(0);
				line_up(1);
#ifndef MUTANT_PLANNED_SET_LATE
				planned = next;
#endif
			}
#ifdef MUTANT_PLANNED_SET_LATE
			planned = next;
#endif
			due = next;
#ifndef MUTANT_OFFERS_FIRST
			atomic { jobs = jobs + count; count = 0 }
#endif
		fi
#ifdef MUTANT_WAKE_EMPTIED_LATE
		wake = false
#endif
	od
}

active [2] proctype worker()
{
	byte t;
	bool sooner, mine;
end:
	do
	:: atomic { jobs > 0 -> jobs--; mine = false }
		atomic {
			if
			:: stop || len(line) == 0
			:: else ->
				line?t;
				if
				:: cancelled[t] -> cancelled[t] = false; state[t] = FREE
				:: else ->
					assert(!gone[t]);
					mine = true;
					key[t] = now; /* the latest of its times */
#ifdef MUTANT_PLANNED_WHILE_IT_RUNS
					if
					:: t == 0 -> plan(t, now + 1, sooner); wake_if(sooner)
					:: else -> state[t] = RUNNING
					fi
#else
					state[t] = RUNNING
#endif
				fi
			fi
		}
		if
		:: mine ->
			atomic { inside[t]++; assert(inside[t] == 1) }
			inside[t]--;
			atomic {
				sooner = false;
				if
				:: state[t] != RUNNING /* only in a mutant */
				:: state[t] == RUNNING && (cancelled[t] || t == 1) ->
					cancelled[t] = false;
					state[t] = FREE
				:: else -> plan(t, key[t] + 1, sooner)
				fi
			}
			wake_if(sooner)
		:: !mine
		fi
	od
}

active proctype program()
{
	bool sooner;
	atomic { plan(0, now + 1, sooner) }
	wake_if(sooner);
	atomic { plan(1, now, sooner) }
	wake_if(sooner)
}

active proctype canceller()
{
	byte t;
	if
	:: t = 0
	:: t = 1
	fi
	atomic {
		if
		:: state[t] == PLANNED -> state[t] = FREE; gone[t] = true
		:: state[t] == DUE ->
#ifndef MUTANT_CANCEL_FORGETS_THE_LINE
			cancelled[t] = true;
#endif
			gone[t] = true
		:: state[t] == RUNNING -> cancelled[t] = true
		:: else
		fi
	}
}

active proctype stopper()
{
	if
	:: stop = true; wake = true
	:: skip
	fi
}

active proctype clock()
{
	do
	:: now < LAST -> now++
	:: else -> break
	od
}

active proctype proof()
{
end:
	timeout;
	assert(stop || (jobs == 0 && len(line) == 0));
	assert(stop || !(state[0] == PLANNED && key[0] <= now));
	assert(stop || !(state[1] == PLANNED && key[1] <= now));
	assert(state[0] != RUNNING && state[1] != RUNNING)
}
