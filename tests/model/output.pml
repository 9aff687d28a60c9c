/* SPDX-License-Identifier: MIT */
/*
 * A client whose output waits: it is parked with a wish, and must come back when the wish is fulfilled,
 * when the connection is lost, and when the stop cuts it off.
 *
 * One client, one worker that serves it (claim.pml is about two), who polls, a peer that reads or
 * resets, the keeper, who may cut, and another thread, which sends to it by its id. What is done under
 * the client's lock is one step. A reply is one or two units, a message one, the limit is one, the
 * socket takes one.
 *
 * At rest, the client has ended, once, and all its output has gone, or the connection is lost; unless
 * the peer does not read and nobody cuts: then it is parked, and its wish is known.
 *
 * And the peer is told the truth: if anything is thrown away that was written, the connection is reset,
 * and no orderly end was sent before; if nothing is, it is not reset. (But it may be when a write is
 * refused in that very moment.) A reply lies in the worker's buffers, where only a flag tells of it, which
 * is written without the lock; so the one step of whoever cuts the client off is two here, with the lock
 * held in between.
 */

#ifndef REQUESTS
#define REQUESTS 2
#endif
#ifndef CUTS
#define CUTS 1 /* whether the stop may cut, at any time */
#endif
#ifndef MESSAGES
#define MESSAGES 1 /* that the other thread sends */
#endif
#define LIMIT 1
#define ROOM 1
#define NO_WISH 255

#define OWNED 1
#define AGAIN 2

byte claim;
bool ready; /* in a line of the crew */

/* The owner's. */
bool throttled, ending, registered;

/* Under the client's lock. */
byte queue;
byte resume_at = NO_WISH;
bool lost;
bool ends_now; /* the code has one word for both, stage ENDING: `ending` is what the owner reads of it */
bool watch_in, watch_out; /* what epoll watches for */
bool dropped;
bool locked; /* by the one who cuts, between its two steps */

bool has_replies; /* the owner's, read by others under the lock */

/* The kernel's. */
byte data, room = ROOM;
bool fin, reset, shut, crammed; /* crammed: a send has found no room, so the next room is an edge */
bool edge_in, edge_out, edge_gone;

/* Only for the proofs. */
byte ended, handled;
bool open = true, cut, reads = true;
bool handed; /* claimed by the sender, in the post line */
byte missing; /* units that were written and thrown away */
bool refused; /* a write was, after it had raised the flag */
bool ordered, torn; /* what the peer is told: an orderly end, a reset */

#define GONE (reset || shut)

/* The end of the connection, once it is known whether anything is dropped. */
inline tell()
{
	if
	:: dropped -> assert(!ordered || reset); torn = true
	:: else -> ordered = true
	fi
}

/* Under the lock: what follows once it is lost, and the flag has been looked at. */
inline lose_rest(flag)
{
#ifndef MUTANT_QUEUE_NOT_MISSED
	dropped = dropped || queue > 0;
#endif
	dropped = dropped || (flag);
	missing = missing + queue;
	tell();
	queue = 0;
	watch_in = false;
	watch_out = false;
	edge_in = false;
	edge_out = false;
	edge_gone = false;
	shut = true
}

/* Under the lock. */
inline lose()
{
	lost = true;
	lose_rest(has_replies)
}

/* Under the lock: until all is gone or the socket is full. */
inline send()
{
	assert(open);
	if
	:: queue == 0
	:: queue > 0 && GONE -> lose()
	:: queue > 0 && !GONE && queue <= room -> room = room - queue; queue = 0
	:: queue > 0 && !GONE && queue > room -> queue = queue - room; room = 0; crammed = true
	fi
}

inline want_room(wanted)
{
	if
	:: (wanted) && !watch_out -> watch_out = true; edge_out = room > 0; edge_gone = edge_gone || GONE
	:: (wanted) && watch_out
	:: !(wanted) -> watch_out = false; edge_out = false
	fi
}

/* Sends what has gathered, and queues the rest, whatever the limit. */
inline mtsi_output_flush()
{
#ifdef MUTANT_STAGED_NO_MORE_TOO_EARLY
	has_replies = false;
#endif
	atomic {
		!locked ->
		if
		:: lost || stage == 0 -> missing = missing + stage
		:: else ->
			queue = queue + stage;
			send();
			if
			:: lost
			:: else -> want_room(queue > 0)
			fi
		fi;
		has_replies = false;
		stage = 0
	}
}

