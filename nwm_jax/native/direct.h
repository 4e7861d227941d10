// Convolutions and their gradients as products of rows of pixels with taps of kernels.

#ifndef NWM_JAX_NATIVE_DIRECT_H_
#define NWM_JAX_NATIVE_DIRECT_H_

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "arrays.h"

// Pixels `step` i + `first` of y: the sum over u of row `start` + `stride` i + u of the
// padded images times row u of the kernel; columns alike.
template <class T>
struct Part {
  Size first[2], step[2], size[2];
  Size start[2], stride[2], taps[2];
  std::vector<const T*> kernels;  // of each panel: [taps, c, width]
};

template <class T>
void multiply(const T* a, const T* b, T* c, const Steps& steps, Size rows, Size columns,
              Size together) {
  if (together == 1)
    cpu<T>.product(a, b, c, steps, rows, columns);
  else
    cpu<T>.product_together(a, b, c, steps, rows, together);
}

// Rows of a part that have about so many pixels.
template <class T>
Size band_of(const Part<T>& part, Size pixels) {
  return std::clamp<Size>(pixels / std::max<Size>(1, part.size[1]), 1,
                          std::max<Size>(1, part.size[0]));
}

// The pixels of a part in one row become y, from their sums.
template <class T>
void end_row(T* sum, const Panels<T>& panels, Size panel, Size pixels,
             const Ending<T>& ending, const T* bias, const Images<T>& y, Size n,
             Size place, Size step, T* space) {
  const Size wide = panels.width(panel), used = panels.used(panel);
  if (panels.together == 1) {
    ending(sum, wide, pixels, panels.first(panel), used,
           y.image(n) + place + panels.first(panel), step);
    return;
  }
  // What is beyond the last image, or has to meet the signs in y yet, goes to `space`.
  T* to[kMostTogether];
  for (Size i = 0; i < panels.together; ++i)
    to[i] = ending.bias && n + i < y.n ? y.image(n + i) + place
                                       : space + i * pixels * step;
  if (ending.bias) cpu<T>.activate(sum, wide, pixels, bias, ending.slope, wide, sum, wide);
  cpu<T>.unzip(sum, panels.together, pixels, used, to, step);
  if (ending.bias) return;
  const Size run = step == used ? pixels : 1;  // of pixels without anything between
  for (Size i = 0; i < panels.together && n + i < y.n; ++i)
    cpu<T>.pull_back(to[i], step, pixels / run, ending.slope, run * used,
                     y.image(n + i) + place, step);
}

template <class T>
void correlate_parts(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                     const Size low[2], const Size padded[2],
                     const std::vector<Part<T>>& parts, const Panels<T>& panels,
                     const Ending<T>& ending, const Images<T>& y) {
  constexpr Size kPixels = 32;  // are multiplied with what is in the cache
  const Size together = panels.together, pixel = x.c * together;
  const Size line = padded[1] * pixel, image = padded[0] * line;
  const Size area = std::max<Size>(1, parts[0].size[0] * parts[0].size[1]);
  const Size group = std::max<Size>(1, kPixels / (area * together)) * together;
  Size most_pixels = 0, most_space = 0;  // of a part that are summed at a time
  for (const Part<T>& part : parts) {
    most_pixels = std::max(most_pixels, band_of(part, kPixels) * part.size[1]);
    most_space = std::max(most_space, part.size[1] * part.step[1] * y.c);
  }
  Array<T> bias(panels.width(0));
  for (Size i = 0; ending.bias && together > 1 && i < panels.width(0); ++i)
    bias.data()[i] = i / together < y.c ? ending.bias[i / together] : T(0);
  const std::initializer_list<Size> sizes = {
      group / together * image, group / together * most_pixels * panels.width(0),
      together * most_space};
  parallel<T>(pool, ceil_div(x.n, group), sizes, [&](Size task, T* const* arrays) {
    T *const p = arrays[0], *const sum = arrays[1];
    const Size begin = task * group;
    const Size bundles = ceil_div(std::min(group, x.n - begin), together);
    for (Size n = 0; n < bundles; ++n)
      pad(x, begin + n * together, together, low, padded[0], padded[1], p + n * image);
    for (const Part<T>& part : parts) {
      const Size height = part.size[0], width = part.size[1];
      const Size depth = part.taps[1] * x.c;
      if (!height || !width) continue;
      const Size band = band_of(part, kPixels);
      for (Size panel = 0; panel < panels.number(); ++panel)
        for (Size from = 0; from < height; from += band) {
          const Size rows = std::min(band, height - from), wide = panels.width(panel);
          if (!part.taps[0] || !depth)
            std::fill(sum, sum + bundles * rows * width * wide, T(0));
          // What of the kernel stays in the cache: rows of taps, or parts of one.
          const Size most = most_rows<T>(wide), piece = std::min(depth, most);
          const Size taps = std::max<Size>(1, most / std::max<Size>(1, depth));
          for (Size u = 0; u < part.taps[0]; u += taps)
            for (Size k = 0; k < depth; k += piece)
              for (Size n = 0; n < bundles; ++n)
                for (Size r = 0; r < rows; ++r) {
                  const Size row = part.start[0] + (from + r) * part.stride[0] + u;
                  const Steps steps{u + k > 0,
                                    std::min(piece, depth - k),
                                    part.stride[1] * pixel,
                                    together,
                                    wide,
                                    wide,
                                    {std::min(taps, part.taps[0] - u), 1},
                                    {line, 0},
                                    {depth * wide, 0}};
                  multiply(p + n * image + row * line + part.start[1] * pixel +
                               k * together,
                           part.kernels[panel] + (u * depth + k) * wide,
                           sum + (n * rows + r) * width * wide, steps, width, wide,
                           together);
                }
          for (Size n = 0; n < bundles; ++n)
            for (Size r = 0; r < rows; ++r) {
              const Size row = part.first[0] + (from + r) * part.step[0];
              end_row(sum + (n * rows + r) * width * wide, panels, panel, width, ending,
                      bias.data(), y, begin + n * together,
                      (row * y.w + part.first[1]) * y.c, part.step[1] * y.c, arrays[2]);
            }
        }
    }
  });
}

