/* SPDX-License-Identifier: MIT */
/*
 * Which thread does what: the poller, the ready list, the idle stack, who is woken and when, the
 * thread limit, leaving, and the keeper that relieves those who are stuck.
 *
 * What claim.pml has shown is used here, and not shown again: parking is one step, after which the
 * next request makes an event, and an event leads to one claim.
 *
 * Everything that is done under the crew lock is one atomic step; this is what a lock is for, and it
 * says that nobody waits for the lock for ever. What is done after the lock has been released (bells
 * rung, threads woken and made) is a step of its own.
 *
 * Handlers: each may return, may block for ever (FOREVER of them, so that somebody is left), or may
 * wait for the next request in mts_client_next, for ever too when none comes. The keeper may take a
 * handler that only takes its time for stuck; one that blocks for ever it must.
 *
 * served: under weak fairness, each request is handled in the end, but for those of a client whose
 * handler never returns; unless as many handlers never return as there may be threads.
 */

#ifndef LIMIT
#define LIMIT 2 /* threads at once */
#endif
#define SLOTS (LIMIT + 1) /* a thread that has counted itself out may still be there */
#ifndef FOREVER
#define FOREVER 1 /* handlers that never return */
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 1 /* how often a worker is tired of waiting */
#endif
#ifndef REQUESTS
#define REQUESTS 2 /* of the first client; the second sends one */
#endif
#define REQUESTS_OF(c) (1 + (c == 0) * (REQUESTS - 1))
#ifndef FAILURES
#define FAILURES 0 /* how often a thread cannot be made */
#endif
#ifndef WIDEST
#define WIDEST 2
#endif
#ifndef NUDGES
#define NUDGES 0 /* how often the keeper appends a parked client, as it does at a stop */
#endif
#define CLIENTS 2
#define NOBODY 255

/* Under the crew lock. */
chan ready = [CLIENTS] of { byte };
bool polling, rung;
byte idle[SLOTS];
byte idle_count;
byte waking, n_active, threads;
byte width = 1;
bool serving[SLOTS]; /* in a turn */
bool away[SLOTS];
bool asleep, armed; /* the keeper; what is known of its timer while it sleeps */

/* Each worker's. */
bool used[SLOTS];    /* there is such a thread */
bool begun[SLOTS];   /* and it runs */
bool waiting[SLOTS]; /* for its condition, */
bool kicked[SLOTS];  /* which has been signalled */
bool stuck[SLOTS];   /* in a handler that never returns */

/* The kernel's. */
bool bell, timer;
bool event[CLIENTS];

/* The clients'. */
bool parked[CLIENTS] = true;
byte sent[CLIENTS];
byte pending[CLIENTS];
bool lost[CLIENTS]; /* behind a handler that never returns */
bool owed[CLIENTS]; /* has been nudged: a turn is due */
bool short_of_threads;

byte forever = FOREVER;
byte timeouts = TIMEOUTS;
byte failures = FAILURES;
byte nudges = NUDGES;

/* Only for the proofs. */
byte in_poll;
bool started;
byte held; /* workers in a handler that may never return */

#define DONE(c) (sent[c] == REQUESTS_OF(c) && ((pending[c] == 0 && !owed[c]) || lost[c]))
ltl served { []<> ((DONE(0) && DONE(1)) || held == LIMIT) }

#define ON_STACK(i) ((idle_count > 0 && idle[0] == i) || (idle_count > 1 && idle[1] == i) \
	|| (SLOTS > 2 && idle_count > 2 && idle[2] == i))
/* Of the rules, some turned out to be needless: without all of them, everything holds as well. */
#ifdef NEEDLESS
#define THREADS_ENOUGH true
#else
#define THREADS_ENOUGH (threads > 1)
#endif

#define COUNTED(i) (serving[i] && !away[i])

#if LIMIT == 1
#define COUNT_ACTIVE (COUNTED(0) + COUNTED(1))
#elif LIMIT == 2
#define COUNT_ACTIVE (COUNTED(0) + COUNTED(1) + COUNTED(2))
#else
#define COUNT_ACTIVE (COUNTED(0) + COUNTED(1) + COUNTED(2) + COUNTED(3))
#endif

/* What holds whenever somebody gets the lock. */
#define SOUND assert(n_active == COUNT_ACTIVE && in_poll == polling && waking <= 1 && threads <= LIMIT); \
	assert(!(polling && len(ready) > 0 && !rung)); /* there was nothing left for relieve to do */ \
	assert(!(waking == 0 && n_active + polling < width && (len(ready) > 0 || !polling) \
		&& (idle_count > 0 || threads < LIMIT) && !short_of_threads && !(polling && rung) && started))

/* What is left to do when the lock has been released. */
#define RING 1
#define WAKE 2
#define MAKE 4

