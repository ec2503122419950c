/* The doorbell of a pipe's receiving end: a word {number, ring, arming} beside a bell that is readable or not (an
 * eventfd), two positions, a lock of the receivers, and a line that is cut when nobody holds the sending end any more.
 * Senders commit, look at the word and ring. A receiver of one kind sleeps in recv; one of the other kind watches the
 * bell from outside, as a loop of events does, and takes whatever the others, which go after one message, leave. Any
 * process may die between any two steps.
 *   (default)                 0 errors: the end of the stream is told after everything was taken, and nobody hangs
 *   -DMAXC=0 -DNOSLICE        0 errors: without deaths no slice is needed, and no wake-up is lost
 *   -DNOSLICE -DNUDGE         0 errors: where a death made somebody oversleep, the next message wakes him
 *   -DMAXC=0 -DNOSLICE and
 *     -DNOSECOND              must fail: nobody looks again after the bell was emptied
 *     -DNORING                must fail: what is found after the bell was emptied is not rung for again
 *     -DNONUMBER              must fail: an old ring closes a new arming
 *   -DNOSLICE -DNUDGE -DNOARMING   must fail: a receiver that dies with the bell emptied leaves a word where nobody rings
 *   -DONELOOK                 must fail: the end is told by the line alone
 * Senders keep their end until everything was taken, so that it is not the end of the stream that wakes an oversleeper.
 * SPIN's memory is sequentially consistent: the order of a commit before the look, and of an arming before the look, is
 * the wait word's (event.pml).
 */
#ifndef S
#define S 2                /* senders */
#endif
#ifndef R
#define R 2                /* receivers: the first watches, the others sleep in recv */
#endif
#ifndef MSGS
#define MSGS 1             /* of each sender */
#endif
#ifndef MAXC
#define MAXC 1
#endif
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }
#define LINE_CUT (holders == 0)

byte tail, head;
byte number;               /* the word, first field: grows with each arming */
bit ring = 1;              /* second field; the watcher armed it when it came */
bit arming;                /* third field */
bit bell;
byte turn;                 /* the receivers' lock: 0 free, else its holder */
bit alive[R + 1];
byte holders = S;          /* of the sending end */
byte crashes, done, nudges;

proctype sender() {
  byte n, sent;
  bit r, a;
more:
  if
  :: sent < MSGS
  :: sent >= MSGS -> goto stay
  fi;
  sent++;
commit:
  if
  :: tail++
  DIE
  fi;
  if
  :: atomic { n = number; r = ring; a = arming }                /* one load */
  DIE
  fi;
  if
  :: atomic { !r -> n = 0; a = 0; goto more }
  :: atomic { r -> bell = 1 }
  DIE
  fi;
  if
  :: atomic {
       if
#ifdef NONUMBER
       :: !a && ring && !arming -> ring = 0
#else
       :: !a && number == n && ring && !arming -> ring = 0
#endif
       :: else
       fi;
       n = 0; r = 0; a = 0
     }
  DIE
  fi;
  goto more;
stay:
  if
  :: head == tail || !alive[1]
#ifdef NUDGE
  :: timeout && head != tail && alive[1] && nudges < 1 -> nudges++; goto commit
#endif
  fi;
dead:
  holders--
}

/* In turn. */
#ifdef NOARMING
#define ARM_BEGINS ring = 1
#else
#define ARM_BEGINS ring = 1; arming = 1
#endif

proctype receiver(byte i; bit watches) {
  bit more, leaves;
again:
  if
  :: tail != head -> goto take
  :: atomic { tail == head -> if :: watches -> goto sleep :: else fi }  /* settled by whoever was here last */
  fi;
  if                                                            /* a turn, to arm */
  :: atomic { turn == 0 -> turn = i }
  :: atomic { turn != 0 && !alive[turn] -> turn = i; bell = 1 } /* from the dead */
  DIE
  fi;
arm:
  if
  :: atomic { ARM_BEGINS }
  DIE
  fi;
  if
  :: bell = 0
  DIE
  fi;
  if
  :: atomic { number = (number + 1) % 64; ring = 1; arming = 0 }
  DIE
  fi;
#ifdef NOSECOND
  more = 0;
#else
  if
  :: more = (tail != head)
  DIE
  fi;
#endif
#ifndef NORING
  if
  :: !more
  :: more ->
     if
     :: bell = 1
     DIE
     fi;
     if
     :: atomic { ring = 0 }                                     /* in turn, so the number is its own */
     DIE
     fi
  fi;
#endif
  if
  :: turn = 0
  DIE
  fi;
  if
  :: leaves -> goto fin
  :: atomic { !leaves && more -> more = 0; goto again }
  :: !leaves && !more
  fi;
sleep:
  if
  :: bell || LINE_CUT
#ifndef NOSLICE
  :: crashes > 0 && timeout                                     /* a slice is long */
#endif
  DIE
  fi;
  more = LINE_CUT;                                              /* first the line, then the ring */
  if
#ifdef ONELOOK
  :: more -> goto end
#else
  :: more && tail == head -> goto end
#endif
  :: atomic { more && tail != head -> more = 0; goto take }
  :: !more
  fi;
  if
  :: watches && tail == head ->                                 /* rung for nothing: quieten it */
     if
     :: atomic { turn == 0 -> turn = i }; goto arm
     :: atomic { turn != 0 && !alive[turn] -> turn = i; bell = 1 }; goto arm
     DIE
     fi
  :: !(watches && tail == head)
  fi;
  goto again;
take:
  if
  :: atomic { turn == 0 -> turn = i }
  :: atomic { turn != 0 && !alive[turn] -> turn = i; bell = 1 }
  DIE
  fi;
  if
  :: atomic { tail != head -> head++ }
  :: tail == head
  DIE
  fi;
  if
  :: atomic { tail == head -> leaves = !watches; goto arm }     /* settles: the bell is watched */
  :: tail != head
  fi;
  if
  :: atomic { turn = 0; if :: watches :: else -> goto fin fi }
  DIE
  fi;
  goto again;
end:
  assert(tail == head);
  goto fin;
dead:
  alive[i] = 0;
fin:
  done++
}

init {
  byte i = 1;
  atomic {
    do :: i <= R -> alive[i] = 1; run receiver(i, i == 1); i++ :: else -> break od;
    i = 0;
    do :: i < S -> run sender(); i++ :: else -> break od
  };
  done == R
}
