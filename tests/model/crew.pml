/* SPDX-License-Identifier: MIT */
/*
 * Which thread does what: who polls, the ready list and the later list, the idle stack, who is woken and
 * when, the thread limit, threads that cannot be made, leaving and being joined; the keeper: its watch
 * over those who are stuck, and that it makes the threads; and the stand-in, which polls for them.
 *
 * What claim.pml has shown is used here, and not shown again: parking is one step, after which the
 * next request makes an event, and an event leads to one claim.
 *
 * Everything that is done under the crew lock is one atomic step; this is what a lock is for, and it
 * says that nobody waits for the lock for ever. What is done after the lock has been released (bells
 * rung, threads woken and made, the keeper asked) is a step of its own.
 *
 * Handlers: each may return, may block for ever (FOREVER of them, so that somebody is left), or may
 * wait for the next request in mts_client_next, for ever too when none comes. The hook for new threads
 * may block for ever too, and so may a destructor, when a thread has left. The keeper may take a handler that only takes its time for stuck; one that
 * blocks for ever it must.
 *
 * served: under weak fairness, each request is handled in the end, but for those of a client whose
 * handler never returns; unless as many handlers never return as there may be threads.
 * polled: what epoll has to say is heard in the end, whatever the handlers do.
 */

#ifndef LIMIT
#define LIMIT 2 /* threads at once */
#endif
#define SLOTS LIMIT
#ifndef FOREVER
#define FOREVER 1 /* handlers that never return */
#endif
#ifndef HOOK_FIRST
#define HOOK_FIRST 0 /* a new thread goes through a hook before it may take a client */
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0 /* how often a worker is tired of waiting */
#endif
#ifndef REQUESTS
#define REQUESTS 1 /* of the first client; the second sends one */
#endif
#define REQUESTS_OF(c) (1 + (c == 0) * (REQUESTS - 1))
#ifndef FAILURES
#define FAILURES 0 /* how often a thread cannot be made */
#endif
#ifndef WIDEST
#define WIDEST 1
#endif
#ifndef NUDGES
#define NUDGES 0 /* how often the keeper appends a parked client, as it does at a stop */
#endif
#ifndef LATERS
#define LATERS 0 /* how often a client has had enough for one turn */
#endif
#ifndef BLOCKING
#define BLOCKING 0 /* whether handlers may be known to wait mostly */
#endif
#ifndef NEXT
#define NEXT 1 /* whether handlers may call mts_client_next */
#endif
#ifndef QUIET
#define QUIET 2 /* how many may poll while the watchdog sleeps */
#endif
#define CLIENTS 2

#define FREE 0
#define ACTIVE 1
#define LONG 2
#define AWAY 3

/* Under the crew lock. */
chan ready = [CLIENTS] of { byte };
chan later = [CLIENTS] of { byte };
byte pollers;
bool rung, stand_in;
byte idle[SLOTS];
byte idle_count;
byte waking, n_active, n_long, threads, leaving_now;
byte n_left;          /* of the threads: they have left, and are not joined */
bool asked;           /* the keeper has been asked to make a thread */
byte width = 1;
bool blocking;
bool hooked[SLOTS]; /* on its way, in the hook for new threads */
byte hooking;
bool given[SLOTS]; /* in that hook still, and given up */
byte n_given;
bool lacking; /* a thread could not be made lately */
byte standing[SLOTS];
bool asleep, armed; /* the watchdog */

/* Each worker's. */
bool used[SLOTS];    /* there is such a thread */
bool begun[SLOTS];   /* and it runs */
bool waiting[SLOTS]; /* for its signal, */
bool kicked[SLOTS];  /* which has come */
bool coming[SLOTS];  /* sent for; only for the proofs */
bool stuck[SLOTS];   /* in a callback that never returns */
bool ended[SLOTS];   /* the kernel's: it can be joined */
bool called; /* the stand-in, by its signal */

/* The kernel's. */
bool bell, wake;
bool timer, rings; /* the alarm: it is set; it has rung, and nobody has read that */
bool event[CLIENTS];

/* The clients'. */
bool parked[CLIENTS] = true;
byte sent[CLIENTS];
byte pending[CLIENTS];
bool lost[CLIENTS]; /* behind a handler that never returns */
bool owed[CLIENTS]; /* has been nudged, or has had enough: a turn is due */

