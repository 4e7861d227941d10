// What the convolutions stand on: products for this CPU, threads, memory.

#ifndef NWM_JAX_NATIVE_CPU_H_
#define NWM_JAX_NATIVE_CPU_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <new>
#include <thread>
#include <type_traits>

#include "xla/ffi/api/ffi.h"

using Size = std::ptrdiff_t;

// How `product` goes through its arrays, see there.
struct Steps {
  bool add;
  Size depth;                 // of k
  Size a_row, a_step;         // m and k in a
  Size b_step, c_row;         // k in b, m in c
  Size count[2], a[2], b[2];  // i and j
};

// Of one of the schemes in winograd.h.
template <class T>
struct Transforms {
  void (*image)(const T*, Size, Size, Size, T*, Size);
  void (*cotangent)(const T*, Size, Size, Size, T*, Size);
  void (*product)(const T*, Size, Size, Size, T*, Size);
};

// What products.h gives for each kind of CPU.
template <class T>
struct Functions {
  Size width;  // numbers in a vector
  void (*product)(const T*, const T*, T*, const Steps&, Size, Size);
  void (*product_together)(const T*, const T*, T*, const Steps&, Size, Size);
  void (*zip)(const T* const*, Size, Size, T*);
  void (*unzip)(const T*, Size, Size, Size, T* const*, Size);
  void (*activate)(const T*, Size, Size, const T*, T, Size, T*, Size);
  void (*pull_back)(const T*, Size, Size, T, Size, T*, Size);
  void (*give_back)(const T*, const T*, const T*, const T*, const T*, Size, T*);
  Transforms<T> transforms, small_transforms;
};

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

namespace avx512 {
#define TARGET __attribute__((target("avx512f,fma")))
#define BYTES 64
#define MOST 4
#include "products.h"
#undef TARGET
#undef BYTES
#undef MOST
}  // namespace avx512
namespace avx2 {
#define TARGET __attribute__((target("avx2,fma")))
#define BYTES 32
#define MOST 2
#include "products.h"
#undef TARGET
#undef BYTES
#undef MOST
}  // namespace avx2
#endif
namespace any {
#define TARGET
#define BYTES 16
#ifdef __aarch64__
#define MOST 4
#else
#define MOST 2
#endif
#include "products.h"
#undef TARGET
#undef BYTES
#undef MOST
}  // namespace any

// The kinds of CPUs, the best last.
enum class Isa { kAny, kAvx2, kAvx512 };

inline bool supports(Isa isa) {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  if (isa == Isa::kAvx512) return __builtin_cpu_supports("avx512f");
  if (isa == Isa::kAvx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return isa == Isa::kAny;
}

inline Isa best_isa() {
  return supports(Isa::kAvx512) ? Isa::kAvx512
         : supports(Isa::kAvx2) ? Isa::kAvx2
                                : Isa::kAny;
}

template <class T>
const Functions<T>& functions_of(Isa isa) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (isa == Isa::kAvx512) return avx512::functions<T>;
  if (isa == Isa::kAvx2) return avx2::functions<T>;
#endif
  return any::functions<T>;
}

// Changed by nwm_use alone.
template <class T>
Functions<T> cpu = functions_of<T>(best_isa());

inline Size ceil_div(Size n, Size by) { return (n + by - 1) / by; }
inline Size round_up(Size n, Size to) { return ceil_div(n, to) * to; }

// Numbers that begin with a line of the cache, and have no values yet. Throws
// std::bad_alloc: to be made where no helper runs.
template <class T>
class Array {
 public:
  explicit Array(Size size) {
    const Size bytes = round_up(std::max<Size>(1, size) * sizeof(T), 64);
    data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
  }
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> data_;
};

// Calls f(task, arrays) with tasks 0, ..., tasks - 1 on the threads of XLA and this
// one: `arrays` are for this task alone, of those sizes, and have no values yet.
//
// Their memory is allocated before the first task and freed after the last. f must not
// throw.
template <class T, class F>
void parallel(xla::ffi::ThreadPool& pool, Size tasks,
              std::initializer_list<Size> sizes, const F& f) {
  struct Progress {
    std::atomic<Size> next{0}, done{0}, workers{0};
  };
  constexpr Size kMost = 4;
  std::array<Size, kMost> starts{};
  Size total = 0, number = 0;
  for (Size size : sizes) {
    starts[number++] = total;
    total += round_up(size, 64 / sizeof(T));
  }
  const Size workers =
      std::clamp<Size>(pool.num_threads(), 1, std::max<Size>(1, tasks));
  const Array<T> memory(workers * total);
  auto progress = std::make_shared<Progress>();
  // A helper that starts when all is done finds no task, and never looks at f or at
  // anything else of this call.
  const std::function<void()> work = [progress, tasks, total, starts, &memory, &f] {
    Size i = progress->next++;
    if (i >= tasks) return;
    const Size worker = progress->workers++;
    T* arrays[kMost];
    for (Size n = 0; n < kMost; ++n)
      arrays[n] = memory.data() + worker * total + starts[n];
    do {
      f(i, arrays);
      ++progress->done;
    } while ((i = progress->next++) < tasks);
  };
  try {
    for (Size i = 1; i < workers; ++i) pool.Schedule(std::function<void()>(work));
  } catch (const std::bad_alloc&) {
    // Those that have started and this thread are enough.
  }
  work();
  while (progress->done < tasks) std::this_thread::yield();
}

#endif  // NWM_JAX_NATIVE_CPU_H_
