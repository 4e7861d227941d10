// Winograd's F(2x2, 3x3), see products.h: 16 products for 4 pixels in the place of 36,
// 9 where images are upsampled first. Tiles go through it so many at a time that their
// 16 places stay in the cache: rows of tiles, of several images where those are small.

#ifndef NWM_JAX_NATIVE_WINOGRAD_H_
#define NWM_JAX_NATIVE_WINOGRAD_H_

#include <algorithm>

#include "arrays.h"

// A convolution of 3x3 without a stride.
template <class T>
struct Plain {
  static constexpr Size kPlaces = 16, kStep = 2;  // kStep: pixels between two tiles
  static constexpr T kGains[4][3] = {
      {1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  static const Transforms<T>& transforms() { return cpu<T>.transforms; }
  static T gain(Size place, Size tap) {
    return kGains[place / 4][tap / 3] * kGains[place % 4][tap % 3];
  }
};

// One of images whose pixels are repeated 2x2 before; the smaller ones are read.
template <class T>
struct Upsampled {
  static constexpr Size kPlaces = 9, kStep = 1;
  static constexpr T kGains[3][3] = {{1, 0, 0}, {1, 1, 1}, {0, 0, 1}};
  static const Transforms<T>& transforms() { return cpu<T>.small_transforms; }
  static T gain(Size place, Size tap) {
    return kGains[place / 3][tap / 3] * kGains[place % 3][tap % 3];
  }
};

constexpr Size kTiles = 48;  // at a time

struct Tiling {
  Size height, width;  // tiles of an image
  Size group, strip;   // images of a task; rows of tiles at a time
  Size padded[2];
  Tiling(Size rows, Size columns, Size step)
      : height(ceil_div(rows, 2)),
        width(ceil_div(columns, 2)),
        group(std::max<Size>(1, kTiles / (height * width))),
        strip(std::clamp<Size>(kTiles / width, 1, group * height)),
        padded{step * height + 2, step * width + 2} {}
  Size most() const { return strip * width; }
};

// Numbers from one place to the next. Were they a multiple of 4 kB, all 16 would share
// one line of the cache.
template <class T>
Size place_size(Size tiles, Size channels) {
  return round_up(tiles * channels, 64 / sizeof(T)) + 64 / sizeof(T);
}

// G k G' in panels: [places][panels][c, width].
template <class T, class Scheme>
void kernel_transform(const Kernel<T>& k, T* to) {
  const Panels<T> panels{k.o};
  for (Size place = 0; place < Scheme::kPlaces; ++place)
    for (Size panel = 0; panel < panels.number(); ++panel)
      for (Size row = 0; row < k.c; ++row, to += panels.width(panel)) {
        std::fill(to, to + panels.width(panel), T(0));
        for (Size tap = 0; tap < 9; ++tap) {
          const T* from = k.data + (tap * k.c + row) * k.o + panels.first(panel);
          const T factor = Scheme::gain(place, tap);
          if (factor != 0)
            for (Size n = 0; n < panels.used(panel); ++n) to[n] += factor * from[n];
        }
      }
}

// What stands at each place times the kernel's panel there: [tiles, c] by [c, width].
// From place to place they are `v_place`, `size` and `m_place` numbers apart.
template <class T, class Scheme>
void multiply_places(const T* v, Size v_place, const T* taps, Size size, Size c,
                     Size tiles, Size width, T* m, Size m_place) {
  const Size piece = most_rows<T>(width);
  for (Size place = 0; place < Scheme::kPlaces; ++place)
    for (Size k = 0; k < c; k += piece) {
      const Steps steps{k > 0, std::min(piece, c - k), c, 1, width, width, {1, 1}, {},
                        {}};
      cpu<T>.product(v + place * v_place + k, taps + place * size + k * width,
                     m + place * m_place, steps, tiles, width);
    }
}

// `correlate_directly` of the scheme.
template <class T, class Scheme>
void correlate_winograd(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                        const Kernel<T>& k, const Geometry& g, const Ending<T>& ending,
                        const Images<T>& y) {
  const Panels<T> panels{k.o};
  const Tiling tiling(y.h, y.w, Scheme::kStep);
  const Size line = tiling.padded[1] * x.c, image = tiling.padded[0] * line;
  const Size size = k.c * panels.total(), most = tiling.most();
  const Size widest = std::min(Panels<T>::kMost, panels.total());
  const Array<T> taps(Scheme::kPlaces * size);
  kernel_transform<T, Scheme>(k, taps.data());
  const std::initializer_list<Size> sizes = {
      tiling.group * image, Scheme::kPlaces * place_size<T>(most, x.c),
      Scheme::kPlaces * place_size<T>(most, widest), 4 * tiling.width * widest};
  const Size tasks = ceil_div(x.n, tiling.group);
  parallel<T>(pool, tasks, sizes, [&](Size task, T* const* arrays) {
    T *const p = arrays[0], *const v = arrays[1], *const m = arrays[2];
    T* const pixels = arrays[3];
    const Size begin = task * tiling.group,
               images = std::min(tiling.group, x.n - begin);
    for (Size n = 0; n < images; ++n)
      pad(x, begin + n, 1, g.low, tiling.padded[0], tiling.padded[1], p + n * image);
    for (Size from = 0; from < images * tiling.height; from += tiling.strip) {
      const Size end = std::min(images * tiling.height, from + tiling.strip);
      const Size tiles = (end - from) * tiling.width;
      const Size v_place = place_size<T>(tiles, x.c);
      for (Size r = from; r < end; ++r)
        Scheme::transforms().image(
            p + r / tiling.height * image + r % tiling.height * Scheme::kStep * line,
            line, x.c, tiling.width, v + (r - from) * tiling.width * x.c, v_place);
      for (Size panel = 0; panel < panels.number(); ++panel) {
        const Size wide = panels.width(panel), m_place = place_size<T>(tiles, wide);
        multiply_places<T, Scheme>(v, v_place, taps.data() + k.c * panels.first(panel),
                                   size, k.c, tiles, wide, m, m_place);
        for (Size r = from; r < end; ++r) {
          Scheme::transforms().product(m + (r - from) * tiling.width * wide,
                                       2 * tiling.width * wide, wide, tiling.width,
                                       pixels, m_place);
          for (Size i = 0; i < 2; ++i) {
            const Size row = r % tiling.height * 2 + i;
            if (row < y.h)
              ending(pixels + i * 2 * tiling.width * wide, wide, y.w,
                     panels.first(panel), panels.used(panel),
                     y.image(begin + r / tiling.height) + row * y.w * y.c +
                         panels.first(panel),
                     y.c);
          }
        }
      }
    }
  });
}

// `kernel_gradient_directly` of the scheme.
template <class T, class Scheme>
void kernel_gradient_winograd(xla::ffi::ThreadPool& pool, const Images<const T>& x,
                              const Images<const T>& g, const Geometry& geometry,
                              T* dk) {
  const Panels<T> panels{g.c};
  const Tiling tiling(g.h, g.w, Scheme::kStep);
  const Size line = tiling.padded[1] * x.c, image = tiling.padded[0] * line;
  const Size shares = number_of_shares(panels.number(), x.n);
  const Size size = Scheme::kPlaces * x.c * panels.total(), most = tiling.most();
  const Array<T> sums(shares * size);
  const Size widest = panels.width(0);
  const std::initializer_list<Size> sizes = {
      tiling.group * image, Scheme::kPlaces * place_size<T>(most, x.c),
      Scheme::kPlaces * place_size<T>(most, widest),
      tiling.group * 4 * tiling.height * tiling.width * widest};
  parallel<T>(pool, shares * panels.number(), sizes, [&](Size task, T* const* arrays) {
    T *const p = arrays[0], *const v = arrays[1], *const m = arrays[2];
    T* const q = arrays[3];
    const Size share = task / panels.number(), panel = task % panels.number();
    const Size wide = panels.width(panel);
    const Size near_line = 2 * tiling.width * wide,
               near = 2 * tiling.height * near_line;
    T* sum = sums.data() + share * size + Scheme::kPlaces * x.c * panels.first(panel);
    std::fill(sum, sum + Scheme::kPlaces * x.c * wide, T(0));
    const Size last = (share + 1) * x.n / shares;
    for (Size n = share * x.n / shares; n < last; n += tiling.group) {
      const Size images = std::min(tiling.group, last - n);
      for (Size i = 0; i < images; ++i) {
        pad(x, n + i, 1, geometry.low, tiling.padded[0], tiling.padded[1], p + i * image);
        if (g.h % 2 || g.w % 2) std::fill(q + i * near, q + (i + 1) * near, T(0));
        const T* from = g.image(n + i) + panels.first(panel);
        for (Size row = 0; row < g.h; ++row)
          widen(from + row * g.w * g.c, g.c, panels.used(panel), wide, g.w,
                q + i * near + row * near_line);
      }
      for (Size from = 0; from < images * tiling.height; from += tiling.strip) {
        const Size end = std::min(images * tiling.height, from + tiling.strip);
        const Size tiles = (end - from) * tiling.width;
        const Size v_place = place_size<T>(tiles, x.c);
        const Size m_place = place_size<T>(tiles, wide);
        for (Size r = from; r < end; ++r) {
          const Size i = r / tiling.height, row = r % tiling.height;
          const Size first = (r - from) * tiling.width;
          Scheme::transforms().image(p + i * image + row * Scheme::kStep * line, line,
                                     x.c, tiling.width, v + first * x.c, v_place);
          Scheme::transforms().cotangent(q + i * near + 2 * row * near_line, near_line,
                                         wide, tiling.width, m + first * wide, m_place);
        }
        const Steps steps{true, tiles, 1, x.c, wide, wide, {1, 1}, {}, {}};
        for (Size place = 0; place < Scheme::kPlaces; ++place)
          cpu<T>.product(v + place * v_place, m + place * m_place,
                         sum + place * x.c * wide, steps, x.c, wide);
      }
    }
  });
  add_shares(sums.data(), shares, size);
  for (Size panel = 0; panel < panels.number(); ++panel) {
    const Size wide = panels.width(panel), used = panels.used(panel);
    const T* from = sums.data() + Scheme::kPlaces * x.c * panels.first(panel);
    for (Size tap = 0; tap < 9; ++tap)
      for (Size row = 0; row < x.c; ++row) {
        T* to = dk + (tap * x.c + row) * g.c + panels.first(panel);
        std::fill(to, to + used, T(0));
        for (Size place = 0; place < Scheme::kPlaces; ++place) {
          const T factor = Scheme::gain(place, tap);
          const T* m = from + (place * x.c + row) * wide;
          if (factor != 0)
            for (Size c = 0; c < used; ++c) to[c] += factor * m[c];
        }
      }
  }
}

// The transpose of `correlate_winograd` of upsampled images: to the smaller images y of
// what g, twice as large, gives back through the kernel k, its last two axes exchanged.
template <class T>
void transpose_upsampled(xla::ffi::ThreadPool& pool, const Images<const T>& g,
                         const Kernel<T>& k, const Ending<T>& ending,
                         const Images<T>& y) {
  using Scheme = Upsampled<T>;
  const Panels<T> panels{k.o};
  const Tiling tiling(g.h, g.w, Scheme::kStep);
  const Size size = k.c * panels.total(), most = tiling.most();
  const Size widest = std::min(Panels<T>::kMost, panels.total());
  const Array<T> taps(Scheme::kPlaces * size), zeros(y.w * widest);
  kernel_transform<T, Scheme>(k, taps.data());
  std::fill_n(zeros.data(), y.w * widest, T(0));
  const std::initializer_list<Size> sizes = {
      Scheme::kPlaces * place_size<T>(most, g.c),
      Scheme::kPlaces * place_size<T>(most, widest),
      tiling.group * y.h * y.w * widest * 3, y.w * widest};
  const Size tasks = ceil_div(g.n, tiling.group);
  parallel<T>(pool, tasks, sizes, [&](Size task, T* const* arrays) {
    T *const v = arrays[0], *const m = arrays[1];
    T *const given = arrays[2], *const sum = arrays[3];  // given: 3 places of rows
    const Size begin = task * tiling.group,
               images = std::min(tiling.group, g.n - begin);
    const Size rows = images * y.h;
    for (Size panel = 0; panel < panels.number(); ++panel) {
      const Size wide = panels.width(panel), line = y.w * wide;
      for (Size from = 0; from < rows; from += tiling.strip) {
        const Size end = std::min(rows, from + tiling.strip),
                   tiles = (end - from) * y.w;
        const Size v_place = place_size<T>(tiles, g.c);
        const Size m_place = place_size<T>(tiles, wide);
        for (Size r = from; r < end; ++r)
          Scheme::transforms().cotangent(
              g.image(begin + r / y.h) + r % y.h * 2 * g.w * g.c, g.w * g.c, g.c, y.w,
              v + (r - from) * y.w * g.c, v_place);
        multiply_places<T, Scheme>(v, v_place, taps.data() + k.c * panels.first(panel),
                                   size, k.c, tiles, wide, m, m_place);
        for (Size r = from; r < end; ++r)
          for (Size i = 0; i < 3; ++i) {
            const T* own = m + 3 * i * m_place + (r - from) * line;
            T* to = given + (i * rows + r) * line;
            // The first and the last pixel lack a neighbour; they may be the same.
            for (Size j = 0; j < y.w;) {
              const bool first = j == 0, last = j == y.w - 1;
              const Size pixels = first || last ? 1 : y.w - 2;
              const T* at = own + j * wide;
              cpu<T>.give_back(last ? zeros.data() : at + wide, at, at + m_place,
                               at + 2 * m_place,
                               first ? zeros.data() : at + 2 * m_place - wide,
                               pixels * wide, to + j * wide);
              j += pixels;
            }
          }
      }
      for (Size r = 0; r < rows; ++r) {
        const T* own = given + r * line;
        const Size place = rows * line, row = r % y.h;
        cpu<T>.give_back(row == y.h - 1 ? zeros.data() : own + line, own, own + place,
                         own + 2 * place,
                         row == 0 ? zeros.data() : own + 2 * place - line, line, sum);
        ending(sum, wide, y.w, panels.first(panel), panels.used(panel),
               y.image(begin + r / y.h) + row * y.w * y.c + panels.first(panel), y.c);
      }
    }
  });
}

#endif  // NWM_JAX_NATIVE_WINOGRAD_H_
