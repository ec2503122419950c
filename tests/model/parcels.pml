/* Parcels: the blocks of a queue's items, beside the ring of queue.pml, whose claims, commits and burials are taken for
 * right here. Any process may die between any two steps.
 *   (default)                        0 errors; also with the sizes below changed
 *   -DNOTAKE                         must fail: a consumer takes without announcing it
 *   -DMARKLATE                       must fail: the block is the item's after the commit only
 *   -DLANESFIRST                     must fail: reclaim looks at the lanes before head
 *   -DCLEAREARLY                     must fail: the take is taken back before the block is the consumer's
 * A consumer reads the block of the item that it took, and only its own; in the end no block is lost.
 */
#ifndef P
#define P 2                /* producers, one item each */
#endif
#ifndef C
#define C 2                /* consumers */
#endif
#ifndef R
#define R 1                /* who reclaim */
#endif
#ifndef B
#define B 2                /* blocks */
#endif
#ifndef MAXC
#define MAXC 2             /* deaths */
#endif
#ifndef N
#define N 2                /* positions, and slots: no lap; that none is mistaken for another is queue.pml's */
#endif
#define FREE 0
#define PROCESS(i) (1 + (i))
#define ITEM(t) (100 + (t))
#define OPEN 0
#define COMMITTED 1
#define BURIED 2

byte owner[B];             /* FREE, PROCESS or ITEM */
byte data[B];              /* what its owner wrote: the producer + 1 */
byte tail, head;
byte state[N];             /* of a position */
byte claimant[N];
byte slot[N], value[N];    /* the block, and what must be in it */
byte take[P + C];
bit alive[P + C + R];
bit taken[N];
byte crashes, gone;

#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

proctype producer(byte i) {
  byte b, t;
  b = 0;
find:
  if
  :: atomic { owner[b] == FREE -> owner[b] = PROCESS(i) }
  :: atomic { owner[b] != FREE && b + 1 < B -> b++; goto find }
  :: atomic { owner[b] != FREE && b + 1 == B -> goto fin }     /* memory ended: refused */
  DIE
  fi;
  if :: data[b] = i + 1 DIE fi;
  if
  :: atomic { tail < N -> t = tail; claimant[t] = i; tail++ }  /* announced and claimed */
  :: atomic { tail == N -> goto give_back }
  DIE
  fi;
  if :: atomic { slot[t] = b; value[t] = i + 1 } DIE fi;
#ifndef MARKLATE
  if :: atomic { assert(owner[b] == PROCESS(i)); owner[b] = ITEM(t) } DIE fi;
#endif
  if :: state[t] = COMMITTED DIE fi;
#ifdef MARKLATE
  if :: atomic { if :: owner[b] == PROCESS(i) -> owner[b] = ITEM(t) :: else fi } DIE fi;
#endif
  goto fin;
give_back:
  if :: atomic { assert(owner[b] == PROCESS(i)); owner[b] = FREE } DIE fi;
  goto fin;
dead:
  alive[i] = 0;
fin:
  atomic { b = 0; t = 0; gone++ }
}

proctype consumer(byte i) {
  byte h, b;
again:
  atomic { b = 0; h = head };
  if
  :: atomic { h == N || (h == tail && gone >= P) -> goto fin }
  :: atomic { h < N && state[h] == COMMITTED }
  :: atomic { h < tail && state[h] == OPEN && !alive[claimant[h]] -> state[h] = BURIED; goto again }
  :: atomic { h < tail && state[h] == BURIED -> if :: head == h -> head = h + 1 :: else fi; goto again }
  :: atomic { head != h -> goto again }
  DIE
  fi;
#ifndef NOTAKE
  if :: take[i] = h + 1 DIE fi;
#endif
  if
  :: atomic { head == h -> head = h + 1; assert(!taken[h]); taken[h] = 1 }
  :: atomic { head != h -> take[i] = 0; goto again }
  DIE
  fi;
  b = slot[h];
#ifdef CLEAREARLY
  if :: take[i] = 0 DIE fi;
#endif
  if :: atomic { assert(owner[b] == ITEM(h)); owner[b] = PROCESS(i) } DIE fi;
  if :: take[i] = 0 DIE fi;
  if :: atomic { assert(owner[b] == PROCESS(i) && data[b] == value[h]) } DIE fi;  /* reads it */
  if :: atomic { assert(owner[b] == PROCESS(i)); owner[b] = FREE } DIE fi;
  goto again;
dead:
  alive[i] = 0;
fin:
  atomic { h = 0; b = 0; gone++ }
}

/* Looks at every block once. */
inline look(b, o, h, l, used) {
  atomic { o = owner[b]; used = 0; l = 0 };
  if
  :: o == FREE -> used = 1
  :: o != FREE && o < ITEM(0) -> used = alive[o - 1]
  :: o >= ITEM(0) ->
#ifdef LANESFIRST
     do
     :: atomic { l < P + C -> used = used || (take[l] == o - ITEM(0) + 1 && alive[l]); l++ }
     :: l == P + C -> break
     od;
#endif
     h = head;
     used = used || (h <= o - ITEM(0) && state[o - ITEM(0)] != BURIED);
#ifndef LANESFIRST
     do
     :: atomic { l < P + C -> used = used || (take[l] == o - ITEM(0) + 1 && alive[l]); l++ }
     :: l == P + C -> break
     od
#endif
  fi;
  atomic { if :: !used && owner[b] == o -> owner[b] = FREE :: else fi; o = 0; h = 0; l = 0; used = 0 }
}

proctype reclaimer(byte i) {
  byte b, o, h, l;
  bit used;
  do
  :: b < B -> look(b, o, h, l, used); b++
  :: b == B -> break
  od;
  atomic { b = 0; gone++ }
}

init {
  byte i, o, h, l;
  bit used;
  atomic {
    do :: i < P -> alive[i] = 1; run producer(i); i++ :: else -> break od;
    do :: i < P + C -> alive[i] = 1; run consumer(i); i++ :: else -> break od;
    do :: i < P + C + R -> alive[i] = 1; run reclaimer(i); i++ :: else -> break od;
    i = 0
  };
  gone == P + C + R;
  /* The survivors' last look, when all is drained or no consumer is left. */
  do
  :: i < B -> look(i, o, h, l, used); i++
  :: i == B -> break
  od;
  atomic {
    i = 0;
    do
    :: i < B ->
       assert(owner[i] == FREE || owner[i] >= ITEM(0) && head <= owner[i] - ITEM(0));   /* nobody was left to take it */
       i++
    :: else -> break
    od
  }
}
