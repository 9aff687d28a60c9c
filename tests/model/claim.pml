/* SPDX-License-Identifier: MIT */
/*
 * Who serves a client: the claim word, edge-triggered events, parking, and a slot that is used again.
 *
 * One slot; two clients have it one after the other, so that everything that can be stale becomes so.
 * Two workers. What the crew does is left open here: a worker that is free takes the ready client or
 * polls, as it likes; crew.pml looks closer. Accepting is a process of its own, though the poller does
 * it, so that a new client may appear between any two steps of a worker that holds an old event.
 *
 * With CLOSES, a thread tells the clients to finish (mts_server_close()), at any moment. A client that
 * was told gets no further request, and ends, whether anything more comes from its peer or not.
 *
 * With DEFERS, so many replies are deferred: who has the reply completes it at any moment, the keeper
 * claims a client whose reply is overdue, and whichever of the two is first counts. Until then no request
 * of the client is handled.
 *
 * Nothing goes round for ever in here, which run.sh has checked too: no cycle, fair or not. So it is
 * enough to look at the end of each run: all requests handled, each client ended once.
 */

#ifndef REQUESTS
#define REQUESTS 2
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef DEFERS
#define DEFERS 0
#endif
#ifndef EXPIRES
#define EXPIRES 1 /* deferred replies may become overdue */
#endif
#define CLIENTS 2

/* A ticket, under the client's lock. */
#define NONE 0
#define OPEN 1
#define COMPLETED 2

#define OWNED 1
#define AGAIN 2

/* The slot, in memory that stays a slot. */
byte claim = OWNED; /* a free slot counts as owned */
byte id;            /* whose it is, or was; the generation */
bool special;      /* an event said that the peer has finished: a short read is not the end */
bool vacant = true; /* on the free list */

/* The kernel's side of each client's connection. */
byte data[CLIENTS + 1];       /* requests that have arrived */
bool fin[CLIENTS + 1];        /* and after them, the end */
bool open[CLIENTS + 1];       /* the descriptor is good */
bool registered[CLIENTS + 1]; /* with epoll */
bool edge[CLIENTS + 1];       /* on epoll's list of what is ready */

/* The crew's, in rough. */
byte ready; /* how often the slot is on the ready list */
bool polling;
bool finishing[CLIENTS + 1]; /* it was told; under its lock */
bool awaits[CLIENTS + 1];    /* its word says that its owner blocks until a request comes */
bool shut[CLIENTS + 1];      /* its receiving side, for that */
byte ticket[CLIENTS + 1];    /* of a deferred reply */
bool deferred[CLIENTS + 1];  /* its handler has returned, and the client waits for that; its owner's */
bool overdue[CLIENTS + 1];   /* too long */
bool late[CLIENTS + 1];      /* so it was given up */
byte defers = DEFERS;
#ifdef MUTANT_LATER_BELIEVED_WATCHED
bool believed[CLIENTS + 1];
#endif
byte laters = 1; /* how often the client has had enough for one turn */

/* Only for the proofs. */
byte holders; /* who may touch the client: the accepter, the list or a worker */
byte turns;   /* workers in a turn of it */
byte handled[CLIENTS + 1];
byte ended[CLIENTS + 1];

/* Each touch of the client or its socket. */
#define MINE assert(holders == 1 && turns == 1 && id == client && open[client] && !vacant)

/* Something has come: an edge, when epoll knows the descriptor. */
#define EDGE(g) edge[g] = edge[g] || registered[g]

inline mtsi_claim(won)
{
#ifdef MUTANT_CLAIM_IN_TWO_STEPS
	won = !(claim & OWNED);
	if
	:: won -> claim = OWNED
	:: else -> claim = claim | AGAIN
	fi;
	if
	:: won -> assert(!vacant && holders == 0); holders++
	:: else
	fi
#else
	atomic {
		if
		:: !(claim & OWNED) ->
			claim = OWNED;
			won = true;
			assert(!vacant && holders == 0);
			holders++
		:: else ->
#ifdef MUTANT_NO_AGAIN
			skip;
#else
			claim = claim | AGAIN;
#endif
			won = false
		fi
	}
#endif
}

inline mtsi_claim_clear()
{
	MINE;
#ifdef MUTANT_THOROUGH_FORGOTTEN
	special = false;
#endif
	if
	:: claim & AGAIN -> claim = OWNED /* two steps: an AGAIN that comes between them is dropped */
	:: else
	fi
}

