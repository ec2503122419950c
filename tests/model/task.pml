/* The pool's task slots. State word = {generation, state, owner, attempt, ABANDONED}; every transition is one CAS on
 * the whole word. The hint ring may hold duplicate and stale hints, and lose some with a worker that dies after its
 * pop; a full ring sets RESCAN. Workers (and, with -DSUBDIE, the submitter) may die between any two steps. The
 * supervisor sweeps what a dead worker ran, pushes a hint for every PENDING slot, then starts a replacement in its
 * lane.
 *   (default)       0 errors; also with the sizes below changed, with -DSUBDIE, -DGIVEUP=1 and -DSLOTHINT
 *   -DSLOTHINT      0 errors: a hint is a slot without a generation, and the claim is a CAS on the whole word loaded
 *   -DGIVEUP=1      0 errors: the supervisor may give a live worker's task up. The word is LOST but keeps the owner,
 *                   who may still be writing: the slot becomes FREE only when the owner acknowledged or is dead
 *   -DKILL=1        0 errors: the future may cancel its task, or have it killed; the supervisor may end an attempt for
 *                   a deadline. Both condemn the attempt by a CAS, and its worker alone is killed
 *   -DBYSIGHT       must fail with -DKILL=1: the supervisor kills the worker that it saw at the task, without a CAS
 *   -DENDANYWAY     must fail with -DKILL=1: a worker ends its task though it is condemned
 *   -DEARLYSETTLE   must fail with -DKILL=1: a condemned attempt is settled before its worker is dead
 *   -DNOREST        must fail with -DKILL=1: an attempt that was condemned for a deadline is settled without the step
 *                   back to RUNNING, so a kill that comes meanwhile is overlooked
 *   -DNOREPUSH      must fail: after a death a hint for the retried task only, not for every PENDING slot
 *   -DBLIND         must fail: completion by a blind store instead of a CAS (it loses ABANDONED)
 *   -DBLINDCLAIM    must fail: the claim compares the state only and takes the generation from the hint
 *   -DNOACK         must fail with -DGIVEUP=1: a lost task's slot is freed while its live owner may be writing
 *   -DRETRYLIVE     must fail with -DGIVEUP=1: it is retried while its live owner may be writing
 *   -DNOSCAN        must fail with -DR=1: a full ring drops the hint and sets no RESCAN
 *   -DNOADOPT       must fail with -DSUBDIE: the sweep does not abandon a dead submitter's slots
 * Checked: the submitter sees every task end, or its slot becomes FREE when the future was abandoned; a task is
 * started at most 1 + RETRIES times; the result seen is whole and from the attempt named in the word; no slot becomes
 * FREE while another live worker is between its claim and its acknowledgement; at the end every slot is FREE (else:
 * invalid end state). A CAS in a loop is modelled by its one successful step. Wakes are perfect here, the supervisor
 * does not die, and a lane is given to a replacement only after its sweep.
 */
#ifndef S
#define S 2                /* slots */
#endif
#ifndef TASKS
#define TASKS 2
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef RETRIES
#define RETRIES 1
#endif
#ifndef R
#define R (2 * S)          /* hint ring */
#endif
#ifndef MAXC
#define MAXC 2             /* deaths */
#endif
#ifndef KILL
#define KILL 0             /* tasks cancelled or killed by their future, and as many deadlines */
#endif
#ifndef GIVEUP
#define GIVEUP 0           /* tasks given up while their worker lives */
#endif
#define FREE    0
#define ALLOC   1
#define PENDING 2
#define RUNNING 3
#define CONDEMNED 4
#define DONE    5
#define FAILED  6
#define LOST    7
#define TERMINAL(s) (st[s] >= DONE)
#define RESULT(s, a) (task[s] * 4 + (a))
#define OUTCOME(s) (task[s] == 1 -> FAILED : DONE)        /* the first task throws */
#if KILL
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead } :: atomic { signalled[i] -> signalled[i] = 0; goto dead }
#else
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }
#endif
#define CLAIMED(s) (st[s] == RUNNING || st[s] == CONDEMNED)

