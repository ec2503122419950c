/* The account of a queue's items (join.md): consumers pop, hand on what they took to another lane of their process,
 * finish items, also of others; any of them may die, or leave with items, between any two steps. Joiners sweep the dead,
 * and write off what nobody has.
 *   (default)                        0 errors; also with the sizes below changed
 *   -DLATE                           must fail: a pop does not announce what it takes
 *   -DUNSAID                         must fail: a task_done() does not announce what it settles
 *   -DONELOOK                        must fail: the lanes are looked at once
 *   -DLANESFIRST                     must fail: head is read after the lanes
 *   -DBLINDWRITE -DJ=2               must fail: the loss is written off without a look at what it was taken from
 * Nothing is written off that somebody living has; in the end every item is done or written off, once.
 */
#ifndef N
#define N 2                /* items */
#endif
#ifndef J
#define J 1                /* joiners */
#endif
#define C 2                /* consumers, each a process with a lane */
#define L 3                /* the last lane stands for the process of the first one */
#define PROCESS(l) ((l) == 1)

byte taking[L], taken[L], finished[L];
byte head, settled, lost;  /* settled: the lost ones too; one word with lost */
byte has[C];               /* what is true: items that a process has taken and that are not settled */
bit alive[C];
byte gone;

#define DIE :: goto dead

proctype consumer(byte i) {
  byte l, n;
#ifndef LATE
  if :: taking[i] = 1 DIE fi;
#endif
  if
  :: atomic { head < N -> head++; has[i]++ }
  :: atomic { head == N -> taking[i] = 0; goto finish }
  DIE
  fi;
  if :: taken[i]++ DIE fi;
  if :: taking[i] = 0 DIE fi;
  if
  :: i == 0 ->                                       /* the thread ends; another one of its process goes on */
    n = taken[0] - finished[0];
    if :: taking[0] = n DIE fi;
    if :: taken[2] = taken[2] + n DIE fi;
    if :: atomic { n = n - (taken[0] - finished[0]); finished[0] = taken[0] } DIE fi;
    do                                               /* finished meanwhile: on an account too many */
    :: atomic { n > 0 && taken[2] > finished[2] -> finished[2]++; n-- } DIE
    :: else -> break
    od;
    if :: taking[0] = 0 DIE fi
  :: skip
  fi;
finish:
#ifndef UNSAID
  if :: taking[i] = 1 DIE fi;
#endif
  if
  :: atomic { taken[0] > finished[0] -> finished[0]++; l = 0 }
  :: atomic { taken[1] > finished[1] -> finished[1]++; l = 1 }
  :: atomic { taken[2] > finished[2] -> finished[2]++; l = 2 }
  :: atomic { taken[0] == finished[0] && taken[1] == finished[1] && taken[2] == finished[2] -> goto dead }
  DIE
  fi;
#ifndef UNSAID
  atomic { has[PROCESS(l)]--; has[i]++ };
#endif
  if
  :: atomic {
       settled++;
#ifdef UNSAID
       has[PROCESS(l)]--
#else
       has[i]--
#endif
     }
  DIE
  fi;
  if :: taking[i] = 0 DIE fi;
dead:                                                /* or it leaves */
  atomic { alive[i] = 0; gone++; l = 0; n = 0 }
}

#define LOOK(sum) \
  l = 0; \
  do \
  :: l < L -> f = finished[l]; atomic { t = taken[l]; sum = sum + t + f; open = open + t - f; l++; f = 0; t = 0 } \
  :: else -> break \
  od

proctype joiner() {
  byte l, f, t, h, s, first, second, open, about, n;
again:
  atomic { l = 0; f = 0; t = 0; h = 0; s = 0; first = 0; second = 0; open = 0; about = 0; n = 0 };
  do                                                 /* the sweep */
  :: atomic { l < L && !alive[PROCESS(l)] -> finished[l] = taken[l] }; atomic { taking[l] = 0; l++ }
  :: atomic { l < L && alive[PROCESS(l)] -> l++ }
  :: l == L -> break
  od;
#ifndef LANESFIRST
  h = head;
#endif
  LOOK(first);
  l = 0;
  do
  :: l < L -> atomic { about = about + taking[l]; l++ }
  :: else -> break
  od;
#ifndef ONELOOK
  n = open;
  LOOK(second);
  atomic { open = n; n = 0; l = 0 };
  if :: first != second -> goto again :: else fi;
#endif
#ifdef LANESFIRST
  h = head;
#endif
  s = settled;
  if
  :: h > s + open + about ->
    n = h - s - open - about;
    if
    :: atomic {
#ifndef BLINDWRITE
         settled == s ->
#endif
         settled = settled + n;
         lost = lost + n;
         assert(lost <= (alive[0] -> 0 : has[0]) + (alive[1] -> 0 : has[1]))
       }
#ifndef BLINDWRITE
    :: atomic { settled != s -> skip }
#endif
    fi
  :: else
  fi;
  if
  :: atomic { gone == C && head < N -> head++; settled++ }       /* nobody is left to pop it */
  :: atomic { !(gone == C && head < N) -> skip }
  fi;
  if
  :: atomic { gone == C && settled == N -> assert(lost == has[0] + has[1]) }
  :: atomic { !(gone == C && settled == N) -> goto again }
  fi
}

init {
  byte i;
  atomic {
    alive[0] = 1; alive[1] = 1;
    run consumer(0); run consumer(1);
    i = 0;
    do :: i < J -> run joiner(); i++ :: else -> break od
  }
}