inline mtsi_output_throttles(answer)
{
#ifdef MUTANT_WISH_IN_TWO_STEPS
	atomic {
		!locked ->
		most = (ending -> 0 : LIMIT);
		answer = queue > most && !lost
	};
	atomic { !locked -> resume_at = (answer -> most : NO_WISH); most = 0 }
#else
	atomic {
		!locked ->
#ifdef MUTANT_ENDS_WITHIN_THE_LIMIT
		most = LIMIT;
#else
		most = (ending -> 0 : LIMIT);
#endif
		answer = queue > most && !lost;
		resume_at = (answer -> most : NO_WISH);
		most = 0
	}
#endif
}

inline mtsi_claim(won)
{
	atomic {
		won = !(claim & OWNED);
		if
		:: won -> claim = OWNED
		:: else -> claim = claim | AGAIN
		fi
	}
}

inline mtsi_claim_clear()
{
	if
	:: claim & AGAIN -> claim = OWNED
	:: else
	fi
}

inline mtsi_claim_release(freed)
{
	atomic {
		assert(claim & OWNED);
#ifdef MUTANT_RELEASE_BLINDLY
		freed = true;
#else
		freed = !(claim & AGAIN);
#endif
		if
		:: freed -> claim = 0
		:: else
		fi
	}
}

inline watch_for_input()
{
	atomic {
		!locked ->
		watch_in = true;
		edge_in = data > 0 || fin;
		edge_gone = GONE;
#ifdef MUTANT_ROOM_FORGOTTEN
		watch_out = false;
		edge_out = false;
#else
		edge_out = watch_out && room > 0;
#endif
	}
}

inline watch_for_room()
{
	atomic { !locked -> watch_in = false; edge_in = false; edge_out = watch_out && room > 0; edge_gone = GONE }
}

proctype worker()
{
	byte stage, most, reply;
	bool freed, waits;

end_look:
	atomic { ready -> ready = false; assert((claim & OWNED) && open && ended == 0) };
go:
	if
	:: ending -> goto ends
	:: else
	fi;
	mtsi_claim_clear();
	if
	:: throttled ->
#ifdef MUTANT_HELD_NOT_ASKED_AGAIN
		waits = true;
#else
		mtsi_output_throttles(waits);
#endif
		if
		:: waits -> waits = false; goto park
		:: else -> throttled = false
		fi
	:: else
	fi;

serve:
	mtsi_output_flush();
	if
	:: lost -> goto gives_up
	:: else
	fi;
receive:
	if
	:: atomic { data > 0 && !GONE ->
		data--; handled++;
		if
		:: reply = 1
		:: reply = 2
		fi };
		/* It is written. */
#ifdef MUTANT_LOOKS_BEFORE_IT_STAGES
		if
		:: lost -> reply = 0
		:: else
		fi;
		has_replies = reply > 0;
		stage = reply;
#else
		has_replies = true;
		atomic {
			if
			:: lost -> has_replies = false; refused = true
			:: else -> stage = reply
			fi
		};
#endif
		reply = 0;
		if
		:: true -> goto serve
		:: true -> goto ends /* MTS_CLOSE */
		fi
	:: atomic { GONE && !locked -> lose() } goto gives_up
	:: atomic { data == 0 && fin && !GONE } goto ends
	:: atomic { data == 0 && !fin && !GONE }
	fi;

	/* Nothing there: it can be parked. */
	mtsi_output_throttles(throttled);
park:
	if
	:: !registered -> watch_for_input(); registered = true
	:: else
	fi;
	mtsi_claim_release(freed);
	if
	:: freed -> freed = false; goto end_look
	:: else -> goto go
	fi;

ends:
#ifndef MUTANT_ENDS_AND_TAKES_MORE
	ends_now = true; /* under the lock */
#endif
	/* wait_for_output */
	mtsi_output_flush();
	ending = true;
wait_on:
	if
	:: lost -> goto gives_up
	:: else
	fi;
	mtsi_output_throttles(waits);
	if
	:: waits ->
		waits = false;
		watch_for_room();
		mtsi_claim_release(freed);
		if
		:: freed -> freed = false; goto end_look
		:: else
		fi;
		mtsi_claim_clear();
		goto wait_on
	:: else
	fi;
seal:
	atomic {
		!locked ->
		assert(queue == 0 || lost); /* else a thread would wait for it, in mtsi_output_finish */
		watch_in = false; watch_out = false; edge_in = false; edge_out = false; edge_gone = false;
		ordered = ordered || !lost;
		lost = true
	}
gives_up:
	atomic {
		!locked ->
		ended++; assert(ended == 1); open = false; watch_in = false; watch_out = false;
		missing = missing + stage; stage = 0; has_replies = false;
		assert(queue == 0)
	}
	goto end_look
}

