/* One SPSC ring whose sides are owned through owner words {lane, generation}. A side without an owner, or whose owner
 * is confirmed dead, is taken by CAS on its owner word; the new owner goes on from the shared tail (or head), which it
 * reads after that CAS. An owner that is done releases its side by a plain store. Any process may die between any two
 * steps; the first producer's and the first consumer's lane is given to a new process when they die.
 *   (default)       0 errors; also with the sizes below changed
 *   -DNOCAS         must fail: takeover by a plain store, so two takers own one side
 *   -DSTALE         must fail: the taker goes on from a tail it read before it owned the side
 *   -DNOGEN         must fail: the owner word is a lane alone, so a taker evicts the new process in a dead one's lane
 * What commits is the store of tail, what takes is the store of head. Checked: items are taken in the order of their
 * commits, each once, untorn; all of them if a consumer survives. An item that a consumer had copied when it died
 * before its store of head goes to the next consumer.
 */
#ifndef N
#define N 2                /* slots */
#endif
#ifndef K
#define K 2                /* items per producer */
#endif
#ifndef P
#define P 2                /* producers at the start; id P + 1 is the new process in lane 1 */
#endif
#ifndef C
#define C 2                /* consumers at the start; likewise */
#endif
#ifndef MAXC
#define MAXC 2             /* deaths */
#endif
#define LOG ((P + 1) * K)
#ifdef NOGEN
#define SAME(a, b, last) ((a) == (b) || ((a) == 1 && (b) == (last)) || ((a) == (last) && (b) == 1))
#else
#define SAME(a, b, last) ((a) == (b))
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte tail, head, p0[N], p1[N];
byte powner, cowner;                       /* owner words: 0 none, else an id, which stands for {lane, generation} */
bit palive[P + 2], calive[C + 2];
byte crashes, prunning, crunning, consumersDead, consumersEver;
byte log[LOG], committed, taken;           /* for the checks only */

proctype producer(byte i) {
  byte o, t, k;
#ifdef STALE
  t = tail;
#endif
take:
  o = powner;
  if
  :: o == 0 || !palive[o]
  :: o != 0 && palive[o] -> (powner != o || !palive[o]); goto take
  DIE
  fi;
  if
#ifdef NOCAS
  :: powner = i
#else
  :: atomic { SAME(powner, o, P + 1) -> powner = i; o = 0 }
  :: !SAME(powner, o, P + 1) -> goto take
#endif
  DIE
  fi;
#ifndef STALE
  t = tail;
#endif
push:
  if
  :: t - head < N
  :: crunning == 0 -> goto release
  DIE
  fi;
  if :: p0[t % N] = i * K + k DIE fi;
  if :: p1[t % N] = i * K + k DIE fi;
  if
  :: atomic {
       tail = t + 1;                       /* COMMIT */
       assert(committed < LOG);
       log[committed] = i * K + k;
       committed++;
       t++;
       k++;
       if :: k < K -> goto push :: else fi
     }
  DIE
  fi;
release:
  if
  :: powner = 0; goto fin
  DIE
  fi;
dead:
  atomic { palive[i] = 0; if :: i == 1 -> prunning++; run producer(P + 1) :: else fi };
fin:
  atomic { o = 0; t = 0; k = 0; prunning-- }
}

proctype consumer(byte i) {
  byte o, h, c0, c1;
#ifdef STALE
  h = head;
#endif
take:
  o = cowner;
  if
  :: o == 0 || !calive[o]
  :: o != 0 && calive[o] -> (cowner != o || !calive[o]); goto take
  DIE
  fi;
  if
#ifdef NOCAS
  :: cowner = i
#else
  :: atomic { SAME(cowner, o, C + 1) -> cowner = i; o = 0 }
  :: !SAME(cowner, o, C + 1) -> goto take
#endif
  DIE
  fi;
#ifndef STALE
  h = head;
#endif
pop:
  if
  :: tail != h
  :: tail == h && prunning == 0 -> goto release
  DIE
  fi;
  c0 = p0[h % N];
  c1 = p1[h % N];
  if
  :: atomic {
       head = h + 1;                       /* COMMIT */
       assert(c0 == c1 && taken < committed && c0 == log[taken]);
       taken++;
       h++;
       c0 = 0;
       c1 = 0;
       goto pop
     }
  DIE
  fi;
release:
  if
  :: cowner = 0; goto fin
  DIE
  fi;
dead:
  atomic {
    calive[i] = 0;
    consumersDead++;
    if :: i == 1 -> consumersEver++; crunning++; run consumer(C + 1) :: else fi
  };
fin:
  atomic { o = 0; h = 0; c0 = 0; c1 = 0; crunning-- }
}

init {
  byte i = 1;
  atomic {
    do :: i <= P + 1 -> palive[i] = 1; i++ :: else -> break od;
    i = 1;
    do :: i <= C + 1 -> calive[i] = 1; i++ :: else -> break od;
    prunning = P;
    crunning = C;
    consumersEver = C;
    i = 1;
    do :: i <= P -> run producer(i); i++ :: else -> break od;
    i = 1;
    do :: i <= C -> run consumer(i); i++ :: else -> break od;
    i = 0
  };
  prunning == 0 && crunning == 0;
  assert(tail == committed && head == taken);
  assert(taken == committed || consumersDead == consumersEver)
}
