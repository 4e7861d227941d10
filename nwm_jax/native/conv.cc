// Convolutions of images and their gradients, for CPUs, as custom calls of XLA.
// `modules/fast_conv.py` says what each computes.

#include <algorithm>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "arrays.h"
#include "cpu.h"
#include "direct.h"
#include "winograd.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;

bool suits_winograd(const Geometry& g, Size kh, Size kw, Size c, Size o) {
  return g.stride == 1 && kh == 3 && kw == 3 && std::min(c, o) >= 16;
}

// The same correlation seen from the other side, as for gradients.
Geometry turned(const Geometry& g, Size kh, Size kw) {
  return {1, {kh - 1 - g.low[0], kw - 1 - g.low[1]}};
}

template <class T>
void correlate(ffi::ThreadPool& pool, const Images<const T>& x, const Kernel<T>& k,
               const Geometry& g, const Ending<T>& ending, const Images<T>& y) {
  if (y.empty()) return;
  if (suits_winograd(g, k.h, k.w, k.c, k.o))
    correlate_winograd<T, Plain<T>>(pool, x, k, g, ending, y);
  else
    correlate_directly(pool, x, k, g, ending, y);
}

template <class T>
void spread(ffi::ThreadPool& pool, const Images<const T>& x, const Kernel<T>& k,
            const Geometry& g, const Ending<T>& ending, const Images<T>& y) {
  if (y.empty()) return;
  if (g.stride > 1) return spread_directly(pool, x, k, g, ending, y);
  const Size taps = k.h * k.w, size = k.c * k.o;
  const Array<T> space(taps * size);
  for (Size tap = 0; tap < taps; ++tap)
    std::copy_n(k.data + (taps - 1 - tap) * size, size, space.data() + tap * size);
  correlate(pool, x, Kernel<T>{space.data(), k.h, k.w, k.c, k.o}, turned(g, k.h, k.w),
            ending, y);
}

template <class T>
void kernel_gradient(ffi::ThreadPool& pool, const Images<const T>& x,
                     const Images<const T>& g, const Geometry& geometry, Size kh,
                     Size kw, T* dk) {
  if (x.empty() || g.empty()) {
    std::fill_n(dk, kh * kw * x.c * g.c, T(0));
    return;
  }
  if (suits_winograd(geometry, kh, kw, x.c, g.c))
    return kernel_gradient_winograd<T, Plain<T>>(pool, x, g, geometry, dk);
  // The channels of g are those that vectors hold: with the roles exchanged those of x.
  constexpr Size kVector = 64 / sizeof(T);
  if (geometry.stride > 1 ||
      g.c * ceil_div(x.c, kVector) >= x.c * ceil_div(g.c, kVector))
    return kernel_gradient_directly(pool, x, g, geometry, kh, kw, dk);
  const Size taps = kh * kw;
  const Array<T> space(taps * x.c * g.c);
  kernel_gradient_directly(pool, g, x, turned(geometry, kh, kw), kh, kw, space.data());
  for (Size tap = 0; tap < taps; ++tap)
    for (Size c = 0; c < x.c; ++c)
      for (Size o = 0; o < g.c; ++o)
        dk[(tap * x.c + c) * g.c + o] =
            space.data()[((taps - 1 - tap) * g.c + o) * x.c + c];
}

template <class T>
void upsample(ffi::ThreadPool& pool, const Images<const T>& x, const Kernel<T>& k,
              const Geometry& g, const Ending<T>& ending, const Images<T>& y) {
  if (!y.empty()) correlate_winograd<T, Upsampled<T>>(pool, x, k, g, ending, y);
}

// All gradients of a convolution whose images x come out of a leaky ReLU: that of what
// went into it takes the place of x, which is not needed any more. `back` is the kernel
// with its last two axes exchanged.
template <class T>
void correlate_gradients(ffi::ThreadPool& pool, const Images<const T>& x,
                         const Kernel<T>& back, const Images<const T>& g,
                         const Geometry& geometry, const Ending<T>& ending,
                         const Images<T>& dx, T* dk) {
  kernel_gradient(pool, x, g, geometry, back.h, back.w, dk);
  spread(pool, g, back, geometry, ending, dx);
}

template <class T>
void spread_gradients(ffi::ThreadPool& pool, const Images<const T>& x,
                      const Kernel<T>& back, const Images<const T>& g,
                      const Geometry& geometry, const Ending<T>& ending,
                      const Images<T>& dx, T* dk) {
  kernel_gradient(pool, g, x, geometry, back.h, back.w, dk);
  correlate(pool, g, back, geometry, ending, dx);
}

