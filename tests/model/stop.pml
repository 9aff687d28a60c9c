/* SPDX-License-Identifier: MIT */
/*
 * The stop: each client ends once, each thread leaves, and then the memory is freed, not before.
 *
 * Two slots: one with a client that is parked, one that a connection may still come to, which waits at
 * the listener. Two workers at most, of which one may have to be made, and one may get tired of
 * resting. The crew is that of crew.pml, only that any number may be at work at once, so that the
 * keeper has nobody to relieve: here it has no tick, and what is to wake it has to wake it.
 *
 * Handlers return, but may wait in mts_client_next first, for ever if the peer says nothing; or in a read
 * of what belongs to their request, which a stop leaves alone: each peer sends that in the end. (Its
 * deadline, and the cut that it brings, are not in here.)
 *
 * With GRACE clients have time for one more request each before that, and then end; ENDS says whether that
 * time is over some day. Without ENDS each peer sends such a request.
 *
 * destroy does not join the workers in here: that they touch nothing after having counted themselves
 * out is to be shown. Nothing goes round for ever, which run.sh has checked too, so that it is enough
 * to look at the end of each run.
 */

#define WORKERS 2 /* also the thread limit */
#define CLIENTS 2

#ifndef TIMEOUTS
#define TIMEOUTS 1 /* how often a worker is tired of resting */
#endif
#define READERS 1 /* clients whose handler may read, the first of them */
#ifndef PEERS
#define PEERS 2 /* clients that send something */
#endif

#ifndef GRACE
#define GRACE 0
#endif
#ifndef ENDS
#define ENDS 1
#endif

#define OWNED 1
#define AGAIN 2

/* The server's memory, descriptors included: each access says so. */
bool memory = true;
#define TOUCH assert(memory)

bool asked;    /* for a stop */
bool stopping; /* the same, or that its grace is over */
byte stoppers; /* in mtsi_lifecycle_stop */
bool wake; /* the keeper's eventfd */
bool listener_lock, listener_open = true;
#if GRACE && !ENDS && PEERS < 2
byte backlog; /* nobody who would send nothing */
#else
byte backlog = 1;
#endif

/* Clients. */
byte claim[CLIENTS];
bool vacant[CLIENTS];
bool open[CLIENTS];
bool told[CLIENTS];   /* `ends`: that no further request is waited for */
bool had[CLIENTS];    /* it has been given a request in the grace */
bool awaits[CLIENTS]; /* its word says that its owner blocks until a request comes */
byte clients = 1;

/* The kernel's. */
bool data[CLIENTS];
bool body[CLIENTS]; /* what belongs to a request that came */
bool shut[CLIENTS]; /* the receiving side is shut down */
bool registered[CLIENTS];
bool edge[CLIENTS];
bool bell;

/* Under the crew lock. */
chan ready = [CLIENTS] of { byte };
byte pollers;
bool rung, dismissed;
bool idle[WORKERS]; /* on the idle stack */
byte waking, threads, leaving_now;

/* Each worker's. */
bool used[WORKERS], begun[WORKERS], waiting[WORKERS], kicked[WORKERS];

byte timeouts = TIMEOUTS;

/* Only for the proofs. */
byte born = 1;
byte ended[CLIENTS];
bool keeper_ended;

#ifndef WIDTH
#define WIDTH 1 /* how many may poll at once */
#endif

#define RING 1
#define WAKE 2
#define MAKE 4

#ifdef MUTANT_RELIEF_WHEN_DISMISSED
#define NEEDED (waking == 0 && (len(ready) > 0 || pollers == 0))
#else
#define NEEDED (waking == 0 && (len(ready) > 0 || (pollers == 0 && !dismissed)))
#endif

inline relieve()
{
	d_step {
		if
		:: pollers > 0 && len(ready) > 0 && !rung -> rung = true; todo = todo | RING
		:: else
		fi;
		if
		:: NEEDED && idle[0] -> idle[0] = false; whom = 0; todo = todo | WAKE; waking++
		:: NEEDED && idle[1] && !idle[0] -> idle[1] = false; whom = 1; todo = todo | WAKE; waking++
		:: NEEDED && !idle[0] && !idle[1] && threads < WORKERS && !(used[0] && used[1]) ->
			whom = used[0];
			used[whom] = true;
#ifndef MUTANT_COUNTED_LATE
			threads++;
#endif
			todo = todo | MAKE;
			waking++
		:: else
		fi
	}
}

/* Without the lock. */
inline carry_out()
{
	d_step {
		if
		:: todo != 0 -> TOUCH
		:: else
		fi;
		if
		:: todo & RING -> bell = true
		:: else
		fi;
		if
		:: todo & WAKE -> kicked[whom] = waiting[whom]
		:: todo & MAKE -> begun[whom] = true
		:: else
		fi;
		todo = 0;
		whom = 0
	}
}