/* Under the lock. What is to be done after it goes to `todo` and `whom`. */
inline relieve()
{
	if
#ifndef MUTANT_NO_BELL
	:: polling && len(ready) > 0 && !rung ->
		rung = true;
		todo = todo | RING
#endif
	:: else ->
		if
#ifdef MUTANT_NOBODY_SENT_TO_POLL
		:: waking == 0 && n_active + polling < width && (len(ready) > 0 || !started) ->
#else
		:: waking == 0 && n_active + polling < width && (len(ready) > 0 || !polling) ->
#endif
			if
			:: idle_count > 0 ->
				idle_count--;
				whom = idle[idle_count];
				idle[idle_count] = 0;
				todo = todo | WAKE;
				waking++
			:: idle_count == 0 && threads < LIMIT ->
				whom = 0;
				do
				:: used[whom] -> whom++
				:: else -> break
				od;
				used[whom] = true;
				threads++;
				todo = todo | MAKE;
				waking++
			:: idle_count == 0 && threads >= LIMIT
			fi
		:: else
		fi
	fi
}

/* Under the lock: a client has come, or help is missing. */
inline arm()
{
	if
	:: asleep && !armed -> armed = true; timer = true
	:: else
	fi
}

/* Without the lock: rings, wakes, makes. */
inline carry_out()
{
	if
	:: todo & RING -> bell = true
	:: else
	fi;
	atomic {
		if
		:: todo & WAKE ->
#ifdef MUTANT_CONDITION_FREED
			assert(used[whom]); /* the condition is in memory of the thread's own */
#endif
			kicked[whom] = waiting[whom] /* somebody who does not wait looks in any case */
		:: todo & MAKE ->
			if
			:: begun[whom] = true
			:: failures > 0 -> /* none could be had; the lock is taken again to say so */
				failures--;
				used[whom] = false;
				threads--;
				waking--;
				short_of_threads = true; /* relieve tries again at the next tick at the latest */
#ifndef MUTANT_FAILURE_NOT_ARMED
				arm()
#endif
			fi
		:: else
		fi;
		todo = 0;
		whom = 0
	}
}

/* Under the lock: about to block in one of the library's own calls. */
inline go_away()
{
#ifdef MUTANT_AWAY_TWICE
	away[me] = true;
	n_active--;
#else
	if
	:: !away[me] -> away[me] = true; n_active--
	:: else /* the keeper was here first */
	fi;
#endif
#ifndef MUTANT_GOES_AWAY_QUIETLY
	relieve()
#endif
}

inline unlink_idle()
{
	do
	:: idle[at] != me -> at++
	:: else -> break
	od;
	do
	:: at + 1 < idle_count -> idle[at] = idle[at + 1]; at++
	:: else -> break
	od;
	at = 0;
	idle_count--;
	idle[idle_count] = 0
}

