/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is to accept, and a stop meanwhile: the turn, a listener that is put off, one that is
 * closed while somebody accepts, and accept that sleeps since others have made the socket blocking. Also
 * a program that suspends the server, and resumes it.
 *
 * One listener, two who poll, the keeper, the program. What is done under the listeners' lock, or under it and the
 * door's, is one step; accept is not. Somebody else who has the socket may take a connection at any
 * time, and make it blocking; then accept sleeps until there is another, perhaps for ever.
 *
 * With ADOPTS the program hands over connections besides, from a thread of its own: each becomes a
 * client, and lies in the mailbox until the keeper takes it out; the keeper does so for the last time
 * when it has told all clients of the stop.
 */

#ifndef PEERS
#define PEERS 3 /* that connect */
#endif
#ifndef THEFTS
#define THEFTS 1 /* connections that somebody else takes */
#endif
#ifndef ADOPTS
#define ADOPTS 0 /* connections that the program hands over */
#endif
#ifndef SUSPENDS
#define SUSPENDS 1 /* how often the program suspends */
#endif
#define FEW_TIMES 1

byte waiting;         /* the kernel's queue */
bool blocking;        /* what others have made of the socket */
bool is_open = true;  /* the descriptor is this listener's */
bool watched = true;  /* in epoll, for connections */

bool suspended;       /* under the door's lock */

/* The listeners' lock guards these. */
bool closed;
bool taken;
byte passed;
bool put_off;

byte mailbox; /* clients that the keeper is to hand to the crew */

/* Only for the proofs. */
bool nobody;   /* a suspend has returned, and holds */
bool visited;  /* the keeper has told all clients of the stop */
bool emptied;  /* and has looked into the mailbox for the last time */
byte adopted;
byte handed;   /* to the crew */
byte inside;   /* threads that have the turn */
byte sleeping; /* those of them that sleep in accept */
byte closes;
byte clients;
byte refused;
byte stolen;

inline close_descriptor()
{
	assert(is_open);
	is_open = false;
	closes++
}

proctype peers()
{
	byte come;
	do
	:: atomic { come < PEERS -> come++; waiting++ }
	:: come == PEERS -> break
	od
}

proctype others()
{
	do
	:: atomic { stolen < THEFTS && waiting > 0 -> waiting--; stolen++; blocking = true }
	:: true -> break
	od
}

proctype poller()
{
	bool got, mine, over;
end_poll:
	do
	:: atomic { closed -> break }
	:: atomic { watched && waiting > 0 -> skip };
take:
		atomic {
			mine = false;
			if
#ifndef MUTANT_TURN_NOT_LOOKED_AT
			:: taken && !closed ->
#ifndef MUTANT_PUT_OFF_IN_TWO_STEPS
				if
				:: passed == FEW_TIMES -> put_off = true; watched = false
				:: else -> passed++
				fi
#else
				skip
#endif
#endif
#ifdef MUTANT_TURN_NOT_LOOKED_AT
			:: !closed ->
#else
			:: !taken && !closed ->
#endif
				taken = true;
				passed = 0;
				mine = true;
				inside++;
				assert(inside == 1)
			:: closed
			fi
		}
#ifdef MUTANT_PUT_OFF_IN_TWO_STEPS
		if
		:: !mine && !closed -> atomic { put_off = true; watched = false }
		:: else
		fi;
#endif
		if
		:: !mine -> goto end_poll
		:: else
		fi;
#ifndef MUTANT_SUSPENDED_NOT_LOOKED_AT
looks_at_door:
		if
		:: suspended -> goto give_back
		:: else
		fi;
#endif
look:
		blocking = false;
accept:
		atomic {
			assert(is_open);
			assert(!nobody);
			got = false;
			if
			:: waiting > 0 -> waiting--; got = true
			:: waiting == 0 && !blocking
			:: waiting == 0 && blocking -> sleeping++; goto end_sleep
			fi
		};
		goto accepted;
end_sleep:
		atomic { waiting > 0 -> assert(is_open); waiting--; got = true; sleeping-- };
accepted:
#ifdef MUTANT_CLIENT_WITHOUT_LOCK
		over = closed;
#else
		atomic {
		over = closed;
#endif
		if
		:: got && over -> refused++
		:: got && !over -> assert(!visited); clients++
		:: else
		fi
#ifndef MUTANT_CLIENT_WITHOUT_LOCK
		}
#endif
		;
give_back:
		atomic {
			inside--;
			taken = false;
			if
			:: closed ->
#ifndef MUTANT_LEFT_OPEN
				close_descriptor();
#endif
				skip
			:: else ->
#ifndef MUTANT_PUT_OFF_FOR_EVER
				put_off = false;
				watched = !suspended;
#endif
				skip
			fi
		}
	od
}

/* mtsi_adopt, in the listeners' lock. */
proctype adopter()
{
	byte come;
	bool late;
	do
	:: come < ADOPTS ->
		come++;
#ifdef MUTANT_ADOPTED_WITHOUT_LOCK
		late = closed;
#else
		atomic {
		late = closed;
#endif
		if
		:: late
		:: !late ->
			assert(!visited);
			adopted++;
#ifndef MUTANT_ADOPTED_BEFORE_IT_IS_POSTED
			mailbox++
#endif
		fi
#ifndef MUTANT_ADOPTED_WITHOUT_LOCK
		}
#endif
#ifdef MUTANT_ADOPTED_BEFORE_IT_IS_POSTED
		;
		if
		:: late
		:: !late -> mailbox++
		fi
#endif
	:: come == ADOPTS -> break
	od
}

proctype program()
{
	byte times;
	do
	:: times < SUSPENDS ->
		times++;
suspends:	atomic { suspended = true; watched = false };
#ifdef MUTANT_SUSPENDS_WITHOUT_WAITING
		nobody = true;
#else
		atomic { !taken || sleeping > 0 -> nobody = true };
#endif
resumes:	atomic { nobody = false; suspended = false; watched = !put_off && !closed }
	:: true -> break
	od
}

/* Stops at any time, or when nothing moves any more. */
proctype keeper()
{
	bool at_once;
	if
	:: at_once = true
	:: at_once = false
	fi;
end_keeper:
	if
	:: at_once
	:: !at_once && timeout -> assert(waiting == 0 || sleeping > 0);
		assert(sleeping > 0 || (!taken && !put_off && watched));
		assert(clients + stolen + waiting == PEERS)
	fi;
	atomic {
		closed = true;
		watched = false;
		if
#ifdef MUTANT_CLOSED_UNDER_ACCEPT
		:: true -> is_open = false; closes++
#else
		:: !taken -> close_descriptor()
		:: taken
#endif
		fi
	};
	visited = true;
	atomic { handed = handed + mailbox; mailbox = 0; emptied = true }
}

proctype at_rest()
{
end_rest:
	(emptied && timeout) ->
	assert(mailbox == 0 && handed == adopted);
	assert(sleeping == 1 || (closes == 1 && !is_open && !taken && inside == 0));
	assert(clients + refused + stolen + waiting == PEERS)
}

init
{
	atomic {
		run peers();
		run others();
		run poller();
		run poller();
#if ADOPTS > 0
		run adopter();
#endif
		run program();
		run keeper();
		run at_rest()
	}
}