inline mtsi_claim(c, won)
{
	d_step {
		TOUCH;
		won = !(claim[c] & OWNED);
		if
		:: won -> claim[c] = OWNED; assert(!vacant[c])
		:: else -> claim[c] = claim[c] | AGAIN
		fi
	}
}

inline receive()
{
	d_step {
		TOUCH;
		assert(open[c] && !vacant[c] && (claim[c] & OWNED));
		got = data[c];
		data[c] = false;
		eof = !got && shut[c]
	}
}

inline look_at_stopping()
{
	d_step { TOUCH; seen = stopping }
}

proctype worker(byte me)
{
	byte c, todo, whom;
	bool arrived, timed_out, got, eof, seen, won, first, second, knock, last, deaf;

end_unborn:
	atomic { begun[me] -> arrived = true };
#ifdef MUTANT_COUNTED_LATE
	atomic { TOUCH; threads++ };
#endif

look:
	atomic {
		TOUCH;
		waking = waking - arrived;
		arrived = false;
		assert(waking <= WORKERS && threads <= WORKERS);
		if
		:: len(ready) > 0 -> ready?c; relieve(); goto takes
		:: len(ready) == 0 && pollers < WIDTH && !dismissed -> pollers++; goto polls
		:: len(ready) == 0 && dismissed ->
			leaving_now++;
#ifndef MUTANT_ONE_POLLER_IS_LEFT
			bell = bell || pollers > 0;
#endif
			goto leaves
		:: len(ready) == 0 && pollers >= WIDTH && !dismissed ->
			idle[me] = true;
			waiting[me] = true;
			goto waits
		fi
	};

polls:
	atomic {
		bell || edge[0] || edge[1] || (listener_open && backlog > 0) ->
		TOUCH;
		bell = false;
		first = edge[0];
		second = edge[1];
		edge[0] = false;
		edge[1] = false;
		knock = listener_open && backlog > 0
	};
	if
	:: first -> mtsi_claim(0, won); first = won
	:: else
	fi;
	if
	:: second -> mtsi_claim(1, won); second = won
	:: else
	fi;
	won = false;
	if
	:: knock
	:: else -> goto returns
	fi;
#ifndef MUTANT_NO_LISTENER_LOCK
	atomic { !listener_lock -> TOUCH; listener_lock = true };
#endif
	if
	:: listener_open ->
accepts:	atomic {
			TOUCH;
			assert(listener_open); /* accept on a descriptor that is closed, or another by now */
			backlog--;
			vacant[1] = false;
			claim[1] = OWNED;
			open[1] = true;
			clients++;
			born++;
			second = true
		}
	:: else
	fi;
#ifndef MUTANT_NO_LISTENER_LOCK
	atomic { TOUCH; listener_lock = false };
#endif

returns:
	atomic {
		TOUCH;
		knock = false;
		pollers--;
		rung = false;
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
		goto look
	};

waits:
	atomic {
		if
		:: kicked[me]
		:: timeouts > 0 -> timeouts--; timed_out = true
		fi;
		TOUCH;
		kicked[me] = false;
		waiting[me] = false
	};
wakes:
	atomic {
		TOUCH;
		kicked[me] = false;
		if
		:: !idle[me] -> timed_out = false; arrived = true; goto look
		:: idle[me] && (dismissed || (timed_out && threads - leaving_now > 1)) ->
			timed_out = false;
			idle[me] = false;
			leaving_now++;
			goto leaves
		:: idle[me] && !dismissed && !(timed_out && threads - leaving_now > 1) ->
			timed_out = false;
			waiting[me] = true;
			goto waits
		fi
	};

leaves: /* the end hook; and then */
	atomic {
		TOUCH;
		threads--;
		leaving_now--;
		relieve();
		begun[me] = false
	};
#ifdef MUTANT_TOUCHES_AFTER_LEAVING
	TOUCH;
#endif
	carry_out();
	atomic { used[me] = false; goto end_unborn };

takes:
	carry_out();
again:
#ifdef MUTANT_LOOKS_BEFORE_RECEIVING
	look_at_stopping();
#endif
clear:
	atomic { TOUCH; claim[c] = claim[c] & ~AGAIN };
first_receive:
	atomic { receive() };
	if
	:: eof -> goto ends
	:: got -> goto handler
	:: else -> goto looks
	fi;
handler:
#if GRACE
	atomic { TOUCH; had[c] = told[c] && asked && !stopping };
#endif
	if
	:: true
	:: true ->
next_receive:	atomic { receive() };
		if
		:: eof || got
		:: else ->
#ifdef MUTANT_STOP_SEEN_BEFORE_WORD
			atomic { TOUCH; seen = told[c] };
#endif
#ifdef MUTANT_STEP_SEEN_BEFORE_WORD
			atomic { TOUCH; last = stopping };
#endif
			atomic { TOUCH; awaits[c] = true };
#ifndef MUTANT_STOP_SEEN_BEFORE_WORD
			atomic { TOUCH; seen = told[c] };
#endif
#if GRACE && !defined(MUTANT_TOLD_IN_THE_GRACE)
#ifdef MUTANT_STEP_SEEN_BEFORE_WORD
			seen = seen && (last || had[c]); /* `last`: what was seen of the step before */
			last = false;
#else
			atomic { TOUCH; seen = seen && (stopping || had[c]) };
#endif
#endif
			if
			:: seen -> atomic { awaits[c] = false; goto ends } /* receive_last: nothing is here */
			:: else
			fi;
next_blocks:		atomic { data[c] || shut[c] -> receive() };
			atomic { TOUCH; awaits[c] = false }
		fi;
		if
		:: got -> goto handler
		:: else
		fi
	:: c < READERS -> /* it reads; a socket that was shut before gives it what has come */
		deaf = shut[c];
read_blocks:	atomic {
			body[c] || shut[c] ->
			TOUCH;
			assert(body[c] || deaf); /* no body is cut short */
			body[c] = false
		};
		deaf = false
	fi;
	/* A short read: the next one is left out, unless something has come, or it would be the last look. */
	if
	:: (claim[c] & AGAIN) || (GRACE && asked) -> goto again
	:: else
	fi;

looks:
#ifndef MUTANT_LOOKS_BEFORE_RECEIVING
	look_at_stopping();
#endif
#if GRACE && !defined(MUTANT_LAST_REQUEST_WAITS_ON)
	atomic { seen = seen || had[c] };
#endif
	if
	:: seen -> goto ends
	:: else
	fi;
park:
	if
	:: !registered[c] -> atomic { TOUCH; registered[c] = true; edge[c] = data[c] || shut[c] }
	:: else
	fi;
release:
	atomic {
		TOUCH;
		got = false;
		if
		:: claim[c] & AGAIN -> goto again
		:: else -> claim[c] = 0; c = 0; goto look
		fi
	};

ends:
	atomic { TOUCH; ended[c]++; assert(ended[c] == 1); assert(stopping || had[c]); had[c] = false; got = false; eof = false; seen = false };
closes: /* under the client's lock */
	atomic { TOUCH; open[c] = false; registered[c] = false; edge[c] = false };
frees:
	atomic { TOUCH; vacant[c] = true; c = 0 };
counts:
	atomic { TOUCH; clients--; last = clients == 0 };
#ifndef MUTANT_LAST_CLIENT_IS_SILENT
	if
#ifdef MUTANT_LAST_IS_SILENT_IN_THE_GRACE
	:: last -> look_at_stopping()
#else
	:: last -> atomic { TOUCH; seen = asked }
#endif
	:: else
	fi;
	if
	:: last && seen -> atomic { TOUCH; wake = true }
	:: else
	fi;
#endif
	atomic { last = false; seen = false; goto look }
}

