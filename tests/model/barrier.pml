/* The barrier: a state word {generation, broken, arrived}, all of it changed by CAS; waiters sleep and wake as event.pml
 * has it, here by blocking on the word, with slices. Any party may die between any two steps, and does so without having
 * ended in order; a waiter whose slice is over sweeps: it breaks the barrier for a dead party before it frees its lane. Where
 * another one has claimed that, it breaks the barrier all the same, and takes the mark away.
 *   (default)          0 errors: all who live end, each through all its generations or told that it is broken
 *   -DTIMEOUT          0 errors: who waits may give up at any time, which breaks its generation
 *   -DRESETS           0 errors: with resets; who comes late learns how its generation ended
 *   -DSTOPS -DMAXC=1   0 errors: one that is no party sweeps too, and may stop for ever, alive
 *   -DNOSLICE          must fail: nobody looks for the dead (invalid end state)
 *   -DMARKLATE         must fail: who has arrived says only then that it is a party
 *   -DOWNGEN           must fail: who sweeps breaks the generation that it waits in, but not the next
 *   -DSTOPS -DALONE -DMAXC=1  must fail: only who sweeps a lane tells of its death
 *   -DRESETS -DSTALE   must fail: who saw the mark breaks whatever generation there is by then, also after a reset
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
#ifdef STOPS
#define STOP :: i > P -> goto fin
#else
#define STOP
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; alive[i] = 0; goto fin } STOP

byte gen, count;           /* with `broken` and `voided`: one word */
bit broken;
bit voided[GENS];          /* ended by a reset; the word keeps the last six */
bit alive[P + 2], party[P + 2], swept[P + 2];
bit dealt[P + 2];          /* ghost: dead, and the mark gone, when the barrier was reset */
byte sweeper[P + 2];
bit through[GENS], told[GENS];
byte arrived[GENS];        /* ghost: arrivals that count */
byte crashes, done;

#define SWEEPABLE(j) (!alive[j] && !swept[j] && (sweeper[j] == 0 || !alive[sweeper[j]]))
#ifdef ALONE
#define TELLABLE(j) SWEEPABLE(j)
#else
#define TELLABLE(j) (SWEEPABLE(j) || (!alive[j] && !swept[j] && party[j]))
#endif
#if P > 2
#define THIRD TELLABLE(P)
#else
#define THIRD 0
#endif

inline complete() { gen++; count = 0 }

/* Of i, which has `g` where OWNGEN asks for that. */
inline sweep_all() {
  j = 1;
  do
  :: j > P -> break
  :: atomic { j <= P && !TELLABLE(j) -> j++ }
  :: atomic { j <= P && TELLABLE(j) -> own = SWEEPABLE(j); if :: own -> sweeper[j] = i :: else fi };
#ifdef OWNGEN
     if :: party[j] -> atomic { if :: gen == g -> broken = 1 :: else fi } :: !party[j] DIE fi;
#else
     do
     :: atomic { sgen = gen; scount = count; sbroken = broken };
        if
        :: !party[j] -> break
        :: party[j] && sbroken -> break
        :: party[j] && !sbroken
        DIE
        fi;
#ifdef STALE
        atomic { if :: !broken -> broken = 1; assert(!dealt[j]) :: else fi; break }
#else
        atomic { if :: gen == sgen && count == scount && broken == sbroken -> broken = 1; assert(!dealt[j]); break :: else fi }
#endif
     od;
     if :: party[j] = 0 DIE fi;
#endif
     if
     :: own -> atomic { swept[j] = 1; party[j] = 0 }
     :: !own -> j++
     DIE
     fi
  od
}

proctype member(byte i) {
  byte g, round, j, sgen, scount;
  bit last, own, sbroken;
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
  :: gen == g && !broken && (TELLABLE(1) || TELLABLE(2) || THIRD) -> goto sweeps
#endif
  DIE
  fi;
sweeps:
  sweep_all();
  goto waits;
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
  byte j;
end:
  atomic {
    (broken || count != 0) -> voided[gen] = 1; gen++; count = 0; broken = 0;
    j = 1;
    do :: j <= P -> dealt[j] = !alive[j] && !party[j]; j++ :: else -> break od
  }
}
#endif

#ifdef STOPS
proctype stops(byte i) {
  byte g, j, sgen, scount;
  bit own, sbroken;
end_idle:
  do
  :: (TELLABLE(1) || TELLABLE(2) || THIRD) -> break
  od;
  sweep_all();
fin:
  skip
}
#endif

init {
  byte i = 1;
  atomic {
    do :: i <= P -> alive[i] = 1; run member(i); i++ :: else -> break od;
#ifdef STOPS
    alive[P + 1] = 1; run stops(P + 1);
#endif
#ifdef RESETS
    run resetter()
#endif
  };
#ifdef RESETS
end:
#endif
  done == P
}
