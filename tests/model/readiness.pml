/* The bell of a queue (an eventfd) that a thread of the process, its mirror, rings for loops of events: the word `turn`
 * between them. Takers watch the bell, take what they find, and when they find nothing empty it and give the turn back.
 *   (default)        0 errors: no item lies with the bell quiet, and in the end it is quiet
 *   -DRINGFIRST      must fail: the mirror rings before it has said so: who empties the bell then does not give the turn back
 *   -DTURNFIRST      must fail: a taker gives the turn back before it empties the bell, and empties what was rung since
 *   -DNOEMPTY        must fail: the mirror does not empty the bell: what it rang late stays, and nobody may quieten it
 * How the mirror sleeps until there is an item is the wait word's (event.pml): here it is one step that blocks.
 */
#ifndef TAKERS
#define TAKERS 2
#endif
#ifndef ITEMS
#define ITEMS 3
#endif
#define LOOKING 0
#define TOLD 1

byte items, taken;
bit bell, turn;

proctype mirror() {
looking:
#ifndef NOEMPTY
  bell = 0;
#endif
end_asleep:
  (items > 0);
#ifdef RINGFIRST
  bell = 1;
  turn = TOLD;
#else
  turn = TOLD;
  bell = 1;
#endif
end_told:
  (turn == LOOKING);
  goto looking
}

proctype taker() {
watching:
  if
  :: bell
  :: taken == ITEMS -> goto quiet
  fi;
  if
  :: atomic { items > 0 -> items--; taken++ } -> goto watching
  :: items == 0
  fi;
nothing:
  if
  :: turn != TOLD -> goto watching
  :: turn == TOLD
  fi;
#ifdef TURNFIRST
  turn = LOOKING;
  bell = 0;
#else
  bell = 0;
  atomic {
    if
    :: turn == TOLD -> turn = LOOKING
    :: else
    fi
  }
#endif
  goto watching;
quiet:                     /* everything was taken: a look in vain makes it quiet, at once or by the mirror */
  if
  :: !bell
  :: bell && turn == TOLD -> goto nothing
  fi
}

proctype producer() {
  byte sent;
  do
  :: sent < ITEMS -> atomic { items++; sent++ }
  :: sent == ITEMS -> break
  od
}

init {
  byte i;
  atomic {
    run mirror();
    run producer();
    do
    :: i < TAKERS -> run taker(); i++
    :: i == TAKERS -> break
    od
  }
}
