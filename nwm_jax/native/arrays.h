// Images, kernels, and the layouts in which they stay in the cache.

#ifndef NWM_JAX_NATIVE_ARRAYS_H_
#define NWM_JAX_NATIVE_ARRAYS_H_

#include <algorithm>

#include "cpu.h"

// [n, h, w, c]
template <class T>
struct Images {
  T* data;
  Size n, h, w, c;
  Size size() const { return h * w * c; }
  T* image(Size i) const { return data + i * size(); }
  Images only(Size i) const { return {image(i), 1, h, w, c}; }
  bool empty() const { return n * size() == 0; }
};

// [h, w, c, o]
template <class T>
struct Kernel {
  const T* data;
  Size h, w, c, o;
};

// Image i reads row `stride` i + u - low[0] through row u of the kernel; columns alike.
struct Geometry {
  Size stride, low[2];
};

// What becomes of a sum. Either y = max(z, slope z), z = sum + bias; or, without a
// bias, the gradient before that function, y = sum (x >= 0 ? 1 : slope) with x that
// stood in y.
template <class T>
struct Ending {
  const T* bias;
  T slope;

  void operator()(const T* sum, Size wide, Size pixels, Size channel, Size used, T* y,
                  Size step) const {
    if (bias)
      cpu<T>.activate(sum, wide, pixels, bias + channel, slope, used, y, step);
    else
      cpu<T>.pull_back(sum, wide, pixels, slope, used, y, step);
  }
};

constexpr Size kMostTogether = 4;

// Few channels do not fill a vector: then it holds those of so many images.
template <class T>
Size images_together(Size images, Size channels) {
  for (Size together : {kMostTogether, kMostTogether / 2})
    if (together <= images && together * std::max<Size>(4, channels) <= cpu<T>.width)
      return together;
  return 1;
}

// Channels in panels of at most 64, the last one filled up with zeros, to a whole vector
// where that is more than half full: what is multiplied with a part of a panel can stay
// in the cache. Those of several images fill one vector.
template <class T>
struct Panels {
  static constexpr Size kMost = 64;
  Size channels, together = 1;
  Size number() const { return ceil_div(channels, kMost); }
  Size first(Size panel) const { return panel * kMost; }
  Size used(Size panel) const { return std::min(kMost, channels - first(panel)); }
  Size width(Size panel) const {
    const Size all = used(panel), vector = cpu<T>.width;
    if (together > 1) return vector;
    return round_up(all, 2 * (all % vector) > vector ? vector : 16 / sizeof(T));
  }
  Size total() const { return first(number() - 1) + width(number() - 1); }
};

// So many rows of a panel stay in the cache.
template <class T>
Size most_rows(Size width) {
  return 24576 / (width * sizeof(T));
}

// Rows of `used` numbers, `step` apart, become rows of `width`.
template <class T>
void widen(const T* from, Size step, Size used, Size width, Size rows, T* to) {
  for (Size i = 0; i < rows; ++i, from += step, to += width)
    std::fill(std::copy(from, from + used, to), to + width, T(0));
}

// Images n, n + 1, ... become one of height x width pixels, with low[0] rows and low[1]
// columns of zeros before them: [height, width, c, together]. Beyond the last image there
// is that one again.
template <class T>
void pad(const Images<const T>& x, Size n, Size together, const Size low[2],
         Size height, Size width, T* to) {
  const Size from = std::clamp<Size>(low[1], 0, width);
  const Size end = std::clamp<Size>(low[1] + x.w, from, width);
  const Size pixel = x.c * together;
  for (Size r = 0; r < height; ++r, to += width * pixel) {
    if (r < low[0] || r >= low[0] + x.h) {
      std::fill(to, to + width * pixel, T(0));
      continue;
    }
    const T* rows[kMostTogether];
    for (Size i = 0; i < together; ++i)
      rows[i] = x.image(std::min(n + i, x.n - 1)) +
                ((r - low[0]) * x.w - low[1] + from) * x.c;
    std::fill(to, to + from * pixel, T(0));
    if (together == 1)
      std::copy_n(rows[0], (end - from) * x.c, to + from * x.c);
    else
      cpu<T>.zip(rows, together, (end - from) * x.c, to + from * pixel);
    std::fill(to + end * pixel, to + width * pixel, T(0));
  }
}

// Images are summed in so many shares, each by itself: the same number on every
// machine, so that sums round alike.
inline Size number_of_shares(Size panels, Size images) {
  return std::clamp<Size>(16 / panels, 1, std::max<Size>(1, images));
}

template <class T>
void add_shares(T* sums, Size shares, Size size) {
  for (Size share = 1; share < shares; ++share)
    for (Size i = 0; i < size; ++i) sums[i] += sums[share * size + i];
}

// The sum of all pixels: [c]. First rows are added as they are, then their pixels.
template <class T>
void sum_pixels(xla::ffi::ThreadPool& pool, const Images<const T>& x, T* total) {
  const Size shares = number_of_shares(1, x.n), row = x.w * x.c;
  Array<T> sums(shares * row);
  parallel<T>(pool, shares, {}, [&](Size share, T* const*) {
    T* sum = sums.data() + share * row;
    std::fill(sum, sum + row, T(0));
    const T* end = x.image((share + 1) * x.n / shares);
    for (const T* from = x.image(share * x.n / shares); from < end; from += row)
      for (Size i = 0; i < row; ++i) sum[i] += from[i];
  });
  add_shares(sums.data(), shares, row);
  std::fill(total, total + x.c, T(0));
  for (Size i = 0; i < row; ++i) total[i % x.c] += sums.data()[i];
}

#endif  // NWM_JAX_NATIVE_ARRAYS_H_
