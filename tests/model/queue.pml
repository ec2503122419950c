/* Lane-announced bounded MPMC queue with copy-then-CAS pop. Any process may die between any two steps.
 *   (default)                        0 errors; also with the sizes below changed
 *   -DNOANN                          must fail: no announcement before the claim
 *   -DNOCLEAR -DN=1 -DC=1 -DMAXC=1   must fail: a producer waits on full with its announcement standing
 *   -DPLAINHEAD                      must fail: a consumer advances head by a plain store after its copy
 * Committed items are taken exactly once and untorn, if a consumer survives: one that dies after its CAS on head has
 * taken its item. Promela's ints are signed: in u64 a stale t makes t - head huge, so the code needs the signed test
 * and the second look at tail. A private copy of head is the value read here, only older.
 */
#ifndef N
#define N 2                /* slots */
#endif
#ifndef P
#define P 2                /* producers */
#endif
#ifndef C
#define C 2                /* consumers */
#endif
#ifndef ITEMS
#define ITEMS 1            /* items per producer */
#endif
#ifndef MAXC
#define MAXC 2             /* deaths */
#endif
#define FULL(pos)   (2 * (pos) + 2)
#define BURIED(pos) (2 * (pos) + 3)
#define V           (i * ITEMS + k + 1)
#define NV          (P * ITEMS + 1)
#define LIVE(l, pos) (ann[l] == (pos) + 1 && alive[l])
#if P == 1
#define ANYLIVE(pos) LIVE(0, pos)
#elif P == 2
#define ANYLIVE(pos) (LIVE(0, pos) || LIVE(1, pos))
#else
#define ANYLIVE(pos) (LIVE(0, pos) || LIVE(1, pos) || LIVE(2, pos))
#endif

byte tail, head;
byte seq[N], p0[N], p1[N];                 /* slots: sequence and two words of payload */
byte ann[P];                               /* lanes: announced position + 1, 0 = none */
bit alive[P];
byte crashes, producersGone, consumersDead, consumersGone;
bit committed[NV], taken[NV];              /* per item, for the checks only */

#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

proctype producer(byte i) {
  byte t, k;
retry:
  t = tail;
  if
  :: t - head < N
  :: t - head >= N ->
#ifndef NOCLEAR
     ann[i] = 0;                           /* never sleep with it set */
#endif
     if
     :: tail != t || t - head < N -> goto retry
     :: consumersDead == C -> goto fin
     DIE
     fi
  fi;
#ifndef NOANN
  if
  :: ann[i] = t + 1
  DIE
  fi;
#endif
  if
  :: atomic { tail == t -> tail = t + 1 }  /* the claim */
  :: tail != t -> goto retry
  DIE
  fi;
  if :: p0[t % N] = V DIE fi;
  if :: p1[t % N] = V DIE fi;
  if
  :: atomic { seq[t % N] = FULL(t); committed[V] = 1 }       /* COMMIT */
  DIE
  fi;
  if
  :: atomic { ann[i] = 0; k++; if :: k < ITEMS -> goto retry :: else -> goto fin fi }
  DIE
  fi;
dead:
  alive[i] = 0;
fin:
  atomic { t = 0; k = 0; producersGone++ }
}

proctype consumer() {
  byte h, q, x, c0, c1, l;
again:
  atomic { q = 0; x = 0; l = 0; c0 = 0; c1 = 0; h = head };
  atomic {
    q = seq[h % N];
    if
    :: q == FULL(h) -> goto copy
    :: q == BURIED(h) -> goto skip_buried
    :: else
    fi
  };
  x = tail;
  atomic { if :: head != h -> goto again :: head == h && x > h -> goto claimed :: head == h && x <= h fi };
  if                                       /* empty */
  :: head != h || tail != x -> goto again
  :: producersGone == P && head == tail -> goto fin
  DIE
  fi;
claimed:                                   /* claimed and unpublished: by a live producer? */
  if
  :: LIVE(l, h) -> goto wait
  :: !LIVE(l, h) && l + 1 < P -> l++; goto claimed
  :: !LIVE(l, h) && l + 1 == P
  fi;
  if
  :: atomic { seq[h % N] == q -> seq[h % N] = BURIED(h) }
  :: seq[h % N] != q
  DIE
  fi;
  goto again;
wait:
  if
  :: head != h || seq[h % N] != q || !ANYLIVE(h)
  DIE
  fi;
  goto again;
copy:
  c0 = p0[h % N];
  c1 = p1[h % N];
  if
#ifdef PLAINHEAD
  :: atomic { head = h + 1; assert(c0 == c1 && committed[c0] && !taken[c0]); taken[c0] = 1 }
#else
  :: atomic { head == h -> head = h + 1; assert(c0 == c1 && committed[c0] && !taken[c0]); taken[c0] = 1 }   /* COMMIT */
  :: head != h
#endif
  DIE
  fi;
  goto again;
skip_buried:
  if
  :: atomic { head == h -> head = h + 1 }
  :: head != h
  DIE
  fi;
  goto again;
dead:
  consumersDead++;
fin:
  atomic { h = 0; q = 0; x = 0; l = 0; c0 = 0; c1 = 0; consumersGone++ }
}

init {
  byte i;
  atomic {
    do :: i < P -> alive[i] = 1; run producer(i); i++ :: else -> break od;
    i = 0;
    do :: i < C -> run consumer(); i++ :: else -> break od;
    i = 0
  };
  consumersGone == C && (producersGone == P || consumersDead == C);
  if
  :: consumersDead < C ->
     atomic {
       i = 1;
       do :: i < NV -> assert(committed[i] == taken[i]); i++ :: else -> break od;
       assert(head == tail)
     }
  :: else
  fi
}