inline mtsi_claim_release(freed)
{
	atomic {
		MINE;
		freed = false;
		if
#ifdef MUTANT_RELEASE_BLINDLY
		:: true ->
#else
		:: !(claim & AGAIN) ->
#endif
			claim = 0;
			freed = true;
			holders--;
			turns--
		:: else
		fi
	}
}

/* A receive: all there is, which is a short read, or a full buffer, here of one request. */
inline receive()
{
	atomic {
		MINE;
		got = 0;
		is_short = false;
		eof = false;
		if
		:: data[client] > 0 ->
			got = data[client];
			data[client] = 0;
			is_short = true
		:: data[client] > 0 ->
			got = 1;
			data[client]--
		:: data[client] == 0 && fin[client] -> eof = true
		:: data[client] == 0 && !fin[client]
		fi
	}
}

proctype peer(byte g)
{
	byte sent;
	do
	:: atomic { sent < REQUESTS -> data[g]++; EDGE(g); sent++ }
	:: sent == REQUESTS -> break
	od;
#if CLOSES
	(ended[g] > 0); /* it waits for its end, so a close that is lost is found out */
#endif
	atomic { fin[g] = true; EDGE(g) }
}

/* Under the client's lock, so that the id is right; it may have ended before. */
proctype closer()
{
	byte g = 1;
	bool won;
	do
	:: g <= CLIENTS ->
		atomic {
			id >= g; /* its id is known */
			if
			:: id == g && open[g] && ended[g] == 0 ->
				finishing[g] = true;
#ifndef MUTANT_CLOSE_WAKES_NOBODY
				shut[g] = awaits[g];
#endif
#ifndef MUTANT_CLOSE_UNCLAIMED
				mtsi_claim(won);
				if
				:: won -> ready++
				:: else
				fi
#endif
			:: else
			fi;
			won = false
		};
		g++
	:: g > CLIENTS -> break
	od
}

/* Under the client's lock; and the second time it is stale. */
proctype completer(byte g)
{
	bool won;
end_completer:
	do
	:: atomic {
			ticket[g] == OPEN && id == g && open[g] && ended[g] == 0 ->
			ticket[g] = COMPLETED;
#ifndef MUTANT_LATER_UNCLAIMED
			mtsi_claim(won);
			if
			:: won -> ready++
			:: else
			fi;
#endif
			won = false
		}
	od
}

/* The keeper claims it first, and what else it does is for others. */
proctype expirer(byte g)
{
	bool won;
end_expirer:
	atomic {
		deferred[g] && id == g && open[g] && ended[g] == 0 -> overdue[g] = true;
		mtsi_claim(won);
		if
		:: won -> ready++
		:: else
		fi
	}
}

proctype accepter()
{
	byte g = 1;
end_accept:
	do
	:: g <= CLIENTS && vacant -> /* it leaves the free list */
		vacant = false;
		holders++;
		assert(holders == 1);
birth:		atomic { open[g] = true; id = g; special = false };
#ifdef MUTANT_BORN_WITHOUT_OWNER
		claim = 0;
#else
		claim = OWNED; /* may drop the AGAIN of an event that was for the one before */
#endif
append:		ready++;
		g++
	:: g > CLIENTS -> break
	od
}