// A kernel in panels: row u and column v hold the tap `tap(u, v)` of k.
template <class T, class Tap>
std::vector<const T*> pack(const Kernel<T>& k, const Size taps[2],
                           const Panels<T>& panels, const Tap& tap, T* to) {
  std::vector<const T*> starts;
  std::fill(to, to + taps[0] * taps[1] * k.c * panels.total(), T(0));
  for (Size panel = 0; panel < panels.number(); ++panel) {
    const Size wide = panels.width(panel);
    starts.push_back(to);
    for (Size u = 0; u < taps[0]; ++u)
      for (Size v = 0; v < taps[1]; ++v)
        for (Size c = 0; c < k.c; ++c, to += wide) {
          const T* from = k.data + (tap(u, v) * k.c + c) * k.o + panels.first(panel);
          for (Size o = 0; o < panels.used(panel); ++o)
            std::fill_n(to + o * panels.together, panels.together, from[o]);
        }
  }
  return starts;
}

// y[i] = sum over u of x[stride i + u - low] k[u].
template <class T>
void correlate_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                        const Kernel<T>& k, const Geometry& g, const Ending<T>& ending,
                        const Images<T>& y) {
  const Panels<T> panels{k.o, images_together<T>(y.n, k.o)};
  const Array<T> space(k.h * k.w * k.c * panels.total());
  const Size taps[2] = {k.h, k.w};
  const auto tap = [&](Size u, Size v) { return u * k.w + v; };
  const Part<T> all{{0, 0},
                    {1, 1},
                    {y.h, y.w},
                    {0, 0},
                    {g.stride, g.stride},
                    {k.h, k.w},
                    pack(k, taps, panels, tap, space.data())};
  const Size padded[2] = {(y.h - 1) * g.stride + k.h, (y.w - 1) * g.stride + k.w};
  correlate_parts<T>(pool, x, g.low, padded, {all}, panels, ending, y);
}

// y[stride i + u - low] = sum over u of x[i] k[u]. Pixels stride q + a of y read
// x[q - m + (a + low) / stride] through k[stride m + (a + low) % stride]: for each a a
// correlation of its own, with the taps m in reverse.
template <class T>
void spread_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                     const Kernel<T>& k, const Geometry& g, const Ending<T>& ending,
                     const Images<T>& y) {
  const Panels<T> panels{k.o, images_together<T>(y.n, k.o)};
  const Size window[2] = {k.h, k.w}, outer[2] = {y.h, y.w};
  Size before[2], padded[2];
  for (int i : {0, 1}) {
    before[i] = ceil_div(window[i], g.stride);
    padded[i] = before[i] + ceil_div(outer[i] + g.low[i], g.stride) + 1;
  }
  std::vector<Array<T>> spaces;
  std::vector<Part<T>> parts;
  for (Size a = 0; a < g.stride; ++a)
    for (Size b = 0; b < g.stride; ++b) {
      const Size offset[2] = {a, b};
      Part<T> part{{a, b}, {g.stride, g.stride}, {}, {}, {1, 1}, {}, {}};
      Size first_tap[2];
      for (int i : {0, 1}) {
        const Size from = offset[i] + g.low[i];
        first_tap[i] = from % g.stride;
        part.size[i] = ceil_div(outer[i] - offset[i], g.stride);
        part.taps[i] = ceil_div(window[i] - first_tap[i], g.stride);
        part.start[i] = before[i] + from / g.stride - part.taps[i] + 1;
      }
      const auto tap = [&](Size u, Size v) {
        return (g.stride * (part.taps[0] - 1 - u) + first_tap[0]) * k.w +
               g.stride * (part.taps[1] - 1 - v) + first_tap[1];
      };
      spaces.emplace_back(part.taps[0] * part.taps[1] * k.c * panels.total());
      part.kernels = pack(k, part.taps, panels, tap, spaces.back().data());
      parts.push_back(std::move(part));
    }
  correlate_parts<T>(pool, x, before, padded, parts, panels, ending, y);
}

