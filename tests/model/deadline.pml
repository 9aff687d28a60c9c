/* SPDX-License-Identifier: MIT */
/*
 * Deadlines: the word that says what a client is waited for, `armed`, the heap, and the keeper.
 *
 * One client, whose owner parks it or blocks in the wait, again and again, as input comes; with OUTPUT its
 * output gets stuck at some time, for good, and it cannot end before that is given up; the keeper;
 * somebody who shortens a timeout; and a clock that runs at any speed until every wait is overdue. So a
 * deadline that is missed is a run that ends with the client still waiting, which spin
 * reports as an end that is none. The heap of one client is its key.
 *
 * The clock may also jump over a deadline while everybody stands still, as when the process is stopped:
 * what has come in time must not be unread when the client ends, nor thrown away. With SLEEPS a receive
 * is not woken by what has come (SO_RCVLOWAT); then the keeper spares the client once, not for ever.
 */

#ifndef INPUTS
#define INPUTS 1
#endif
#ifndef CHANGES
#define CHANGES 1
#endif
#ifndef OUTPUT
#define OUTPUT 0
#endif
#ifndef SLEEPS
#define SLEEPS 0
#endif
#ifndef PARTS
#define PARTS (!CHANGES) /* what comes need not be all of a request */
#endif
#define NEVER 255

#define NOTHING 0
#define IDLE 1
#define REQUEST 2

byte now;
byte latest; /* when the latest wait has begun */
byte last[3]; /* how long a wait of each kind may last */

/* The word; each touch of it is one step. */
byte kind = NOTHING;
byte since;
bool blocked;
bool expired;
bool noted;           /* LOOKS: the keeper has found something there, and spared it */

byte stuck = NEVER;   /* since when its output is stuck */
bool lost;            /* it was cut off for that */
bool over;            /* the client is gone */
#define PATIENCE 2

byte armed = NOTHING;
byte key = NEVER;     /* of the client in the heap */
byte planned = NEVER; /* when the keeper wakes by itself */
bool locked;          /* the deadlines' lock */
bool wake;            /* the keeper has been woken */
bool changed;         /* a timeout has */

bool owned = true;
bool again;
bool ready;           /* claimed, and in the ready list */
bool input;           /* has arrived, and is unread */
bool in_time;         /* ... before the deadline of what it was waited for */
bool shut;            /* the receiving side */

/* Claims it, or leaves AGAIN: claim.pml looks closer. */
inline claim()
{
	atomic {
		if
		:: !owned -> owned = true; ready = true
		:: else -> again = true
		fi
	}
}

inline lock()
{
	atomic { !locked -> locked = true }
}

/* Unless it is known to be there early enough. */
inline arm()
{
	if
	:: !known ->
		atomic {
			!locked;
			if :: s + last[k] < key -> key = s + last[k] :: else fi;
			armed = k;
			sooner = s + last[k] < planned;
			if :: sooner -> planned = s + last[k] :: else fi
		}
#ifndef MUTANT_ARMS_QUIETLY
		atomic { if :: sooner -> wake = true :: else fi; sooner = false }
#endif
	:: else
	fi;
	known = false
}

proctype worker()
{
	byte k;
	byte s;
	bool known;
	bool sooner;
	bool got; /* a receive has returned it */

turn:
	again = false;
	/* Receives; mtsi_deadline_met: the word is nobody's then. Or it is not yet the whole request. */
	atomic {
		if
		:: input || got ->
			input = false; in_time = false; got = false;
			if
			:: kind = NOTHING
			:: PARTS && kind == REQUEST -> skip
			fi
		:: else
		fi
	}
	/* What it is waited for now: the same as before, unless something has come. */
	atomic {
		if
		:: kind == NOTHING -> s = now; latest = now; if :: k = IDLE :: k = REQUEST fi
		:: else -> k = kind; s = since
		fi
	}
	/* mtsi_deadline_wait, mtsi_deadline_block: too late already? */
	if
	:: s + last[k] <= now -> goto late
	:: else
	fi;
	if
	:: goto park
	:: goto block
	fi;

park:
#ifdef MUTANT_ARMED_READ_FIRST
	known = (armed == k);
#endif
	atomic { kind = k; since = s; blocked = false; expired = false; noted = false }
#ifndef MUTANT_ARMED_READ_FIRST
	known = (armed == k);
#endif
	arm();

	atomic {
		if
		:: !again -> owned = false
		:: else -> goto turn
		fi
	}
	atomic { ready -> ready = false }
	goto turn;

block:
	atomic { kind = k; since = s; blocked = true; expired = false; noted = false }
	known = (armed == k);
	arm();
	atomic {
		(shut || (input && !SLEEPS));
		got = input;
		input = false;
		in_time = false
	}
	/* mtsi_deadline_unblock */
	atomic {
		blocked = false;
		if
		:: lost -> got = false; goto ended
		:: expired && !lost -> goto late
		:: else -> assert(!shut)
		fi
	}
	goto turn;

	/*
	 * mtsi_receive_late: what is here by now is taken. Who is not marked was in time if that is what was
	 * waited for.
	 */
late:
#ifndef MUTANT_ENDS_WITHOUT_TAKING
	atomic {
		if
		:: input -> input = false; in_time = false; got = true
		:: else
		fi
	}
#endif
#ifndef MUTANT_THROWS_AWAY
	atomic {
		if
		:: got && !expired -> /* it is whole, or not */
			got = false;
			if
			:: kind = NOTHING; goto turn
			:: PARTS -> skip
			fi
		:: else -> got = false /* is served, as the last one */
		fi
	}
#endif

ended:
	assert(lost || now >= s + last[k]);
	assert(lost || !(input && in_time)); /* nothing that came in time is left behind, */
	assert(!got); /* and nothing that was received is thrown away */
	kind = NOTHING;
wait_for_output:
	again = false;
	if
	:: stuck == NEVER || lost -> goto gone
	:: else
	fi;
	atomic {
		if
		:: !again -> owned = false
		:: else -> goto wait_for_output
		fi
	}
	atomic { ready -> ready = false }
	goto wait_for_output;
gone:
	over = true
}

