/* A value of two copies, two words each: a sequence word whose last bit says which copy is the value, and the writers'
 * lock, which a living process takes from a dead one (mutex.pml has the lock itself). Any process may die between any two
 * steps. Each publication is the number before it plus one, in both words.
 *   (default)       0 errors: 2 writers, a reader that looks twice and then takes its turn, 2 deaths
 *   -DINPLACE       must fail: one copy, overwritten where it lies
 *   -DEARLY         must fail: published first, then written
 *   -DNORECHECK     must fail: a reader that does not look at the sequence again
 *   -DTRUST         must fail: who takes the lock from the dead publishes what they left in the other copy
 *   -DNOLOCK        must fail: a reader whose turn it is copies without the lock
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 2           /* publications of each writer, loads of each reader */
#endif
#ifndef MAXC
#define MAXC 2
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }
#ifdef INPLACE
#define COPY(s) 0
#else
#define COPY(s) ((s) & 1)
#endif
#define PLACE(s, i) word[COPY(s) * 2 + i]

byte word[4];              /* copy 0, copy 1 */
byte seq;
byte own;                  /* the lock: who has it; 0 nobody */
bit alive[WRITERS + READERS + 1];
byte crashes, done;

/* Blocks while a living process holds it. A dead one's may be taken; `took` says so. */
#define TRY(i) atomic { own == 0 || !alive[own] -> took = (own != 0); own = i }

proctype writer(byte i) {
  byte round, s, v;
  bit took;
again:
  if
  :: TRY(i)
  DIE
  fi;
  s = seq;
#ifdef TRUST
  if
  :: took -> goto publish
  :: !took
  fi;
#endif
  v = PLACE(s, 0);
  assert(v == PLACE(s, 1));                                     /* what an update starts from */
  v++;
#ifdef EARLY
  seq = s + 1;
#endif
  if
  :: PLACE(s + 1, 0) = v
  DIE
  fi;
  if
  :: PLACE(s + 1, 1) = v
  DIE
  fi;
#ifndef EARLY
publish:
  if
  :: seq = s + 1                                                /* COMMIT */
  DIE
  fi;
#endif
  if
  :: own = 0
  DIE
  fi;
  round++;
  if
  :: round < ROUNDS -> goto again
  :: else -> goto fin
  fi;
dead:
  alive[i] = 0;
fin:
  done++
}

proctype reader(byte i) {
  byte round, s, a, b, looks, last;
  bit took;
again:
  looks = 0;
look:
  s = seq;
  a = PLACE(s, 0);
  b = PLACE(s, 1);
#ifdef NORECHECK
  goto saw;
#else
  if
  :: seq == s -> goto saw
  :: seq != s -> looks++
  DIE
  fi;
  if
  :: looks < 2 -> goto look
  :: looks >= 2
  fi;
#ifdef NOLOCK
  s = seq; a = PLACE(s, 0); b = PLACE(s, 1);
#else
  if
  :: TRY(i)
  :: goto look                                                  /* it is held, or the look comes first */
  DIE
  fi;
  s = seq;
  a = PLACE(s, 0);
  if
  :: b = PLACE(s, 1)
  DIE
  fi;
  if
  :: own = 0
  DIE
  fi;
#endif
#endif
saw:
  assert(a == b);                                               /* whole */
  assert(a >= last);                                            /* and never older than what was seen before */
  last = a;
  round++;
  if
  :: round < ROUNDS -> goto again
  :: else -> goto fin
  fi;
dead:
  alive[i] = 0;
fin:
  done++
}

init {
  byte i = 1;
  atomic {
    do
    :: i <= WRITERS -> alive[i] = 1; run writer(i); i++
    :: else -> break
    od;
    do
    :: i <= WRITERS + READERS -> alive[i] = 1; run reader(i); i++
    :: else -> break
    od
  };
  done == WRITERS + READERS;
  assert(PLACE(seq, 0) == seq && PLACE(seq, 1) == seq)          /* every publication counted, and nothing else */
}