// `rows` of images n, n + 1, ... from one on: [rows, w, channels of a vector, together].
template <class T>
void zip_rows(const Images<const T>& x, Size n, Size from, Size rows,
              const Panels<T>& panels, T* space, T* to) {
  const Size pixels = rows * x.w, wide = panels.width(0) / panels.together;
  const T* apart[kMostTogether];
  for (Size i = 0; i < panels.together; ++i) {
    apart[i] = space + i * pixels * wide;
    if (n + i >= x.n)
      std::fill_n(space + i * pixels * wide, pixels * wide, T(0));
    else if (wide == x.c)
      apart[i] = x.image(n + i) + from * x.w * x.c;
    else
      widen(x.image(n + i) + from * x.w * x.c, x.c, x.c, wide, pixels,
            space + i * pixels * wide);
  }
  cpu<T>.zip(apart, panels.together, pixels * wide, to);
}

// dk[u] = sum over n and i of x[n, stride i + u - low]' g[n, i], `size` numbers as in
// [k.h, k.w, x.c, g.c].
template <class T>
void kernel_gradient_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                              const Images<const T>& g, const Geometry& geometry,
                              Size kh, Size kw, T* dk) {
  constexpr Size kPixels = 64;  // are summed in registers
  const Size stride = geometry.stride, depth = kw * x.c;
  const Panels<T> panels{g.c, images_together<T>(x.n, g.c)};
  const Size together = panels.together, pixel = x.c * together;
  const Size height = (g.h - 1) * stride + kh, width = (g.w - 1) * stride + kw;
  const Size line = width * pixel, image = height * line;
  const Size bundles = ceil_div(x.n, together);
  const Size shares = number_of_shares(panels.number(), bundles);
  const Size group = std::max<Size>(1, kPixels / (g.h * g.w));
  const Size band = std::clamp<Size>(kPixels / g.w, 1, g.h);
  const Size size = kh * depth * panels.total();
  const Array<T> sums(shares * size);
  const Size most = band * g.w * panels.width(0);  // of a bundle that are summed
  const std::initializer_list<Size> sizes = {group * image, group * most, most};
  parallel<T>(pool, shares * panels.number(), sizes, [&](Size task, T* const* arrays) {
    T *const p = arrays[0], *const copy = arrays[1];
    const Size share = task / panels.number(), panel = task % panels.number();
    const Size wide = panels.width(panel), first = panels.first(panel);
    T* sum = sums.data() + share * size + kh * depth * first;
    std::fill(sum, sum + kh * depth * wide, T(0));
    const Size end = (share + 1) * bundles / shares;
    for (Size n = share * bundles / shares; n < end; n += group) {
      const Size number = std::min(group, end - n);
      for (Size i = 0; i < number; ++i)
        pad(x, (n + i) * together, together, geometry.low, height, width, p + i * image);
      for (Size from = 0; from < g.h; from += band) {
        const Size rows = std::min(band, g.h - from), near = rows * g.w * wide;
        // Several images are whole in a band: where they lie they are `near` apart, too.
        const bool there = together == 1 && wide == g.c;
        const T* q = there ? g.image(n) + from * g.w * g.c : copy;
        for (Size i = 0; !there && i < number; ++i)
          if (together > 1)
            zip_rows(g, (n + i) * together, from, rows, panels, arrays[2], copy + i * near);
          else
            widen(g.image(n + i) + from * g.w * g.c + first, g.c, panels.used(panel),
                  wide, rows * g.w, copy + i * near);
        for (Size u = 0; u < kh; ++u) {
          const Steps steps{true,
                            g.w,
                            together,
                            stride * pixel,
                            wide,
                            wide,
                            {number, rows},
                            {image, stride * line},
                            {near, g.w * wide}};
          multiply(p + (from * stride + u) * line, q, sum + u * depth * wide, steps,
                   depth, wide, together);
        }
      }
    }
  });
  add_shares(sums.data(), shares, size);
  for (Size panel = 0; panel < panels.number(); ++panel) {
    const Size wide = panels.width(panel), first = panels.first(panel);
    const T* from = sums.data() + kh * depth * first;
    for (Size row = 0; row < kh * depth; ++row, from += wide)
      for (Size o = 0; o < panels.used(panel); ++o)
        dk[row * g.c + first + o] =
            std::accumulate(from + o * together, from + (o + 1) * together, T(0));
  }
}

#endif  // NWM_JAX_NATIVE_DIRECT_H_
