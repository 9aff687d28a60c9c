/* SPDX-License-Identifier: MIT */
/*
 * A client's own timeout, which its owner changes while the keeper looks (timeouts.c), and a change of the
 * server's meanwhile, which reaches those that have none of their own.
 *
 * One client, which is parked until its next request, again and again; its owner, which changes the
 * timeout in some of its turns; somebody who changes the server's; the keeper; and a clock that runs at
 * any speed until all is overdue. What deadline.pml has shown of the word, of waits that block and of
 * input that is late is not shown again; what is done under the deadlines' lock is one step. With OUTPUT it is the client's output that is waited for, and
 * whose timeout is changed: that wait goes on while the owner has its turn.
 */

#ifndef INPUTS
#define INPUTS 1
#endif
#ifndef OWNS
#define OWNS 1 /* how often the owner changes its own */
#endif
#ifndef CHANGES
#define CHANGES 1 /* of the server's */
#endif
#ifndef OUTPUT
#define OUTPUT 0
#endif
#define NEVER 255
#define SHORT 1
#define LONG 3

#define NOTHING 0
#define IDLE 1

byte now;
byte server = LONG;  /* the server's timeout */
byte own;            /* the client's, which is used where there is one; 0: none */
#ifdef MUTANT_SERVER_REACHES_ALL
#define TIMEOUT server
#else
#define TIMEOUT (own -> own : server)
#endif
#define RIGHT (own -> own : server)

byte kind = NOTHING; /* the client's word: what for, and since when */
byte since;
byte stuck = NEVER;  /* since when its output is */
bool lost;           /* it was cut off for that */
bool over;

byte armed = NOTHING;
byte key = NEVER;
byte alarm = NEVER;  /* when the keeper wakes by itself */
bool locked; /* the client's lock */
bool wake, changed;

bool owned = true;
bool again, ready, input;

inline claim()
{
	d_step {
		if
		:: !owned -> owned = true; ready = true
		:: else -> again = true
		fi
	}
}

/* mtsi_deadline_arm; what is due was computed before. */
inline arm(due, what)
{
	d_step {
		key = (due < key -> due : key);
		armed = (what == NOTHING -> armed : what);
		wake = wake || due < alarm
	}
}

/* reckon_locked: `due` is what it comes to. */
inline reckon(at)
{
	key = NEVER;
#ifndef MUTANT_ARMED_LEFT
	armed = NOTHING;
#endif
	due = (kind == NOTHING || OUTPUT -> NEVER : since + TIMEOUT);
	due = (stuck != NEVER && !lost && stuck + TIMEOUT < due -> stuck + TIMEOUT : due);
	if
	:: due > at && due != NEVER -> key = due; armed = (OUTPUT -> armed : kind)
	:: else
	fi
}

proctype owner()
{
	byte s, due, owns;

turn:
	again = false;
	atomic {
		if
		:: lost -> goto ends
		:: input && !lost ->
			input = false;
			kind = NOTHING
		:: else -> goto waits
		fi
	};
	if /* mtsi_timeout_set, in the handler */
	:: owns < OWNS ->
		owns++;
#ifndef MUTANT_CHANGED_WITHOUT_LOCK
		atomic { !locked -> locked = true };
#endif
		if
		:: own = SHORT
		:: own = LONG
		:: own = 0
		fi;
		d_step {
#ifndef MUTANT_CHANGES_QUIETLY
			/* mtsi_deadline_changed_locked */
			reckon(0);
#ifndef MUTANT_WAKES_NOBODY
			wake = wake || key < alarm;
#endif
			due = 0;
#endif
			locked = false
		}
	:: true
	fi;

waits:
	atomic {
		if
		:: kind == NOTHING -> s = now
		:: else -> s = since
		fi
	};
#if OUTPUT == 0
	atomic {
		if
		:: kind == IDLE && s + TIMEOUT <= now -> assert(now >= s + RIGHT); goto ends
		:: else
		fi
	};
	d_step { kind = IDLE; since = s };
	if
	:: atomic { armed != IDLE -> due = s + TIMEOUT }
		arm(due, IDLE)
	:: atomic { armed == IDLE }
	fi;
#endif
	atomic {
		s = 0;
		due = 0;
		if
		:: !again -> owned = false
		:: else -> goto turn
		fi
	};
end_parked:
	atomic { ready -> ready = false };
	goto turn;

ends:
	over = true
}

/* mtsi_deadline_output_locked, by who sends. */
proctype sender()
{
	byte due;
end_too_late:
	atomic { !locked && !over -> locked = true };
	atomic { stuck = now; due = stuck + TIMEOUT };
	arm(due, NOTHING);
	locked = false
}

proctype keeper()
{
	byte due, looked;

end_asleep:
	atomic { wake || alarm <= now -> wake = false; looked = now };
	if
	:: atomic { changed -> changed = false }
		atomic { !locked -> reckon(0) } /* mtsi_deadline_reckon */
	:: atomic { !changed }
	fi;
	do
	:: atomic {
			key <= looked ->
			reckon(looked); /* mtsi_deadline_next_overdue */
			if
			:: due <= looked
			:: else -> goto again_
			fi
		};
#if OUTPUT == 0
		claim();
#endif
		/* expire: seems to be overdue; under the client's lock */
		atomic {
			!locked -> locked = true;
			if
			:: OUTPUT && stuck != NEVER && !lost && stuck + TIMEOUT <= looked ->
				assert(now >= stuck + RIGHT);
				lost = true;
				claim()
			:: else
			fi
		};
		/* rearm_locked */
		due = (kind == NOTHING || OUTPUT -> NEVER : since + TIMEOUT);
		if
		:: due > looked && due != NEVER -> arm(due, IDLE)
		:: else
		fi;
		due = (stuck != NEVER && !lost -> stuck + TIMEOUT : NEVER);
		if
		:: due > looked && due != NEVER -> arm(due, NOTHING)
		:: else
		fi;
		d_step { locked = false; due = 0 };
again_:
		skip
	:: atomic { key > looked -> alarm = key; due = 0; looked = 0; goto end_asleep }
	od
}

proctype peer()
{
	byte sent;
	do
	:: sent < INPUTS ->
end_full:
		atomic { !input -> input = true; sent++; claim() }
	:: break
	od
}

proctype setter()
{
	server = SHORT;
	changed = true;
#ifndef MUTANT_SERVER_CHANGES_QUIETLY
	wake = true
#endif
}

proctype clock()
{
end_late:
	do
	:: (OUTPUT && stuck != NEVER && now <= stuck + RIGHT) || (!OUTPUT && now <= since + RIGHT) -> now++
	od
}

proctype at_rest()
{
end_rest:
	timeout;
	assert(over || (OUTPUT && stuck == NEVER))
}

init
{
	atomic {
		run owner();
		run keeper();
		run peer();
#if CHANGES > 0
		run setter();
#endif
#if OUTPUT > 0
		run sender();
#endif
		run clock();
		run at_rest()
	}
}
