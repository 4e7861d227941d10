// Convolutions of images and their gradients, for CPUs, as custom calls of XLA.
// `modules/fast_conv.py` says what each computes.

#include <algorithm>
#include <cstdint>
#include <initializer_list>

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

template <class T>
Images<const T> images(const ffi::AnyBuffer& b) {
  const auto d = b.dimensions();
  return {b.typed_data<T>(), d[0], d[1], d[2], d[3]};
}

template <class T>
Images<T> images(ffi::Result<ffi::AnyBuffer>& b) {
  const auto d = b->dimensions();
  return {b->typed_data<T>(), d[0], d[1], d[2], d[3]};
}

template <class T>
Kernel<T> kernel(const ffi::AnyBuffer& b) {
  const auto d = b.dimensions();
  return {b.typed_data<T>(), d[0], d[1], d[2], d[3]};
}

Geometry geometry(int64_t stride, int64_t top, int64_t left) {
  return {static_cast<Size>(stride), {static_cast<Size>(top), static_cast<Size>(left)}};
}

// Calls f with a number of the type that all arrays have.
template <class F>
ffi::Error with_type(std::initializer_list<ffi::DataType> types, const F& f) {
  const ffi::DataType type = *types.begin();
  for (ffi::DataType other : types)
    if (other != type) return ffi::Error::InvalidArgument("arrays must be of one type");
  if (type == ffi::F32)
    f(float());
  else if (type == ffi::F64)
    f(double());
  else
    return ffi::Error::InvalidArgument("arrays must be float32 or float64");
  return ffi::Error::Success();
}

}  // namespace

#define GEOMETRY .Attr<int64_t>("stride").Attr<int64_t>("top").Attr<int64_t>("left")

#define CONVOLUTION(NAME)                                                              \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(                                                       \
      nwm_##NAME,                                                                      \
      [](ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer k,                     \
         ffi::AnyBuffer bias, ffi::Result<ffi::AnyBuffer> y, int64_t stride,           \
         int64_t top, int64_t left, double slope) {                                    \
        return with_type({x.element_type(), k.element_type(), bias.element_type(),     \
                          y->element_type()},                                          \
                         [&](auto type) {                                              \
                           using T = decltype(type);                                   \
                           const Ending<T> ending{bias.typed_data<T>(),                \
                                                  static_cast<T>(slope)};              \
                           NAME<T>(pool, images<T>(x), kernel<T>(k),                   \
                                   geometry(stride, top, left), ending, images<T>(y)); \
                         });                                                           \
      },                                                                               \
      ffi::Ffi::Bind()                                                                 \
          .Ctx<ffi::ThreadPool>()                                                      \
          .Arg<ffi::AnyBuffer>()                                                       \
          .Arg<ffi::AnyBuffer>()                                                       \
          .Arg<ffi::AnyBuffer>()                                                       \
          .Ret<ffi::AnyBuffer>() GEOMETRY.Attr<double>("slope"))

CONVOLUTION(correlate);
CONVOLUTION(spread);
CONVOLUTION(upsample);

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    nwm_kernel_gradient,
    [](ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer g,
       ffi::Result<ffi::AnyBuffer> dk, int64_t stride, int64_t top, int64_t left) {
      return with_type({x.element_type(), g.element_type(), dk->element_type()},
                       [&](auto type) {
                         using T = decltype(type);
                         const auto d = dk->dimensions();
                         kernel_gradient<T>(pool, images<T>(x), images<T>(g),
                                            geometry(stride, top, left), d[0], d[1],
                                            dk->typed_data<T>());
                       });
    },
    ffi::Ffi::Bind()
        .Ctx<ffi::ThreadPool>()
        .Arg<ffi::AnyBuffer>()
        .Arg<ffi::AnyBuffer>()
        .Ret<ffi::AnyBuffer>() GEOMETRY);

#define GRADIENTS(NAME)                                                             \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(                                                    \
      nwm_##NAME##_gradients,                                                       \
      [](ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer back,               \
         ffi::AnyBuffer g, ffi::Result<ffi::AnyBuffer> dx,                          \
         ffi::Result<ffi::AnyBuffer> dk, ffi::Result<ffi::AnyBuffer> db,            \
         int64_t stride, int64_t top, int64_t left, double slope) {                 \
        return with_type({x.element_type(), back.element_type(), g.element_type()}, \
                         [&](auto type) {                                           \
                           using T = decltype(type);                                \
                           const Ending<T> ending{nullptr, static_cast<T>(slope)};  \
                           sum_pixels<T>(pool, images<T>(g), db->typed_data<T>());  \
                           NAME##_gradients<T>(pool, images<T>(x), kernel<T>(back), \
                                               images<T>(g),                        \
                                               geometry(stride, top, left), ending, \
                                               images<T>(dx), dk->typed_data<T>()); \
                         });                                                        \
      },                                                                            \
      ffi::Ffi::Bind()                                                              \
          .Ctx<ffi::ThreadPool>()                                                   \
          .Arg<ffi::AnyBuffer>()                                                    \
          .Arg<ffi::AnyBuffer>()                                                    \
          .Arg<ffi::AnyBuffer>()                                                    \
          .Ret<ffi::AnyBuffer>()                                                    \
          .Ret<ffi::AnyBuffer>()                                                    \
          .Ret<ffi::AnyBuffer>() GEOMETRY.Attr<double>("slope"))

GRADIENTS(correlate);
GRADIENTS(spread);
GRADIENTS(upsample);
