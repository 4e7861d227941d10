// Convolutions and their gradients as products of rows of pixels with taps of kernels.

#ifndef NWM_JAX_NATIVE_DIRECT_H_
#define NWM_JAX_NATIVE_DIRECT_H_

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "arrays.h"

// Few channels do not fill a vector, but those of pixels side by side do: as many of
// them as this many are one pixel, and the kernel has zeros where they do not meet. From
// one of them to the next the kernel moves by `stride`. Four are left in a row at least:
// fewer sums would wait for each other.
template <class T>
Size pixels_at_once(Size width, Size channels, Size window, Size stride) {
  Size pixels = 1;
  while (stride < window && 2 * pixels * channels <= cpu<T>.width &&
         width % (2 * pixels) == 0 && width >= 8 * pixels)
    pixels *= 2;
  return pixels;
}

template <class T>
Images<T> side_by_side(const Images<T>& y, Size pixels) {
  return {y.data, y.n, y.h, y.w / pixels, y.c * pixels};
}

// Pixels `step` i + `first` of y: the sum over u of row `start` + `stride` i + u of the
// padded images times row u of the kernel; columns alike.
template <class T>
struct Part {
  Size first[2], step[2], size[2];
  Size start[2], stride[2], taps[2];
  std::vector<const T*> kernels;  // of each panel: [taps, c, width]
};

// Rows of a part that have about so many pixels.
template <class T>
Size band_of(const Part<T>& part, Size pixels) {
  return std::clamp<Size>(pixels / std::max<Size>(1, part.size[1]), 1,
                          std::max<Size>(1, part.size[0]));
}

// Where `left_out` is given, images that are not finite are not computed, but named there.
template <class T>
void correlate_parts(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                     const Size low[2], const Size padded[2],
                     const std::vector<Part<T>>& parts, const Ending<T>& ending,
                     const Images<T>& y, std::vector<char>* left_out) {
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
    bool finite = true;
    for (Size n = 0; n < images; ++n)
      finite &= pad(x, begin + n, low, padded[0], padded[1], p + n * image);
    if (left_out && !finite) {
      std::fill_n(left_out->begin() + begin, images, true);
      return;
    }
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
                  const Size row = part.start[0] + (from + r) * part.stride[0] + u;
                  const Steps steps{u + k > 0,
                                    std::min(piece, depth - k),
                                    part.stride[1] * x.c,
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
              const Size row = part.first[0] + (from + r) * part.step[0];
              T* to = y.image(begin + n) + (row * y.w + part.first[1]) * y.c;
              ending(sum + (n * rows + r) * width * wide, wide, width,
                     panels.first(panel), panels.used(panel), to + panels.first(panel),
                     part.step[1] * y.c);
            }
        }
    }
  });
}

// The parts of a correlation of which `pixels` pixels of y, side by side, are one. What
// is not finite would spread by the zeros of the kernel to the pixels beside: returned
// are the images that are to be computed pixel by pixel.
template <class T>
std::vector<Size> correlate_side_by_side(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                            const Size low[2], const Size padded[2],
                            const std::vector<Part<T>>& parts, Size pixels,
                            const Ending<T>& ending, const Images<T>& y) {
  Array<T> bias(pixels * y.c);
  for (Size i = 0; ending.bias && i < pixels; ++i)
    std::copy_n(ending.bias, y.c, bias.data() + i * y.c);
  std::vector<char> left_out(x.n, false);
  correlate_parts<T>(pool, x, low, padded, parts,
                     {ending.bias ? bias.data() : nullptr, ending.slope},
                     side_by_side(y, pixels), pixels > 1 ? &left_out : nullptr);
  std::vector<Size> images;
  for (Size n = 0; n < x.n; ++n)
    if (left_out[n]) images.push_back(n);
  return images;
}