byte forever = FOREVER;
byte timeouts = TIMEOUTS;
byte failures = FAILURES;
byte nudges = NUDGES;
byte laters = LATERS;

/* Only for the proofs. */
byte in_poll;
bool started, stands_in, heard;
byte held; /* workers in a callback that may never return */

#define DONE(c) (sent[c] == REQUESTS_OF(c) && ((pending[c] == 0 && !owed[c]) || lost[c]))
#ifdef POLLED
ltl polled { []<> (!event[0] && !event[1]) }
#else
ltl served { []<> ((DONE(0) && DONE(1)) || held == LIMIT) }
#endif

#if LIMIT == 1
#define SUM(what) (what(0))
#define ANY(what) (what(0))
#elif LIMIT == 2
#define SUM(what) (what(0) + what(1))
#define ANY(what) (what(0) || what(1))
#else
#define SUM(what) (what(0) + what(1) + what(2))
#define ANY(what) (what(0) || what(1) || what(2))
#endif

#define IS_ACTIVE(i) (standing[i] == ACTIVE)
#define IS_LONG(i) (standing[i] == LONG)
#define IS_COMING(i) coming[i]
#define STUCK_IN_HOOK(i) (hooked[i] && stuck[i])
#define HOOK_STUCK ANY(STUCK_IN_HOOK)
#define HAS_ENDED(i) ended[i]

#if SLOTS == 1
#define ON_STACK(i) (idle_count > 0 && idle[0] == i)
#elif SLOTS == 2
#define ON_STACK(i) ((idle_count > 0 && idle[0] == i) || (idle_count > 1 && idle[1] == i))
#else
#define ON_STACK(i) ((idle_count > 0 && idle[0] == i) || (idle_count > 1 && idle[1] == i) \
	|| (idle_count > 2 && idle[2] == i))
#endif

#define MAY_MAKE (threads < LIMIT && !lacking)
#define MAY_GO (threads - n_left - leaving_now > 1)
#define CALM (stand_in || (pollers > 0 && len(ready) == 0 && len(later) == 0))
#ifdef NEEDLESS
#define NONE_COMES (waking == hooking && (n_given > 0 || (waking == 0 && idle_count == 0 && !MAY_MAKE)))
#else
#define NONE_COMES (waking == hooking && (hooking + n_given > 0 || (idle_count == 0 && !MAY_MAKE)))
#endif
#define AWAITED (waking - (idle_count > 0 -> hooking : 0)) /* one that rests could come sooner */
#ifdef MUTANT_HUNG_HOOKS_BREED
#define TO_POLL (pollers == 0)
#else
#define TO_POLL (pollers == 0 && (idle_count > 0 || n_given == 0))
#endif
#ifdef MUTANT_HOOKS_BREED_A_SECOND
#define WORTH_IT true
#else
#define WORTH_IT (n_active + pollers == 0 || idle_count > 0 || n_given == 0)
#endif
#define NEEDED (AWAITED == 0 && n_active + pollers < width && WORTH_IT && (len(ready) > 0 || TO_POLL))

#define MAY_SLEEP (asleep && !lacking && n_left == 0) /* else it does not sleep for ever */

#define ENOUGH (asleep -> 1 : width) /* the alarm is set for the one */

/* What holds whenever somebody gets the lock. */
#define SOUND d_step { \
	assert(n_active == SUM(IS_ACTIVE) && n_long == SUM(IS_LONG) && in_poll == pollers); \
	assert(waking <= hooking + 1 && waking == SUM(IS_COMING)); \
	assert(threads <= LIMIT && leaving_now + n_left <= threads); \
	assert(!(pollers > 0 && !stands_in && len(ready) > 0 && !rung)); /* relieve has left nothing */ \
	assert(!(NEEDED && (idle_count > 0 || (MAY_MAKE && !asked)) && started)); \
	assert(!(asleep && n_active + n_long > 0 && pollers == 0 && !armed)); \
	assert(!(asleep && hooking > 0 && pollers == 0 && !armed)); \
	assert(!(armed && !timer && !rings && !heard)) }

/* What is left to do when the lock has been released. */
#define RING 1
#define WAKE 2
#define ASK 4
#define STAND_IN 8

