/* Commits to the ring of one producer and one consumer, and its end. A commit says first which tail it will store
 * (committing), then looks at CLOSED, then stores tail; a refused one puts committing back. Anybody asks whether the ring
 * is drained; whoever finds it so writes that down. The producer may die between any two steps, and then has a
 * successor, which puts committing right. The model is sequentially consistent: that a producer's first two steps are
 * seen in their order is the membarrier's work.
 *   (default)       0 errors; also with the sizes below changed
 *   -DLOOKFIRST     must fail: CLOSED is looked at before committing is stored
 *   -DONELOOK       must fail: tail is not read again once the owner is found dead
 *   -DTAILALONE     must fail: drained by tail and head alone
 *   -DNOTBACK       must fail: a refused commit leaves committing as it is
 * Checked: once drained nothing is committed and nothing is left; and in the end somebody finds it drained.
 */
#ifndef K
#define K 2                /* items */
#endif
#ifndef N
#define N 2                /* who ask whether it is drained; the first one takes the items, too */
#endif
#ifndef MAXC
#define MAXC 2             /* deaths */
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte tail, head, committing, crashes;
bit closed, drained, alive = 1;

proctype producer() {
  byte t, pushed;
  t = tail;
  if
  :: committing = t
  DIE
  fi;
next:
  if
  :: pushed == K -> goto fin                /* lives on, and pushes no more */
  :: pushed < K
  DIE
  fi;
#ifdef LOOKFIRST
  bit open;
  open = !closed;
  if :: committing = t + 1 DIE fi;
  if
  :: open
#else
  if :: committing = t + 1 DIE fi;
  if
  :: !closed
#endif
  :: else -> goto refused
  DIE
  fi;
  if
  :: atomic { assert(!drained); tail = t + 1; t++; pushed++; goto next }     /* COMMIT */
  DIE
  fi;
refused:
#ifndef NOTBACK
  if :: committing = t DIE fi;
#endif
  goto fin;
dead:
  atomic { alive = 0; t = 0; pushed = 0 };
  atomic { alive = 1; run producer() };     /* the successor, whenever it comes; the owner's word is never empty again */
fin:
  skip
}

proctype asker(bit takes) {
  byte h, c, t;
  do
  :: drained -> break
  :: takes && !drained && tail != head -> head++
  :: closed && !drained ->
     h = head;
#ifndef TAILALONE
     c = committing;
     t = tail;
     if
     :: c != t ->
        if
        :: alive -> (committing == tail || !alive || drained); goto again   /* looks again, some time */
        :: else
        fi;
#ifndef ONELOOK
        t = tail
#endif
     :: else
     fi;
#else
     t = tail;
#endif
     if
     :: t == h -> atomic { assert(tail == head); drained = 1 }
     :: else
     fi;
again:
     atomic { h = 0; c = 0; t = 0 }
  od
}

init {
  byte i;
  atomic {
    run producer();
    i = 0;
    do
    :: i < N -> run asker(i == 0); i++
    :: else -> break
    od;
    i = 0
  };
  closed = 1;
  (drained);
  assert(tail == head)
}
