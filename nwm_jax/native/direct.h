// Convolutions and their gradients as products of rows of pixels with taps of kernels.

#ifndef NWM_JAX_NATIVE_DIRECT_H_
#define NWM_JAX_NATIVE_DIRECT_H_

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "arrays.h"

// Pixels `step` i + `first` of y: the sum over u of row `start` + `stride` i + u of the
// padded images times row u of the kernel; columns alike.
template <class T>
struct Part {
  Size first[2], step, size[2];
  Size start[2], stride, taps[2];
  std::vector<const T*> kernels;  // of each panel: [taps, c, width]
};

// Rows of a part that have about so many pixels.
template <class T>
Size band_of(const Part<T>& part, Size pixels) {
  return std::clamp<Size>(pixels / std::max<Size>(1, part.size[1]), 1,
                          std::max<Size>(1, part.size[0]));
}

template <class T>
void correlate_parts(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                     const Size low[2], const Size padded[2],
                     const std::vector<Part<T>>& parts, const Ending<T>& ending,
                     const Images<T>& y) {
  constexpr Size kPixels = 32;  // are multiplied with what is in the cache
  const Panels<T> panels{y.c};
  const Size line = padded[1] * x.c, image = padded[0] * line;
  const Size area = std::max<Size>(1, parts[0].size[0] * parts[0].size[1]);
  const Size group = std::max<Size>(1, kPixels / area);
  Size most_pixels = 0;  // of a part that are summed at a time
  for (const Part<T>& part : parts)
    most_pixels = std::max(most_pixels, band_of(part, kPixels) * part.size[1]);
  const std::initializer_list<Size> sizes = {group * image,
                                             group * most_pixels * panels.width(0)};
  parallel<T>(pool, ceil_div(x.n, group), sizes, [&](Size task, T* const* arrays) {
    T *const p = arrays[0], *const sum = arrays[1];
    const Size begin = task * group, images = std::min(group, x.n - begin);
    for (Size n = 0; n < images; ++n)
      pad(x, begin + n, low, padded[0], padded[1], p + n * image);
    for (const Part<T>& part : parts) {
      const Size height = part.size[0], width = part.size[1];
      const Size depth = part.taps[1] * x.c;
      if (!height || !width) continue;
      const Size band = band_of(part, kPixels);
      for (Size panel = 0; panel < panels.number(); ++panel)
        for (Size from = 0; from < height; from += band) {
          const Size rows = std::min(band, height - from), wide = panels.width(panel);
          if (!part.taps[0] || !depth)
            std::fill(sum, sum + images * rows * width * wide, T(0));
          // What of the kernel stays in the cache: rows of taps, or parts of one.
          const Size most = most_rows<T>(wide), piece = std::min(depth, most);
          const Size taps = std::max<Size>(1, most / std::max<Size>(1, depth));
          for (Size u = 0; u < part.taps[0]; u += taps)
            for (Size k = 0; k < depth; k += piece)
              for (Size n = 0; n < images; ++n)
                for (Size r = 0; r < rows; ++r) {
                  const Size row = part.start[0] + (from + r) * part.stride + u;
                  const Steps steps{u + k > 0,
                                    std::min(piece, depth - k),
                                    part.stride * x.c,
                                    1,
                                    wide,
                                    wide,
                                    {std::min(taps, part.taps[0] - u), 1},
                                    {line, 0},
                                    {depth * wide, 0}};
                  cpu<T>.product(p + n * image + row * line + part.start[1] * x.c + k,
                                 part.kernels[panel] + (u * depth + k) * wide,
                                 sum + (n * rows + r) * width * wide, steps, width,
                                 wide);
                }
          for (Size n = 0; n < images; ++n)
            for (Size r = 0; r < rows; ++r) {
              const Size row = part.first[0] + (from + r) * part.step;
              T* to = y.image(begin + n) + (row * y.w + part.first[1]) * y.c;
              ending(sum + (n * rows + r) * width * wide, wide, width,
                     panels.first(panel), panels.used(panel), to + panels.first(panel),
                     part.step * y.c);
            }
        }
    }
  });
}

// Those taps of a kernel that `order` names, in panels.
template <class T>
std::vector<const T*> pack(const Kernel<T>& k, const std::vector<Size>& order, T* to) {
  const Panels<T> panels{k.o};
  std::vector<const T*> starts;
  for (Size panel = 0; panel < panels.number(); ++panel) {
    starts.push_back(to);
    for (Size tap : order) {
      widen(k.data + tap * k.c * k.o + panels.first(panel), k.o, panels.used(panel),
            panels.width(panel), k.c, to);
      to += k.c * panels.width(panel);
    }
  }
  return starts;
}

