/* The deadline of what a worker runs, as one word of its record, and the supervisor that sleeps until it.
 *   (default)      0 errors
 *   -DNOSECOND     must fail: the supervisor does not look again after it has said until when it sleeps
 *   -DNORING       must fail: a worker that arms an earlier time than that does not ring
 *   -DBLINDSTOP    must fail: the worker takes its time away by a store instead of a CAS
 * Checked: nothing overdue runs on for ever (else: invalid end state); no attempt is both committed and condemned; none
 * is condemned before its time. Time is a counter; an attempt ends at any moment, or never.
 */
#ifndef ITEMS
#define ITEMS 3
#endif
#define LAST 6
#define NEVER 255
#define OVERDUE 254

byte now, armed, next_look = NEVER;
bit ring, condemned, over;

proctype clock() {
end:
  do :: now < LAST -> now++ od
}

proctype worker() {
  byte i, mine;
next:
  if :: i == ITEMS -> goto fin :: i < ITEMS -> i++ fi;
  atomic { if :: mine = now + 1 :: mine = now + 2 fi };
  armed = mine;                                       /* D1 */
#ifndef NORING
  if :: mine < next_look -> ring = 1 :: else fi;      /* D2 */
#endif
  if
  :: true                                             /* it ends, */
  :: mine <= LAST -> goto stuck                       /* or never */
  fi;
#ifdef BLINDSTOP
  armed = 0;
#else
  if                                                  /* D5 */
  :: atomic { armed == mine -> armed = 0 }
  :: armed != mine -> goto stuck
  fi;
#endif
  assert(!condemned);                                 /* the result is committed */
  goto next;
stuck:
  condemned;                                          /* and so it is killed */
fin:
  over = 1
}

proctype supervisor() {
  byte a;
look:
  atomic { a = armed };                               /* D4 */
  if
  :: a != 0 && a != OVERDUE && a <= now ->
     if
     :: atomic { armed == a -> armed = OVERDUE; condemned = 1; assert(a <= now) }   /* D6 */
     :: armed != a
     fi;
     goto look
  :: a == 0 || a == OVERDUE -> next_look = NEVER      /* D3 */
  :: a != 0 && a != OVERDUE && a > now -> next_look = a
  fi;
#ifndef NOSECOND
  atomic { a = armed };
  if
  :: a != 0 && a != OVERDUE && a < next_look -> goto look
  :: else
  fi;
#endif
end_sleep:
  if
  :: ring -> ring = 0; goto look
  :: next_look != NEVER && next_look <= now -> goto look
  :: over
  fi
}

init { atomic { run clock(); run worker(); run supervisor() } }
