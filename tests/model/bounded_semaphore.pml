/* The bounded semaphore: a cell per permit {owner (0 nobody), takings}, and beside them a wait word {sequence, W}. Any
 * process may die between any two steps, with or without a permit. A release wakes one, as wake_one.pml has it; a cell is
 * taken from a dead owner by a CAS on the word that names it.
 *   (default)                         0 errors
 *   -DNOSLICE -DMAXC=0                0 errors: without deaths no slice is needed
 *   -DTRIES                           0 errors: one process only tries, and is refused only if all were taken at once
 *   -DNOSLICE                         must fail: a death strands a sleeper for ever (invalid end state)
 *   -DNORETEST -DNOSLICE -DMAXC=0     must fail: nobody looks again after it set W
 *   -DBLIND                           must fail: a dead one's cell is taken by a store instead of a CAS
 *   -DTRIES -DONELOOK                 must fail: refused after a single look, though a permit was free all the time
 *   -DTRIES -DNOCOUNT                 must fail: two looks that compare the owners only
 */
#ifndef P
#define P 3                /* processes that acquire and release */
#endif
#define K 2                /* permits */
#ifndef MAXC
#define MAXC 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte own[K], takings[K];   /* one word each */
byte seq;                  /* the wait word, first field */
bit W;                     /* the wait word, second field */
bit alive[P + 1], asleep[P + 1], has[P + 1];
bit were_taken;                  /* since the look of the one who tries began, all were taken at one moment */
byte crashes, done;

#define ALL_TAKEN (own[0] != 0 && own[1] != 0)
#define HOLDERS (has[1] + has[2] + (P > 2 -> has[P] : 0))
#define TAKE(c, i) own[c] = i; takings[c]++; has[i] = 1; were_taken = were_taken || ALL_TAKEN

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

proctype user(byte i) {
  byte c, o, n, round, s;
  bit w, woken, armed;
again:
  armed = 0;
look:
  c = 0;
cell:
  atomic { o = own[c]; n = takings[c] };
  if
  :: atomic { o == 0 && own[c] == 0 && takings[c] == n -> TAKE(c, i) }; goto got
  :: o == 0 && !(own[c] == 0 && takings[c] == n) -> skip         /* the CAS fails: on to the next cell */
#ifdef BLIND
  :: o != 0 && !alive[o] -> atomic { TAKE(c, i) }; goto got
#else
  :: atomic { o != 0 && !alive[o] && own[c] == o && takings[c] == n -> TAKE(c, i) }; goto got
  :: o != 0 && !alive[o] && !(own[c] == o && takings[c] == n) -> skip
#endif
  :: o != 0 && alive[o] -> skip
  DIE
  fi;
  c++;
  if :: c < K -> goto cell :: else fi;
  if
  :: !armed -> atomic { W = 1; s = seq };
#ifndef NORETEST
     armed = 1;
     goto look
#endif
  :: armed
  DIE
  fi;
  if
  :: atomic { seq == s && W -> asleep[i] = 1 }
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
  assert(HOLDERS <= K);
  if
  :: atomic { assert(own[c] == i); own[c] = 0; has[i] = 0 }      /* released: it is still its own */
  DIE
  fi;
  atomic { s = seq; w = W };
  if
  :: !w -> goto released
  :: w
  DIE
  fi;
  atomic { wake_one() };
  if
  :: woken -> goto released
  :: !woken
  DIE
  fi;
  if
  :: atomic { seq == s && W -> seq = s + 1; W = 0 }
  :: !(seq == s && W) -> goto released
  DIE
  fi;
  atomic { wake_all() };
released:
  round++;
  if :: round < ROUNDS -> goto again :: else -> goto fin fi;
dead:
  atomic { alive[i] = 0; asleep[i] = 0; has[i] = 0 };
fin:
  done++
}

#ifdef TRIES
/* Refused only after two looks between which nobody took anything. */
proctype tries() {
  byte c, sum, before;
  bit second;
  atomic { were_taken = ALL_TAKEN };
look:
  sum = 0;
  c = 0;
  do
  :: c < K ->
     if
     :: atomic { own[c] == 0 -> goto fin }                       /* it would take it */
#ifdef NOCOUNT
     :: atomic { own[c] != 0 -> sum = sum * 4 + own[c]; c++ }
#else
     :: atomic { own[c] != 0 -> sum = sum + takings[c]; c++ }
#endif
     fi
  :: else -> break
  od;
#ifndef ONELOOK
  if
  :: !second || sum != before -> second = 1; before = sum; goto look
  :: else
  fi;
#endif
  assert(were_taken);
fin:
  skip
}
#endif

init {
  byte i = 1;
  atomic {
    do :: i <= P -> alive[i] = 1; run user(i); i++ :: else -> break od;
#ifdef TRIES
    run tries()
#endif
  };
  done == P
}
