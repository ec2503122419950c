/* Leases: the cells of a queue's items that are taken and may come back, beside the ring of queue.pml, whose items are
 * all committed, and no more will be. Any process may die between any two steps.
 *   (default)                        0 errors; also with the sizes below changed
 *   -DSWEEPS                         others sweep the first cell, too, than who finds the ring empty
 *   -DNOCONFIRM                      must fail: who finds a name in head takes it away, and confirms nobody
 *   -DNOREREAD                       must fail: who confirms does not look at head once more
 *   -DBLINDNAME                      must fail: who takes a cell's name away takes that of its next item, too
 *   -DNOVERSION                      must fail: a cell that comes back as it was seems to be the same
 *   -DHEADFIRST                      must fail: the sweep looks at head before it looks at the cell
 *   -DLATEFILL                       must fail: the cell is filled once head names it
 *   -DBYHEAD                         must fail: drained is what has an empty ring
 * Each item is done with once: popped, or acknowledged. What is drained holds none. In the end a survivor gets all.
 * Words are numbers: head = 64 * returned + 8 * (cell + 1) + position; a cell's = state + 4 * owner + 32 * version.
 */
#ifndef P
#define P 2                /* consumers */
#endif
#ifndef R
#define R 2                /* items that one asks for */
#endif
#ifndef S
#define S R                /* the others than the first */
#endif
#define ROUNDS(me) (me == 0 -> R : S)
#ifndef M
#define M 2                /* items */
#endif
#ifndef N
#define N 2                /* cells */
#endif
#ifndef MAXC
#define MAXC 2             /* deaths */
#endif
#define EMPTY 0
#define TAKING 1
#define HELD 2
#define RETURNED 3
#define STATE(w) ((w) % 4)
#define OWNER(w) ((w) / 4 % 8)
#define VERSION(w) ((w) / 32)
#define WORD(s, o, v) ((s) + 4 * (o) + 32 * (v))
#define POSITION(h) ((h) % 8)
#define NAME(h) ((h) / 8 % 8)
#define MARKED(h) ((h) >= 64)
#define CALLED(c, p) (8 * ((c) + 1) + (p))
#ifdef NOVERSION
#define NEXT(v) (v)
#else
#define NEXT(v) ((v) + 1)
#endif

short head;
short word[N];
byte payload[N];           /* the item that a copy of the cell shows */
byte inside[N];            /* ghost: the item + 1 whose only place it is */
bit done[M];
bit alive[P + 1];
byte crashes, gone;

#define DIE :: atomic { crashes < MAXC && me < P -> crashes++; goto dead }

/* Confirms the cell that h names. again: h is no longer what head is. */
inline confirm(h, again) {
  atomic { again = 0; w = word[NAME(h) - 1] };
  if
  :: STATE(w) == TAKING ->
#ifndef NOREREAD
     if :: again = (head != h) DIE fi;
#endif
     if
     :: atomic {
          !again ->
          if
          :: word[NAME(h) - 1] == w -> assert(inside[NAME(h) - 1]); word[NAME(h) - 1] = WORD(HELD, OWNER(w), VERSION(w))
          :: else
          fi
        }
     :: again
     DIE
     fi
  :: else
  fi
}

/* By the sweep, that may find the name of a later claim. */
inline take_name_away(c) {
  do
  :: h = head;
     if
     :: NAME(h) != c + 1 -> break
     :: else ->
        again = 0;
#ifndef BLINDNAME
        confirm(h, again);
#endif
        if
        :: atomic { !again && head == h -> head = h - 8 * NAME(h); break }
        :: again || head != h
        DIE
        fi
     fi
  od
}

/* By who has it on lease: there is nothing to confirm. */
inline take_own_name_away(c) {
  do
  :: h = head;
     if
     :: NAME(h) != c + 1 -> break
     :: else ->
        if :: atomic { head == h -> head = h - 8 * NAME(h); break } :: head != h DIE fi
     fi
  od
}

inline to_returned(c, from) {
  if
  :: atomic { word[c] == from -> word[c] = WORD(RETURNED, 0, VERSION(from)) };
     if :: atomic { if :: !MARKED(head) -> head = head + 64 :: else fi } DIE fi
  :: word[c] != from
  DIE
  fi
}

/* Looks for one that came back: x, or N. */
inline first_returned() {
  x = 0;
  do
  :: atomic { x < N && STATE(word[x]) == RETURNED -> break }
  :: atomic { x < N && STATE(word[x]) != RETURNED -> x++ }
  :: x == N -> break
  od
}

inline sweep_cell(c) {
#ifdef HEADFIRST
  h = head;
#endif
  w = word[c];
  if
  :: (STATE(w) == TAKING || STATE(w) == HELD) && !alive[OWNER(w)] ->
     v = w;
#ifndef HEADFIRST
     if :: h = head DIE fi;
#endif
     again = 0;
     if
     :: STATE(v) == TAKING && NAME(h) != c + 1 ->
        again = 1;
        if
        :: atomic { word[c] == v -> assert(!inside[c]); word[c] = WORD(EMPTY, 0, VERSION(v)) }
        :: word[c] != v
        DIE
        fi
     :: STATE(v) == TAKING && NAME(h) == c + 1 -> confirm(h, again); v = WORD(HELD, OWNER(v), VERSION(v))
     :: STATE(v) == HELD
     fi;
     if
     :: !again -> take_name_away(c); to_returned(c, v)
     :: again
     fi
  :: else
  fi
}

