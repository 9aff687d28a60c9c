/* SPDX-License-Identifier: MIT */
/*
 * Lingering clients: events by who polls, deadlines and the stop by the keeper, eviction by who
 * accepts, and slots that are used again.
 *
 * Two slots; each may be used again once. A client is served, may be parked and come back, and then
 * ends: it is closed at once, or lingers. What is done under one lock is one step; a client is
 * handed over in two, since the list is under its own lock inside the client's.
 *
 * Nobody closes a client twice, or one that is in the list; who closes owns it; at rest all that came
 * have been closed, and the list is empty. Nobody has both sides of its socket shut while a part of its
 * reply is on its way: whoever has shut the receiving side, the stop or a deadline, the sending side stays
 * open then.
 */

#ifndef BORN
#define BORN 3 /* clients that come */
#endif
#ifndef EXPIRIES
#define EXPIRIES 1 /* times at which one is due, before the stop */
#endif
#ifndef EVICTIONS
#define EVICTIONS 1
#endif
#ifndef LOOKS
#define LOOKS 1
#endif
#ifndef PARKS
#define PARKS 1
#endif
#ifndef DEADLINES
#define DEADLINES 1 /* that shut a receiving side */
#endif
#define SLOTS 2
#define NOBODY 255

#define OWNED 1
#define AGAIN 2

byte claim[SLOTS] = OWNED;
byte id[SLOTS]; /* the generation; 0: not used yet */
bool open[SLOTS], lingering[SLOTS], cut[SLOTS];
bool locked[SLOTS]; /* the client's lock, where it is held over more than one step */
bool vacant[SLOTS] = true;

/* Under the list's lock: the first, and the one after it. */
byte list[SLOTS] = NOBODY;
byte count;
bool over;

/* The kernel's. */
bool watched[SLOTS], edge[SLOTS];
bool fin[SLOTS];  /* the peer has finished */
bool shut[SLOTS]; /* the stop, or a deadline, has shut down the receiving side */
bool sends[SLOTS]; /* it lingers with its sending side open */
bool stopping;

chan ready = [SLOTS] of { byte };
byte parks = PARKS, evictions = EVICTIONS;
byte born;

/* Only for the proofs. */
byte closed;

#define LISTED(s) (list[0] == s || list[1] == s)

/* Under the list's lock. */
inline unlink_locked(s)
{
	assert(LISTED(s));
	if
	:: list[0] == s -> list[0] = list[1]
	:: else
	fi;
	list[1] = NOBODY;
	count--
}

inline mtsi_claim(s, won)
{
	won = !(claim[s] & OWNED);
	if
	:: won -> claim[s] = OWNED; assert(!vacant[s])
	:: else -> claim[s] = claim[s] | AGAIN
	fi
}

inline mtsi_client_close(s)
{
	atomic {
		!locked[s];
		assert(open[s] && !LISTED(s) && (claim[s] & OWNED));
		open[s] = false;
		watched[s] = false;
		edge[s] = false;
		closed++;
		lingering[s] = false;
		sends[s] = false;
		vacant[s] = true
	}
}

/* By the owner. */
inline mtsi_linger_event(s)
{
	do
	:: true ->
		claim[s] = OWNED; /* mtsi_claim_clear */
		atomic {
			assert(open[s] && lingering[s] && (claim[s] & OWNED));
#ifdef NEEDLESS
			gone = fin[s]
#else
			gone = cut[s] || fin[s]
#endif
			if
			:: sends[s] -> gone = true /* all of it is acknowledged */
			:: skip
			fi
		};
		if
		:: gone ->
			gone = false;
			atomic { unlink_locked(s) };
			mtsi_client_close(s);
			break
		:: else
		fi;
		atomic {
			gone = !(claim[s] & AGAIN);
			if
			:: gone -> gone = false; claim[s] = 0; break
			:: else
			fi
		}
	od
}

/* The first of the list is due. */
inline close_oldest(result)
{
	atomic {
		at = list[0];
		result = at != NOBODY;
		if
		:: at != NOBODY ->
			cut[at] = true;
#ifdef MUTANT_CLOSES_WITHOUT_CLAIM
			won = true;
#else
			mtsi_claim(at, won);
#endif
			if
#ifdef MUTANT_UNLINKS_LATE
			:: won
#else
			:: won -> unlink_locked(at)
#endif
			:: else
			fi
		:: else
		fi
	};
	if
	:: won -> won = false;
#ifdef MUTANT_UNLINKS_LATE
		mtsi_client_close(at);
		atomic { unlink_locked(at) }
#else
		mtsi_client_close(at)
#endif
#ifdef MUTANT_FINISH_STOPS_AT_MARKED
	:: else -> result = false
#else
	:: else
#endif
	fi;
	at = NOBODY
}