// y[i] = sum over u of x[stride i + u - low] k[u].
template <class T>
void correlate_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                        const Kernel<T>& k, const Geometry& g, const Ending<T>& ending,
                        const Images<T>& y) {
  std::vector<Size> order(k.h * k.w);
  for (Size i = 0; i < k.h * k.w; ++i) order[i] = i;
  const Array<T> space(k.h * k.w * k.c * Panels<T>{k.o}.total());
  const Part<T> all{{0, 0},
                    1,
                    {y.h, y.w},
                    {0, 0},
                    g.stride,
                    {k.h, k.w},
                    pack(k, order, space.data())};
  const Size padded[2] = {(y.h - 1) * g.stride + k.h, (y.w - 1) * g.stride + k.w};
  correlate_parts<T>(pool, x, g.low, padded, {all}, ending, y);
}

// y[stride i + u - low] = sum over u of x[i] k[u]. Pixels stride q + a of y read
// x[q - m + (a + low) / stride] through k[stride m + (a + low) % stride]: for each a a
// correlation of its own, with the taps m in reverse.
template <class T>
void spread_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                     const Kernel<T>& k, const Geometry& g, const Ending<T>& ending,
                     const Images<T>& y) {
  const Size window[2] = {k.h, k.w}, outer[2] = {y.h, y.w};
  Size before[2], padded[2];
  for (int i : {0, 1}) {
    before[i] = ceil_div(window[i], g.stride);
    padded[i] = before[i] + ceil_div(outer[i] + g.low[i], g.stride) + 1;
  }
  const Size wide = k.c * Panels<T>{k.o}.total();
  const Array<T> space(k.h * k.w * wide);
  T* free = space.data();
  std::vector<Part<T>> parts;
  for (Size a = 0; a < g.stride; ++a)
    for (Size b = 0; b < g.stride; ++b) {
      Part<T> part{{a, b}, g.stride, {}, {}, 1, {}, {}};
      for (int i : {0, 1}) {
        const Size shift = part.first[i] + g.low[i];
        part.size[i] = ceil_div(outer[i] - part.first[i], g.stride);
        part.taps[i] = ceil_div(window[i] - shift % g.stride, g.stride);
        part.start[i] = before[i] + shift / g.stride - part.taps[i] + 1;
      }
      std::vector<Size> order;
      for (Size m = part.taps[0] - 1; m >= 0; --m)
        for (Size n = part.taps[1] - 1; n >= 0; --n)
          order.push_back((g.stride * m + (a + g.low[0]) % g.stride) * k.w +
                          g.stride * n + (b + g.low[1]) % g.stride);
      part.kernels = pack(k, order, free);
      free += order.size() * wide;
      parts.push_back(std::move(part));
    }
  correlate_parts<T>(pool, x, before, padded, parts, ending, y);
}

constexpr Size kFew = 4;

