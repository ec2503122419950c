/* Large messages through a small ring, in two pieces each: a sender keeps its lock from the first to the last, a receiver
 * likewise. One store commits a piece, another one takes it. Any process may die between any two steps; locks of the dead
 * go to whoever comes next.
 *   (default)      0 errors: what was committed in full arrives once, whole, or went with a receiver that died
 *   -DNOTURN       must fail: senders that do not keep the lock mix their messages
 *   -DNODROP       must fail: a receiver that goes on with what a dead sender began
 *   -DNOPASS       must fail: a receiver that takes the rest of what a dead one began for a message
 *   -DTAKEFIRST    must fail: the piece is taken before it was copied, and written over
 */
#ifndef P
#define P 2
#endif
#ifndef C
#define C 2
#endif
#ifndef MSGS
#define MSGS 1             /* of each sender */
#endif
#ifndef N
#define N 1                /* pieces that the ring holds */
#endif
#ifndef MAXC
#define MAXC 2
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }
#define TAKE(lock, me) \
  if \
  :: atomic { lock == 0 -> lock = me } \
  :: atomic { lock != 0 && gone[lock] -> lock = me } \
  DIE \
  fi

byte tail, head;
byte piece[N];             /* 2 * message, + 1: its last piece. Messages count from 1 */
byte sending, receiving;   /* locks: 0 free, else their holder */
bit gone[P + C + 1];
byte holders = P;          /* of the sending end */
byte arrived[P * MSGS + 1];
byte whole, delivered, crashes, lost, done;

proctype sender(byte me) {
  byte n, half;
  do
  :: n < MSGS ->
     n++;
     half = 0;
     TAKE(sending, me);
     do
     :: half < 2 ->
        if
        :: tail - head < N
        :: atomic { lost == C -> sending = 0; goto close }        /* nobody is left who would make room */
        DIE
        fi;
        if
        :: piece[tail % N] = 2 * ((me - 1) * MSGS + n) + half
        DIE
        fi;
        if
        :: atomic { tail++; whole = whole + half; half++ }      /* commit */
        DIE
        fi;
#ifdef NOTURN
        if
        :: half == 1 -> sending = 0; TAKE(sending, me)
        :: else
        fi
#endif
     :: else -> break
     od;
     if
     :: sending = 0
     DIE
     fi
  :: else -> break
  od;
  goto close;
dead:
  gone[me] = 1;
close:
  atomic { holders--; done++ }
}

proctype receiver(byte me) {
  byte part, got, seen;
again:
  if
  :: tail != head
  :: holders == 0 && tail == head -> goto fin
  DIE
  fi;
  TAKE(receiving, me);
look:
  if
  :: tail == head && part == 0 -> receiving = 0; goto again
  :: tail == head && part != 0 ->                               /* the rest is on its way: keeps its turn */
     if
     :: tail != head -> goto look
     :: holders == 0 && tail == head -> part = 0; receiving = 0; goto fin
     DIE
     fi
  :: tail != head
  DIE
  fi;
#ifdef TAKEFIRST
  if
  :: head++
  DIE
  fi;
  seen = piece[(head - 1) % N];
#else
  seen = piece[head % N];
#endif
  if
  :: atomic { seen % 2 == 0 ->
#ifdef NODROP
       if
       :: part == 0 -> part = seen / 2; got = 1
       :: else
       fi
#else
       part = seen / 2; got = 1                                 /* what came before broke off */
#endif
     }
#ifdef NOPASS
  :: atomic { seen % 2 == 1 && part == 0 -> part = seen / 2; got = 1 }
#else
  :: seen % 2 == 1 && part == 0
#endif
  :: atomic { seen % 2 == 1 && part != 0 -> assert(part == seen / 2); got = 2 }
  DIE
  fi;
  if
  :: atomic {
#ifndef TAKEFIRST
       head++;
#endif
       if
       :: seen % 2 == 1 && part != 0 ->
          assert(got == 2);
          arrived[part]++;
          assert(arrived[part] == 1);
          delivered++
       :: else
       fi
     }
  DIE
  fi;
  if
  :: atomic { seen % 2 == 1 && part != 0 -> part = 0; got = 0; seen = 0; receiving = 0; goto again }
  :: atomic { !(seen % 2 == 1 && part != 0) -> seen = 0; goto look }
  DIE
  fi;
dead:
  atomic { gone[me] = 1; lost++ };
fin:
  done++
}

init {
  byte i = 1;
  atomic {
    do :: i <= P -> run sender(i); i++ :: else -> break od;
    do :: i <= P + C -> run receiver(i); i++ :: else -> break od
  };
  done == P + C;
  assert(whole - delivered <= lost || lost == C)
}