/* Claims the next one after s, which the caller owns, or the first. */
inline claim_next(s)
{
	atomic {
		if
		:: s == NOBODY -> i = 0
		:: else ->
			assert(LISTED(s)); /* its `next` is read */
			i = (list[0] == s -> 1 : 2)
		fi;
		next = NOBODY;
		do
		:: i < SLOTS && list[i] != NOBODY && next == NOBODY ->
			if
			:: sends[list[i]] ->
				mtsi_claim(list[i], won);
				if
				:: won -> next = list[i]
				:: else
				fi;
				won = false
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
}

proctype worker()
{
	byte s;
	bool gone;
	bool deaf;
	bool unacknowledged;

end_look:
	ready?s;
	assert(open[s] && !lingering[s] && (claim[s] & OWNED));
	do
	:: true ->
		claim[s] = OWNED; /* mtsi_claim_clear */
		if
		:: !fin[s] && !shut[s] && parks > 0 ->
			parks--;
			atomic { watched[s] = true; edge[s] = fin[s] };
			atomic {
				gone = !(claim[s] & AGAIN);
				if
				:: gone -> claim[s] = 0
				:: else
				fi
			};
			if
			:: gone -> gone = false; goto end_look
			:: else
			fi
		:: break
		fi
	od;
	/* The end: seal, close hook, and then at once, */
	if
	:: mtsi_client_close(s)
	:: deaf = shut[s];
		atomic { !locked[s] -> locked[s] = true };
		atomic {
			/* or it is handed over. */
#ifdef MUTANT_OVER_IS_NOT_SEEN
			gone = true;
#else
			gone = !over;
#endif
			if
			:: gone -> list[count] = s; count++
			:: else
			fi
		};
		atomic {
			if
			:: gone ->
#ifdef MUTANT_ONLY_A_STOP_IS_KNOWN
				deaf = stopping;
#else
#ifndef MUTANT_ASKED_BEFORE_THE_LOCK
				deaf = shut[s];
#endif
#endif
				if
				:: unacknowledged = true
				:: unacknowledged = false
				fi;
				sends[s] = deaf && unacknowledged;
				assert(!shut[s] || !unacknowledged || sends[s]);
				unacknowledged = false;
				lingering[s] = true; watched[s] = true; edge[s] = fin[s]
			:: else
			fi;
			deaf = false;
			locked[s] = false
		};
		if
		:: gone ->
#ifdef MUTANT_HANDED_OVER_UNOWNED
			gone = false;
			claim[s] = 0
#else
			atomic {
				gone = !(claim[s] & AGAIN);
				if
				:: gone -> claim[s] = 0
				:: else
				fi
			};
			if
			:: gone -> gone = false
			:: else -> mtsi_linger_event(s)
			fi
#endif
		:: else -> mtsi_client_close(s)
		fi
	fi;
	s = 0;
	goto end_look
}

proctype poller()
{
	byte s, generation, at = NOBODY;
	bool won, gone;

end_poll:
	if
	:: atomic { edge[0] -> edge[0] = false; s = 0; generation = id[0] }
	:: atomic { edge[1] -> edge[1] = false; s = 1; generation = id[1] }
	:: atomic { /* it accepts */
		born < BORN && (vacant[0] || vacant[1]) ->
		s = (vacant[0] -> 0 : 1);
		vacant[s] = false;
		claim[s] = OWNED;
		id[s] = id[s] + 1;
		open[s] = true;
		cut[s] = false;
		fin[s] = false;
		shut[s] = false;
		born++;
		ready!s;
		goto end_poll }
	:: atomic { evictions > 0 && born == BORN -> evictions-- } /* accept has failed: evict */
		close_oldest(gone);
		gone = false;
		goto end_poll
	fi;
#ifndef NEEDLESS
	if
	:: id[s] == generation
	:: else -> goto polled
	fi;
#endif
	/* Here the slot may become free, or another client's. */
	atomic { mtsi_claim(s, won) };
	if
	:: won && lingering[s] -> mtsi_linger_event(s)
	:: won && !lingering[s] -> ready!s
	:: else
	fi;
polled:
	atomic { s = 0; generation = 0; won = false; goto end_poll }
}

proctype keeper()
{
	byte s, next, at = NOBODY, i, expiries = EXPIRIES, looks = LOOKS, deadlines = DEADLINES;
	bool won, gone, found;

	do
	:: expiries > 0 -> expiries--; close_oldest(found); found = false
	:: deadlines > 0 -> /* expire_wait_locked: of one that is served; which is one step, under the lock */
		deadlines--;
		atomic {
			if
			:: s = 0
			:: s = 1
			fi;
			if
			:: !locked[s] && open[s] && !lingering[s] -> shut[s] = true
			:: else
			fi;
			s = 0
		}
	:: looks > 0 -> /* look */
		looks--;
		s = NOBODY;
		claim_next(s);
		do
		:: next == NOBODY -> break
		:: else ->
			s = next;
#ifdef MUTANT_LOOK_LETS_GO_FIRST
			mtsi_linger_event(s);
			claim_next(s)
#else
			claim_next(s);
			mtsi_linger_event(s)
#endif
		od
	:: break
	od;

	/* The stop: no more accept; who is parked gets a turn; and then nobody lingers any more. */
	born == BORN;
	stopping = true;
	s = 0;
	do
	:: s < SLOTS ->
		atomic {
			!locked[s] -> /* under the client's lock; shutting down may make an event */
			if
#ifdef MUTANT_NUDGES_LINGERERS
			:: open[s] ->
#else
			:: open[s] && !lingering[s] ->
#endif
				shut[s] = true;
				mtsi_claim(s, won)
			:: else
			fi
		};
		if
		:: won -> won = false; ready!s
		:: else
		fi;
		s++
	:: else -> break
	od;
	s = 0;
	over = true;
	do
	:: close_oldest(found);
		if
		:: found -> found = false
		:: else -> break
		fi
	od
}

proctype peer(byte s)
{
	do
	:: atomic { open[s] && !fin[s] -> fin[s] = true; edge[s] = edge[s] || watched[s] }
	:: atomic { born == BORN -> break } /* or it never does */
	od
}

proctype at_rest()
{
end_rest:
	timeout ->
	assert(len(ready) == 0 && count == 0 && list[0] == NOBODY && list[1] == NOBODY);
	assert(closed == born)
}

init
{
	atomic {
		list[0] = NOBODY;
		list[1] = NOBODY;
		run worker();
		run poller();
		run keeper();
		run peer(0);
		run peer(1);
		run at_rest()
	}
}
