/* SPDX-License-Identifier: MIT */
/*
 * The limit of threads, changed while the crew serves: `over`, and workers that leave because of it.
 *
 * Three workers at most, on demand: one that polls, those that serve, and those that rest; requests that
 * epoll tells of; the keeper, which makes and joins threads, and finds out who waits; and somebody who
 * sets the limit, up or down. A handler returns at once, or waits for a while; FOREVER of them do for
 * ever. What crew.pml has shown of waking, of hooks and of the watch is not shown again.
 *
 * What is done under the crew's lock is one step. When nothing moves any more all requests are handled,
 * unless as many handlers as there may be threads never return; and there are no more workers than the
 * limit, but for those.
 */

#ifndef REQUESTS
#define REQUESTS 3
#endif
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef FOREVER
#define FOREVER 0
#endif
#ifndef TIRED
#define TIRED 0 /* how often a worker has rested for long */
#endif
#define WORKERS 3

/* Under the crew's lock. */
byte limit = WORKERS;
byte over;        /* so many are to leave */
byte ready;       /* clients in the line */
byte pollers;
byte n_active;      /* in a stint, and counted on */
byte waking;
byte threads;     /* that run, begin, or have left and are not joined */
byte leaving_now;
byte left;
bool rung, asked;
bool resting[WORKERS];
bool counted[WORKERS]; /* it is one of the active ones */

/* Each worker's. */
bool used[WORKERS];
bool begun[WORKERS];
bool waiting[WORKERS]; /* for its signal, */
bool kicked[WORKERS];  /* which has come */

/* The kernel's. */
byte event;
bool bell, wake;

byte forever = FOREVER;
byte tired = TIRED;

/* Only for the proofs. */
byte sent, handled, held;
byte changes;

#define PRESENT (threads - left - leaving_now)
#define MAY_GO (PRESENT > 1)
#define ONE_IS_OVER (over > 0 && MAY_GO)
#define MAY_MAKE (threads < limit)
#define NEEDED (waking == 0 && n_active + pollers < 1 && (ready > 0 || pollers == 0))
#define RESTS (resting[0] || resting[1] || resting[2])

#define SOUND d_step { \
	assert(over == (PRESENT > limit -> PRESENT - limit : 0)); \
	assert(n_active == counted[0] + counted[1] + counted[2]); \
	assert(!(NEEDED && (RESTS || (MAY_MAKE && !asked)))) }

#define RING 1
#define WAKE 2
#define ASK 4

/* Under the lock. */
inline relieve()
{
	d_step {
		if
		:: pollers > 0 && !rung && ready > 0 -> rung = true; todo = todo | RING
		:: else
		fi;
		if
		:: NEEDED && RESTS ->
			whom = (resting[0] -> 0 : (resting[1] -> 1 : 2));
			resting[whom] = false;
			waking++;
			todo = todo | WAKE
		:: NEEDED && !RESTS && MAY_MAKE ->
			todo = todo | (asked -> 0 : ASK);
			asked = true
		:: else
		fi
	}
}

/* Without it. */
inline carry_out()
{
	d_step {
		if
		:: todo & RING -> bell = true
		:: else
		fi;
		if
		:: todo & WAKE -> kicked[whom] = waiting[whom] /* else it looks in any case */
		:: else
		fi;
		if
		:: todo & ASK -> wake = true
		:: else
		fi;
		todo = 0;
		whom = 0
	}
}

inline count_on(i, yes)
{
	n_active = n_active + (yes && !counted[i]) - (!yes && counted[i]);
	counted[i] = yes
}

/* Under the lock. */
inline decides_to_leave()
{
	assert(PRESENT > 1); /* one always stays */
	leaving_now++;
#ifndef MUTANT_STAYS_OVER
	over = over - (over > 0);
#endif
#ifndef MUTANT_LEAVES_QUIETLY
	relieve();
#endif
	goto leaves
}