byte gen[S], st[S], own[S], att[S];        /* the state words; own: 0 none, else the worker's lane */
bit abandoned[S];                          /* their last bit */
byte task[S], r0[S], r1[S];                /* arguments; results, two words each */
chan ring = [R] of { byte, byte };         /* hints {slot, generation} */
bit rescan;
bit dead_worker[WORKERS + 1], dead_submitter, submitted;
byte crashes, giveups;
#if KILL
byte kills, deadlines;
bit cancelled[S];                          /* in the slot */
bit signalled[WORKERS + 1];                /* SIGKILL is on its way */
bit promised[S];                           /* for the checks only: kill() or cancel() said that the task is cancelled */
bit for_cancel[S];                         /* in the state word of a lost task: the cause */
#endif
byte started[TASKS + 1], writing[WORKERS + 1];            /* for the checks only; writing: slot + 1 */

inline free_slot(s, by) {
  w = 1;
  do
  :: w <= WORKERS -> assert(w == by || dead_worker[w] || writing[w] != s + 1); w++
  :: else -> break
  od;
  w = 0;
  st[s] = FREE; gen[s]++; own[s] = 0; att[s] = 0; abandoned[s] = 0
}
/* The future is done with: whoever is last frees. An owner in a terminal word may still be writing. */
inline let_go(s) {
  if
#ifdef NOACK
  :: TERMINAL(s) -> free_slot(s, 0)
#else
  :: TERMINAL(s) && own[s] == 0 -> free_slot(s, 0)
#endif
  :: else -> abandoned[s] = 1
  fi
}
inline finish(s, outcome, by) {
  if
  :: abandoned[s] -> free_slot(s, by)
  :: else -> st[s] = outcome; own[s] = 0
  fi
}
inline push_hint(s) {
  if
  :: nfull(ring) -> ring!s,gen[s]
#ifdef NOSCAN
  :: full(ring)
#else
  :: full(ring) -> rescan = 1
#endif
  fi
}