proctype worker(byte me)
{
	byte c, at, todo, whom;
	bool arrived, timed_out, first, second, old_news;

end_unborn:
	atomic { begun[me] -> arrived = true }

look:
	atomic {
		SOUND;
		if
		:: arrived ->
			arrived = false;
#ifndef MUTANT_ARRIVAL_NOT_COUNTED
			waking--
#endif
		:: else
		fi;
look_again:
		if
		:: len(ready) > 0 ->
			ready?c;
			owed[c] = false;
			n_active++;
			serving[me] = true;
#ifndef MUTANT_TAKES_QUIETLY
			relieve();
#endif
			goto takes
		:: len(ready) == 0 && !polling ->
			polling = true;
			in_poll++;
			if
#ifdef NEEDLESS
			:: asleep && armed -> armed = false; timer = false
#else
			:: asleep && armed && n_active == 0 -> armed = false; timer = false
#endif
			:: true /* it may, and it need not */
			fi;
			goto polls
		:: len(ready) == 0 && polling ->
rests:
			idle[idle_count] = me;
			idle_count++;
			waiting[me] = true;
			goto waits
		fi
	};

polls:
#ifdef MUTANT_BELL_EMPTIED_BEFORE
	bell = false;
#endif
end_polls:
	atomic {
		bell || event[0] || event[1] ->
claims:
		if
		:: event[0] -> event[0] = false; first = parked[0]; parked[0] = false
		:: else
		fi;
		if
		:: event[1] -> event[1] = false; second = parked[1]; parked[1] = false
		:: else
		fi
	};
#ifndef MUTANT_BELL_EMPTIED_BEFORE
empties_bell:
	bell = false;
#endif
#ifdef MUTANT_ARMS_BY_OLD_NEWS
	old_news = asleep;
#endif
returns:
	atomic {
		SOUND;
		polling = false;
		in_poll--;
#ifndef MUTANT_RUNG_FOR_EVER
		rung = false;
#endif
#ifndef MUTANT_NEVER_ARMS
		if
#ifdef MUTANT_ARMS_BY_OLD_NEWS
		:: (first || second) && old_news -> arm()
#else
		:: first || second -> arm()
#endif
		:: else
		fi;
#endif
		old_news = false;
#ifdef MUTANT_KEEPS_BATCH
		if
		:: first ->
			first = false;
			c = 0;
			n_active++;
			serving[me] = true;
			goto turn
		:: else
		fi;
#endif
		if
		:: first -> ready!0
		:: else
		fi;
		if
		:: second -> ready!1
		:: else
		fi;
		first = false;
		second = false;
		goto look_again
	};

waits:
end_waits:
	atomic {
		if
		:: kicked[me] -> kicked[me] = false
		:: timeouts > 0 -> timeouts--; timed_out = true
		fi;
		waiting[me] = false
	};
wakes:
	atomic {
		SOUND;
		kicked[me] = false;
		if
#ifdef MUTANT_LEAVES_WITHOUT_LOOKING
		:: timed_out && threads > 1 ->
			timed_out = false;
			if
			:: ON_STACK(me) -> unlink_idle()
			:: else
			fi;
			goto leaves
#endif
		:: !ON_STACK(me) -> /* sent for, even if its time is up as well */
			timed_out = false;
			arrived = true;
			goto look
		:: ON_STACK(me) && timed_out && THREADS_ENOUGH ->
			timed_out = false;
			unlink_idle();
leaves:
			threads--;
#ifndef NEEDLESS
			relieve();
#endif
			goto left
		:: ON_STACK(me) && !(timed_out && THREADS_ENOUGH) ->
			timed_out = false;
			waiting[me] = true;
			goto waits
		fi
	};

left:
	carry_out();
gone:
	atomic { begun[me] = false; used[me] = false; goto end_unborn };

takes:
	carry_out();
turn:
	if
	:: atomic {
		pending[c] == 0 ->
#ifdef MUTANT_KEEPS_BATCH
		if
		:: second -> parked[c] = true; second = false; c = 1; goto turn
		:: else
		fi;
#endif
		parked[c] = true; goto finishes }
	:: atomic { pending[c] > 0 }
	fi;
handler:
	if
	:: atomic { pending[c]--; goto turn }
	:: atomic { forever > 0 -> forever--; stuck[me] = true; lost[c] = true; held++ }
	:: atomic { pending[c]--; goto next }
	fi;
end_forever:
	false;

next: /* mts_client_next, when nothing is there at once */
	if
	:: atomic { pending[c] > 0 -> goto handler }
	:: atomic { pending[c] == 0 -> go_away() }
	fi;
	carry_out();
next_blocks:
	held++;
end_next:
	atomic { pending[c] > 0 -> held-- };
comes_back:
	atomic { SOUND; away[me] = false; n_active++; goto handler };

finishes:
	atomic {
		SOUND;
		if
		:: away[me] -> away[me] = false
		:: else -> n_active--
		fi;
		serving[me] = false;
		c = 0;
#ifdef MUTANT_DISARMS_AFTER_TURN
		if
		:: asleep && armed -> armed = false; timer = false
		:: else
		fi;
#endif
#ifdef MUTANT_RESTS_AFTER_TURN
		if
		:: polling || len(ready) > 0 -> goto rests
		:: else
		fi;
#endif
		goto look_again
	}
}

proctype keeper()
{
	byte i, todo, whom;
	bool quiet;

tick:
	atomic {
		SOUND;
		do
#ifdef MUTANT_KEEPER_SPARES_BUSY
		:: i < SLOTS && COUNTED(i) && stuck[i] -> i++ /* for ever, but it uses CPU */
#else
		:: i < SLOTS && COUNTED(i) && stuck[i] -> away[i] = true; n_active--; i++
#endif
		:: i < SLOTS && COUNTED(i) && !stuck[i] -> i++
		:: i < SLOTS && COUNTED(i) && !stuck[i] -> away[i] = true; n_active--; i++
		:: i < SLOTS && !COUNTED(i) -> i++
		:: i == SLOTS -> break
		od;
		i = 0;
		if
		:: width = 1
		:: width = WIDEST
		fi;
		if
		:: nudges > 0 && parked[0] -> nudges--; parked[0] = false; owed[0] = true; ready!0
		:: nudges == 0 || !parked[0]
		:: nudges > 0
		fi;
		short_of_threads = false;
#ifdef MUTANT_KEEPER_MARKS_QUIETLY
		if
		:: started
		:: else -> relieve()
		fi;
#else
		relieve();
#endif
		started = true;
		quiet = n_active == 0 && len(ready) == 0;
#ifdef MUTANT_SLEEPS_BY_OLD_NEWS
	};
	atomic {
#endif
		if
		:: quiet ->
			quiet = false;
			asleep = true;
#ifndef MUTANT_FLAG_LEFT_ARMED
			armed = false;
#endif
			timer = false
		:: else
		fi
	};
	carry_out();
	if
	:: asleep
	:: else -> goto tick
	fi;
end_sleeps:
	timer;
fires:
	atomic {
		asleep = false;
#ifndef MUTANT_FLAG_LEFT_ARMED
		armed = false;
#endif
		timer = false;
		goto tick
	}
}

proctype peer(byte c)
{
	do
	:: atomic {
		sent[c] < REQUESTS_OF(c) ->
		sent[c]++;
		pending[c]++;
		event[c] = event[c] || parked[c]
	}
	:: sent[c] == REQUESTS_OF(c) -> break
	od
}

init
{
	atomic {
		run keeper();
		run peer(0);
		run peer(1);
		run worker(0);
		run worker(1);
#if SLOTS > 2
		run worker(2);
#endif
#if SLOTS > 3
		run worker(3);
#endif
	}
}
