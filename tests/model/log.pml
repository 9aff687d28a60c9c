/* SPDX-License-Identifier: MIT */
/*
 * The log: whoever says something puts it into a bounded queue, one thread calls the program's hook, the
 * keeper waits for the last line at the end of a run, and destroy frees.
 *
 * One worker, whose handler may hang past the stop's deadline, and speaks again when it is back; one thread
 * of the program, which speaks at any time before destroy; the thread for the log; the keeper; and who
 * destroys once run has answered. The hook returns at once, or when it is let go, or never. A deadline is
 * only as strict as it has to be: it passes while a callback takes its time, and not otherwise. So a wake-up
 * that is lost leaves somebody waiting for ever, which spin finds.
 *
 * What is done under the log's lock is one step. There is room for one line; the order of more, and which of
 * them is lost, are matters of one critical section, which the unit tests look at.
 *
 * Once run has answered 0 the hook is not called; no line is lost without being told of; run always
 * answers; and nobody touches memory that is freed.
 */

#ifndef LINES
#define LINES 2 /* that the thread of the program says */
#endif

bool memory = true;
#define TOUCH assert(memory)

/* Under the log's lock. */
bool queue; /* a line is there; there is room for one */
byte before, lost; /* how many are missing before it, and behind it */
bool unsaid, ending, over;

bool sleeps, kicked; /* the log's thread, on its condition; and who waits for it */
bool waits, called;

bool ended; /* the log's thread is no more */
bool joined;

bool in_hook, hung; /* the hook takes its time; for ever */
bool handler_hangs;
bool gone; /* the worker has left */
bool silent; /* the thread of the program says nothing more */
bool answered, well; /* run has; 0 */

/* Only for the proofs. */
byte put, told;

inline say_it()
{
	atomic {
		TOUCH;
#ifdef MUTANT_TAKES_AFTER_THE_END
		if
		:: true ->
#else
		if
		:: !ending ->
#endif
			put++;
			unsaid = true;
			if
			:: !queue -> queue = true; before = lost; lost = 0
#ifdef MUTANT_LOSES_IN_SILENCE
			:: else
#else
			:: else -> lost++
#endif
			fi;
#ifndef MUTANT_PUTS_QUIETLY
			kicked = kicked || sleeps
#endif
		:: else
		fi
	}
}

/* Under the lock: no more lines are taken. */
inline end_it()
{
	ending = true;
#ifndef MUTANT_ENDS_QUIETLY
	kicked = kicked || sleeps
#endif
}

proctype logger()
{
	byte count;

look:
	atomic {
		TOUCH;
#ifdef MUTANT_LEAVES_LINES
		if
		:: ending -> goto finish
		:: else
		fi;
#endif
		if
		:: queue -> queue = false; count = 1 + before; before = 0; in_hook = true; goto hook
#ifndef MUTANT_LOSS_NEEDS_A_LINE
		:: !queue && lost > 0 -> count = lost; lost = 0; in_hook = true; goto hook
		:: !queue && lost == 0 ->
#else
		:: !queue ->
#endif
			unsaid = false;
			called = called || waits;
			if
			:: ending -> goto finish
			:: else -> sleeps = true
			fi
		fi
	};
#ifdef MUTANT_SLEEPS_BY_OLD_NEWS
	kicked = false;
#endif
	atomic { kicked -> TOUCH; kicked = false; sleeps = false; goto look };

hook:
	assert(!(answered && well));
	if
	:: true
	:: hung = true; goto end_hung
	fi;
	atomic { in_hook = false; told = told + count; count = 0; goto look };

finish:
	atomic { TOUCH; over = true; called = called || waits };
	TOUCH; /* the lock is released */
	ended = true;
	goto done;
end_hung:
	false;
done:
	skip
}

proctype worker()
{
	say_it();
	if
	:: true
	:: handler_hangs = true; answered; handler_hangs = false
	fi;
	assert(!ending);
	say_it();
	gone = true
}

proctype program()
{
	byte count;
	do
	:: count < LINES && !silent -> say_it(); count++
	:: silent = true; break
	od
}

/* Waits for the log's thread, until a deadline that passes while the hook takes its time. */
inline wait_for_log(condition, success)
{
	do
	:: atomic {
		TOUCH;
		waits = false;
		if
		:: condition -> success = true; break
		:: else -> waits = true
		fi
	};
		if
		:: atomic { called -> called = false }
		:: in_hook -> success = false; break
		fi
	od
}

proctype keeper()
{
	bool good, said;
	if
	:: gone -> good = true
	:: handler_hangs -> good = false
	fi;
	say_it(); /* "stopped", or who hangs */
#ifdef MUTANT_ENDS_WHILE_A_HANDLER_HANGS
	atomic { TOUCH; end_it() };
	wait_for_log(over, said);
#else
	if
#ifdef MUTANT_WAITS_WITHOUT_ENDING
	:: good -> wait_for_log((!unsaid || over), said)
#else
	:: good -> atomic { TOUCH; end_it() }; wait_for_log(over, said)
#endif
	:: else -> wait_for_log((!unsaid || over), said)
	fi;
#endif
	if
	:: good && said ->
#if !defined(MUTANT_NOT_JOINED) && !defined(MUTANT_WAITS_WITHOUT_ENDING)
		ended;
#endif
		joined = true
	:: else
	fi;
	atomic { well = good && said; answered = true }
}

proctype destroyer()
{
	bool said;
	answered && silent;
	gone;
again:
	if
	:: joined
	:: else ->
		atomic { TOUCH; end_it() };
		wait_for_log(over, said);
		if
		:: said -> ended; joined = true
		:: !said && hung -> goto end_refused
		:: else -> goto again /* -EBUSY, and it is called again */
		fi
	fi;
	assert(told == put);
	memory = false;
	goto done;
end_refused:
	false;
done:
	skip
}

init
{
	atomic {
		run logger();
		run worker();
		run program();
		run keeper();
		run destroyer()
	}
}