/* Under the lock. What is to be done after it goes to `todo` and `whom`. */
inline relieve()
{
	d_step {
		if
#ifndef MUTANT_NO_BELL
		:: pollers > 0 && !rung && len(ready) > 0 ->
			rung = true;
			todo = todo | RING
#endif
		:: else
		fi;
		if
#ifdef MUTANT_NOBODY_SENT_TO_POLL
		:: NEEDED && (len(ready) > 0 || !started) ->
#else
		:: NEEDED ->
#endif
			if
			:: idle_count > 0 ->
				idle_count--;
				whom = idle[idle_count];
				idle[idle_count] = 0;
				todo = todo | WAKE;
				coming[whom] = true;
				waking++
			:: idle_count == 0 && MAY_MAKE ->
				todo = todo | (asked -> 0 : ASK);
				asked = true
			:: idle_count == 0 && !MAY_MAKE
			fi
		:: else
		fi;
		if
		:: pollers == 0 && !stand_in && n_active < ENOUGH && NONE_COMES -> todo = todo | STAND_IN
		:: else
		fi
	}
}

/* Under the lock: if somebody is counted on, and nobody polls. */
inline watch_over()
{
	d_step {
		if
		:: asleep && !armed && pollers == 0 && n_active + n_long + hooking > 0 -> armed = true; timer = true; rings = false
		:: else
		fi
	}
}

inline stand(i, as)
{
	d_step {
		n_active = n_active - (standing[i] == ACTIVE) + (as == ACTIVE);
		n_long = n_long - (standing[i] == LONG) + (as == LONG);
		standing[i] = as
	}
}

/* Under the lock: through the hook, or given up. */
inline come(i)
{
	d_step {
		if
		:: hooked[i] -> hooked[i] = false; coming[i] = false; hooking--; waking--
		:: given[i] -> given[i] = false; n_given--
		:: else
		fi
	}
}

inline begin_stint()
{
	if
	:: blocking -> stand(me, AWAY)
	:: else ->
		stand(me, ACTIVE);
#ifndef MUTANT_NEVER_ARMS
		watch_over()
#endif
	fi
}

/* Without the lock: rings, wakes, makes. */
inline carry_out()
{
	d_step {
		if
		:: todo & RING -> bell = true
		:: else
		fi;
		if
		:: todo & WAKE ->
#ifdef MUTANT_CONDITION_FREED
			assert(used[whom] && !ended[whom]); /* the signal is in memory of the thread's own */
#endif
			kicked[whom] = waiting[whom] /* somebody who does not wait looks in any case */
		:: else
		fi;
#ifndef MUTANT_ASKS_QUIETLY
		if
		:: todo & ASK -> wake = true
		:: else
		fi;
#endif
		if
		:: todo & STAND_IN -> called = !stand_in /* else it does not wait */
		:: else
		fi;
		todo = 0;
		whom = 0
	}
}

/* Under the lock, the keeper: decides on a thread. */
inline hire()
{
	asked = false;
	relieve();
	if
	:: todo & ASK ->
		assert((len(ready) > 0 && n_active + pollers == 0) || n_given == 0); /* it would hang in that hook as well */
		asked = false;
		todo = todo & (RING | WAKE | STAND_IN);
		make = 0;
		do
		:: used[make] -> make++
		:: else -> break
		od;
		used[make] = true;
		coming[make] = true;
		threads++;
		waking++
	:: else
	fi
}

/* Under the lock: mtsi_stint_step_aside. */
inline step_aside()
{
#ifdef MUTANT_AWAY_TWICE
	n_active--;
	standing[me] = AWAY;
#else
	if /* else the keeper was here first, or it has waited before in this stint */
	:: standing[me] == ACTIVE || standing[me] == LONG -> stand(me, AWAY)
	:: else
	fi;
#endif
#ifndef MUTANT_GOES_AWAY_QUIETLY
	relieve()
#endif
}

