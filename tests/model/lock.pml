/* Owner-stamped futex lock: word = {owner (0 free), W}. Any process may die between any two steps.
 * Who has slept takes the lock with W set, since others may sleep still: the unlocker cannot know. Unlocking wakes one.
 * A death between the release and the wake, or of the one woken, strands sleepers; slices bound that.
 *   (default)                     0 errors
 *   -DNOSLICE -DMAXC=0            0 errors: without deaths no slice is needed
 *   -DNOSLICE                     must fail: a death strands a sleeper for ever (invalid end state)
 *   -DNORESET -DNOSLICE -DMAXC=0  must fail: one who slept takes the lock without W
 *   -DBLIND                       must fail: takeover by a plain store instead of a CAS on the dead owner
 * `torn` stands for data left half-written by a dead owner: whoever enters then must know that it took over.
 */
#ifndef P
#define P 3
#endif
#ifndef MAXC
#define MAXC 2
#endif
#ifndef ROUNDS
#define ROUNDS 2           /* how often each process takes the lock */
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte own;                  /* the word, first field */
bit W;                     /* the word, second field */
bit alive[P + 1], asleep[P + 1];
bit torn;
byte crashes, inside, done;

proctype locker(byte i) {
  byte o, round;
  bit slept, took, w;
again:
  if
  :: atomic {
       own == 0 -> own = i;
#ifndef NORESET
       if :: slept -> W = 1 :: else fi;
#endif
       took = 0
     };
     goto got
  :: atomic { own != 0 -> o = own }
  fi;
  if
#ifdef BLIND
  :: !alive[o] -> own = i; took = 1; goto got
#else
  :: atomic { !alive[o] && own == o -> own = i; W = 1; took = 1 }; goto got
  :: !alive[o] && own != o -> goto again
#endif
  :: alive[o]
  DIE
  fi;
  if
  :: atomic { own == o -> W = 1 }
  :: own != o -> goto again
  DIE
  fi;
  if
  :: atomic { own == o && W -> asleep[i] = 1; slept = 1 }       /* futex compares, then sleeps */
  :: !(own == o && W) -> goto again
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
  :: atomic { inside++; assert(inside == 1); if :: took -> torn = 0 :: else -> assert(!torn) fi }
  DIE
  fi;
  if
  :: inside--
  :: atomic { crashes < MAXC -> crashes++; torn = 1; inside--; goto dead }
  fi;
  if
  :: atomic { w = W; own = 0; W = 0 }                            /* one exchange */
  DIE
  fi;
  if
  :: !w
  :: w -> atomic {
       if
       :: asleep[1] -> asleep[1] = 0
       :: asleep[2] -> asleep[2] = 0
#if P > 2
       :: asleep[3] -> asleep[3] = 0
#endif
       :: else
       fi
     }
  DIE
  fi;
  round++;
  if :: round < ROUNDS -> slept = 0; goto again :: else -> goto fin fi;
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
