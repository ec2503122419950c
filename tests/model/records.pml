/* Records of different lengths in the ring of one producer and one consumer. A record is a head and LEN cells behind
 * it, in one piece: where the rest of the ring is too short for it, a head there says that it is skipped. One store of
 * tail publishes head, cells and what is skipped; one store of head frees them. Any of the two may die between any two
 * steps; the next one goes on from the word. (How a side passes from one to the next: takeover.pml.)
 *   (default)       0 errors; also with the sizes below changed
 *   -DEARLYTAIL     must fail: tail is stored before the cells are written
 *   -DEARLYHEAD     must fail: head is stored before the cells are read
 *   -DNOSKIP        must fail: nothing is skipped, a record runs over the end
 *   -DTWOSTORES     must fail: the head is published first, the cells by a store of their own
 *   -DNOROOM        must fail: room is asked for without what is skipped
 * Checked: records are taken in the order of their commits, each once, of their length and whole, and all of them
 * where the consumers have not ended. A consumer that dies before its store of head leaves its record to the next one.
 */
#ifndef U
#define U 6                /* cells; a record has at most half of them, its head included */
#endif
#ifndef K
#define K 4                /* records */
#endif
#ifndef MAXC
#define MAXC 2             /* deaths */
#endif
#define LONGEST (U / 2 - 1)
#define SKIPS 99
#define HEAD(size) (100 + (size))
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte tail, head, ring[U];
byte crashes, id = 1;                      /* id: the number of the next record to be committed, and its cells' content */
byte lengths[K + 1], taken;                /* for the checks only */
bit over;

proctype producer() {
  byte t, size, skipped, j;
  t = tail;
next:
  if
  :: id > K -> goto fin
  :: else
  fi;
  size = 0;
  do
  :: size < LONGEST -> size++
  :: break
  od;
  skipped = (1 + size > U - t % U -> U - t % U : 0);
#ifdef NOSKIP
  skipped = 0;
#endif
  if
#ifdef NOROOM
  :: U - (t - head) >= 1 + size
#else
  :: U - (t - head) >= skipped + 1 + size
#endif
  DIE
  fi;
  if
  :: skipped != 0 -> ring[t % U] = SKIPS
  :: skipped == 0
  DIE
  fi;
  if :: ring[(t + skipped) % U] = HEAD(size) DIE fi;
#ifdef EARLYTAIL
  atomic { lengths[id] = size; tail = t + skipped + 1 + size; id++ };
  if :: skip DIE fi;
#endif
#ifdef TWOSTORES
  tail = t + skipped + 1;
#endif
  j = 0;
  do
  :: j < size ->
     if
#ifdef EARLYTAIL
     :: ring[(t + skipped + 1 + j) % U] = id - 1; j++
#else
     :: ring[(t + skipped + 1 + j) % U] = id; j++
#endif
     DIE
     fi
  :: j >= size -> break
  od;
  if
  :: atomic {
#ifndef EARLYTAIL
       lengths[id] = size;
       tail = t + skipped + 1 + size;       /* COMMIT */
       id++;
#endif
       t = t + skipped + 1 + size;
       j = 0;
       goto next
     }
  DIE
  fi;
dead:
  atomic { t = 0; size = 0; skipped = 0; j = 0; run producer(); goto out };
fin:
  over = 1;
out:
  skip
}

proctype consumer() {
  byte h, size, skipped, j, at, found;
  h = head;
next:
  if
  :: tail != h
  :: tail == h && over -> goto fin
  DIE
  fi;
  skipped = 0;
  found = ring[h % U];
  if
  :: found == SKIPS -> skipped = U - h % U; found = ring[0]
  :: else
  fi;
  assert(found >= HEAD(0) && found <= HEAD(LONGEST));
  size = found - HEAD(0);
  at = (h + skipped) % U + 1;
  assert(at + size <= U);                   /* in one piece, which is how it is read */
  assert(tail - h >= skipped + 1 + size);   /* and published as a whole */
#ifdef EARLYHEAD
  head = h + skipped + 1 + size;
#endif
  j = 0;
  do
  :: j < size ->
     if
     :: assert(ring[at + j] == taken + 1); j++
     DIE
     fi
  :: j >= size -> break
  od;
  if
  :: atomic {
       assert(taken + 1 < id && size == lengths[taken + 1]);
       head = h + skipped + 1 + size;       /* COMMIT */
       taken++;
       h = head;
       j = 0;
       goto next
     }
  DIE
  fi;
dead:
  atomic { h = 0; size = 0; skipped = 0; j = 0; at = 0; found = 0; run consumer(); goto out };
fin:
  assert(taken == K && head == tail);
out:
  skip
}

init { atomic { run producer(); run consumer() } }
