/* The barrier: a state word {generation, broken, arrived}, all of it changed by CAS; waiters sleep and wake as event.pml
 * has it, here by blocking on the word, with slices. Any party may die between any two steps, and does so without having
 * ended in order; a waiter whose slice is over sweeps: it breaks the barrier for a dead party before it frees its lane.
 *   (default)          0 errors: all who live end, each through all its generations or told that it is broken
 *   -DTIMEOUT          0 errors: who waits may give up at any time, which breaks its generation
 *   -DRESETS           0 errors: with resets; who comes late learns how its generation ended
 *   -DNOSLICE          must fail: nobody looks for the dead (invalid end state)
 *   -DFREEFIRST        must fail: the lane is freed before the barrier is broken, and the sweeper dies between
 *   -DMARKLATE         must fail: who has arrived says only then that it is a party
 *   -DOWNGEN           must fail: who sweeps breaks the generation that it waits in, but not the next
 *   -DTIMEOUT -DBLIND  must fail: who gives up breaks whatever generation there is, and says that its own was
 *   -DRESETS -DNOFATE  must fail: a generation that ended is taken for one that completed
 *   -DSPLIT            must fail: the arrivals are counted in one step, and the generation moves in another
 */
#ifndef P
#define P 3
#endif
#ifndef MAXC
#define MAXC 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define GENS 8
#define DIE :: atomic { crashes < MAXC -> crashes++; alive[i] = 0; goto fin }

byte gen, count;           /* with `broken` and `voided`: one word */
bit broken;
bit voided[GENS];          /* ended by a reset; the word keeps the last six */
bit alive[P + 1], party[P + 1], swept[P + 1];
byte sweeper[P + 1];
bit through[GENS], told[GENS];
byte arrived[GENS];        /* ghost: arrivals that count */
byte crashes, done;

#define SWEEPABLE(j) (!alive[j] && !swept[j] && (sweeper[j] == 0 || !alive[sweeper[j]]))
#if P > 2
#define THIRD SWEEPABLE(P)
#else
#define THIRD 0
#endif

inline complete() { gen++; count = 0 }

proctype member(byte i) {
  byte g, round, j;
  bit last;
#ifndef MARKLATE
  party[i] = 1;            /* it opened the barrier, or has arrived before */
#endif
again:
  if
  :: atomic { broken -> goto hears }
#ifdef SPLIT
  :: atomic { !broken -> g = gen; count++; arrived[g]++; last = (count == P) };
     if :: last -> gen++; count = 0 :: !last DIE fi;
#else
  :: atomic { !broken -> g = gen; arrived[g]++; last = (count + 1 == P); if :: last -> complete() :: else -> count++ fi }
#endif
  DIE
  fi;
#ifdef MARKLATE
  if :: party[i] = 1 DIE fi;
#endif
  if
  :: last -> goto passed
  :: !last
  fi;
#ifdef RESETS
end_waits:                 /* too few may be left to complete what a reset began anew: nobody promises them anything */
#endif
waits:
  if
  :: gen != g -> goto ended
  :: gen == g && broken -> goto hears
#ifdef TIMEOUT
#ifdef BLIND
  :: broken = 1 -> goto hears
#else
  :: atomic { gen == g && !broken -> broken = 1 } -> goto hears   /* by CAS on its own generation, or it is through */
#endif
#endif
#ifndef NOSLICE
  :: gen == g && !broken && (SWEEPABLE(1) || SWEEPABLE(2) || THIRD) -> goto sweeps
#endif
  DIE
  fi;
sweeps:
  j = 1;
  do
  :: j > P -> goto waits
  :: atomic { j <= P && !SWEEPABLE(j) -> j++ }
  :: atomic { j <= P && SWEEPABLE(j) -> sweeper[j] = i };
#ifdef OWNGEN
     if :: party[j] -> atomic { if :: gen == g -> broken = 1 :: else fi } :: !party[j] DIE fi;
#else
     if :: party[j] -> broken = 1 :: !party[j] DIE fi;          /* whichever generation there is */
#endif
     if :: swept[j] = 1 DIE fi
  od;
ended:
#ifndef NOFATE
  if :: voided[g] -> goto hears :: !voided[g] fi;
#endif
passed:
  atomic { through[g] = 1; assert(arrived[g] == P); assert(!told[g]); round++ };
  if :: round < ROUNDS -> goto again :: else -> goto fin fi;
hears:
  atomic { if :: arrived[g] != 0 && gen == g -> told[g] = 1; assert(!through[g]) :: else fi };
#ifdef BLIND
  atomic { told[g] = 1; assert(!through[g]) };
#endif
fin:
  done++
}

#ifdef RESETS
proctype resetter() {
end:
  atomic { (broken || count != 0) -> voided[gen] = 1; gen++; count = 0; broken = 0 }
}
#endif

init {
  byte i = 1;
  atomic {
    do :: i <= P -> alive[i] = 1; run member(i); i++ :: else -> break od;
#ifdef RESETS
    run resetter()
#endif
  };
#ifdef RESETS
end:
#endif
  done == P
}