template <class T>
void upsample_gradients(ffi::ThreadPool& pool, const Images<const T>& x,
                        const Kernel<T>& back, const Images<const T>& g,
                        const Geometry& geometry, const Ending<T>& ending,
                        const Images<T>& dx, T* dk) {
  if (x.empty()) {
    std::fill_n(dk, back.h * back.w * back.c * back.o, T(0));
    return;
  }
  kernel_gradient_winograd<T, Upsampled<T>>(pool, x, g, geometry, dk);
  transpose_upsampled(pool, g, back, ending, dx);
}

// What follows runs in the thread that XLA calls, while no helper does: exceptions end
// in `run`.
void require(bool fits, const char* what) {
  if (!fits) throw std::invalid_argument(what);
}

template <class T>
ffi::Span<const int64_t> checked(const ffi::AnyBuffer& b, std::size_t axes) {
  require(b.element_type() == (sizeof(T) == 4 ? ffi::F32 : ffi::F64),
          "arrays must be of one type");
  require(b.dimensions().size() == axes, "an array has another number of axes");
  return b.dimensions();
}

template <class T>
Images<T> images(const ffi::AnyBuffer& b) {
  const auto d = checked<std::remove_const_t<T>>(b, 4);
  T* data = static_cast<T*>(b.untyped_data());
  return {data, d[0], d[1], d[2], d[3]};
}

template <class T>
Kernel<T> kernel(const ffi::AnyBuffer& b) {
  const auto d = checked<T>(b, 4);
  return {static_cast<const T*>(b.untyped_data()), d[0], d[1], d[2], d[3]};
}

template <class T>
T* vector(const ffi::AnyBuffer& b, Size size) {
  require(checked<T>(b, 1)[0] == size, "a bias has not the channels of its images");
  return static_cast<T*>(b.untyped_data());
}

template <class T>
T* gradient(const ffi::AnyBuffer& b, const Kernel<T>& like, bool exchanged) {
  const Kernel<T> k = kernel<T>(b);
  require(k.h == like.h && k.w == like.w && k.c == (exchanged ? like.o : like.c) &&
              k.o == (exchanged ? like.c : like.o),
          "the gradient at a kernel has not its size");
  return const_cast<T*>(k.data);
}

enum class Operation { kCorrelate, kSpread, kUpsample };

// Whether sizes fit: those of images, of a kernel, and of what it makes of them.
template <class T, class U>
void check(Operation operation, const Images<T>& x,
           const Kernel<std::remove_const_t<T>>& k, const Images<U>& y,
           const Geometry& g) {
  require(x.n == y.n, "images and results differ in number");
  require(x.c == k.c && y.c == k.o, "images and kernel differ in channels");
  require(g.stride >= 1 && g.stride < (Size(1) << 31), "the stride is out of range");
  const Size window[2] = {k.h, k.w}, from[2] = {x.h, x.w}, to[2] = {y.h, y.w};
  for (int i : {0, 1}) {
    require(window[i] >= 1 && g.low[i] >= 0 && g.low[i] < window[i],
            "a kernel is empty, or reads beyond the zeros before the images");
    if (operation == Operation::kUpsample)
      require(window[i] == 3 && g.stride == 2 && g.low[i] == 1 && to[i] == 2 * from[i],
              "upsampling needs a kernel of 3x3 and results of twice the size");
    const bool shrinks = operation == Operation::kCorrelate;
    const Size large = shrinks ? from[i] : to[i], small = shrinks ? to[i] : from[i];
    require(small == 0 || (small - 1) * g.stride - g.low[i] < std::max<Size>(1, large),
            "the smaller images have more pixels than the larger ones have places");
  }
}

// Calls f with a number of the type of an array.
template <class F>
ffi::Error run(const ffi::AnyBuffer& x, const F& f) {
  try {
    if (x.element_type() == ffi::F32)
      f(float());
    else if (x.element_type() == ffi::F64)
      f(double());
    else
      require(false, "arrays must be float32 or float64");
  } catch (const std::invalid_argument& error) {
    return ffi::Error::InvalidArgument(std::string("nwm_jax convolution: ") +
                                       error.what());
  } catch (const std::exception&) {  // std::bad_alloc, or a vector of absurd length
    return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                      "nwm_jax convolution: there is no memory for its sums");
  }
  return ffi::Error::Success();
}

template <Operation operation>
ffi::Error convolution(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer k,
                       ffi::AnyBuffer bias, ffi::Result<ffi::AnyBuffer> y,
                       int64_t stride, int64_t top, int64_t left, double slope) {
  return run(x, [&](auto type) {
    using T = decltype(type);
    const auto from = images<const T>(x);
    const auto to = images<T>(*y);
    const auto by = kernel<T>(k);
    const Geometry geometry{stride, {top, left}};
    check(operation, from, by, to, geometry);
    const Ending<T> ending{vector<T>(bias, by.o), static_cast<T>(slope)};
    if constexpr (operation == Operation::kCorrelate)
      correlate(pool, from, by, geometry, ending, to);
    else if constexpr (operation == Operation::kSpread)
      spread(pool, from, by, geometry, ending, to);
    else
      upsample(pool, from, by, geometry, ending, to);
  });
}

