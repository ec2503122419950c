/* The wait word {sequence, W} beside the state it announces; the notifier wakes all. Without deaths no wake-up may be
 * lost. Timeouts and slices are left out: they would repair what this model must find.
 *   (default)      0 errors
 *   -DBLINDSTORE   must fail: the notifier stores {s+1, 0} instead of CAS, so a stale one rewinds the sequence
 *   -DNORETEST     must fail: the waiter does not test the state again after it set W
 * Waiter i waits until NOTIFIERS - i changes have been committed. SPIN's memory is sequentially consistent: the code
 * needs the fence (or membarrier) between the commit and the load of W, and between setting W and the second test.
 */
#ifndef NOTIFIERS
#define NOTIFIERS 3
#endif
#ifndef WAITERS
#define WAITERS 2
#endif

byte seq;                  /* the word, first field */
bit W;                     /* the word, second field */
byte state;                /* what is waited for: the number of changes committed */
bit asleep[WAITERS];
byte returned;

proctype notifier() {
  byte s;
  bit w;
  state++;                                      /* commit */
again:
  atomic { s = seq; w = W };                    /* one load of the word */
  if
  :: !w -> goto fin
  :: w
  fi;
#ifdef BLINDSTORE
  atomic { seq = s + 1; W = 0 };
#else
  if
  :: atomic { seq == s && W -> seq = s + 1; W = 0 }
  :: !(seq == s && W) -> goto again             /* if W no longer stands, the next load ends it */
  fi;
#endif
  atomic { s = 0; do :: s < WAITERS -> asleep[s] = 0; s++ :: else -> break od; s = 0 };
fin:
  skip
}

proctype waiter(byte i) {
  byte s;
  bit w;
test:
  if :: state >= NOTIFIERS - i -> goto fin :: else fi;
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
  if :: state >= NOTIFIERS - i -> goto fin :: else fi;
#endif
  atomic { if :: seq == s && W -> asleep[i] = 1 :: else -> goto test fi };   /* futex compares, then sleeps */
  !asleep[i];
  goto test;
fin:
  returned++
}

init {
  byte i;
  atomic {
    do :: i < NOTIFIERS -> run notifier(); i++ :: else -> break od;
    i = 0;
    do :: i < WAITERS -> run waiter(i); i++ :: else -> break od
  };
  returned == WAITERS
}
