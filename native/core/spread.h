// Keeps the threads of a pool on different processors. Where a worker wakes up beside the thread that called it, schedulers
// were seen to leave both on one processor for tens of milliseconds, with another one idle.
#pragma once
#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tlora {

#if defined(__linux__)

inline int currentProcessor() { return sched_getcpu(); }

// Moves the calling thread off `taken` if it runs there and may run elsewhere. Its own set of processors is left as it was.
inline void leaveProcessor(int taken) {
  if (taken < 0 || taken >= CPU_SETSIZE || sched_getcpu() != taken) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
  cpu_set_t others = allowed;
  CPU_CLR(taken, &others);
  if (sched_setaffinity(0, sizeof others, &others) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
}

// A sleeping thread that must not wake up on its caller's processor: queued there, it would wait until the caller is done, and
// the caller would do all the work alone. Calls must not overlap.
class Sleeper {
 public:
  // The calling thread will sleep, and its caller is thought to be on `taken`.
  void sleeps(int taken) {
    thread_ = static_cast<pid_t>(syscall(SYS_gettid));
    movable_ = sched_getaffinity(0, sizeof allowed_, &allowed_) == 0 && CPU_COUNT(&allowed_) > 1;
    keepOff(taken);
  }
  // Before it is woken, by its caller on `taken`: costs nothing if that was foreseen.
  void keepOff(int taken) {
    if (!movable_ || taken == taken_ || taken < 0 || taken >= CPU_SETSIZE) return;
    cpu_set_t others = allowed_;
    CPU_CLR(taken, &others);
    if (sched_setaffinity(thread_, sizeof others, &others) == 0) taken_ = taken;
  }
  // The thread itself is awake: it may go everywhere again.
  void awake() {
    if (taken_ >= 0) sched_setaffinity(0, sizeof allowed_, &allowed_);
    movable_ = false;
    taken_ = -1;
  }

 private:
  pid_t thread_ = 0;
  cpu_set_t allowed_{};
  bool movable_ = false;
  int taken_ = -1;
};

#else

inline int currentProcessor() { return -1; }
inline void leaveProcessor(int) {}
class Sleeper {
 public:
  void sleeps(int) {}
  void keepOff(int) {}
  void awake() {}
};

#endif

}  // namespace tlora
