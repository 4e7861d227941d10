// What the convolutions stand on: products for this CPU, threads, memory.

#ifndef NWM_JAX_NATIVE_CPU_H_
#define NWM_JAX_NATIVE_CPU_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <thread>

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
  void (*activate)(const T*, Size, Size, const T*, T, Size, T*, Size);
  void (*pull_back)(const T*, Size, Size, T, Size, T*, Size);
  void (*give_back)(const T*, const T*, const T*, const T*, const T*, Size, T*);
  Transforms<T> transforms, small_transforms;
};

#if defined(__x86_64__) && defined(__GNUC__)
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

template <class T>
Functions<T> of_this_cpu() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return avx512::functions<T>;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return avx2::functions<T>;
#endif
  return any::functions<T>;
}

template <class T>
const Functions<T> cpu = of_this_cpu<T>();

inline Size ceil_div(Size n, Size by) { return (n + by - 1) / by; }
inline Size round_up(Size n, Size to) { return ceil_div(n, to) * to; }

// Numbers that begin with a line of the cache, and have no values yet.
template <class T>
class Array {
 public:
  Array() = default;
  explicit Array(Size size) { resize(size); }

  T* resize(Size size) {
    if (size > size_) {
      data_.reset(
          static_cast<T*>(std::aligned_alloc(64, round_up(size * sizeof(T), 64))));
      if (!data_) throw std::bad_alloc();
      size_ = size;
    }
    return data();
  }

  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> data_;
  Size size_ = 0;
};

// Memory of this thread, kept from call to call: each `use` is an array.
template <class T>
T* workspace(int use, Size size) {
  static thread_local Array<T> arrays[4];
  return arrays[use].resize(size);
}

// Calls f(0), ..., f(tasks - 1) on the threads of XLA and this one.
template <class F>
void parallel(xla::ffi::ThreadPool& pool, Size tasks, const F& f) {
  struct Progress {
    std::atomic<Size> next{0}, done{0};
  };
  auto progress = std::make_shared<Progress>();
  // A helper that starts when all is done finds no task, and never looks at f.
  const std::function<void()> work = [progress, tasks, &f] {
    for (Size i; (i = progress->next++) < tasks; ++progress->done) f(i);
  };
  const Size helpers = std::min<Size>(pool.num_threads(), tasks) - 1;
  for (Size i = 0; i < helpers; ++i) pool.Schedule(std::function<void()>(work));
  work();
  while (progress->done < tasks) std::this_thread::yield();
}

#endif  // NWM_JAX_NATIVE_CPU_H_
