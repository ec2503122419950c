/* A broadcast: one ring, writers that take turns, readers that take nothing. Items are two words; the item at position p
 * is p + 1 in both. `tail` and CLOSED are one word. The writers' lock is one step (mutex.pml has it); a living process
 * takes it from a dead one. Any process may die between any two steps.
 *   (default)         0 errors: readers lose, and their copies are whole; nothing is seen twice or out of place
 *   -DWAITS           0 errors: writers wait for living readers, which lose nothing, and not for dead ones
 *   -DCLOSES          0 errors: somebody closes it; who saw the end missed nothing
 *   -DTIGHT           must fail: no spare slot, so that what stands is overwritten by an item not yet pushed
 *   -DEARLY           must fail: tail first, then the item
 *   -DNORECHECK       must fail: a reader that does not look at tail after its copy
 *   -DCLOSES -DSTORE  must fail: tail is stored, not CASed, and CLOSED is lost
 *   -DWAITS -DGUESS   must fail: the cell of a living reader is freed
 *   -DWAITS -DNOTURN  must fail: a reader joins without its turn among the writers
 *   -DWAITS -DKEEP    must fail: a dead reader's cell is kept (invalid end state)
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 2           /* items of each writer */
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef MAXC
#define MAXC 2
#endif
#ifdef TIGHT
#define SLOTS CAP
#else
#define SLOTS (CAP + 1)
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }
#define ALL (WRITERS + READERS)
#define SLOT(p, i) word[((p) % SLOTS) * 2 + i]

byte word[6];
byte tail;
bit closed;                /* one word with tail */
byte own;                  /* the lock: who has it; 0 nobody */
bit joined[ALL + 1];       /* reader r's cell has an owner, r */
byte cursor[ALL + 1];
bit alive[ALL + 1];
byte crashes, done, writing = WRITERS;

#define TRY(i) atomic { own == 0 || !alive[own] -> own = i }
#define R1 (WRITERS + 1)
#define R2 (WRITERS + READERS)             /* the same one, where there is one */
#define LAGS(r) (joined[r] && tail - cursor[r] >= CAP)
#ifdef GUESS
#define IN_THE_WAY(r) false
#else
#ifdef KEEP
#define IN_THE_WAY(r) LAGS(r)
#else
#define IN_THE_WAY(r) (LAGS(r) && alive[r])
#endif
#endif
#define ROOM (!IN_THE_WAY(R1) && !IN_THE_WAY(R2))

proctype writer(byte i) {
  byte round, t;
again:
  if
  :: TRY(i)
  DIE
  fi;
  t = tail;
  if
  :: closed -> own = 0; goto fin
  :: !closed
  DIE
  fi;
#ifdef WAITS
  if
  :: atomic { ROOM -> if :: LAGS(R1) -> joined[R1] = 0 :: else fi; if :: LAGS(R2) -> joined[R2] = 0 :: else fi }
  :: !ROOM -> own = 0; (ROOM || closed); goto again           /* not in its turn */
  DIE
  fi;
#endif
#ifdef EARLY
  tail = t + 1;
#endif
  if
  :: SLOT(t, 0) = t + 1
  DIE
  fi;
  if
  :: SLOT(t, 1) = t + 1
  DIE
  fi;
#ifndef EARLY
#ifdef STORE
  atomic { tail = t + 1; closed = 0 };
#else
  if
  :: atomic { !closed -> tail = t + 1 }                         /* COMMIT */
  :: closed
  DIE
  fi;
#endif
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
  atomic { writing--; done++ }
}

proctype reader(byte i) {
  byte p, t, a, b, lost, saw, first;
#ifdef WAITS
#ifdef NOTURN
  p = tail;
#else
  if
  :: TRY(i)
  DIE
  fi;
  p = tail;
#endif
  cursor[i] = p;
  if
  :: joined[i] = 1
  DIE
  fi;
#ifndef NOTURN
  if
  :: own = 0
  DIE
  fi;
#endif
#else
  p = tail;
#endif
  first = p;
again:
  if
  :: atomic { tail != p -> t = tail }
  :: atomic { tail == p && (closed || writing == 0) -> goto end } /* drained, or nobody is left who pushes */
  DIE
  fi;
copy:
  if
  :: t - p > CAP -> lost = lost + t - CAP - p; p = t - CAP
  :: else
  fi;
  a = SLOT(p, 0);
  b = SLOT(p, 1);
#ifndef NORECHECK
  t = tail;
  if
  :: t - p > CAP -> goto copy
  :: else
  fi;
#endif
  assert(a == b && a == p + 1);                                 /* whole, and of that very position */
  p++;
  saw++;
#ifdef WAITS
  assert(lost == 0);
  if
  :: cursor[i] = p
  DIE
  fi;
#endif
  goto again;
end:
  assert(saw + lost == p - first && p == tail);                 /* all of it is seen, or counted */
#ifdef WAITS
  if
  :: joined[i] = 0
  DIE
  fi;
#endif
  goto fin;
dead:
  alive[i] = 0;
fin:
  done++
}

#ifdef CLOSES
bit shut;
active proctype closer() { atomic { closed = 1; shut = 1 } }
#endif

init {
  byte i = 1;
  atomic {
    do
    :: i <= WRITERS -> alive[i] = 1; run writer(i); i++
    :: else -> break
    od;
    do
    :: i <= ALL -> alive[i] = 1; run reader(i); i++
    :: else -> break
    od
  };
  done == ALL;
#ifdef CLOSES
  shut;
  assert(closed)                                                /* once closed, for ever */
#endif
}