// `correlate_directly` with stride 1 and at most `kFew` outputs: first the products of
// every pixel with all taps, then the sums of those that meet.
template <class T>
void correlate_to_few(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                      const Kernel<T>& k, const Geometry& g, const Ending<T>& ending,
                      const Images<T>& y) {
  typedef T Few __attribute__((vector_size(kFew * sizeof(T))));
  const Size wide = round_up(k.h * k.w * k.o + kFew - k.o, 64 / sizeof(T));
  const Size pixels = y.w + k.w - 1;  // of a row that are read, zeros on both sides
  const Array<T> taps(k.c * wide);
  std::fill(taps.data(), taps.data() + k.c * wide, T(0));
  for (Size tap = 0; tap < k.h * k.w; ++tap)
    for (Size c = 0; c < k.c; ++c)
      std::copy_n(k.data + (tap * k.c + c) * k.o, k.o,
                  taps.data() + c * wide + tap * k.o);
  const Size left = std::max<Size>(0, -g.low[1]),
             right = std::min(x.w, pixels - g.low[1]);
  const std::initializer_list<Size> sizes = {k.h * pixels * wide, y.w * kFew};
  parallel<T>(pool, x.n, sizes, [&](Size n, T* const* arrays) {
    // The products of the rows that a row of y reads, in a ring; sums of a row.
    T *const products = arrays[0], *const sum = arrays[1];
    for (Size row = 0; row < y.h + k.h - 1; ++row) {
      T* ring = products + row % k.h * pixels * wide;
      const Size from = row - g.low[0], piece = most_rows<T>(wide);
      std::fill(ring, ring + pixels * wide, T(0));
      if (from >= 0 && from < x.h)
        for (Size c = 0; c < k.c; c += piece) {
          const Steps steps{
              true, std::min(piece, k.c - c), k.c, 1, wide, wide, {1, 1}, {}, {}};
          cpu<T>.product(x.image(n) + (from * x.w + left) * k.c + c,
                         taps.data() + c * wide, ring + (g.low[1] + left) * wide, steps,
                         right - left, wide);
        }
      const Size i = row - k.h + 1;
      if (i < 0) continue;
      for (Size j = 0; j < y.w; ++j) {
        Few total = {}, one;  // what stands behind the outputs is lost
        for (Size u = 0; u < k.h; ++u) {
          const T* pixel = products + ((i + u) % k.h * pixels + j) * wide;
          for (Size v = 0; v < k.w; ++v, pixel += wide) {
            std::memcpy(&one, pixel + (u * k.w + v) * k.o, sizeof(Few));
            total += one;
          }
        }
        std::memcpy(sum + j * kFew, &total, sizeof(Few));
      }
      ending(sum, kFew, y.w, 0, k.o, y.image(n) + i * y.w * k.o, k.o);
    }
  });
}

// dk[u] = sum over n and i of x[n, stride i + u - low]' g[n, i], `size` numbers as in
// [k.h, k.w, x.c, g.c].
template <class T>
void kernel_gradient_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                              const Images<const T>& g, const Geometry& geometry,
                              Size kh, Size kw, T* dk) {
  constexpr Size kPixels = 64;  // are summed in registers
  const Size stride = geometry.stride, depth = kw * x.c;
  const Size height = (g.h - 1) * stride + kh, width = (g.w - 1) * stride + kw;
  const Size line = width * x.c, image = height * line;
  const Panels<T> panels{g.c};
  const Size shares = number_of_shares(panels.number(), x.n);
  const Size group = std::max<Size>(1, kPixels / (g.h * g.w));
  const Size band = std::clamp<Size>(kPixels / g.w, 1, g.h);
  const Size size = kh * depth * panels.total();
  const Array<T> sums(shares * size);
  const std::initializer_list<Size> sizes = {group * image,
                                             group * g.h * g.w * panels.width(0)};
  parallel<T>(pool, shares * panels.number(), sizes, [&](Size task, T* const* arrays) {
    T *const p = arrays[0], *const q = arrays[1];
    const Size share = task / panels.number(), panel = task % panels.number();
    const Size wide = panels.width(panel), near = g.h * g.w * wide;
    T* sum = sums.data() + share * size + kh * depth * panels.first(panel);
    std::fill(sum, sum + kh * depth * wide, T(0));
    const Size end = (share + 1) * x.n / shares;
    for (Size n = share * x.n / shares; n < end; n += group) {
      const Size images = std::min(group, end - n);
      for (Size i = 0; i < images; ++i) {
        pad(x, n + i, geometry.low, height, width, p + i * image);
        widen(g.image(n + i) + panels.first(panel), g.c, panels.used(panel), wide,
              g.h * g.w, q + i * near);
      }
      for (Size from = 0; from < g.h; from += band)
        for (Size u = 0; u < kh; ++u) {
          const Steps steps{true,
                            g.w,
                            1,
                            stride * x.c,
                            wide,
                            wide,
                            {images, std::min(band, g.h - from)},
                            {image, stride * line},
                            {near, g.w * wide}};
          cpu<T>.product(p + (from * stride + u) * line, q + from * g.w * wide,
                         sum + u * depth * wide, steps, depth, wide);
        }
    }
  });
  add_shares(sums.data(), shares, size);
  for (Size panel = 0; panel < panels.number(); ++panel) {
    const T* from = sums.data() + kh * depth * panels.first(panel);
    T* to = dk + panels.first(panel);
    for (Size i = 0; i < kh * depth; ++i, from += panels.width(panel), to += g.c)
      std::copy_n(from, panels.used(panel), to);
  }
}

#endif  // NWM_JAX_NATIVE_DIRECT_H_