/* mtsi_deadline_output_locked, by who sends. It does not happen to one that is gone: that has no socket. */
proctype sender()
{
	bool sooner;
	if
	:: atomic { !over -> stuck = now; latest = now };
		atomic {
			!locked;
			if :: stuck + PATIENCE < key -> key = stuck + PATIENCE :: else fi;
			sooner = stuck + PATIENCE < planned;
			if :: sooner -> planned = stuck + PATIENCE :: else fi
		}
		atomic { if :: sooner -> wake = true :: else fi; sooner = false }
	:: skip
	fi
}

/* reckon_locked: `due` is what it comes to. */
inline reckon(at)
{
	key = NEVER;
#ifdef MUTANT_WORD_READ_FIRST
	atomic { k = kind; s = since; x = expired }
#endif
#ifndef MUTANT_ARMED_LEFT
	armed = NOTHING;
#endif
#ifndef MUTANT_WORD_READ_FIRST
	atomic { k = kind; s = since; x = expired }
#endif
	due = (k == NOTHING || x -> NEVER : s + last[k]);
	if
	:: stuck != NEVER && !lost && stuck + PATIENCE < due -> due = stuck + PATIENCE
	:: else
	fi;
	if
	:: due > at && due != NEVER -> key = due; armed = (k == NOTHING || x -> NOTHING : k)
	:: else
	fi
}

proctype keeper()
{
	byte k;
	byte s;
	byte due;
	byte alarm = NEVER; /* when this sleep ends */
	byte looked; /* the time, as this round has read it */
	bool x;
	bool b;
	bool z;

end_asleep:
	do
	:: wake || alarm <= now ->
		wake = false;
		looked = now;
		if
		:: changed ->
			changed = false;
			lock();
			reckon(0);
			locked = false
		:: else
		fi;
		do
		:: lock();
			if
			:: key <= looked ->
				reckon(looked);
				if
				:: due <= looked -> /* seems to be overdue */
					locked = false;
					claim();
					/* expire_wait_locked, under the client's lock */
					atomic { k = kind; s = since; b = blocked; x = expired; z = noted }
					if
					:: b && !x && s + last[k] <= looked ->
						/* spare_locked */
#ifdef MUTANT_MARKS_WITHOUT_LOOK
						z = false;
#else
#ifdef MUTANT_SPARES_FOR_EVER
						z = input;
#else
						z = !CHANGES && input && !z; /* which is another matter */
#endif
#endif
						if
						:: z ->
							atomic {
								if
								:: kind == k && since == s && blocked && !expired -> noted = true
								:: else
								fi
							}
#ifndef MUTANT_SPARES_QUIETLY
							atomic {
								!locked;
								if :: looked + 1 < key -> key = looked + 1 :: else fi;
								armed = k
							}
#endif
							goto spared
						:: else
						fi;
						atomic {
							if
#ifdef MUTANT_EXPIRES_BLINDLY
							:: true ->
#else
							:: kind == k && since == s && blocked && !expired ->
#endif
								assert(blocked && now >= since + last[kind]);
								assert(noted || !(input && in_time));
								expired = true;
								b = true
							:: else -> b = false
							fi
						}
						if :: b -> shut = true :: else fi
					:: else
					fi;
spared:
					skip;
#if OUTPUT > 0
					/* expire_output_locked, rearm_locked: under the client's lock too. */
					if
					:: stuck != NEVER && !lost && stuck + PATIENCE <= looked ->
						assert(now >= stuck + PATIENCE);
						lost = true;
						shut = true;
						claim()
					:: else
					fi;
#ifndef MUTANT_REARM_FORGOTTEN
					lock();
					if
					:: stuck != NEVER && !lost && stuck + PATIENCE < key ->
						key = stuck + PATIENCE
					:: else
					fi;
					locked = false
#endif
#endif
				:: else -> locked = false
				fi
			:: else ->
				atomic {
					planned = key;
					alarm = key;
					locked = false;
					k = 0; s = 0; due = 0; looked = 0; x = false; b = false; z = false;
					break
				}
			fi
		od
	od
}

proctype peer()
{
	byte sent;
	do
	:: atomic {
			sent < INPUTS && !input ->
			input = true;
			in_time = !CHANGES && kind != NOTHING && now < since + last[kind]
		}
		claim(); sent++
	:: break
	od
}

proctype setter()
{
	last[IDLE] = 1;
	changed = true;
#ifndef MUTANT_CHANGES_QUIETLY
	wake = true
#endif
}

proctype clock()
{
end_late:
	do
	:: now < latest + 2 || (SLEEPS && key != NEVER && now < key && now < 20) -> now++
	od
}

init
{
	atomic {
		/* What is to be changed is longer than anything here lasts. */
		last[IDLE] = (CHANGES -> 100 : 2);
		last[REQUEST] = 1;
		run worker();
		run keeper();
		run peer();
#if CHANGES > 0
		run setter();
#endif
#if OUTPUT > 0
		run sender();
#endif
		run clock()
	}
}
