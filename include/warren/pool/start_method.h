// How processes begin: by fork, or by spawn in programs that have threads already.
//
//     int main(int argc, char** argv) {
//       warren::enter(argc, argv);  // first
//       ...
//       auto pool = warren::Pool::create({.start_method = warren::StartMethod::kSpawn}).value();
//     }
//
// A spawned process is the same program, started anew: it runs what comes before main() (constructors of global
// objects), and then enter(), which does not return there: it runs a pool's supervisor, or a Process's target. What
// main() does after enter() has not happened there: what a task needs of it goes in as arguments, or is made by the
// pool's initializer. Function and arguments travel as a task's do.
//
// A spawned process has the application's arguments, environment, working directory, limits, user and locale
// (setlocale(), std::locale::global()), and of its descriptors those that are not close-on-exec, and those that are
// passed: PoolOptions::keep_fds, a Connection, a Descriptor. Of a pool only the supervisor is spawned: it forks the
// workers, those that take the places of others too, whatever the application has become. It has one thread, unless
// constructors of global objects start some (some numeric libraries have such): these are not in the workers, and what
// they hold locked when one is forked stays locked there. A warning says so, once.
#pragma once

namespace warren {

enum class StartMethod {
  // A copy of the program, with its memory as it is now, and of its threads only the one that calls. Whatever locks the
  // others hold stay locked there, malloc's aside: for programs that have no threads yet. Else a warning says so, once.
  kFork,
  // The program started anew. It costs what starting the program costs: create() and start() return once the new
  // process has come to enter() and has all that it needs. Errors, beside those of kFork:
  //   FailedPrecondition  main() did not call enter(), or not before what it did first in the new process; the process
  //                       ended before that (it says how); the program is setuid, or has privileges that its user
  //                       has not; the function is of a library that is opened by dlopen(), or was replaced; /proc is
  //                       not mounted, the dynamic loader is not there (chroot()), or this user may not execute the
  //                       program; it was started through the dynamic loader (ld.so PROGRAM); children are of another
  //                       pid namespace (unshare(CLONE_NEWPID))
  //   ResourceExhausted   also: what it is to run is more than ulimit -f allows; a descriptor that is passed is beyond
  //                       RLIMIT_NOFILE as it is now
  //   DataLoss            a function pointer to a function of such a library
  //   InvalidArgument     a handle of a type of your own is among the arguments
  //   DeadlineExceeded    the new process did not come to enter() within a minute, and was killed
  // A program whose file was deleted, or replaced by another one, is spawned as it was.
  kSpawn,
};

// To be called first in main(), by programs that spawn; once, and with main()'s own arguments. It returns at once,
// except in a spawned process, where it never returns. What carried the start, a variable of the environment and some
// descriptors, is gone before anybody's function runs; what a pool needs while it lives (its memory, an eventfd, a
// pidfd) is there, close-on-exec, as with kFork. Before it nothing of a pool or process is to be made: that fails in a
// spawned process, so that no program starts itself again and again. A variable that somebody else left behind
// (WARREN_START) is removed and otherwise ignored.
void enter(int argc, char** argv) noexcept;

}  // namespace warren