proctype keeper()
{
	byte c, todo, whom;
	bool won;

sleeps:
	atomic { wake -> TOUCH; wake = false };
#ifndef MUTANT_STOPPING_SET_LATE
	if
	:: asked
	:: else -> goto sleeps
	fi;
#endif

closes_listeners:
#ifndef MUTANT_NO_LISTENER_LOCK
	atomic { !listener_lock -> TOUCH; listener_lock = true };
#endif
	listener_open = false;
#ifndef MUTANT_NO_LISTENER_LOCK
	atomic { TOUCH; listener_lock = false };
#endif

#if GRACE
give_grace: /* each under its client's lock */
	if
	:: c < CLIENTS -> atomic { TOUCH; told[c] = open[c]; c++; goto give_grace }
	:: else
	fi;
	c = 0;
grace:
	atomic { TOUCH; won = clients == 0 };
	if
	:: won
	:: else ->
		if
		:: atomic { wake -> TOUCH; wake = false; goto grace }
#if ENDS
		:: true
#endif
		fi
	fi;
	won = false;
#ifndef MUTANT_GRACE_ENDS_LATE
	atomic { TOUCH; stopping = true };
#endif
#endif

walk:
	if
	:: c < CLIENTS
	:: else -> goto walked
	fi;
#ifdef MUTANT_NO_CLIENT_LOCK
	if
	:: open[c] -> atomic { assert(open[c]); shut[c] = true } /* another descriptor by now */
	:: else
	fi;
#elif !defined(MUTANT_NO_SHUTDOWN)
	/* Under the client's lock. Whether a shutdown makes an event is left open. */
#ifdef MUTANT_WORD_SEEN_BEFORE_TOLD
	atomic { TOUCH; won = open[c] && awaits[c] };
	atomic {
		TOUCH;
		told[c] = open[c];
		shut[c] = won && open[c]
	};
#else
	atomic { TOUCH; told[c] = open[c] };
	atomic {
		TOUCH;
		if
#ifdef MUTANT_READERS_ARE_SHUT
		:: open[c] && registered[c] -> shut[c] = true; edge[c] = true
		:: open[c] -> shut[c] = true
		:: !open[c]
#else
		:: open[c] && awaits[c] && registered[c] -> shut[c] = true; edge[c] = true
		:: open[c] && awaits[c] -> shut[c] = true
		:: !(open[c] && awaits[c])
#endif
		fi
	};
#endif
	won = false;
#endif
#ifndef MUTANT_NO_CLAIM
	mtsi_claim(c, won);
#endif
	if
	:: won -> atomic { TOUCH; ready!c; relieve() }; carry_out()
	:: else
	fi;
	atomic { won = false; c++; goto walk };

walked:
#ifdef MUTANT_STOPPING_SET_LATE
	atomic { asked = true; stopping = true };
#endif
#ifdef MUTANT_GRACE_ENDS_LATE
	stopping = true;
#endif
#ifdef MUTANT_WAKE_EMPTIED_LATE
waits_for_clients:
	atomic { TOUCH; won = clients == 0 };
	wake = false;
	if
	:: won
	:: else -> atomic { wake -> goto waits_for_clients }
	fi;
#else
waits_for_clients:
	atomic { TOUCH; won = clients == 0 };
	if
	:: won
	:: else -> atomic { wake -> TOUCH; wake = false; goto waits_for_clients }
	fi;
#endif

dismisses: /* signalled with the lock held */
	atomic {
		TOUCH;
		dismissed = true;
#ifndef MUTANT_DISMISSED_SLEEP_ON
		kicked[0] = kicked[0] || (idle[0] && waiting[0]);
		kicked[1] = kicked[1] || (idle[1] && waiting[1])
#endif
	};
#ifndef MUTANT_DISMISSED_WITHOUT_BELL
	atomic { TOUCH; bell = true };
#endif

#ifndef MUTANT_WAITS_FOR_NO_THREADS
waits_for_threads:
	threads == 0;
#endif
	keeper_ended = true
}