ffi::Error gradient_of_kernel(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer g,
                              ffi::Result<ffi::AnyBuffer> dk, int64_t stride,
                              int64_t top, int64_t left) {
  return run(x, [&](auto type) {
    using T = decltype(type);
    const auto from = images<const T>(x), to = images<const T>(g);
    const auto by = kernel<T>(*dk);
    const Geometry geometry{stride, {top, left}};
    check(Operation::kCorrelate, from, by, to, geometry);
    kernel_gradient(pool, from, to, geometry, by.h, by.w, const_cast<T*>(by.data));
  });
}

template <Operation operation>
ffi::Error gradients(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer back,
                     ffi::AnyBuffer g, ffi::Result<ffi::AnyBuffer> dx,
                     ffi::Result<ffi::AnyBuffer> dk, ffi::Result<ffi::AnyBuffer> db,
                     int64_t stride, int64_t top, int64_t left, double slope) {
  return run(x, [&](auto type) {
    using T = decltype(type);
    const auto from = images<const T>(x), given = images<const T>(g);
    const auto to = images<T>(*dx);
    const auto by = kernel<T>(back);
    const Geometry geometry{stride, {top, left}};
    require(to.n == from.n && to.h == from.h && to.w == from.w && to.c == from.c,
            "the gradient at images has not their size");
    check(operation, from, Kernel<T>{nullptr, by.h, by.w, by.o, by.c}, given, geometry);
    T* kernels = gradient(*dk, by, operation != Operation::kSpread);
    // The signs of x are read where dx will stand. As a rule XLA puts both there.
    if (to.data != from.data) std::copy_n(from.data, from.n * from.size(), to.data);
    const Ending<T> ending{nullptr, static_cast<T>(slope)};
    sum_pixels(pool, given, vector<T>(*db, by.c));
    if constexpr (operation == Operation::kCorrelate)
      correlate_gradients(pool, from, by, given, geometry, ending, to, kernels);
    else if constexpr (operation == Operation::kSpread)
      spread_gradients(pool, from, by, given, geometry, ending, to, kernels);
    else
      upsample_gradients(pool, from, by, given, geometry, ending, to, kernels);
  });
}

const Isa* find_isa(const std::string& name) {
  static const std::pair<const char*, Isa> known[] = {
      {"any", Isa::kAny}, {"avx2", Isa::kAvx2}, {"avx512", Isa::kAvx512}};
  for (const auto& [known_name, isa] : known)
    if (name == known_name) return &isa;
  return nullptr;
}

}  // namespace

#define ARGUMENT .Arg<ffi::AnyBuffer>()
#define RESULT .Ret<ffi::AnyBuffer>()
#define GEOMETRY .Attr<int64_t>("stride").Attr<int64_t>("top").Attr<int64_t>("left")
#define BIND ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()

#define CONVOLUTION(NAME, OPERATION)                                             \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(                                                 \
      nwm_##NAME, convolution<OPERATION>,                                        \
      BIND ARGUMENT ARGUMENT ARGUMENT RESULT GEOMETRY.Attr<double>("slope"));    \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(nwm_##NAME##_gradients, gradients<OPERATION>,    \
                                BIND ARGUMENT ARGUMENT ARGUMENT RESULT RESULT    \
                                    RESULT GEOMETRY.Attr<double>("slope"))

CONVOLUTION(correlate, Operation::kCorrelate);
CONVOLUTION(spread, Operation::kSpread);
CONVOLUTION(upsample, Operation::kUpsample);
XLA_FFI_DEFINE_HANDLER_SYMBOL(nwm_kernel_gradient, gradient_of_kernel,
                              BIND ARGUMENT ARGUMENT RESULT GEOMETRY);

// What the loader compares before XLA hears of any function: the version of XLA's
// calls, a hash of the sources, the kind of machine.
#define TEXT_OF(X) #X
#define TEXT(X) TEXT_OF(X)
extern "C" const char* nwm_about() {
  return TEXT(XLA_FFI_API_MAJOR) "." TEXT(XLA_FFI_API_MINOR) " " NWM_SOURCES
                                                             " " NWM_MACHINE;
}

// Whether this CPU has an instruction set, by its name.
extern "C" int nwm_supports(const char* name) {
  const Isa* isa = find_isa(name);
  return isa && supports(*isa);
}

// Takes another one from now on, or with "" the best; 0 if this CPU does not have it.
extern "C" int nwm_use(const char* name) {
  const Isa best = best_isa();
  const Isa* isa = *name ? find_isa(name) : &best;
  if (!isa || !supports(*isa)) return 0;
  cpu<float> = functions_of<float>(*isa);
  cpu<double> = functions_of<double>(*isa);
  return 1;
}