// A kernel in panels: row u and column v hold for every one of `pixels` pixels side by
// side the tap `tap(u, v, pixel)` of k, or zeros if that is negative.
template <class T, class Tap>
std::vector<const T*> pack(const Kernel<T>& k, const Size taps[2], Size pixels,
                           const Tap& tap, T* to) {
  const Panels<T> panels{pixels * k.o};
  std::vector<const T*> starts;
  std::fill(to, to + taps[0] * taps[1] * k.c * panels.total(), T(0));
  for (Size panel = 0; panel < panels.number(); ++panel) {
    const Size wide = panels.width(panel), first = panels.first(panel);
    const Size used = std::min(k.o, panels.used(panel));
    starts.push_back(to);
    for (Size u = 0; u < taps[0]; ++u)
      for (Size v = 0; v < taps[1]; ++v, to += k.c * wide)
        for (Size pixel = 0; pixel < pixels; ++pixel) {
          const Size from = tap(u, v, pixel);
          for (Size c = 0; from >= 0 && c < k.c; ++c)
            std::copy_n(k.data + (from * k.c + c) * k.o + first, used,
                        to + c * wide + pixel * k.o);
        }
  }
  return starts;
}

// y[i] = sum over u of x[stride i + u - low] k[u].
template <class T>
void correlate_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                        const Kernel<T>& k, const Geometry& g, const Ending<T>& ending,
                        const Images<T>& y, bool one_by_one = false) {
  const Size pixels = one_by_one ? 1 : pixels_at_once<T>(y.w, k.o, k.w, g.stride);
  const Size taps[2] = {k.h, k.w + (pixels - 1) * g.stride};
  const Array<T> space(taps[0] * taps[1] * k.c * Panels<T>{pixels * k.o}.total());
  const auto tap = [&](Size u, Size v, Size pixel) {
    const Size own = v - pixel * g.stride;
    return own >= 0 && own < k.w ? u * k.w + own : -1;
  };
  const Part<T> all{{0, 0},
                    {1, 1},
                    {y.h, y.w / pixels},
                    {0, 0},
                    {g.stride, pixels * g.stride},
                    {taps[0], taps[1]},
                    pack(k, taps, pixels, tap, space.data())};
  const Size padded[2] = {(y.h - 1) * g.stride + k.h, (y.w - 1) * g.stride + k.w};
  for (Size n :
       correlate_side_by_side<T>(pool, x, g.low, padded, {all}, pixels, ending, y))
    correlate_directly(pool, x.only(n), k, g, ending, y.only(n), true);
}

// y[stride i + u - low] = sum over u of x[i] k[u]. Pixels stride q + a of y read
// x[q - m + (a + low) / stride] through k[stride m + (a + low) % stride]: for each a a
// correlation of its own, with the taps m in reverse. Along a row all a are one where
// they fit into a vector.
template <class T>
void spread_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                     const Kernel<T>& k, const Geometry& g, const Ending<T>& ending,
                     const Images<T>& y, bool one_by_one = false) {
  const Size window[2] = {k.h, k.w}, outer[2] = {y.h, y.w};
  Size before[2], padded[2];
  for (int i : {0, 1}) {
    before[i] = ceil_div(window[i], g.stride);
    padded[i] = before[i] + ceil_div(outer[i] + g.low[i], g.stride) + 1;
  }
  const bool fit = y.w % g.stride == 0 && g.stride * k.o <= cpu<T>.width;
  const Size pixels = fit && !one_by_one ? g.stride : 1;
  // The first column or row of the padded images that pixel a reads, and how many.
  const auto count = [&](int i, Size a) {
    return ceil_div(window[i] - (a + g.low[i]) % g.stride, g.stride);
  };
  const auto start = [&](int i, Size a) {
    return before[i] + (a + g.low[i]) / g.stride - count(i, a) + 1;
  };
  std::vector<Array<T>> spaces;
  std::vector<Part<T>> parts;
  for (Size a = 0; a < g.stride; ++a)
    for (Size b = 0; b < g.stride; b += pixels) {
      Part<T> part{{a, b}, {g.stride, g.stride / pixels}, {}, {}, {1, 1}, {}, {}};
      part.size[0] = ceil_div(outer[0] - a, g.stride);
      part.size[1] = ceil_div(outer[1] - b, g.stride);
      part.start[0] = start(0, a);
      part.taps[0] = count(0, a);
      part.start[1] = start(1, b);
      Size end = 0;
      for (Size pixel = b; pixel < b + pixels; ++pixel) {
        part.start[1] = std::min(part.start[1], start(1, pixel));
        end = std::max(end, start(1, pixel) + count(1, pixel));
      }
      part.taps[1] = end - part.start[1];
      const auto tap = [&](Size u, Size v, Size pixel) {
        const Size m = part.taps[0] - 1 - u, c = b + pixel;
        const Size n = start(1, c) + count(1, c) - 1 - (part.start[1] + v);
        if (n < 0 || n >= count(1, c)) return Size(-1);
        return (g.stride * m + (a + g.low[0]) % g.stride) * k.w + g.stride * n +
               (c + g.low[1]) % g.stride;
      };
      spaces.emplace_back(part.taps[0] * part.taps[1] * k.c *
                          Panels<T>{pixels * k.o}.total());
      part.kernels = pack(k, part.taps, pixels, tap, spaces.back().data());
      parts.push_back(std::move(part));
    }
  for (Size n :
       correlate_side_by_side<T>(pool, x, before, padded, parts, pixels, ending, y))
    spread_directly(pool, x.only(n), k, g, ending, y.only(n), true);
}