/* Under the lock: sends the queue on; `turn` is set if the client is to have one. */
inline mtsi_output_continue_locked()
{
	if
	:: open && !lost ->
		send();
		if
		:: lost ->
#ifndef MUTANT_LOST_IS_SILENT
			turn = true
#else
			turn = false
#endif
		:: else ->
			if
			:: queue == 0 -> want_room(false)
			:: else
			fi;
			if
			:: resume_at != NO_WISH && queue <= resume_at ->
				resume_at = NO_WISH;
				turn = true
			:: else
			fi
		fi
	:: else
	fi
}

proctype poller()
{
	bool in, out, gone, turn, won;

end_poll:
	atomic {
		edge_in || edge_out || edge_gone ->
		in = edge_in;
		out = edge_out;
		gone = edge_gone;
		edge_in = false;
		edge_out = false;
		edge_gone = false;
		turn = in || gone
	};
	if
	:: out || gone ->
continue_output:
		atomic { !locked -> mtsi_output_continue_locked() }
	:: else
	fi;
	if
	:: turn -> mtsi_claim(won)
	:: else
	fi;
	/* The id is not compared: one client here. A slot that is free counts as owned. */
	atomic { ready = ready || won; won = false; turn = false; in = false; out = false; gone = false };
	goto end_poll
}

/* Another thread: sends by id. All of one message is one step, under the lock. */
proctype sender()
{
	byte sent;
	bool turn, won;

	do
	:: atomic { sent < MESSAGES && !locked ->
		sent++;
		if
		:: !open || lost || ends_now
		:: else ->
			if
			:: queue > 0 && queue + 1 > LIMIT -> mtsi_output_continue_locked()
			:: else
			fi;
			if
			:: lost || (queue > 0 && queue + 1 > LIMIT) /* -ENOENT, -ENOBUFS */
			:: else ->
				/* Behind what waits, or to the socket at once. */
				if
				:: queue > 0 -> queue++
				:: else ->
					queue++;
					mtsi_output_continue_locked();
					if
#ifndef MUTANT_MESSAGE_LEFT_BEHIND
					:: queue > 0 -> want_room(true)
#endif
					:: else
					fi
				fi
			fi;
			if
#ifndef MUTANT_SENDER_IS_SILENT
			:: turn -> /* claimed, and left to the keeper, in the same step */
				won = !(claim & OWNED);
				claim = (won -> OWNED : claim | AGAIN);
				handed = handed || won;
				won = false
#endif
			:: else
			fi;
			turn = false
		fi }
	:: sent == MESSAGES -> break
	od
}

proctype peer()
{
	byte sent;
	do
	:: atomic { sent < REQUESTS -> sent++; data++; edge_in = edge_in || watch_in }
	:: atomic { sent == REQUESTS && !fin -> fin = true; edge_in = edge_in || watch_in }
	:: atomic { room < ROOM && open -> /* it has read */
		room = ROOM;
		edge_out = edge_out || (watch_out && crammed);
		crammed = false }
	:: atomic { reset = true; edge_gone = edge_gone || watch_in || watch_out } break
	:: atomic { sent == REQUESTS && fin -> reads = false } break /* reads no more */
	:: atomic { sent == REQUESTS && fin && (room == ROOM || !open) && ended > 0 } break
	od
}

proctype keeper()
{
	bool won, saw;
#if CUTS
	if
	:: true ->
cuts:		atomic {
			if
			:: open ->
				locked = true;
#ifdef MUTANT_CUT_LOOKS_FIRST
				saw = has_replies
#else
				lost = true
#endif
			:: else
			fi
		};
		atomic { /* under the lock; the claim too */
			if
			:: locked ->
				cut = true;
#ifdef MUTANT_CUT_LOOKS_FIRST
				lost = true;
#else
				saw = has_replies;
#endif
				lose_rest(saw);
				locked = false;
#ifndef MUTANT_CUT_WITHOUT_CLAIM
				won = !(claim & OWNED);
				claim = (won -> OWNED : claim | AGAIN)
#endif
			:: else
			fi
		};
		atomic { ready = ready || won; won = false }
	:: true
	fi
#endif
}

/* The keeper once more: offers to the crew whom the sender has claimed. */
proctype offers()
{
end_offers:
	do
	:: atomic { handed -> assert(!ready); handed = false; ready = true }
	od
}

proctype at_rest()
{
end_rest:
	timeout ->
	assert(!ready && !handed);
	assert(missing == 0 || torn || reset);
	assert(!torn || missing > 0 || refused || reset);
	assert(ended == 1 || (!reads && !cut && !reset && claim == 0 && resume_at < queue && watch_out))
}

init
{
	atomic {
		claim = OWNED;
		ready = true;
		run worker();
		run poller();
		run peer();
		run keeper();
		run sender();
		run offers();
		run at_rest()
	}
}
