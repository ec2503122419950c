/* The recoverable lock: a state word {owner (0 free), inconsistent}, and beside it a wait word {sequence, W}. Any process
 * may die between any two steps. Unlocking wakes one, as wake_one.pml has it; who comes may pass those who wait.
 *   (default)                        0 errors
 *   -DNOSLICE -DMAXC=0               0 errors: without deaths no slice is needed
 *   -DNOSLICE                        must fail: a death strands a sleeper for ever (invalid end state)
 *   -DNORETEST -DNOSLICE -DMAXC=0    must fail: nobody looks again after it set W
 *   -DBLIND                          must fail: takeover by a plain store instead of a CAS on the dead owner
 *   -DNOTELL                         must fail: takeover that leaves the lock consistent
 *   -DFORGET                         must fail: an unlock that nobody repaired before makes it consistent
 * `torn` stands for data left half-written by a dead owner: until somebody repairs it, whoever enters must be told.
 */
#ifndef P
#define P 3
#endif
#ifndef MAXC
#define MAXC 2
#endif
#ifndef ROUNDS
#define ROUNDS 1           /* how often each process takes the lock */
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte own;                  /* the state word, first field */
bit inc;                   /* the state word, second field */
byte seq;                  /* the wait word, first field */
bit W;                     /* the wait word, second field */
bit alive[P + 1], asleep[P + 1];
bit torn;
byte crashes, inside, done;

inline wake_one() {
  woken = 1;
  if
  :: asleep[1] -> asleep[1] = 0
  :: asleep[2] -> asleep[2] = 0
#if P > 2
  :: asleep[3] -> asleep[3] = 0
#endif
  :: else -> woken = 0
  fi
}
inline wake_all() {
  asleep[1] = 0;
  asleep[2] = 0;
#if P > 2
  asleep[3] = 0;
#endif
}

proctype locker(byte i) {
  byte o, round, s;
  bit w, woken, armed;
again:
  armed = 0;
look:
  if
  :: atomic { own == 0 -> own = i }; goto got
  :: atomic { own != 0 -> o = own }
  fi;
  if
#ifdef BLIND
  :: !alive[o] -> own = i; inc = 1; goto got
#else
#ifdef NOTELL
  :: atomic { !alive[o] && own == o -> own = i }; goto got
#else
  :: atomic { !alive[o] && own == o -> own = i; inc = 1 }; goto got
#endif
  :: !alive[o] && own != o -> goto look
#endif
  :: alive[o]
  DIE
  fi;
  if
  :: !armed -> atomic { W = 1; s = seq };                       /* one fetch_or */
#ifndef NORETEST
     armed = 1;
     goto look
#endif
  :: armed
  DIE
  fi;
  if
  :: atomic { seq == s && W -> asleep[i] = 1 }                  /* futex compares, then sleeps */
  :: !(seq == s && W) -> goto again
  DIE
  fi;
  if
  :: !asleep[i]
#ifndef NOSLICE
  :: asleep[i] -> asleep[i] = 0
#endif
  DIE
  fi;
  goto again;
got:
  if
  :: atomic { inside++; assert(inside == 1); assert(!torn || inc) }
  DIE
  fi;
  if
  :: inside--
  :: atomic { inc -> torn = 0; inc = 0; inside-- }              /* repaired, and said so */
  :: atomic { crashes < MAXC -> crashes++; torn = 1; inside--; goto dead }
  fi;
  if
#ifdef FORGET
  :: atomic { own = 0; inc = 0 }
#else
  :: own = 0                                                    /* one store: the bit stays */
#endif
  DIE
  fi;
  atomic { s = seq; w = W };                                    /* one load of the wait word */
  if
  :: !w -> goto unlocked
  :: w
  DIE
  fi;
  atomic { wake_one() };
  if
  :: woken -> goto unlocked
  :: !woken
  DIE
  fi;
  if
  :: atomic { seq == s && W -> seq = s + 1; W = 0 }
  :: !(seq == s && W) -> goto unlocked
  DIE
  fi;
  atomic { wake_all() };
unlocked:
  round++;
  if :: round < ROUNDS -> goto again :: else -> goto fin fi;
dead:
  atomic { alive[i] = 0; asleep[i] = 0 };
fin:
  done++
}

init {
  byte i = 1;
  atomic { do :: i <= P -> alive[i] = 1; run locker(i); i++ :: else -> break od };
  done == P
}
