/* The reader-writer mutex: a writer word {owner (0 free), inconsistent} and a cell per reader. A reader announces itself in
 * its cell and then looks for a writer; a writer claims the word and then looks at the cells. Whoever is blocked sleeps in
 * slices, here by blocking on what it waits for, and a death may come between any two steps.
 *   (default)      0 errors
 *   -DGIVEUP       0 errors: a writer may give up while it waits for the readers to leave
 *   -DLOOKFIRST    must fail: a reader looks for a writer before it announces itself, and not after
 *   -DNODRAIN      must fail: a writer claims the word and goes in
 *   -DKEEPCELL     must fail: a dead reader's cell is nobody's to empty (invalid end state)
 *   -DKEEPWORD     must fail: a dead writer's word is nobody's to take (invalid end state)
 *   -DNOTELL       must fail: takeover that leaves it consistent
 *   -DSTEAL        must fail: a cell is emptied because its reader has been there for long
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef MAXC
#define MAXC 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define N (READERS + WRITERS)
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte own;                  /* the writer word, first field */
bit inc;                   /* the writer word, second field */
bit cell[N + 1];           /* of reader i: announced */
bit alive[N + 1];
bit torn;
byte crashes, reading, writing, done;

#ifdef KEEPWORD
#define GONE(o) 0
#else
#define GONE(o) (o != 0 && !alive[o])
#endif

proctype reader(byte i) {
  byte round;
again:
  if                       /* blocks while a living writer has it */
  :: own == 0
  :: atomic { own != 0 && GONE(own) -> own = i;                 /* taken over, only to be let go */
#ifndef NOTELL
     inc = 1
#endif
     };
     if :: own = 0 DIE fi;
     goto again
  DIE
  fi;
  if :: cell[i] = 1 DIE fi;
#ifndef LOOKFIRST
  if
  :: own == 0
  :: own != 0 -> cell[i] = 0; goto again
  DIE
  fi;
#endif
  if
  :: atomic { reading++; assert(writing == 0); assert(!torn || inc) }
  DIE
  fi;
  if
  :: reading--
  :: atomic { crashes < MAXC -> crashes++; reading--; goto dead }
  fi;
  if :: cell[i] = 0 DIE fi;
  round++;
  if :: round < ROUNDS -> goto again :: else -> goto fin fi;
dead:
  alive[i] = 0;
fin:
  done++
}

proctype writer(byte i) {
  byte j, round;
again:
  if
  :: atomic { own == 0 -> own = i }
  :: atomic { own != 0 && GONE(own) -> own = i;
#ifndef NOTELL
     inc = 1
#endif
     }
  DIE
  fi;
#ifndef NODRAIN
  j = 1;
  do
  :: j > READERS -> break
  :: j <= READERS && !cell[j] -> j++
#ifndef KEEPCELL
  :: atomic { j <= READERS && cell[j] && !alive[j] -> cell[j] = 0 }
#endif
#ifdef STEAL
  :: atomic { j <= READERS && cell[j] -> cell[j] = 0 }
#endif
#ifdef GIVEUP
  :: j <= READERS && cell[j] -> own = 0; goto unlocked
#endif
  DIE
  od;
#endif
  if
  :: atomic { writing++; assert(writing == 1); assert(reading == 0); assert(!torn || inc) }
  DIE
  fi;
  if
  :: writing--
  :: atomic { inc -> torn = 0; inc = 0; writing-- }
  :: atomic { crashes < MAXC -> crashes++; torn = 1; writing--; goto dead }
  fi;
  if :: own = 0 DIE fi;
#ifdef GIVEUP
unlocked:
#endif
  round++;
  if :: round < ROUNDS -> goto again :: else -> goto fin fi;
dead:
  alive[i] = 0;
fin:
  done++
}

init {
  byte i = 1;
  atomic {
    do
    :: i <= READERS -> alive[i] = 1; run reader(i); i++
    :: i > READERS && i <= N -> alive[i] = 1; run writer(i); i++
    :: else -> break
    od
  };
  done == N
}
