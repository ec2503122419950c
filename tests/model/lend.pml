/* Tasks that wait for tasks of their own, and the places that their workers lend: pool/place_lent.cc, the looks of
 * pool/worker.cc and Supervisor::fill_lent_places(). MOST workers run tasks at a time; place i >= MOST is filled by the
 * supervisor, and its worker takes tasks only while fewer than MOST of the places before it work. Tasks: 0 to ROOTS - 1
 * are the application's, each submits task t + ROOTS and waits for it. Sleepers sleep on `ready` or on `lent`; a wake for
 * `ready` reaches one of them. Who waits may die: the supervisor puts another worker in its place, its task is lost.
 *   (default)       0 errors; also with the sizes below changed
 *   -DNOLEND        must fail: who waits keeps its place, and all wait for tasks that nobody runs
 *   -DNORING        must fail: who lends the last place tells nobody
 *   -DKEEPWAKE      must fail: a worker without a place keeps the wake that was for a task
 * Checked: every task ends, or is lost with its worker: nobody sleeps for ever. No slices: every wake counts.
 */
#ifndef MOST
#define MOST 1
#endif
#ifndef PLACES
#define PLACES 3           /* with those that lent places are filled from */
#endif
#ifndef ROOTS
#define ROOTS 2
#endif
#ifndef MAXC
#define MAXC 1             /* deaths of workers that wait */
#endif
#define TASKS (2 * ROOTS)

mtype = { none, idle, busy, waiting };
mtype state[PLACES];
byte task[TASKS];          /* 0: not there, 1: ready, 2: running, 3: ended */
bool asleepReady[PLACES], asleepLent[PLACES];
bool ring;                 /* of the supervisor */
bool vacant;
byte crashes, ended;
bool stop;

#define WORKS(i) (state[i] == idle || state[i] == busy)
#if PLACES == 2
#define WORKING (WORKS(0) + WORKS(1))
#else
#define WORKING (WORKS(0) + WORKS(1) + WORKS(2))
#endif
#define BEFORE(i) ((i) == 0 -> 0 : ((i) == 1 -> WORKS(0) : WORKS(0) + WORKS(1)))
#define SURPLUS(i) ((i) >= MOST && BEFORE(i) >= MOST)
#if ROOTS == 1
#define READY ((task[0] == 1) + (task[1] == 1))
#else
#define READY ((task[0] == 1) + (task[1] == 1) + (task[2] == 1) + (task[3] == 1))
#endif
#if PLACES == 2
#define IDLE ((state[0] == idle) + (state[1] == idle))
#else
#define IDLE ((state[0] == idle) + (state[1] == idle) + (state[2] == idle))
#endif

#if PLACES == 2
#define ANYASLEEP (asleepReady[0] || asleepReady[1])
#else
#define ANYASLEEP (asleepReady[0] || asleepReady[1] || asleepReady[2])
#endif
inline wakeReady() {       /* one of them, any */
  if
  :: asleepReady[0] -> asleepReady[0] = false
  :: asleepReady[1] -> asleepReady[1] = false
#if PLACES > 2
  :: asleepReady[2] -> asleepReady[2] = false
#endif
  :: !ANYASLEEP
  fi
}
inline wakeLent() {
  asleepLent[0] = false; asleepLent[1] = false;
#if PLACES > 2
  asleepLent[2] = false
#endif
}
inline publish(t) {
  task[t] = 1;
  atomic { wakeReady() };
  if :: vacant -> ring = true :: !vacant fi
}

proctype worker(byte me) {
  byte t;
look:
  if
  :: stop -> goto gone
  :: !stop && SURPLUS(me) ->
#ifndef KEEPWAKE
     if :: READY > 0 -> atomic { wakeReady() } :: READY == 0 fi;
#endif
     atomic { if :: SURPLUS(me) && !stop -> asleepLent[me] = true :: else -> goto look fi };
     if
     :: !asleepLent[me] -> goto look
     :: atomic { SURPLUS(me) && asleepLent[me] -> asleepLent[me] = false; state[me] = none; ring = true; goto left }  /* it lingered */
     fi
  :: !stop && !SURPLUS(me) ->
     /* the deepest first */
     if
     :: atomic { ROOTS > 1 && task[TASKS - 1] == 1 -> t = TASKS - 1; task[t] = 2; state[me] = busy }
     :: atomic { task[ROOTS] == 1 -> t = ROOTS; task[t] = 2; state[me] = busy }
     :: atomic { READY > 0 && task[ROOTS] != 1 && task[TASKS - 1] != 1 ->
          if :: task[0] == 1 -> t = 0 :: ROOTS > 1 && task[1] == 1 -> t = 1 fi; task[t] = 2; state[me] = busy }
     :: atomic { READY == 0 && !SURPLUS(me) && !stop -> state[me] = idle; asleepReady[me] = true };
        !asleepReady[me]; goto look
     :: READY == 0 && (SURPLUS(me) || stop) -> goto look
     fi
  fi;
  /* it runs t */
  if :: vacant && READY > 0 -> ring = true :: else fi;
  if
  :: t >= ROOTS
  :: t < ROOTS ->
     publish(t + ROOTS);
#ifndef NOLEND
     state[me] = waiting;
     atomic { wakeLent() };
#ifndef NORING
     if :: WORKING < MOST -> ring = true :: WORKING >= MOST fi;
#endif
#endif
     if
     :: task[t + ROOTS] == 3
     :: atomic { crashes < MAXC -> crashes++; state[me] = none; task[t] = 3; ended++; goto dead }
     fi;
     state[me] = busy
  fi;
  atomic { task[t] = 3; ended++; state[me] = idle };
  goto look;
dead:                      /* as the supervisor settles it */
  atomic { wakeReady() };
  atomic { wakeLent() };
  ring = true;
left:
gone:
  skip
}

proctype supervisor() {
  byte i;
  do
  :: atomic { ring -> ring = false };
     i = 0;
     do
     :: i < MOST ->
        if :: atomic { state[i] == none && !stop -> state[i] = idle; run worker(i) } :: else fi;
        i++
     :: i == MOST -> break
     od;
     vacant = WORKING < MOST;
     i = MOST;
     do
     :: i < PLACES ->
        if
        :: atomic { WORKING < MOST && READY > IDLE && state[i] == none && !stop -> state[i] = idle; run worker(i) }
        :: else
        fi;
        i++
     :: i == PLACES -> break
     od;
     vacant = WORKING < MOST
  :: stop && !ring -> break
  od
}

init {
  byte i;
  atomic {
    i = 0;
    do
    :: i < MOST -> state[i] = idle; run worker(i); i++
    :: i < PLACES && i >= MOST -> state[i] = none; i++
    :: i == PLACES -> break
    od;
    run supervisor()
  };
  i = 0;
  do
  :: i < ROOTS -> publish(i); i++
  :: i == ROOTS -> break
  od;
  ended == TASKS;
  atomic { stop = true; asleepReady[0] = false; asleepReady[1] = false;
#if PLACES > 2
    asleepReady[2] = false;
#endif
    wakeLent(); ring = true }
}