proctype stopper()
{
	bool first;
#ifndef MUTANT_STOPPER_COUNTED_LATE
	atomic { TOUCH; stoppers++ };
#endif
#ifndef MUTANT_STOPPING_SET_LATE
	atomic { TOUCH; first = !asked; asked = true; stopping = !GRACE };
#else
	first = true;
#endif
#ifdef MUTANT_STOPPER_COUNTED_LATE
	atomic { TOUCH; stoppers++ };
#endif
	if
	:: first -> atomic { TOUCH; wake = true }
	:: else
	fi;
	atomic { TOUCH; stoppers-- };
#ifdef MUTANT_STOPPER_TOUCHES
	TOUCH
#endif
}

proctype destroyer()
{
	keeper_ended;
#ifndef MUTANT_DESTROYED_DURING_STOP
	stoppers == 0;
#endif
	assert(clients == 0 && vacant[0] && vacant[1] && len(ready) == 0);
	assert(ended[0] == 1 && ended[1] + 1 == born);
	memory = false
}

proctype peer(byte c)
{
	atomic { data[c] = true; edge[c] = edge[c] || registered[c] };
	if
	:: c < READERS -> atomic { body[c] = true; edge[c] = edge[c] || registered[c] }
	:: else
	fi;
#if GRACE && !ENDS
end_told: /* what came before is under way, so this is another request */
	atomic { told[c] && !data[c] -> data[c] = true; edge[c] = edge[c] || registered[c] };
	if
	:: c < READERS ->
end_read:	atomic { !body[c] -> body[c] = true; edge[c] = edge[c] || registered[c] }
	:: else
	fi
#endif
}

init
{
	atomic {
		claim[1] = OWNED;
		vacant[1] = true;
		open[0] = true;
		registered[0] = true;
#ifndef MUTANT_COUNTED_LATE
		threads = 1;
#endif
		used[0] = true;
		begun[0] = true;
		waking = 1;
		run worker(0);
		run worker(1);
		run peer(0);
#if PEERS > 1
		run peer(1);
#endif
		run keeper();
		run stopper();
		run destroyer()
	}
}
