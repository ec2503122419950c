/* An event: a state word {sets, set}, and beside it a wait word {sequence, W}, as event.pml has it; a set wakes all. Any
 * process may die between any two steps. Setters set and clear in every order; a waiter returns where the event is set,
 * or where `sets` is not what it was when the wait began.
 *   (default)              0 errors
 *   -DNOSLICE -DMAXC=0     0 errors: without deaths no slice is needed
 *   -DNOSLICE              must fail: a setter that dies before it wakes strands a waiter for good
 *   -DNORETEST -DNOSLICE -DMAXC=0   must fail: the waiter does not test again after it set W
 *   -DLEVEL                must fail: the waiter looks at the flag alone, and misses a set that is cleared at once
 *   -DBLINDSET             must fail: a set that stores what it computed from an older word
 *   -DBLINDCLEAR           must fail: likewise a clear, which turns `sets` back
 * Checked: when all setters have ended, nobody sleeps who waited when the event was set, or though it is set; `real` counts
 * what truly happened. A slice only looks again: here it ends where that look would find something, and not otherwise.
 */
#ifndef SETTERS
#define SETTERS 2
#endif
#ifndef STEPS
#define STEPS 2            /* of each setter: a set or a clear */
#endif
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef MAXC
#define MAXC 2
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto fin }
#ifdef LEVEL
#define RELEASED(i) (set)
#else
#define RELEASED(i) (set || sets != began[i])
#endif
#define OWED(i) (asleep[i] && (set || real != truly[i]) && !SLICE(i))
#ifdef NOSLICE
#define SLICE(i) (0)
#else
#define SLICE(i) RELEASED(i)
#endif

byte sets;                 /* the state word, first field */
bit set;                   /* the state word, second field */
byte seq;                  /* the wait word, first field */
bit W;                     /* the wait word, second field */
byte real;                 /* how often it went from clear to set */
byte began[WAITERS], truly[WAITERS];
bit asleep[WAITERS];
byte crashes, ended, gone, sleepers;

proctype setter() {
  byte s, step;
  bit f, w;
next:
  if :: step == STEPS -> goto fin :: step < STEPS -> step++ fi;
  if
  :: goto setting
  :: goto clearing
  fi;
setting:
  atomic { s = sets; f = set };
  if
#ifdef BLINDSET
  :: atomic { real = real + (set == 0); sets = s + (f == 0); set = 1 }
#else
  :: atomic { sets == s && set == f -> real = real + (f == 0); sets = s + (f == 0); set = 1 }
  :: !(sets == s && set == f) -> goto setting
#endif
  DIE
  fi;
again:
  atomic { s = seq; w = W };                                    /* one load of the wait word */
  if
  :: !w -> goto next
  :: w
  DIE
  fi;
  if
  :: atomic { seq == s && W -> seq = s + 1; W = 0 }
  :: !(seq == s && W) -> goto again
  DIE
  fi;
  if
  :: atomic { s = 0; do :: s < WAITERS -> sleepers = sleepers - asleep[s]; asleep[s] = 0; s++ :: else -> break od; s = 0 }
  DIE
  fi;
  goto next;
clearing:
#ifdef BLINDCLEAR
  s = sets;
  atomic { sets = s; set = 0 };
#else
  set = 0;                                                      /* one fetch_and */
#endif
  goto next;
fin:
  atomic { s = 0; f = 0; w = 0; step = 0; ended++ }
}

proctype waiter(byte i) {
  byte s;
  atomic { began[i] = sets; truly[i] = real; if :: set -> goto fin :: else fi };
test:
  if
  :: RELEASED(i) -> goto fin
  :: !RELEASED(i)
  DIE
  fi;
  atomic { W = 1; s = seq };                                    /* one fetch_or */
#ifndef NORETEST
  if
  :: RELEASED(i) -> goto fin
  :: !RELEASED(i)
  DIE
  fi;
#endif
  atomic { if :: seq == s && W -> asleep[i] = 1; sleepers++ :: else -> goto test fi };   /* futex compares, then sleeps */
end_asleep:
  if
  :: !asleep[i]
  :: atomic { asleep[i] && SLICE(i) -> asleep[i] = 0; sleepers-- }
  :: atomic { asleep[i] && crashes < MAXC -> crashes++; asleep[i] = 0; sleepers--; goto fin }
  fi;
  goto test;
fin:
  atomic { s = 0; gone++ }
}

init {
  byte i;
  atomic {
    do :: i < SETTERS -> run setter(); i++ :: else -> break od;
    i = 0;
    do :: i < WAITERS -> run waiter(i); i++ :: else -> break od
  };
end:
  ended == SETTERS && sleepers + gone == WAITERS && (OWED(0)
#if WAITERS > 1
  || OWED(1)
#endif
#if WAITERS > 2
  || OWED(2)
#endif
  ) -> assert(false)
}
