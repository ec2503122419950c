/* The slots of an unbounded queue: a directory says which chunk holds a run of positions, an owner word of each chunk
 * for which run it is; docs/algorithms/elastic_slots.md. A run is one position here. Any process may die between any two
 * steps. That a claim is announced, so that the dead are told from the living, is queue.pml's; here it is known.
 *   (default)       0 errors; also with the sizes below changed
 *   -DNOCOLLECT     must fail with few chunks and many deaths: what they leave is never collected
 *   -DFREEFIRST     must fail: a consumer frees the run before it has taken its last item
 *   -DBLINDENTER    must fail: a run's entry is stored, not CASed: two producers enter a chunk each
 *   -DNOTAG         must fail once positions wrap: an entry is believed whichever run it names
 *   -DOLDHEAD       must fail with few chunks: collect() takes head's own run for left
 * Checked: an item is written to a chunk that is its run's, taken once, and found by who takes it; no living process is
 * left without a chunk while there are fewer items than chunks; at the end collect() finds every chunk that is not used.
 */
#ifndef P
#define P 2                /* producers */
#endif
#ifndef C
#define C 1                /* consumers */
#endif
#ifndef ITEMS
#define ITEMS 2            /* items per producer */
#endif
#ifndef CHUNKS
#define CHUNKS 4           /* all that memory holds */
#endif
#ifndef MAXC
#define MAXC 2             /* deaths */
#endif
#define DIR 4              /* entries of the directory */
#define CAP (DIR - 2)
#define MOST 8             /* positions */
#define ENTRY(run, chunk) (8 * ((run) + 1) + (chunk))
#ifdef NOTAG
#define OF(e, run) ((e) != 0)
#else
#define OF(e, run) ((e) / 8 == (run) + 1)
#endif
#define CHUNK(e) ((e) % 8)
#define BURIED(p) (64 + (p))
#define DIE :: atomic { crashes < MAXC -> crashes++; goto dead }

byte tail, head, dir[DIR], owner[CHUNKS], seq[CHUNKS];
byte crashes, gone, producersGone;
bit deadClaim[MOST], committed[MOST], taken[MOST];      /* for the checks, and for who is dead */

/* A chunk that is not used: its run was left, or has another one. */
#ifdef OLDHEAD
#define LEFT(run) ((run) <= head)
#else
#define LEFT(run) ((run) < head)
#endif
#define UNUSED(c) (owner[c] != 0 && (LEFT(owner[c] - 1) || \
  (OF(dir[(owner[c] - 1) % DIR], owner[c] - 1) && CHUNK(dir[(owner[c] - 1) % DIR]) != c)))

