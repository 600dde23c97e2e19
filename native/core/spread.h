// Keeps the threads of a pool on different processors. Where a worker wakes up beside the thread that called it, schedulers
// were seen to leave both on one processor for tens of milliseconds, with another one idle.
#pragma once
#if defined(__linux__)
#include <sched.h>
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

#else

inline int currentProcessor() { return -1; }
inline void leaveProcessor(int) {}

#endif

}  // namespace tlora
