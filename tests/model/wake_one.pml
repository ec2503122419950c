/* The wait word {sequence, W} where one wake per item is enough: a queue's consumers (mirrored: its producers).
 *
 *   notifier: commit k items; fence; load {s, W}; if W: FUTEX_WAKE(k)
 *             if that woke fewer than k: CAS {s, 1} -> {s+1, 0}; if it succeeds FUTEX_WAKE(all), else leave it
 *   waiter:   test; load {s, W}; if !W: CAS {s, 0} -> {s, 1}; fence; test again; FUTEX_WAIT on {s, 1}
 *             whatever the wait returned: back to the test; who is out of time gives up only after one more test
 *
 * Why the second wake: a waiter that tested before the commit may fall asleep between the first wake, which found
 * nobody, and the CAS. It would sleep under W = 0, and the next notifier would not wake. After the CAS nobody can fall
 * asleep on the old value. The sequence need not change before the first wake (-DBUMP does that).
 *   (default)        0 errors; also with the sizes below changed, and with -DBUMP
 *   -DNOFLUSH        must fail: no second wake; also with -DBUMP
 *   -DCLEARONE       must fail: the notifier clears W after waking one, with no second wake
 *   -DNORETEST       must fail: the waiter does not test again after it set W
 *   -DSAMESEQ        must fail: the sequence never changes, W is cleared by {s, 1} -> {s, 0}
 *   -DNOLASTTEST     must fail: who is out of time gives up without a last test, and may have eaten a wake
 * No deaths: a wake is lost with a dead notifier or a dead woken waiter, and slices bound that. Each consumer takes one
 * item and leaves, so one that was woken is never there for a second item. Checked: when all notifiers have returned
 * and whoever is left sleeps, no item is left, even if no timeout ever comes.
 */
#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef K
#define K 1                /* items per push */
#endif
#ifndef C
#define C 3                /* consumers */
#endif
#ifndef T
#define T 1                /* how many of them may run out of time */
#endif
#ifdef SAMESEQ
#define NEXT(s) (s)
#else
#define NEXT(s) ((s) + 1)
#endif

byte seq;                  /* the word, first field */
bit W;                     /* the word, second field */
byte items;
bit asleep[C];
byte sleepers, pushed, gone;

inline wake_up_to(limit) {
  woke = 0;
  do
  :: woke < limit && asleep[0] -> asleep[0] = 0; sleepers--; woke++
#if C > 1
  :: woke < limit && asleep[1] -> asleep[1] = 0; sleepers--; woke++
#endif
#if C > 2
  :: woke < limit && asleep[2] -> asleep[2] = 0; sleepers--; woke++
#endif
#if C > 3
  :: woke < limit && asleep[3] -> asleep[3] = 0; sleepers--; woke++
#endif
  :: woke == limit || sleepers == 0 -> break
  od
}

proctype pusher() {
  byte s, woke;
  bit w;
  items = items + K;                            /* commit */
#ifdef BUMP
again:
#endif
  atomic { s = seq; w = W };                    /* one load of the word */
  if
  :: !w -> goto fin
  :: w
  fi;
#ifdef BUMP
  if
  :: atomic { seq == s && W -> seq = s + 1; s = s + 1 }
  :: !(seq == s && W) -> goto again
  fi;
#endif
  atomic { wake_up_to(K) };
#ifndef CLEARONE
  if
  :: woke == K -> goto fin
  :: woke < K
  fi;
#endif
  if
  :: atomic { seq == s && W -> seq = NEXT(s); W = 0 }
  :: !(seq == s && W) -> goto fin
  fi;
#if !defined(NOFLUSH) && !defined(CLEARONE)
  atomic { wake_up_to(C) };
#endif
fin:
  atomic { s = 0; w = 0; woke = 0; pushed++ }
}

proctype consumer(byte i) {
  byte s;
  bit w;
test:
  if
  :: atomic { items > 0 -> items--; goto fin }
  :: items == 0
  fi;
  atomic { s = seq; w = W };
  if
  :: w
  :: !w ->
     if
     :: atomic { seq == s && !W -> W = 1 }
     :: !(seq == s && !W) -> goto test
     fi
  fi;
#ifndef NORETEST
  if
  :: atomic { items > 0 -> items--; goto fin }
  :: items == 0
  fi;
#endif
  atomic {                                      /* futex compares, then sleeps */
    if :: seq == s && W -> asleep[i] = 1; sleepers++ :: else -> goto test fi
  };
end_asleep:
  if
  :: !asleep[i] -> goto test
  :: i < T && !asleep[i]                        /* woken, but out of time */
  :: atomic { i < T && asleep[i] -> asleep[i] = 0; sleepers-- }
  fi;
#ifndef NOLASTTEST
  if
  :: atomic { items > 0 -> items--; goto fin }
  :: items == 0
  fi;
#endif
fin:
  atomic { s = 0; w = 0; gone++ }
}

init {
  byte i;
  atomic {
    do :: i < PUSHERS -> run pusher(); i++ :: else -> break od;
    i = 0;
    do :: i < C -> run consumer(i); i++ :: else -> break od
  };
end:
  pushed == PUSHERS && items > 0 && sleepers > 0 && sleepers + gone == C -> assert(false)
}