/* me == P: the last survivor, which does not die, and pops until there is no more. */
proctype consumer(byte me) {
  short h, w, v, mine;
  byte x, c, t, round;
  bit again, leases, held, early;

  do
  :: me < P && round == ROUNDS(me) -> break
  :: me == P || round < ROUNDS(me) ->
     atomic { c = N; if :: me < P -> leases = 1 :: leases = 0 fi };
#ifdef SWEEPS
     if :: atomic { me < P -> x = 0; early = 1; goto sweep } :: 1 fi;   /* now and then */
#endif
look:
     atomic { again = 0; h = head; w = 0; v = 0; x = 0; t = 0 };
     /* marks */
     if
     :: NAME(h) != 0 ->
#ifndef NOCONFIRM
        confirm(h, again);
        if :: again -> goto look :: !again fi
#endif
     :: else
     fi;
     if
     :: MARKED(h) ->
        first_returned();
        if :: x < N -> goto came_back :: else fi
     :: else
     fi;
     if
     :: h != POSITION(h) ->
        if
        :: atomic { head == h -> head = POSITION(h) }
        :: head != h -> goto look
        DIE
        fi;
        if
        :: MARKED(h) ->
           first_returned();
           if
           :: x < N -> if :: atomic { if :: !MARKED(head) -> head = head + 64 :: else fi } DIE fi
           :: else
           fi
        :: else
        fi;
        goto look
     :: else
     fi;
     if :: POSITION(h) == M -> goto nothing :: else fi;
     /* from the ring */
     if
     :: leases ->
        if
        :: c == N ->
           x = 0;
           do
           :: atomic {
                x < N && STATE(word[x]) == EMPTY ->
                assert(!inside[x]); c = x; mine = WORD(TAKING, me, NEXT(VERSION(word[x]))); word[x] = mine; break
              }
           :: atomic { x < N && STATE(word[x]) != EMPTY -> x++ }
           :: x == N -> goto next          /* no cell */
           DIE
           od
        :: else
        fi;
#ifndef LATEFILL
        if :: payload[c] = POSITION(h) DIE fi;
#endif
        if
        :: atomic { head == h -> head = CALLED(c, POSITION(h) + 1); assert(!inside[c]); inside[c] = POSITION(h) + 1 }
        :: head != h -> goto look
        DIE
        fi;
#ifdef LATEFILL
        if :: payload[c] = POSITION(h) DIE fi;
#endif
        if
        :: atomic { if :: word[c] == mine -> word[c] = WORD(HELD, me, VERSION(mine)) :: else fi }
        DIE
        fi;
        mine = WORD(HELD, me, VERSION(mine));
        take_own_name_away(c);
        goto holds
     :: else ->
        if
        :: atomic { head == h -> head = h + 1; assert(!done[h]); done[h] = 1 }
        :: head != h -> goto look
        DIE
        fi;
        goto next
     fi;

came_back:
     atomic { w = word[x]; t = 0; if :: STATE(w) != RETURNED -> goto look :: else fi };
     t = payload[x];
     if
     :: atomic {
          word[x] == w && !leases ->
          assert(inside[x] == t + 1 && !done[t]); done[t] = 1; inside[x] = 0; word[x] = WORD(EMPTY, 0, VERSION(w))
        };
        goto next
     :: atomic { word[x] == w && leases -> v = WORD(HELD, me, NEXT(VERSION(w))); word[x] = v };
        if
        :: atomic {
             c < N -> if :: word[c] == mine -> assert(!inside[c]); word[c] = WORD(EMPTY, 0, VERSION(mine)) :: else fi
           }
        :: c == N
        DIE
        fi;
        atomic { c = x; mine = v };
        goto holds
     :: word[x] != w -> goto look
     DIE
     fi;

holds:
     if
     :: atomic {
          word[c] == mine -> t = inside[c] - 1; assert(inside[c] == payload[c] + 1 && !done[t]);
          done[t] = 1; inside[c] = 0; word[c] = WORD(EMPTY, 0, VERSION(mine)); c = N
        }
     :: to_returned(c, mine); c = N
     DIE
     fi;
     goto next;

nothing:
     atomic { x = 0; held = 0 };
sweep:
     sweep_cell(x);
     if :: atomic { early -> early = 0; goto look } :: !early fi;
     atomic {
       held = held || STATE(word[x]) == HELD;
       if :: STATE(word[x]) == RETURNED -> goto came_back :: else -> x++ fi;
       if :: x < N -> goto sweep :: x == N fi
     };
#ifndef BYHEAD
     if
     :: held -> assert(me < P)
     :: !held ->
#endif
        /* drained */
        atomic { x = 0; do :: x < M -> assert(done[x]); x++ :: else -> break od; x = 0 }
#ifndef BYHEAD
     fi;
#endif
     if
     :: atomic { c < N -> if :: word[c] == mine -> word[c] = WORD(EMPTY, 0, VERSION(mine)) :: else fi }
     :: c == N
     DIE
     fi;
     break;

next:
     atomic { round++; if :: me == P -> round = 0 :: else fi }
  od;
  goto fin;
dead:
  alive[me] = 0;
fin:
  atomic { h = 0; w = 0; v = 0; mine = 0; x = 0; c = 0; t = 0; round = 0; again = 0; leases = 0; held = 0; early = 0; gone++ }
}

init {
  byte i;
  atomic {
    alive[P] = 1;
    do :: i < P -> alive[i] = 1; run consumer(i); i++ :: else -> break od
  };
  gone == P;
  run consumer(P);
  gone == P + 1;
  atomic { i = 0; do :: i < M -> assert(done[i]); i++ :: else -> break od }
}
