/* A condition: a count of notifications, and beside it a wait word {sequence, W}. The mutex is the recoverable lock of
 * mutex.pml, here one step: free, or a dead owner's. Producers add an item under it and notify one, with the mutex held or not;
 * waiters take an item each, or wait. Any process may die between any two steps.
 *   (default)              0 errors: waiters with a predicate, which look at the items again when a slice is over
 *   -DPLAIN                0 errors: waiters that return only when notified; producers die only before they add an item, or
 *                          after they have counted
 *   -DPLAIN -DALL          0 errors: producers notify all
 *   -DNOSLICE -DMAXC=0     0 errors: without deaths no slice is needed, with timeouts too
 *   -DNOSLICE              must fail: a death strands a sleeper beside an item for good
 *   -DPLAIN -DUNTOLD       must fail: a producer that dies between its item and its count tells nobody
 *   -DPLAIN -DTOKEN        must fail: notify_one leaves a token that whoever wakes takes, and a dead one took it along
 *   -DLATE -DNOSLICE -DMAXC=0        must fail: the waiter reads the count after it let the mutex go
 *   -DWAKEFIRST -DNOSLICE -DMAXC=0   must fail: the notifier wakes before it counts
 *   -DNORETEST -DNOSLICE -DMAXC=0    must fail: the waiter does not test again after it set W
 * Checked: when nothing moves any more, nobody sleeps beside an item. A slice only looks again: here it ends where that look
 * would find something, and not otherwise.
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef C
#define C 2                /* waiters */
#endif
#ifndef T
#define T 1                /* how many of them may run out of time */
#endif
#ifndef MAXC
#define MAXC 2
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }
#ifdef TOKEN
#define TOLD(i) (count > 0)
#else
#define TOLD(i) (count != began[i])
#endif
#if defined(NOSLICE)
#define SLICE(i) (0)
#elif defined(PLAIN)
#define SLICE(i) TOLD(i)
#else
#define SLICE(i) (TOLD(i) || items > 0)
#endif
#if defined(PLAIN) && !defined(UNTOLD)
#define DIE_UNTOLD
#else
#define DIE_UNTOLD DIE
#endif
#define STUCK(i) (asleep[i] && !SLICE(i))
#define LOCK(me) atomic { own == 0 || !alive[own] -> own = me }

byte own;                  /* the mutex: 0 free, waiters 1 .. C, producers C + 1 .. */
byte items;                /* guarded by it */
byte count;                /* notified so often */
byte seq;                  /* the wait word, first field */
bit W;                     /* the wait word, second field */
bit alive[C + PRODUCERS + 1];
bit asleep[C + 1];
byte began[C + 1];
byte crashes, sleepers, gone;

inline wake_up_to(limit) {
  woke = 0;
  do
  :: woke < limit && asleep[1] -> asleep[1] = 0; sleepers--; woke++
#if C > 1
  :: woke < limit && asleep[2] -> asleep[2] = 0; sleepers--; woke++
#endif
#if C > 2
  :: woke < limit && asleep[3] -> asleep[3] = 0; sleepers--; woke++
#endif
  :: woke == limit || sleepers == 0 -> break
  od
}

proctype producer(byte me) {
  byte s, woke;
  bit w, holds;
  if
  :: LOCK(me)
  DIE
  fi;
  if
  :: items++
  DIE
  fi;
  if
  :: holds = 1                                                  /* notifies with the mutex held */
  :: own = 0
  DIE_UNTOLD
  fi;
#ifndef WAKEFIRST
  if
  :: count++
  DIE_UNTOLD
  fi;
#endif
#ifdef ALL
again:
  atomic { s = seq; w = W };
  if
  :: !w -> goto told
  :: w
  DIE
  fi;
  if
  :: atomic { seq == s && W -> seq = s + 1; W = 0 }
  :: !(seq == s && W) -> goto again
  DIE
  fi;
#else
  atomic { s = seq; w = W };                                    /* one load of the wait word */
  if
  :: !w -> goto told
  :: w
  DIE
  fi;
  atomic { wake_up_to(1) };
  if
  :: woke == 1 -> goto told
  :: woke == 0
  DIE
  fi;
  if
  :: atomic { seq == s && W -> seq = s + 1; W = 0 }
  :: !(seq == s && W) -> goto told
  DIE
  fi;
#endif
  atomic { wake_up_to(C) };
told:
#ifdef WAKEFIRST
  count++;
#endif
  if
  :: holds -> own = 0
  :: !holds
  DIE
  fi;
  goto fin;
dead:
  alive[me] = 0;
fin:
  atomic { s = 0; w = 0; woke = 0; holds = 0; gone++ }
}

proctype waiter(byte i) {
  byte s;
  bit late;
look:
  LOCK(i);
  if
  :: items > 0 -> items--; goto took
  :: items == 0 && late -> goto took                            /* out of time, and nothing there */
  :: items == 0 && !late
  DIE
  fi;
#ifndef LATE
  began[i] = count;
#endif
  if
  :: own = 0
  DIE
  fi;
#ifdef LATE
  began[i] = count;
#endif
test:
  if
#ifdef TOKEN
  :: atomic { TOLD(i) -> count-- };
     if :: goto look DIE fi
#else
  :: TOLD(i) -> goto look
#endif
  :: !TOLD(i)
  DIE
  fi;
  atomic { W = 1; s = seq };                                    /* one fetch_or */
#ifndef NORETEST
  if
#ifdef TOKEN
  :: atomic { TOLD(i) -> count-- };
     if :: goto look DIE fi
#else
  :: TOLD(i) -> goto look
#endif
  :: !TOLD(i)
  DIE
  fi;
#endif
  atomic { if :: seq == s && W -> asleep[i] = 1; sleepers++ :: else -> goto test fi };   /* futex compares, then sleeps */
end_asleep:
  if
  :: !asleep[i] -> goto test
  :: i <= T && !asleep[i] -> late = 1; goto look                /* woken, but out of time */
  :: atomic { i <= T && asleep[i] -> asleep[i] = 0; sleepers--; late = 1; goto look }
#ifdef PLAIN
  :: atomic { asleep[i] && SLICE(i) -> asleep[i] = 0; sleepers--; goto test }
#else
  :: atomic { asleep[i] && SLICE(i) -> asleep[i] = 0; sleepers--; goto look }
#endif
  :: atomic { asleep[i] && crashes < MAXC -> crashes++; asleep[i] = 0; sleepers--; goto dead }
  :: atomic { !asleep[i] && crashes < MAXC -> crashes++; goto dead }
  fi;
took:
  if
  :: own = 0
  DIE
  fi;
  goto fin;
dead:
  alive[i] = 0;
fin:
  atomic { s = 0; late = 0; gone++ }
}

init {
  byte i = 1;
  atomic {
    do :: i <= C + PRODUCERS -> alive[i] = 1; i++ :: else -> break od;
    i = 1;
    do :: i <= C -> run waiter(i); i++ :: else -> break od;
    do :: i <= C + PRODUCERS -> run producer(i); i++ :: else -> break od
  };
end:
  sleepers > 0 && sleepers + gone == C + PRODUCERS && items > 0 && (STUCK(1)
#if C > 1
  || STUCK(2)
#endif
#if C > 2
  || STUCK(3)
#endif
  ) -> assert(false)
}
