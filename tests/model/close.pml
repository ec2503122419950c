/* Closing and draining the lane-announced queue of queue.pml. CLOSED is a bit of tail, set by fetch_or, so the CAS that
 * claims fails on a closed queue. Drained = tail has CLOSED and head has reached its position. Any producer or consumer
 * may die between any two steps; a dead claim is buried.
 *   (default)       0 errors; also with the sizes below changed
 *   -DSEPARATE      must fail: CLOSED stands in a word of its own
 *   -DBYSLOT        must fail: drained = CLOSED and no item published at head (a claim may be on its way)
 *   -DNOCLEAR       must fail: a push returns "closed" with its announcement standing, which a live claim looks like
 *   -DBLINDCLOSE    must fail: CLOSED is set by load and store, which undoes a claim
 * Checked: at the moment a consumer sees drained no committed item is left, and none is committed afterwards; every
 * producer and consumer returns. Payloads are left to queue.pml.
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
#define CLOSED      128
#define POS(t)      ((t) & 127)
#define FULL(pos)   (2 * (pos) + 2)
#define BURIED(pos) (2 * (pos) + 3)
#define LIVE(l, pos) (ann[l] == (pos) + 1 && alive[l])
#if P == 1
#define ANYLIVE(pos) LIVE(0, pos)
#elif P == 2
#define ANYLIVE(pos) (LIVE(0, pos) || LIVE(1, pos))
#else
#define ANYLIVE(pos) (LIVE(0, pos) || LIVE(1, pos) || LIVE(2, pos))
#endif
#ifdef SEPARATE
#define ISCLOSED(t) closed
#else
#define ISCLOSED(t) ((t) & CLOSED)
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte tail, head, seq[N];
byte ann[P];                               /* lanes: announced position + 1, 0 = none */
bit alive[P];
byte crashes, consumersDead, consumersGone, producersGone;
byte committed, taken;                     /* for the checks only */
bit drained;
#ifdef SEPARATE
bit closed;
#endif

proctype producer(byte i) {
  byte t, k;
retry:
#ifdef SEPARATE
  if :: closed -> goto closed_now :: !closed fi;
  t = tail;
#else
  atomic { t = tail; if :: t & CLOSED -> goto closed_now :: else fi };
#endif
  if
  :: t - head < N
  :: t - head >= N ->
     ann[i] = 0;
     if
     :: tail != t || t - head < N || ISCLOSED(tail) -> goto retry
     :: consumersDead == C -> goto fin
     DIE
     fi
  fi;
  if :: ann[i] = t + 1 DIE fi;
  if
  :: atomic { tail == t -> tail = t + 1 }  /* the claim: fails if CLOSED was set since */
  :: tail != t -> goto retry
  DIE
  fi;
  if
  :: atomic { seq[t % N] = FULL(t); committed++; assert(!drained) }      /* COMMIT */
  DIE
  fi;
  if
  :: atomic { ann[i] = 0; k++; if :: k < ITEMS -> goto retry :: else -> goto fin fi }
  DIE
  fi;
closed_now:
#ifndef NOCLEAR
  if :: ann[i] = 0 DIE fi;                 /* it may stand from a claim that failed */
#endif
  goto fin;
dead:
  alive[i] = 0;
fin:
  atomic { t = 0; k = 0; producersGone++ }
}

proctype closer() {
#ifdef SEPARATE
  closed = 1
#else
#ifdef BLINDCLOSE
  byte t = tail;
  tail = t | CLOSED
#else
  tail = tail | CLOSED                     /* fetch_or: one step */
#endif
#endif
}

proctype consumer() {
  byte h, q, x, l;
again:
  atomic { q = 0; x = 0; l = 0; h = head };
  atomic {
    q = seq[h % N];
    if
    :: q == FULL(h) -> goto take
    :: q == BURIED(h) -> goto skip_buried
    :: else
    fi
  };
#ifdef BYSLOT
  atomic { x = tail; if :: x & CLOSED -> goto drain :: else fi };
#else
#ifdef SEPARATE
  if
  :: closed -> atomic { if :: head == tail -> goto drain :: else -> x = tail; goto look fi }
  :: !closed
  fi;
#endif
  x = tail;
#endif
look:
  if
  :: head != h -> goto again
  :: head == h && POS(x) > h -> goto claimed
#ifndef SEPARATE
  :: atomic { head == h && POS(x) <= h && (x & CLOSED) -> goto drain }
#endif
  :: head == h && POS(x) <= h && !(x & CLOSED)
  fi;
  if                                       /* empty */
  :: head != h || tail != x || ISCLOSED(tail) -> goto again
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
take:
  if
  :: atomic { head == h -> head = h + 1; taken++ }           /* COMMIT */
  :: head != h
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
drain:
  atomic { assert(committed == taken); drained = 1; goto fin };
dead:
  consumersDead++;
fin:
  atomic { h = 0; q = 0; x = 0; l = 0; consumersGone++ }
}

init {
  byte i;
  atomic {
    do :: i < P -> alive[i] = 1; run producer(i); i++ :: else -> break od;
    run closer();
    i = 0;
    do :: i < C -> run consumer(); i++ :: else -> break od;
    i = 0
  };
  consumersGone == C && producersGone == P
}
