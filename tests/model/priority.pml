/* The priority queue under its recoverable lock: counts that commit, slots that say which items there are, a heap that is
 * derived. Any process may die between any two steps; the lock itself is one step (mutex.pml has its own).
 *   (default)       0 errors
 *   -DNOREPAIR      must fail: who takes the lock over from the dead repairs nothing
 *   -DHEAPONLY      must fail: it makes the heap anew, and leaves marks that nobody committed
 *   -DCOMMITFIRST   must fail: a push commits, and writes then
 *   -DFREEFIRST     must fail: a slot's `taken` is cleared before its new ticket is written
 *   -DBLINDPUSH     must fail: a push commits by a store, past CLOSED
 * Two priorities; the ticket orders equals. The heap is kept sorted as a whole, in one step: it is its holder's alone.
 */
#ifndef N
#define N 2                 /* slots */
#endif
#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef POPPERS
#define POPPERS 2
#endif
#ifndef ITEMS
#define ITEMS 1             /* of each pusher */
#endif
#ifndef MAXC
#define MAXC 2
#endif
#define P (PUSHERS + POPPERS)
#define T (PUSHERS * ITEMS)
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }
#define HOLDS(i) (ticket[i] != 0 && ticket[i] <= pushed && (taken[i] == 0 || taken[i] > popped))

byte lock;                  /* 0 free; else who has it */
bit told;                   /* inconsistent */
byte pushed, popped;
bit closed;
byte ticket[N], taken[N], item[N], prio[N];
byte heap[N];               /* slot numbers: first those of items, in order, then the free ones */
bit alive[P + 1];
byte crashes, done;
/* the account: by item, 1..T */
bit committed[T + 1], gone[T + 1];
byte rank[T + 1], born[T + 1];
byte drained;               /* 1: somebody saw CLOSED and empty */

/* The lock of the dead is taken over; the next one is told too until somebody repaired. */
inline acquire(me) {
  if
  :: atomic { lock == 0 -> lock = me }
  :: atomic { lock != 0 && !alive[lock] -> lock = me; told = 1 }
  DIE
  fi
}

/* Of the slots only: one step each, so that a death in between leaves the rest to the next. */
inline repair() {
  k = 0; n = 0; m = N;
  do
  :: k < N ->
     if
     :: HOLDS(k) ->
#ifndef HEAPONLY
        taken[k] = 0;
#endif
        heap[n] = k; n++
     :: !HOLDS(k) ->
#ifndef HEAPONLY
        ticket[k] = 0;
#endif
        m--; heap[m] = k
     DIE
     fi;
     k++
  :: k == N -> break
  od;
  sort(n);
  d_step { k = 0; n = 0; m = 0 }
}
/* The first `z` of the heap, in order. What a heap keeps of an order suffices for the first; here all is sorted. */
inline sort(z) {
  d_step {
    a = 0;
    do
    :: a + 1 < z ->
       b = a + 1;
       do
       :: b < z ->
          if
          :: prio[heap[b]] > prio[heap[a]] || (prio[heap[b]] == prio[heap[a]] && ticket[heap[b]] < ticket[heap[a]]) ->
             c = heap[a]; heap[a] = heap[b]; heap[b] = c
          :: else
          fi;
          b++
       :: b >= z -> break
       od;
       a++
    :: a + 1 >= z -> break
    od;
    a = 0; b = 0; c = 0
  }
}
inline settle() {
  if
  :: told ->
#ifndef NOREPAIR
     repair();
#endif
     if
     :: told = 0
     DIE
     fi
  :: !told
  fi
}
inline release() {
  if
  :: lock = 0
  DIE
  fi
}

proctype pusher(byte me; byte first) {
  byte id, s, k, n, m, a, b, c, t;
  id = first;
next:
  acquire(me);
  settle();
  if
  :: closed -> lock = 0; goto fin
  :: !closed && pushed - popped >= N -> lock = 0; goto room
  :: !closed && pushed - popped < N
  DIE
  fi;
  d_step { s = heap[pushed - popped]; assert(!HOLDS(s)) };
#ifdef COMMITFIRST
  if :: d_step { ticket[s] = pushed + 1; taken[s] = 0; pushed++; committed[id] = 1; born[id] = pushed } DIE fi;
  if :: item[s] = id; prio[s] = rank[id] DIE fi;
#else
  if :: d_step { item[s] = id; prio[s] = rank[id] } DIE fi;
#ifdef FREEFIRST
  if :: taken[s] = 0 DIE fi;
  if :: ticket[s] = pushed + 1 DIE fi;
#else
  if :: ticket[s] = pushed + 1 DIE fi;
  if :: taken[s] = 0 DIE fi;
#endif
#ifdef BLINDPUSH
  if :: d_step { pushed++; committed[id] = 1; born[id] = pushed; assert(!drained) } DIE fi;
#else
  if
  :: atomic { !closed -> pushed++; committed[id] = 1; born[id] = pushed; assert(!drained) }
  :: closed -> if :: ticket[s] = 0 DIE fi; release(); goto fin
  DIE
  fi;
#endif
#endif
  if :: sort(pushed - popped) DIE fi;
  release();
  id++;
room:
  if
  :: id < first + ITEMS && (pushed - popped < N || closed || (lock != 0 && !alive[lock])) -> goto next
  :: id >= first + ITEMS -> goto fin
  fi;
dead:
  alive[me] = 0;
fin:
  done++
}

proctype popper(byte me) {
  byte got, s, k, n, m, a, b, c, x, y;
next:
  if
  :: atomic { closed && pushed == popped -> drained = 1 }; goto fin
  :: pushed != popped
  fi;
  acquire(me);
  settle();
  if
  :: pushed == popped -> lock = 0; goto next
  :: pushed != popped
  DIE
  fi;
  d_step { s = heap[0]; assert(HOLDS(s)) };
  if
  :: got = item[s]
  DIE
  fi;
  if :: taken[s] = popped + 1 DIE fi;
  /* COMMIT: the first among all that are there, whole, once. Who dies now takes it along. */
  if
  :: d_step {
    popped++;
    assert(got != 0 && committed[got] && !gone[got]);
    gone[got] = 1;
    x = 1;
    do
    :: x <= T ->
       assert(!(committed[x] && !gone[x]) || rank[x] < rank[got] || (rank[x] == rank[got] && born[x] > born[got]));
       x++
    :: x > T -> break
    od;
    x = 0; got = 0
  }
  DIE
  fi;
  if
  :: d_step {                              /* the last one's number into the first's place */
       n = pushed - popped;
       y = 0;
       do
       :: y < n -> heap[y] = heap[y + 1]; y++
       :: y >= n -> break
       od;
       heap[n] = s; y = 0; n = 0
     }
  DIE
  fi;
  release();
  goto next;
dead:
  alive[me] = 0;
fin:
  done++
}

/* Takes no lock. */
proctype closer() {
  closed = 1
}

init {
  byte i = 1;
  atomic {
    do
    :: i <= T -> rank[i] = i % 2; i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < N -> heap[i] = i; i++
    :: else -> break
    od;
    i = 1;
    do
    :: i <= P ->
       alive[i] = 1;
       if
       :: i <= PUSHERS -> run pusher(i, (i - 1) * ITEMS + 1)
       :: else -> run popper(i)
       fi;
       i++
    :: else -> break
    od;
    run closer();
    i = 0
  };
  done == P
}