proctype worker(byte me)
{
	byte todo, whom, found;
	bool enough;

end_unborn:
	atomic {
		begun[me] ->
		SOUND;
		waking--;
		if
		:: ready > 0 -> ready--; count_on(me, true); relieve(); goto serves /* arrive, even if it is over */
		:: else
		fi;
look_again: /* whoever comes here has the lock */
		if
		:: ONE_IS_OVER -> decides_to_leave()
		:: else
		fi;
		if
		:: ready > 0 -> ready--; count_on(me, true); relieve(); goto serves
		:: ready == 0 && pollers == 0 -> pollers++; rung = false; goto polls
		:: ready == 0 && pollers > 0 -> resting[me] = true; waiting[me] = true; goto waits
		fi
	};

polls:
end_polls:
	atomic { bell || event > 0 -> found = event; event = 0 };
	bell = false;
	atomic {
		SOUND;
		pollers--;
		rung = false;
		ready = ready + found;
		found = 0;
		goto look_again
	};

waits:
end_waits:
	atomic {
		if
		:: kicked[me] -> enough = false
		:: tired > 0 -> tired--; enough = true
		fi;
		kicked[me] = false;
		waiting[me] = false
	};
	atomic {
		SOUND;
		if
		:: !resting[me] -> enough = false; waking--; goto look_again
		:: resting[me] && (enough || over > 0) && MAY_GO ->
			enough = false;
			resting[me] = false;
			decides_to_leave()
		:: else -> enough = false; waiting[me] = true; goto waits
		fi
	};

serves:
	carry_out();
	if /* the handler */
	:: true
	:: atomic { count_on(me, false); relieve() } carry_out() /* waits, and returns in the end */
	:: atomic { forever > 0 -> forever--; held++; count_on(me, false); relieve() } carry_out(); goto end_forever
	fi;
	atomic {
		SOUND;
		handled++;
		if
#ifndef MUTANT_GOES_ON_SERVING
		:: ONE_IS_OVER -> count_on(me, false); decides_to_leave()
		:: !ONE_IS_OVER && ready > 0 ->
#else
		:: ready > 0 ->
#endif
			assert(!ONE_IS_OVER);
			ready--;
			count_on(me, true);
			relieve();
			goto serves
#ifndef MUTANT_GOES_ON_SERVING
		:: !ONE_IS_OVER && ready == 0 ->
#else
		:: ready == 0 ->
#endif
			count_on(me, false);
			goto look_again
		fi
	};
end_forever:
	false;

leaves:
	carry_out();
	atomic { leaving_now--; left++; begun[me] = false };
	wake = true;
	goto end_unborn
}

proctype keeper()
{
	byte todo, whom, make = WORKERS;

end_sleeps:
	atomic { wake -> wake = false };
	/* mtsi_threads_join */
	atomic {
		threads = threads - left;
		left = 0;
		used[0] = begun[0];
		used[1] = begun[1];
		used[2] = begun[2];
#ifndef MUTANT_JOINS_QUIETLY
		relieve()
#endif
	};
	carry_out();
	/* mtsi_hire */
	atomic {
		SOUND;
		if
		:: asked ->
			asked = false;
#ifdef MUTANT_MADE_BY_OLD_NEWS
			todo = ASK;
#else
			relieve();
#endif
			if
			:: todo & ASK ->
				assert(threads < limit);
				asked = false;
				todo = todo & (RING | WAKE);
				make = (!used[0] -> 0 : (!used[1] -> 1 : 2));
				used[make] = true;
				threads++;
				waking++
			:: else
			fi
		:: else
		fi
	};
	carry_out();
	atomic {
		if
		:: make < WORKERS -> begun[make] = true; make = WORKERS
		:: else
		fi
	};
	goto end_sleeps
}

/* Under the lock: those that rest look whether they are to leave. */
inline disturb()
{
	d_step {
		kicked[0] = kicked[0] || (resting[0] && waiting[0]);
		kicked[1] = kicked[1] || (resting[1] && waiting[1]);
		kicked[2] = kicked[2] || (resting[2] && waiting[2])
	}
}

/* mtsi_crew_set_max_threads */
proctype setter()
{
	byte todo, whom;
	do
	:: changes < CHANGES ->
		atomic {
			SOUND;
			changes++;
			if
			:: limit = 1
			:: limit = 2
			:: limit = 3
			fi;
#ifdef MUTANT_COUNTS_WHO_LEAVES
			over = (threads > limit -> threads - limit : 0);
#else
			over = (PRESENT > limit -> PRESENT - limit : 0);
#endif
			if
#ifndef MUTANT_DISTURBS_NOBODY
			:: over > 0 -> disturb()
#endif
#ifndef MUTANT_RAISED_QUIETLY
			:: over == 0 -> relieve()
#endif
			:: else
			fi
		};
		carry_out()
	:: changes == CHANGES -> break
	od
}

proctype peers()
{
	do
	:: atomic { sent < REQUESTS -> sent++; event++ }
	:: sent == REQUESTS -> break
	od
}

proctype at_rest()
{
end_rest:
	(timeout && changes == CHANGES && sent == REQUESTS) ->
	assert(PRESENT <= limit + held);
	assert((handled + held == REQUESTS && ready == 0 && event == 0) || held >= limit)
}

init
{
	atomic {
		used[0] = true;
		begun[0] = true;
		threads = 1;
		waking = 1;
		run worker(0);
		run worker(1);
		run worker(2);
		run keeper();
		run setter();
		run peers();
		run at_rest()
	}
}
