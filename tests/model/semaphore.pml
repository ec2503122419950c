/* A counting semaphore: a number of permits, and beside it a wait word {sequence, W}; a release of K wakes K, as wake_one.pml
 * has it. Each process acquires, works, and releases, or keeps its permit (-DKEEP); suppliers release K that they never had. Any
 * process may die between any two steps, and a dead holder's permit is gone.
 *   (default)              0 errors; also with the sizes changed
 *   -DNOSLICE -DMAXC=0     0 errors: without deaths no slice is needed, with timeouts too; also with -DKEEP
 *   -DNOSLICE              must fail: a death strands a sleeper beside a permit for good
 *   -DNORETEST -DNOSLICE -DMAXC=0           must fail: nobody looks again after it set W
 *   -DNOFLUSH -DNOSLICE -DMAXC=0            must fail: W is cleared without waking all afterwards
 *   -DNOLASTTEST -DKEEP -DNOSLICE -DMAXC=0  must fail: who is out of time gives up without a last try
 *   -DWAKEONE -DKEEP -DNOSLICE -DMAXC=0     must fail: a release of two wakes one
 *   -DBLIND                must fail: acquires by storing what it computed from an older number
 *   -DADD -DMAX=1          must fail: releases by adding, after a look whether there is room
 * Checked: permits are conserved and never beyond MAX; no more are inside than there are; and when nothing moves any more
 * nobody sleeps beside a permit. A slice only looks again: here it ends where that look would find something.
 */
#ifndef P
#define P 2                /* processes that acquire and release */
#endif
#ifndef S
#define S 1                /* suppliers */
#endif
#ifndef K
#define K 1                /* permits that a supplier releases */
#endif
#ifndef FIRST
#define FIRST 1            /* permits at the beginning */
#endif
#ifndef T
#define T 1                /* how many of the processes may run out of time */
#endif
#ifndef MAX
#define MAX (FIRST + S * K)
#endif
#ifndef MAXC
#define MAXC 2
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto fin }
#ifdef NOSLICE
#define SLICE (0)
#else
#define SLICE (permits > 0)
#endif
#ifdef WAKEONE
#define WAKES(n) 1
#else
#define WAKES(n) (n)
#endif

byte permits = FIRST;
byte seq;                  /* the wait word, first field */
bit W;                     /* the wait word, second field */
byte held;                 /* taken and not released, also by the dead */
byte supplied;             /* released beyond what was taken */
bit asleep[P];
byte crashes, sleepers, gone;

inline wake_up_to(limit) {
  woke = 0;
  do
  :: woke < limit && asleep[0] -> asleep[0] = 0; sleepers--; woke++
#if P > 1
  :: woke < limit && asleep[1] -> asleep[1] = 0; sleepers--; woke++
#endif
#if P > 2
  :: woke < limit && asleep[2] -> asleep[2] = 0; sleepers--; woke++
#endif
#if P > 3
  :: woke < limit && asleep[3] -> asleep[3] = 0; sleepers--; woke++
#endif
  :: woke == limit || sleepers == 0 -> break
  od
}

/* Releases n, of which `own` were held. Ends at `released`, or at `fin` where it died. */
inline release(n, own) {
  v = 0;
give:
  v = permits;
  if
  :: v + n > MAX -> goto released
  :: v + n <= MAX
  DIE
  fi;
  if
#ifdef ADD
  :: atomic { permits = permits + n; held = held - own; supplied = supplied + n - own }
#else
  :: atomic { permits == v -> permits = v + n; held = held - own; supplied = supplied + n - own }
  :: permits != v -> goto give
#endif
  DIE
  fi;
  assert(permits <= MAX);
  atomic { s = seq; w = W };                                    /* one load of the wait word */
  if
  :: !w -> goto released
  :: w
  DIE
  fi;
  atomic { wake_up_to(WAKES(n)) };
  if
  :: woke == WAKES(n) -> goto released
  :: woke < WAKES(n)
  DIE
  fi;
  if
  :: atomic { seq == s && W -> seq = s + 1; W = 0 }
  :: !(seq == s && W) -> goto released
  DIE
  fi;
#ifndef NOFLUSH
  atomic { wake_up_to(P) };
#endif
released:
  skip
}

/* Takes one and goes to `got`, or falls through where there is none. */
inline try_acquire() {
  v = 0;
take:
  v = permits;
  if
  :: v == 0
#ifdef BLIND
  :: v > 0 -> atomic { permits = v - 1; held++; goto got }
#else
  :: atomic { v > 0 && permits == v -> permits = v - 1; held++; goto got }
  :: v > 0 && permits != v -> goto take
#endif
  DIE
  fi
}

proctype supplier() {
  byte v, s, woke;
  bit w;
  release(K, 0);
fin:
  atomic { v = 0; s = 0; w = 0; woke = 0; gone++ }
}

proctype user(byte i) {
  byte v, s, woke;
  bit w, armed;
again:
  armed = 0;
look:
  try_acquire();
#ifndef NORETEST
  if
  :: !armed -> atomic { W = 1; s = seq; armed = 1 };            /* one fetch_or */
     goto look
  :: armed
  fi;
#else
  atomic { W = 1; s = seq };
#endif
  atomic { if :: seq == s && W -> asleep[i] = 1; sleepers++ :: else -> goto again fi };  /* futex compares, then sleeps */
end_asleep:
  if
  :: !asleep[i] -> goto again
  :: i < T && !asleep[i]                                        /* woken, but out of time */
  :: atomic { i < T && asleep[i] -> asleep[i] = 0; sleepers-- }
  :: atomic { asleep[i] && SLICE -> asleep[i] = 0; sleepers--; goto again }
  :: atomic { asleep[i] && crashes < MAXC -> crashes++; asleep[i] = 0; sleepers--; goto fin }
  :: atomic { !asleep[i] && crashes < MAXC -> crashes++; goto fin }
  fi;
#ifndef NOLASTTEST
last:
  v = permits;
  if
  :: v == 0 -> goto fin
  :: atomic { v > 0 && permits == v -> permits = v - 1; held++; goto got }
  :: v > 0 && permits != v -> goto last
  fi;
#endif
  goto fin;
got:
  assert(permits + held == FIRST + supplied);
  if
  :: skip
  DIE
  fi;
#ifndef KEEP
  release(1, 1);
#endif
fin:
  atomic { v = 0; s = 0; w = 0; woke = 0; armed = 0; gone++ }
}

init {
  byte i;
  atomic {
    do :: i < S -> run supplier(); i++ :: else -> break od;
    i = 0;
    do :: i < P -> run user(i); i++ :: else -> break od
  };
end:
  sleepers > 0 && sleepers + gone == S + P && permits > 0 && !SLICE -> assert(false)
}