inline unlink_idle()
{
	d_step {
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
}

/* What epoll has to say. */
inline claim_all()
{
	d_step {
		if
		:: event[0] -> event[0] = false; first = parked[0]; parked[0] = false
		:: else
		fi;
		if
		:: event[1] -> event[1] = false; second = parked[1]; parked[1] = false
		:: else
		fi
	}
}

inline append_found()
{
	d_step {
		if
		:: first -> ready!0
		:: else
		fi;
		if
		:: second -> ready!1
		:: else
		fi;
		first = false;
		second = false
	}
}

inline join_later()
{
	d_step {
		do
		:: len(later) > 0 -> later?c; ready!c
		:: else -> break
		od;
		c = 0
	}
}

proctype worker(byte me)
{
	byte c, at, todo, whom;
	bool timed_out, first, second, enough;

end_unborn:
	atomic { begun[me] -> skip };
arrive:
	atomic {
		SOUND;
		if
		:: len(ready) > 0 ->
			ready?c;
			owed[c] = false;
			coming[me] = false;
#ifndef MUTANT_ARRIVAL_NOT_COUNTED
			waking--;
#endif
			begin_stint();
			relieve();
			goto takes
#if HOOK_FIRST
		:: true -> /* on demand, with a hook */
#else
		:: len(ready) == 0 ->
#endif
			hooked[me] = true;
			hooking++;
#ifndef NEEDLESS
			watch_over();
#endif
#ifndef MUTANT_HOOKS_QUIETLY
			relieve() /* somebody who rests could come sooner */
#endif
		fi
	};
	carry_out();
	/* The hook, with no client; it may return. */
	if
	:: true
	:: atomic { forever > 0 -> forever--; stuck[me] = true; held++ } goto end_forever
	fi;
	atomic {
		SOUND;
#ifdef MUTANT_COMES_TWICE
		hooked[me] = true;
#endif
		come(me);
look_again: /* whoever comes here has the lock */
		if
		:: len(ready) > 0 ->
			ready?c;
			owed[c] = false;
			begin_stint();
#ifndef MUTANT_TAKES_QUIETLY
			relieve();
#endif
			if
			:: todo == 0 -> goto turn
			:: else -> goto takes
			fi
		:: len(ready) == 0 && pollers < width ->
			pollers++;
			in_poll++;
#ifndef MUTANT_RUNG_FOR_EVER
			rung = false;
#endif
#ifndef MUTANT_LATER_WAITS_FOR_EVENTS
			enough = len(later) > 0; /* it does not wait */
#endif
			if
			:: armed && n_active + n_long == 0 -> armed = false; timer = false; rings = false
			:: true /* requests come close together, or it is not armed */
			fi;
			goto polls
#ifndef MUTANT_LATER_LEFT
		:: len(ready) == 0 && pollers >= width && len(later) > 0 -> join_later(); goto look_again
		:: len(ready) == 0 && pollers >= width && len(later) == 0 ->
#else
		:: len(ready) == 0 && pollers >= width ->
#endif
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
	atomic { bell || event[0] || event[1] || enough -> claim_all() };
#ifndef MUTANT_BELL_EMPTIED_BEFORE
empties_bell:
	bell = false;
#endif
returns:
	atomic {
		SOUND;
		enough = false;
		pollers--;
		in_poll--;
#ifndef MUTANT_RUNG_FOR_EVER
		rung = false;
#endif
#if QUIET > 1
		if
		:: asleep && width == 1 && (first || second) -> width = QUIET; wake = true
		:: true
		fi;
#endif
#ifdef MUTANT_KEEPS_BATCH
		if
		:: first ->
			first = false;
			c = 0;
			begin_stint();
			goto turn
		:: else
		fi;
#endif
		append_found();
		join_later();
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
		:: timed_out && MAY_GO ->
			timed_out = false;
			if
			:: ON_STACK(me) -> unlink_idle()
			:: else
			fi;
			leaving_now++;
			goto leaves
#endif
		:: !ON_STACK(me) -> /* sent for, even if its time is up as well */
			timed_out = false;
			coming[me] = false;
			waking--;
			goto look_again
		:: ON_STACK(me) && timed_out && MAY_GO ->
			timed_out = false;
			unlink_idle();
			leaving_now++;
			assert(threads - n_left - leaving_now > 0); /* one always stays */
			goto leaves
		:: ON_STACK(me) && !(timed_out && MAY_GO) ->
			timed_out = false;
			waiting[me] = true;
			goto waits
		fi
	};

leaves: /* the end hook, which returns; then */
	atomic {
		SOUND;
		assert(!coming[me]); /* who is sent for does not leave */
		leaving_now--;
		n_left++
	};
	wake = true;
gone: /* through the destructors, if they return */
	if
	:: atomic { begun[me] = false; ended[me] = true; goto end_unborn }
	:: atomic { forever > 0 -> forever--; stuck[me] = true; held++ } goto end_forever
	fi;

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
	:: atomic { laters > 0 -> pending[c]--; laters--; enough = true; goto finishes }
	:: atomic { forever > 0 -> forever--; stuck[me] = true; lost[c] = true; held++ }
#if NEXT
	:: atomic { pending[c]--; goto next }
#endif
	fi;
end_forever:
	false;

next: /* mts_client_next, when nothing is there at once */
	if
	:: atomic { pending[c] > 0 -> goto handler }
	:: atomic { pending[c] == 0 -> step_aside() }
	fi;
	carry_out();
next_blocks:
	held++;
end_next:
	atomic { pending[c] > 0 -> held-- };
	goto handler;

finishes:
	atomic {
		SOUND;
		if
		:: enough -> later!c; owed[c] = true
		:: else
		fi;
		enough = false;
		stand(me, FREE);
		c = 0;
#ifdef MUTANT_RESTS_AFTER_TURN
		if
		:: pollers > 0 || len(ready) > 0 -> goto rests
		:: else
		fi;
#endif
		goto look_again
	}
}

proctype keeper()
{
	byte i, todo, whom, make = LIMIT;
	bool rang, alone;

tick:
	/* mtsi_threads_join */
	atomic {
		if
		:: ANY(HAS_ENDED) ->
			d_step {
				do
				:: i < SLOTS && ended[i] -> ended[i] = false; used[i] = false; threads--; n_left--; i++
				:: i < SLOTS && !ended[i] -> i++
				:: else -> break
				od;
				i = 0
			};
#ifndef MUTANT_JOINS_QUIETLY
			relieve()
#endif
		:: else
		fi;
		if
		:: todo == 0 -> goto reads_alarm
		:: else
		fi
	};
	carry_out();
	/* mtsi_watchdog_look */
reads_alarm:
	atomic {
		if
		:: rings || timer -> rings = false; timer = false; rang = true; heard = true
		:: !rings
		fi
	};
look:
	atomic {
		SOUND;
		if
		:: asleep && !rang ->
#if QUIET > 1
			if
			:: width > 1 -> /* a lull */
				width = 1;
				bell = bell || pollers > 1
			:: true
			fi;
#endif
			goto staffs
		:: else
		fi;
		if
#ifdef MUTANT_FLAG_LEFT_ARMED
		:: asleep -> asleep = false
#else
		:: asleep -> asleep = false; armed = false
#endif
		:: else
		fi;
		rang = false;
		heard = false;
		do
		:: i == SLOTS -> break
#ifdef MUTANT_KEEPER_SPARES_BUSY
		:: i < SLOTS && standing[i] == ACTIVE && stuck[i] -> i++ /* for ever, but it uses CPU */
#else
		:: i < SLOTS && standing[i] == ACTIVE && stuck[i] -> stand(i, AWAY); i++
		:: i < SLOTS && standing[i] == ACTIVE && stuck[i] -> stand(i, LONG); i++
#endif
		:: i < SLOTS && standing[i] == ACTIVE && !stuck[i] -> i++
		:: i < SLOTS && standing[i] == ACTIVE && !stuck[i] -> stand(i, AWAY); i++
		:: i < SLOTS && standing[i] == ACTIVE && !stuck[i] -> stand(i, LONG); i++
		:: i < SLOTS && standing[i] == LONG -> stand(i, AWAY); i++
		:: i < SLOTS && standing[i] == LONG -> i++
		:: i < SLOTS && (standing[i] == FREE || standing[i] == AWAY) -> i++
		od;
		i = 0;
#ifndef MUTANT_HOOK_NOT_GIVEN_UP
		if
		:: hooking > 0 -> /* long enough; one that never returns is given up in the end */
			do
			:: i < SLOTS && hooked[i] -> come(i); given[i] = true; n_given++; i++
			:: i < SLOTS && !hooked[i] -> i++
			:: else -> break
			od;
			i = 0
		:: hooking == 0 || (hooking > 0 && !HOOK_STUCK)
		fi;
#endif
		if
		:: width = 1
#if WIDEST > 1
		:: width = WIDEST
#endif
		fi;
#if BLOCKING
		if
		:: blocking = false
		:: blocking = true
		fi;
#endif
#if NUDGES
		if
		:: nudges > 0 && parked[0] -> nudges--; parked[0] = false; owed[0] = true; ready!0
		:: nudges == 0 || !parked[0]
		:: nudges > 0
		fi;
#endif
#ifdef MUTANT_KEEPER_MARKS_QUIETLY
		if
		:: started
		:: else -> relieve()
		fi;
#else
		relieve();
#endif
		started = true;
#ifdef MUTANT_SLEEPS_BY_OLD_NEWS
		alone = n_active + n_long == 0 && waking == 0 && !asked && CALM
	};
	atomic {
		if
		:: alone ->
#elif defined(MUTANT_SLEEPS_WHILE_COUNTED_ON)
		if
		:: waking == 0 && !asked && CALM ->
#elif defined(MUTANT_SLEEPS_DURING_HOOK)
		if
		:: n_active + n_long == 0 && CALM ->
#elif defined(NEEDLESS)
		if
		:: n_active + n_long == 0 && waking == 0 && !asked ->
#else
		if
		:: n_active + n_long == 0 && waking == 0 && !asked && CALM ->
#endif
			asleep = true;
			width = (len(ready) == 0 -> QUIET : 1);
			blocking = false
		:: true /* requests have come, or it cannot */
		fi;
		alone = false;
		if
		:: todo == 0 -> goto staffs
		:: else
		fi
	};
	carry_out();
staffs: /* mtsi_hire */
	atomic {
		SOUND;
		if
		:: lacking || asked -> lacking = false; hire()
		:: else
		fi;
		if
		:: todo == 0 && make == LIMIT && MAY_SLEEP -> goto end_sleeps
		:: todo == 0 && make == LIMIT && !MAY_SLEEP -> goto clears
		:: else
		fi
	};
	carry_out();
	atomic {
		if
		:: make == LIMIT
		:: make < LIMIT -> begun[make] = true; make = LIMIT
#if FAILURES
		:: make < LIMIT && failures > 0 -> /* none could be had; the lock is taken again to say so */
			failures--;
			used[make] = false;
			coming[make] = false;
			make = LIMIT;
			threads--;
			waking--;
			lacking = true;
			relieve()
#endif
		fi;
		if
		:: todo == 0 && MAY_SLEEP -> goto end_sleeps
		:: todo == 0 && !MAY_SLEEP -> goto clears
		:: else
		fi
	};
	carry_out();
	goto clears;
end_sleeps:
	atomic {
		if
		:: wake || rings
		:: timer -> timer = false; rings = true
		fi
	};
clears:
	atomic { wake = false; goto tick }
}

/* Under the lock: whether the stand-in is needed. */
inline look_whether_needed()
{
#ifdef MUTANT_NOBODY_STANDS_IN
	stand_in = false;
#else
	stand_in = pollers == 0 && NONE_COMES && n_active < ENOUGH;
#endif
	called = false;
	if
	:: stand_in -> goto end_sleeps
	:: else -> goto end_waits
	fi
}

/* The stand-in. */
proctype deputy()
{
	byte todo, whom;
	bool first, second;

end_waits:
	atomic { called -> SOUND; look_whether_needed() };
end_sleeps: /* outside of epoll, which it watches; then poll_for_workers, whose poll does not wait */
	atomic {
		bell || event[0] || event[1] ->
		SOUND;
		if
		:: pollers == 0 ->
#ifdef MUTANT_COUNTED_ON_TO_STAND_IN
			pollers++;
			in_poll++;
			stands_in = true
		:: else
		fi
	};
	atomic {
		if
		:: stands_in ->
			stands_in = false;
			pollers--;
			in_poll--;
			watch_over();
#endif
			bell = false;
			claim_all();
			rung = false;
			append_found();
#ifndef MUTANT_STANDS_IN_QUIETLY
			relieve()
#endif
		:: else
		fi;
		if
		:: todo == 0 -> look_whether_needed()
		:: else
		fi
	};
	carry_out();
	atomic { SOUND; look_whether_needed() }
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
		run deputy();
		run peer(0);
		run peer(1);
		run worker(0);
#if SLOTS > 1
		run worker(1);
#endif
#if SLOTS > 2
		run worker(2);
#endif
	}
}