// dk[u] = sum over n and i of x[n, stride i + u - low]' g[n, i], `size` numbers as in
// [k.h, k.w, x.c, g.c].
template <class T>
void kernel_gradient_directly(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                              const Images<const T>& cotangents,
                              const Geometry& geometry, Size kh, Size kw, T* dk) {
  constexpr Size kPixels = 64;  // are summed in registers
  const Size stride = geometry.stride;
  const Size pixels = pixels_at_once<T>(cotangents.w, cotangents.c, kw, stride);
  const Images<const T> g = side_by_side(cotangents, pixels);
  const Size taps = kw + (pixels - 1) * stride, depth = taps * x.c;
  const Size height = (g.h - 1) * stride + kh;
  const Size width = (cotangents.w - 1) * stride + kw;
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
    T *const p = arrays[0], *const copy = arrays[1];
    const Size share = task / panels.number(), panel = task % panels.number();
    const Size wide = panels.width(panel), near = g.h * g.w * wide;
    T* sum = sums.data() + share * size + kh * depth * panels.first(panel);
    std::fill(sum, sum + kh * depth * wide, T(0));
    const Size end = (share + 1) * x.n / shares;
    for (Size n = share * x.n / shares; n < end; n += group) {
      const Size images = std::min(group, end - n);
      for (Size i = 0; i < images; ++i)
        pad(x, n + i, geometry.low, height, width, p + i * image);
      const T* q = g.image(n);
      if (wide != g.c) {
        for (Size i = 0; i < images; ++i)
          widen(g.image(n + i) + panels.first(panel), g.c, panels.used(panel), wide,
                g.h * g.w, copy + i * near);
        q = copy;
      }
      for (Size from = 0; from < g.h; from += band)
        for (Size u = 0; u < kh; ++u) {
          const Steps steps{true,
                            g.w,
                            1,
                            pixels * stride * x.c,
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
  const Size c = x.c, o = cotangents.c;
  std::fill(dk, dk + kh * kw * c * o, T(0));
  for (Size panel = 0; panel < panels.number(); ++panel) {
    const Size wide = panels.width(panel), used = std::min(o, panels.used(panel));
    for (Size pixel = 0; pixel < pixels; ++pixel)
      for (Size u = 0; u < kh; ++u) {
        const T* from = sums.data() + kh * depth * panels.first(panel) +
                        (u * taps + pixel * stride) * c * wide + pixel * o;
        T* to = dk + u * kw * c * o + panels.first(panel);
        for (Size row = 0; row < kw * c; ++row, from += wide, to += o)
          for (Size i = 0; i < used; ++i) to[i] += from[i];
      }
  }
}

#endif  // NWM_JAX_NATIVE_DIRECT_H_