proctype worker(byte i) {
  byte s, g, a, w;
#ifdef BLIND
  bit b;
#endif
idle:
  atomic { s = 0; g = 0; a = 0 };
end_idle:
  if
  :: ring?s,g -> goto claim
  :: rescan -> rescan = 0
  DIE
  fi;
scan:                                      /* RESCAN was cleared first, so a later one is not lost */
  if
  :: st[s] == PENDING -> g = gen[s]; goto rescan_again
  :: st[s] != PENDING && s + 1 < S -> s++; goto scan
  :: st[s] != PENDING && s + 1 == S -> goto idle
  DIE
  fi;
rescan_again:                              /* found one and leaves the rest to others */
  if :: rescan = 1 DIE fi;
claim:
  if
#ifdef BLINDCLAIM
  :: atomic {
       st[s] == PENDING -> gen[s] = g;
#else
#ifdef SLOTHINT
  :: atomic {
       st[s] == PENDING -> g = gen[s];
#else
  :: atomic {
       st[s] == PENDING && gen[s] == g ->
#endif
#endif
       st[s] = RUNNING; own[s] = i; att[s]++; a = att[s];
       started[task[s]]++;
       assert(started[task[s]] <= 1 + RETRIES);
       writing[i] = s + 1
     }
#if defined(BLINDCLAIM) || defined(SLOTHINT)
  :: st[s] != PENDING -> goto idle
#else
  :: !(st[s] == PENDING && gen[s] == g) -> goto idle
#endif
  DIE
  fi;
  if :: r0[s] = RESULT(s, a) DIE fi;
  if :: r1[s] = RESULT(s, a) DIE fi;
#ifdef BLIND
  b = abandoned[s];
  if
  :: atomic {
       writing[i] = 0; gen[s] = g; att[s] = a; own[s] = 0;
       if :: b -> st[s] = FREE; gen[s] = g + 1; abandoned[s] = 0 :: else -> st[s] = OUTCOME(s); abandoned[s] = 0 fi;
       goto idle
     }
  DIE
  fi;
#else
  if
  :: atomic { st[s] == RUNNING && gen[s] == g && own[s] == i && att[s] == a ->
       writing[i] = 0;
       finish(s, OUTCOME(s), i);
       goto idle
     }
#if KILL
#ifdef ENDANYWAY
  :: atomic { st[s] == CONDEMNED && gen[s] == g && own[s] == i && att[s] == a ->
       writing[i] = 0;
       finish(s, OUTCOME(s), i);
       goto idle
     }
#else
  :: st[s] == CONDEMNED && gen[s] == g && own[s] == i && att[s] == a -> goto dead    /* it leaves by itself */
#endif
  :: !(CLAIMED(s) && gen[s] == g && own[s] == i && att[s] == a)
#else
  :: !(st[s] == RUNNING && gen[s] == g && own[s] == i && att[s] == a)      /* given up: acknowledge */
#endif
  DIE
  fi;
  if
  :: atomic {
       writing[i] = 0;
       if
       :: TERMINAL(s) && gen[s] == g && own[s] == i && att[s] == a -> finish(s, st[s], i)
       :: else
       fi;
       goto idle
     }
  DIE
  fi;
#endif
dead:
#if KILL
  atomic { s = 0; g = 0; a = 0; signalled[i] = 0; dead_worker[i] = 1 };
#else
  atomic { s = 0; g = 0; a = 0; dead_worker[i] = 1 };
#endif
end_dead:
  atomic { !dead_worker[i] -> goto idle }  /* the replacement */
}

proctype supervisor() {
  byte d, s, w;
watch:
end_watch:
  if
  :: atomic { dead_worker[1] -> d = 1 }
#if WORKERS > 1
  :: atomic { dead_worker[2] -> d = 2 }
#endif
#if WORKERS > 2
  :: atomic { dead_worker[3] -> d = 3 }
#endif
  :: atomic { dead_submitter -> d = 0 }
#if GIVEUP
  :: atomic {
       giveups < GIVEUP && st[0] == RUNNING && !dead_worker[own[0]] ->
       giveups++;
#ifdef RETRYLIVE
       st[0] = PENDING; own[0] = 0; push_hint(0);
#else
       st[0] = LOST;                       /* keeps the owner */
#endif
       goto watch
     }
#endif
#if KILL
  :: atomic {                              /* a deadline */
       deadlines < KILL && st[0] == RUNNING && !dead_worker[own[0]] ->
       deadlines++;
#ifdef BYSIGHT
       d = own[0]
     };
     atomic {
       if
       :: !dead_worker[d] -> assert(writing[d] == 0 + 1); signalled[d] = 1
       :: else
       fi;
       d = 0;
#else
       st[0] = CONDEMNED;
#endif
       goto watch
     }
  :: atomic { st[0] == CONDEMNED && !dead_worker[own[0]] && !signalled[own[0]] -> w = own[0] }; goto strike
#if S > 1
  :: atomic { st[1] == CONDEMNED && !dead_worker[own[1]] && !signalled[own[1]] -> w = own[1] }; goto strike
#endif
#ifdef EARLYSETTLE
  :: atomic { st[0] == CONDEMNED && cancelled[0] -> for_cancel[0] = 1; finish(0, LOST, 0); goto watch }
#endif
#endif
  fi;
#if KILL
  goto sweep;
strike:                                    /* what was seen holds until the worker is dead */
  atomic {
    if
    :: !dead_worker[w] -> assert(writing[w] && st[writing[w] - 1] == CONDEMNED); signalled[w] = 1
    :: else
    fi;
    w = 0;
    goto watch
  };
sweep:
  if
  :: atomic {
       d > 0 && own[s] == d && st[s] == CONDEMNED && cancelled[s] ->
       for_cancel[s] = 1; finish(s, LOST, d)
     }
#ifdef NOREST
  :: atomic { d > 0 && own[s] == d && st[s] == CONDEMNED && !cancelled[s] -> w = 1 };
     atomic {
       w = 0;
       if
       :: att[s] <= RETRIES -> st[s] = PENDING; own[s] = 0
       :: else -> finish(s, LOST, d)
       fi
     }
#else
  :: atomic { d > 0 && own[s] == d && st[s] == CONDEMNED && !cancelled[s] -> st[s] = RUNNING; w = 1 };
     if
     :: atomic { cancelled[s] && own[s] == d && st[s] == RUNNING -> w = 0; for_cancel[s] = 1; finish(s, LOST, d) }
     :: atomic { !cancelled[s] -> w = 2 };
        atomic {
          w = 0;
          if
          :: own[s] == d && st[s] == RUNNING && att[s] <= RETRIES -> st[s] = PENDING; own[s] = 0
          :: own[s] == d && st[s] == RUNNING && att[s] > RETRIES -> finish(s, LOST, d)
          :: else -> goto sweep              /* condemned meanwhile */
          fi
        }
     :: atomic { own[s] == d && st[s] == CONDEMNED -> w = 0; goto sweep }
     fi
#endif
  :: else
  fi;
#else
sweep:
#endif
  atomic {
    if
    :: d > 0 && own[s] == d && st[s] == RUNNING && att[s] <= RETRIES ->
       st[s] = PENDING; own[s] = 0;
#ifdef NOREPUSH
       push_hint(s)
#endif
    :: d > 0 && own[s] == d && st[s] == RUNNING && att[s] > RETRIES -> finish(s, LOST, d)
    :: d > 0 && own[s] == d && TERMINAL(s) -> finish(s, st[s], d)
#ifndef NOADOPT
    :: d == 0 && st[s] == ALLOC -> free_slot(s, 0)
    :: d == 0 && st[s] > ALLOC -> let_go(s)
#endif
    :: else
    fi;
#if KILL
    if :: d > 0 && own[s] == d && st[s] == CONDEMNED -> goto sweep :: else -> s++ fi
#else
    s++
#endif
  };
  if :: s < S -> goto sweep :: else -> s = 0 fi;
#ifndef NOREPUSH
repush:
  atomic { if :: st[s] == PENDING -> push_hint(s) :: else fi; s++ };
  if :: s < S -> goto repush :: else -> s = 0 fi;
#endif
  atomic {
    if
    :: d > 0 -> writing[d] = 0; dead_worker[d] = 0
    :: else -> dead_submitter = 0; submitted = 1
    fi;
    d = 0
  };
  goto watch
}

#if KILL
#define CLEAR(s) cancelled[s] = 0; promised[s] = 0; for_cancel[s] = 0;
#else
#define CLEAR(s)
#endif
#ifdef SUBDIE
#define SDIE :: atomic { crashes < MAXC -> crashes++; goto dead }
#else
#define SDIE
#endif
proctype submitter() {
  byte n, s, w, live;
  byte fut[S];                             /* generation + 1 of the slot's live future */
next:
  atomic { s = 0; if :: n == TASKS && live == 0 -> goto fin :: else fi };
  if
  :: atomic { n < TASKS && st[0] == FREE && fut[0] == 0 -> s = 0; st[0] = ALLOC }; goto fill
#if S > 1
  :: atomic { n < TASKS && st[0] != FREE && st[1] == FREE && fut[1] == 0 -> s = 1; st[1] = ALLOC }; goto fill
  :: atomic { fut[1] && TERMINAL(1) -> s = 1 }; goto harvest
  :: atomic { fut[1] -> s = 1 }; goto abandon
#endif
  :: atomic { fut[0] && TERMINAL(0) -> s = 0 }; goto harvest
  :: atomic { fut[0] -> s = 0 }; goto abandon
#if KILL
  :: atomic { kills < KILL && fut[0] && !promised[0] -> kills++; s = 0 };
     if
     :: atomic { st[0] == PENDING -> st[0] = LOST; for_cancel[0] = 1; promised[0] = 1; goto next }    /* cancel() */
     :: goto kill
     fi
#endif
  SDIE
  fi;
#if KILL
kill:
  cancelled[s] = 1;
  if
  :: atomic { st[s] == PENDING -> st[s] = LOST; for_cancel[s] = 1; promised[s] = 1; goto next }
  :: atomic { CLAIMED(s) -> st[s] = CONDEMNED; promised[s] = 1; goto next }    /* also where it was condemned before */
  :: atomic { TERMINAL(s) -> goto next }
  fi;
#endif
fill:
  if
  :: atomic { n++; CLEAR(s) task[s] = n; fut[s] = gen[s] + 1; live++; st[s] = PENDING }
  SDIE
  fi;
  if
  :: atomic { push_hint(s); goto next }
  SDIE
  fi;
harvest:
  if
#if KILL
  :: assert(!promised[s] || (st[s] == LOST && for_cancel[s])) ->
     assert(gen[s] + 1 == fut[s] && (st[s] == LOST || (r0[s] == r1[s] && r0[s] == RESULT(s, att[s]))))
#else
  :: assert(gen[s] + 1 == fut[s] && (st[s] == LOST || (r0[s] == r1[s] && r0[s] == RESULT(s, att[s]))))
#endif
  SDIE
  fi;
abandon:
  if
  :: atomic { assert(gen[s] + 1 == fut[s]); let_go(s); fut[s] = 0; live--; goto next }
  SDIE
  fi;
#ifdef SUBDIE
dead:
  atomic { dead_submitter = 1; n = 0; s = 0; live = 0; fut[0] = 0; fut[S - 1] = 0; goto out };
#endif
fin:
  submitted = 1;
#ifdef SUBDIE
out:
  skip
#endif
}

init {
  byte i = 1;
  atomic {
    do :: i <= WORKERS -> run worker(i); i++ :: else -> break od;
    run supervisor();
    run submitter()
  };
  submitted;
  st[0] == FREE && st[S - 1] == FREE
}