proctype producer() {
  byte t, e, c, k, o;
retry:
  atomic { e = 0; c = 0; o = 0; t = tail };
  if
  :: t - head < CAP
  :: t - head >= CAP ->                    /* full: a consumer makes room, or none is left */
     if
     :: tail != t || t - head < CAP -> goto retry
     :: gone == C -> goto fin
     fi
  fi;
  e = dir[t % DIR];
  if
  :: OF(e, t) -> goto claim
  :: else
  fi;
find:
  atomic {
    c = 0;
    do
    :: c < CHUNKS && owner[c] != 0 -> c++
    :: c == CHUNKS || owner[c] == 0 -> break
    od;
    if
    :: c < CHUNKS -> owner[c] = t + 1      /* CAS 0 -> t + 1 */
    :: else -> goto collect
    fi
  };
  if
  :: skip
  DIE
  fi;
#ifdef BLINDENTER
  dir[t % DIR] = ENTRY(t, c);
#else
  atomic {
    if
    :: dir[t % DIR] == e -> dir[t % DIR] = ENTRY(t, c); goto claim
    :: else
    fi
  };
  if
  :: atomic { if :: owner[c] == t + 1 -> owner[c] = 0 :: else fi; goto retry }
  DIE
  fi;
#endif
claim:
  if
  :: atomic { tail == t -> tail = t + 1 }
  :: atomic { tail != t -> goto retry }
  DIE
  fi;
  if
  :: atomic {
       e = dir[t % DIR];
       assert(OF(e, t));
       c = CHUNK(e);
       assert(owner[c] == t + 1);
       assert(seq[c] == 0 || seq[c] >= 64 || taken[seq[c] - 1]);   /* nothing is overwritten */
       seq[c] = t + 1;                     /* COMMIT */
       committed[t] = 1
     }
  :: atomic { crashes < MAXC -> crashes++; deadClaim[t] = 1; goto dead }
  fi;
  atomic { k++; if :: k < ITEMS -> goto retry :: else -> goto fin fi };
collect:                                   /* one chunk in one step each: owner, entry, head; then the CAS */
#ifndef NOCOLLECT
  atomic {
    c = 0;
    do
    :: c < CHUNKS && !UNUSED(c) -> c++
    :: c == CHUNKS || UNUSED(c) -> break
    od;
    if
    :: c < CHUNKS -> o = owner[c]
    :: else -> goto wait
    fi
  };
  if
  :: atomic { if :: owner[c] == o -> owner[c] = 0 :: else fi; goto find }
  DIE
  fi;
wait:
#endif
  /* More processes hold a chunk each than there are (the push is refused, and tried again): they give it back, or die. */
  if
  :: tail != t -> goto retry
  :: owner[0] == 0 || owner[1] == 0 || owner[CHUNKS - 1] == 0 || owner[CHUNKS - 2] == 0 -> goto find
#ifndef NOCOLLECT
  :: UNUSED(0) || UNUSED(1) || UNUSED(CHUNKS - 2) || UNUSED(CHUNKS - 1) -> goto collect
#endif
  :: OF(dir[t % DIR], t) -> goto claim
  :: gone == C -> goto fin                 /* nobody makes room any more */
  fi;
dead:
fin:
  atomic { t = 0; e = 0; c = 0; k = 0; o = 0; producersGone++ }
}

proctype consumer() {
  byte h, e, q, c;
again:
  atomic { e = 0; q = 0; c = 0; h = head };
  e = dir[h % DIR];
  if
  :: OF(e, h) -> c = CHUNK(e)
  :: else -> goto nothing
  fi;
  q = seq[c];
  if
  :: q == h + 1 || q == BURIED(h)
  :: else -> goto nothing
  fi;
#ifdef FREEFIRST
  atomic { if :: owner[c] == h + 1 -> owner[c] = 0 :: else fi };
#endif
  if
  :: atomic { head == h -> head = h + 1;
       if
       :: q == h + 1 -> assert(committed[h] && !taken[h]); taken[h] = 1
       :: else
       fi }
  :: atomic { head != h -> goto again }
  DIE
  fi;
  e = dir[h % DIR];
  if
  :: OF(e, h) -> c = CHUNK(e)
  :: else -> goto again
  fi;
  if
  :: atomic { if :: owner[c] == h + 1 -> owner[c] = 0 :: else fi; goto again }
  DIE
  fi;
nothing:
  if
  :: head != h -> goto again
  :: head == h && tail > h && seq[CHUNK(dir[h % DIR])] == h + 1 -> goto again
  :: atomic { head == h && tail > h && deadClaim[h] ->
       if
       :: seq[CHUNK(dir[h % DIR])] == BURIED(h)
       :: else -> seq[CHUNK(dir[h % DIR])] = BURIED(h)
       fi;
       goto again }
  :: head == h && tail == h && producersGone == P -> goto fin
  DIE
  fi;
dead:
fin:
  atomic { h = 0; e = 0; q = 0; c = 0; gone++ }
}

init {
  byte i;
  atomic {
    for (i : 1 .. P) { run producer() }
    for (i : 1 .. C) { run consumer() }
    i = 0
  };
  /* The end: what is not in use can be collected. */
  if
  :: producersGone == P && gone == C
  fi;
  atomic {
    do
    :: i < CHUNKS ->
       assert(owner[i] == 0 || UNUSED(i) || owner[i] > head);
       i++
    :: i == CHUNKS -> break
    od
  }
}