proctype worker()
{
	byte event, client, got;
	bool bits, won, is_short, eof, freed, exhausted, opening;

end_look:
	do
	:: atomic { ready > 0 -> ready--; turns++; client = id }
		goto turn
	:: atomic { !polling -> polling = true }
		goto poll
	od;

poll:
end_wait:
	atomic {
		if
		:: edge[1] -> event = 1
		:: edge[2] -> event = 2
		fi;
		edge[event] = false;
		bits = fin[event];
		if
		:: data[event] > 0 || fin[event]
		:: else -> event = 0 /* somebody has read it already: epoll says nothing of it */
		fi
	}
compare:
	if
	:: event != 0 && id == event
	:: else -> goto polled
	fi;
	/* Here the slot may become free, or another client's. */
#ifndef MUTANT_SHORT_READ_IS_ENOUGH
#ifndef MUTANT_THOROUGH_LATE
	if
	:: bits -> special = true
	:: else
	fi;
#endif
#endif
claims:
	mtsi_claim(won);
#ifdef MUTANT_THOROUGH_LATE
	if
	:: bits -> special = true
	:: else
	fi;
#endif
	if
	:: won -> ready++
	:: else
	fi;
polled:
	atomic { event = 0; bits = 0; won = false; polling = false }
	goto end_look;

turn:
	atomic {
		assert(turns == 1);
		MINE;
		exhausted = false;
		if
		:: !registered[client] && !deferred[client] -> opening = true /* epoll will say, when it is registered */
		:: true
		fi
	};
again:
#ifdef MUTANT_LATER_LOOKED_AT_FIRST
	if
	:: deferred[client] && ticket[client] == OPEN && !overdue[client] ->
		mtsi_claim_clear();
		goto lets_go
	:: else
	fi;
#endif
#ifndef MUTANT_CLEAR_LATE
turn_clear:
	mtsi_claim_clear();
#endif
	if
	:: deferred[client] -> goto look_later
	:: else
	fi;
serves:
	atomic { /* mtsi_opening: not asked */
		if
#ifdef MUTANT_CLOSE_NOT_SEEN_AT_FIRST
		:: opening -> exhausted = true
#else
		:: opening -> exhausted = !finishing[client]
#endif
		:: else
		fi;
		opening = false
	};
	/* Until nothing is there. */
receive_now:
	if
	:: exhausted && !(claim & AGAIN) -> goto park
	:: else
	fi;
	if
	:: finishing[client] -> goto ends
	:: else
	fi;
#ifndef MUTANT_CLEAR_LATE
clear:
	mtsi_claim_clear();
#endif
receives:
	receive();
#ifdef MUTANT_CLEAR_LATE
clear:
	mtsi_claim_clear();
#endif
	exhausted = (got == 0 && !eof) || (is_short && !special);
	if
	:: eof -> goto ends
#ifndef MUTANT_CLOSE_NOT_SEEN_WHEN_IDLE
	:: got == 0 && !eof && finishing[client] -> goto ends
	:: got == 0 && !eof && !finishing[client] -> goto park
#else
	:: got == 0 && !eof -> goto park
#endif
	:: got > 0
	fi;
handle:
#ifndef MUTANT_CLOSE_NOT_SEEN_WITH_INPUT
	if
	:: finishing[client] -> got = 0; goto ends
	:: else
	fi;
#endif
	atomic { MINE; assert(ticket[client] == NONE); handled[client] = handled[client] + got; got = 0 }
	if
	:: true -> goto receive_now
#if DEFERS
	:: defers > 0 -> defers--; goto defer
#endif
	:: true -> goto next /* the handler calls mts_client_next */
#if CLOSES
	:: !exhausted || (claim & AGAIN) -> goto reads /* or mts_client_read */
#endif
	:: !exhausted && laters > 0 -> laters--; goto had_enough
	fi;

reads: /* what comes is no request, but is counted as one */
	mtsi_claim_clear();
read_receive:
	receive();
	exhausted = (got == 0 && !eof) || (is_short && !special);
	if
	:: eof -> goto ends
	:: got == 0 && !eof -> exhausted = false /* it blocks, which is nothing new */
	:: got > 0 ->
		atomic { handled[client] = handled[client] + got; got = 0 };
#ifndef MUTANT_CLOSE_READ_AWAY
		atomic {
			if
			:: finishing[client] -> claim = claim | AGAIN
			:: else
			fi
		}
#endif
	fi;
	goto receive_now;

next: /* mts_client_next */
	if
	:: finishing[client] -> goto ends
	:: else
	fi;
	if
	:: exhausted && !(claim & AGAIN) -> goto next_blocks
	:: else
	fi;
next_clear:
	mtsi_claim_clear();
next_receive:
	receive();
	exhausted = (got == 0 && !eof) || (is_short && !special);
	if
	:: eof -> goto ends
	:: got > 0 -> goto handle
	:: else
	fi;
next_blocks:
	awaits[client] = true;
#ifndef MUTANT_CLOSE_NOT_SEEN_BEFORE_WAIT
	if
	:: finishing[client] -> goto ends
	:: else
	fi;
#endif
	atomic { (data[client] > 0 || fin[client] || shut[client]); receive() };
	awaits[client] = false;
	if
	:: finishing[client] -> got = 0; goto ends /* the end of the stream may be ours */
	:: else
	fi;
#ifndef NEEDLESS
	exhausted = false;
#endif
	if
	:: eof -> goto ends
	:: else -> goto handle
	fi;

defer: /* the handler takes a ticket, and may read on, which clears AGAIN */
	atomic { MINE; assert(ticket[client] == NONE); ticket[client] = OPEN }
	if
	:: mtsi_claim_clear(); exhausted = false /* it blocks, as in `reads` */
	:: true
	fi;
	if
	:: true ->
returns_later:
		atomic {
			if
#ifndef MUTANT_LATER_NOT_SEEN_ON_RETURN
			:: ticket[client] == COMPLETED -> ticket[client] = NONE; goto receive_now
			:: else -> deferred[client] = true
#else
			:: deferred[client] = true
#endif
			fi
		}
	:: true ->
#ifndef MUTANT_LATER_NOT_VOID
		atomic { ticket[client] = NONE };
#endif
		goto receive_now
	fi;
lets_go:
	atomic { MINE; edge[client] = false; registered[client] = false }
	mtsi_claim_release(freed);
	if
	:: freed ->
		atomic { client = 0; is_short = false; freed = false; exhausted = false }
		goto end_look
	:: else ->
		exhausted = false;
		goto again
	fi;
look_later:
	atomic {
		if
		:: ticket[client] == COMPLETED ->
			ticket[client] = NONE;
			deferred[client] = false;
#ifdef MUTANT_LATER_BELIEVED_WATCHED
			believed[client] = true;
#endif
			goto serves
		:: else -> skip
		fi
	};
	if
	:: !overdue[client] -> goto lets_go
	:: else
	fi;
gives_up:
	atomic {
		if
#ifndef MUTANT_LATER_GIVEN_UP_BLINDLY
		:: ticket[client] == COMPLETED -> goto look_later
#endif
		:: else ->
			assert(ticket[client] == OPEN); /* who completed it was told that it counts */
			ticket[client] = NONE;
			deferred[client] = false;
			late[client] = true;
			goto ends
		fi
	};

had_enough: /* it goes to a line, and stays owned */
	atomic {
#ifdef MUTANT_LET_GO_LATER
		claim = 0;
#endif
		turns--; ready++; client = 0; is_short = false; exhausted = false }
	goto end_look;

park:
#ifndef MUTANT_REGISTER_LATE
	if
#ifdef MUTANT_LATER_BELIEVED_WATCHED
	:: !registered[client] && !believed[client] ->
#else
	:: !registered[client] ->
#endif
registers:	atomic { MINE; registered[client] = true; edge[client] = data[client] > 0 || fin[client] }
	:: else
	fi;
#endif
release:
	mtsi_claim_release(freed);
	if
	:: freed ->
#ifdef MUTANT_REGISTER_LATE
		if
		:: !registered[client] ->
			atomic {
				assert(id == client && open[client] && turns == 0);
				registered[client] = true;
				edge[client] = data[client] > 0 || fin[client]
			}
		:: else
		fi;
#endif
		atomic { client = 0; is_short = false; freed = false; exhausted = false }
		goto end_look
	:: else ->
#ifndef MUTANT_DRAINED_OVER_CLEAR
		exhausted = false; /* mtsi_input_begin */
#endif
		goto again
	fi;

ends:
	atomic { MINE; ended[client]++ }
closes:
	atomic { MINE; open[client] = false; registered[client] = false; edge[client] = false }
frees:
	atomic {
		assert(holders == 1 && turns == 1 && !vacant);
		holders--;
		turns--;
#ifdef MUTANT_FREE_WITHOUT_OWNER
		claim = 0;
#endif
		vacant = true;
		client = 0;
		is_short = false;
		exhausted = false;
		eof = false
	}
	goto end_look
}

/* When nothing moves any more, nothing may be left. */
proctype at_rest()
{
end_rest:
	timeout ->
#if CLOSES
	assert(handled[1] <= REQUESTS && handled[2] <= REQUESTS);
#else
	assert(late[1] || handled[1] == REQUESTS);
	assert(late[2] || handled[2] == REQUESTS);
#endif
	assert(ticket[1] == NONE && ticket[2] == NONE);
	assert(ended[1] == 1 && ended[2] == 1 && vacant && holders == 0 && ready == 0)
}

init
{
	atomic {
		run peer(1);
		run peer(2);
		run accepter();
#if CLOSES
		run closer();
#endif
#if DEFERS
		run completer(1);
		run completer(2);
#if EXPIRES
		run expirer(1);
		run expirer(2);
#endif
#endif
		run worker();
		run worker();
		run at_rest()
	}
}
