// Products of small matrices for one kind of CPU. cpu.h includes this file once for
// each kind, in a namespace of its own, with
//   TARGET  the attribute that lets the compiler use this CPU's instructions
//   BYTES   of its widest vectors
//   MOST    vectors of columns that are summed at once, for 6 rows or more each: they
//           and what they are multiplied with must fit the registers
// No include guard for that reason.

template <class T, int SIZE>
struct Vector {
  typedef T type __attribute__((vector_size(SIZE)));
};

// Numbers from and to where no alignment is known.
template <class V>
TARGET static inline V load(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof(V));
  return v;
}

template <class V>
TARGET static inline void store(void* to, V v) {
  std::memcpy(to, &v, sizeof(V));
}

// Numbers of TOGETHER images, as often as a vector holds them.
template <class V, class T, int TOGETHER>
TARGET static inline V repeated(const T* from) {
  if constexpr (TOGETHER == 1) {
    return *from - V{};
  } else if constexpr (TOGETHER * sizeof(T) == 8) {
    using Bits = typename Vector<std::int64_t, sizeof(V)>::type;
    std::int64_t bits;
    std::memcpy(&bits, from, 8);
    return (V)(bits - Bits{});
  } else {
    static_assert(TOGETHER * sizeof(T) == 16 && sizeof(V) == 64);
#if BYTES == 64
    return (V)_mm512_broadcast_f32x4((__m128)load<typename Vector<float, 16>::type>(from));
#endif
  }
}

constexpr int rows_at_once(int vectors) {
  return vectors == 1 ? (MOST > 2 ? 16 : 12) : vectors == 2 && MOST > 2 ? 12 : vectors == 3 ? 8 : 6;
}

// ROWS rows and COLUMNS vectors of c, which stay in registers. Those of TOGETHER images
// lie side by side in each of them, and in a.
template <class T, int SIZE, int ROWS, int COLUMNS, int TOGETHER>
TARGET static void tile(const T* a, const T* b, T* c, const Steps& s) {
  using V = typename Vector<T, SIZE>::type;
  constexpr int WIDTH = SIZE / sizeof(T);
  V sum[ROWS][COLUMNS];
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < COLUMNS; ++n)
      sum[m][n] = s.add ? load<V>(c + m * s.c_row + n * WIDTH) : V{};
  // Every fourth row has a pointer of its own, which the compiler must not derive from
  // the first: as many offsets as rows would not fit the registers.
  constexpr int FOURTHS = (ROWS + 3) / 4;
  const Size row = s.a_row;
  for (Size i = 0; i < s.count[0]; ++i)
    for (Size j = 0; j < s.count[1]; ++j) {
      const T* from[FOURTHS];
      const T* by = b + i * s.b[0] + j * s.b[1];
#pragma GCC unroll 4
      for (int m = 0; m < FOURTHS; ++m) {
        from[m] = a + i * s.a[0] + j * s.a[1] + 4 * m * row;
        asm("" : "+r"(from[m]));
      }
      for (Size k = 0; k < s.depth; ++k, by += s.b_step) {
        V right[COLUMNS];
#pragma GCC unroll 4
        for (int n = 0; n < COLUMNS; ++n) right[n] = load<V>(by + n * WIDTH);
#pragma GCC unroll 16
        for (int m = 0; m < ROWS; ++m) {
          const V left = repeated<V, T, TOGETHER>(from[m / 4] + m % 4 * row);
#pragma GCC unroll 4
          for (int n = 0; n < COLUMNS; ++n) sum[m][n] += left * right[n];
        }
#pragma GCC unroll 4
        for (int m = 0; m < FOURTHS; ++m) from[m] += s.a_step;
      }
    }
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < COLUMNS; ++n) store<V>(c + m * s.c_row + n * WIDTH, sum[m][n]);
}

template <class T, int SIZE, int ROWS, int COLUMNS, int TOGETHER = 1>
TARGET static void all_rows(const T* a, const T* b, T* c, const Steps& s, Size rows) {
  for (; rows >= ROWS; rows -= ROWS, a += ROWS * s.a_row, c += ROWS * s.c_row)
    tile<T, SIZE, ROWS, COLUMNS, TOGETHER>(a, b, c, s);
  constexpr int FEWER = ROWS > 8 ? 8 : ROWS > 4 ? 4 : ROWS / 2;
  if constexpr (FEWER > 0)
    if (rows) all_rows<T, SIZE, FEWER, COLUMNS, TOGETHER>(a, b, c, s, rows);
}

template <class T, int SIZE, int COLUMNS>
TARGET static void all_columns(const T* a, const T* b, T* c, const Steps& s, Size rows,
                               Size columns) {
  constexpr int WIDTH = COLUMNS * SIZE / sizeof(T);
  for (; columns >= WIDTH; columns -= WIDTH, b += WIDTH, c += WIDTH)
    all_rows<T, SIZE, rows_at_once(COLUMNS), COLUMNS>(a, b, c, s, rows);
  if (!columns) return;
  if constexpr (COLUMNS > 1)
    all_columns<T, SIZE, COLUMNS - 1>(a, b, c, s, rows, columns);
  else if constexpr (SIZE > 16)
    all_columns<T, SIZE / 2, 1>(a, b, c, s, rows, columns);
}

// c[m, n] = (c[m, n] if `add`) + sum over i, j, k of a[i, j, m, k] b[i, j, k, n]:
// `columns` is a multiple of the numbers in 16 bytes.
template <class T>
TARGET static void product(const T* a, const T* b, T* c, const Steps& s, Size rows,
                           Size columns) {
  all_columns<T, BYTES, MOST>(a, b, c, s, rows, columns);
}

// Few channels do not fill a vector, but those of several images do: TOGETHER numbers, of
// one channel in as many images, are neighbours there and in what it is multiplied with.

// The numbers of columns are those of one vector, `together` times its channels.
template <class T>
TARGET static void product_together(const T* a, const T* b, T* c, const Steps& s,
                                    Size rows, Size together) {
  constexpr int ROWS = rows_at_once(1);
  if constexpr (BYTES >= 8 * sizeof(T)) {
    if (together == 2) return all_rows<T, BYTES, ROWS, 1, 2>(a, b, c, s, rows);
  }
  if constexpr (BYTES >= 16 * sizeof(T)) {
    if (together == 4) return all_rows<T, BYTES, ROWS, 1, 4>(a, b, c, s, rows);
  }
}

template <class T, int TOGETHER>
TARGET static void zip_of(const T* const* from, Size size, T* __restrict to) {
  const T* f[TOGETHER];
  std::copy_n(from, TOGETHER, f);
  for (Size i = 0; i < size; ++i)
    for (int n = 0; n < TOGETHER; ++n) to[TOGETHER * i + n] = f[n][i];
}

// to[i, n] = from[n][i] for `size` numbers i.
template <class T>
TARGET static void zip(const T* const* from, Size together, Size size, T* to) {
  if (together == 2) zip_of<T, 2>(from, size, to);
  if (together == 4) zip_of<T, 4>(from, size, to);
}

template <class T, int TOGETHER>
TARGET static void unzip_of(const T* __restrict from, Size pixels, Size used,
                            T* const* to, Size step) {
  constexpr int WIDTH = BYTES / sizeof(T) / TOGETHER;
  // What is more than `used` lands where the next pixels go, if nothing else is there.
  const Size whole = used == WIDTH ? pixels : used == step ? pixels - WIDTH / used : 0;
  for (Size i = 0; i < pixels; ++i, from += WIDTH * TOGETHER) {
    T apart[TOGETHER][WIDTH];
    for (int n = 0; n < TOGETHER; ++n)
      for (int c = 0; c < WIDTH; ++c) apart[n][c] = from[c * TOGETHER + n];
    for (int n = 0; n < TOGETHER; ++n)
      if (i < whole)
        std::memcpy(to[n] + i * step, apart[n], sizeof(apart[n]));
      else
        std::copy_n(apart[n], used, to[n] + i * step);
  }
}

// to[n][i, c] = from[i, c, n] for `used` channels c of pixels i, which are `step` apart.
template <class T>
TARGET static void unzip(const T* from, Size together, Size pixels, Size used,
                         T* const* to, Size step) {
  if (together == 2) unzip_of<T, 2>(from, pixels, used, to, step);
  if (together == 4) unzip_of<T, 4>(from, pixels, used, to, step);
}

// Winograd's F(2x2, 3x3): y = A' [(G k G') * (B' d B)] A for tiles d of 4x4 pixels, two
// apart, and y of 2x2, where * multiplies each of the 16 places as a matrix. Three of
// the transforms are here; that of the kernel, made once, is in winograd.h.

// Each goes through a row of tiles, `tiles` times the channels that V holds at once: V
// is a vector, or a number for what is left of the channels.

// B' d B of an image with `line` numbers in a row: [16][tiles, channels], the 16 places
// `place` numbers apart.
template <class V, class T>
TARGET static void image_transform_of(const T* image, Size line, Size channels,
                                      Size tiles, T* to, Size place) {
  for (Size t = 0; t < tiles; ++t, image += 2 * channels, to += channels) {
    V rows[4][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const T* d = image + j * channels;
      const V d0 = load<V>(d), d1 = load<V>(d + line), d2 = load<V>(d + 2 * line),
              d3 = load<V>(d + 3 * line);
      rows[0][j] = d0 - d2;
      rows[1][j] = d1 + d2;
      rows[2][j] = d2 - d1;
      rows[3][j] = d1 - d3;
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      T* v = to + 4 * i * place;
      store<V>(v, rows[i][0] - rows[i][2]);
      store<V>(v + place, rows[i][1] + rows[i][2]);
      store<V>(v + 2 * place, rows[i][2] - rows[i][1]);
      store<V>(v + 3 * place, rows[i][1] - rows[i][3]);
    }
  }
}

// A g A' of cotangents, tiles of 2x2 pixels: for the gradient at the kernel.
template <class V, class T>
TARGET static void cotangent_transform_of(const T* image, Size line, Size channels,
                                          Size tiles, T* to, Size place) {
  for (Size t = 0; t < tiles; ++t, image += 2 * channels, to += channels) {
    V rows[4][2];
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const T* g = image + j * channels;
      const V g0 = load<V>(g), g1 = load<V>(g + line);
      rows[0][j] = g0;
      rows[1][j] = g0 + g1;
      rows[2][j] = g0 - g1;
      rows[3][j] = -g1;
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      T* v = to + 4 * i * place;
      store<V>(v, rows[i][0]);
      store<V>(v + place, rows[i][0] + rows[i][1]);
      store<V>(v + 2 * place, rows[i][0] - rows[i][1]);
      store<V>(v + 3 * place, -rows[i][1]);
    }
  }
}

// A' m A of the products, to two rows of pixels that are `line` numbers apart.
template <class V, class T>
TARGET static void product_transform_of(const T* products, Size line, Size channels,
                                        Size tiles, T* to, Size place) {
  for (Size t = 0; t < tiles; ++t, products += channels, to += 2 * channels) {
    V rows[2][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const T* m = products + j * place;
      const V m0 = load<V>(m), m1 = load<V>(m + 4 * place), m2 = load<V>(m + 8 * place),
              m3 = load<V>(m + 12 * place);
      rows[0][j] = m0 + m1 + m2;
      rows[1][j] = m1 - m2 - m3;
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      T* y = to + i * line;
      store<V>(y, rows[i][0] + rows[i][1] + rows[i][2]);
      store<V>(y + channels, rows[i][1] - rows[i][2] - rows[i][3]);
    }
  }
}

// The same for images that are upsampled first, every pixel repeated 2x2. Of the rows
// a, b, b, c that a tile reads one place is always zero: 9 of the 16 are left. Tiles
// are one pixel of the smaller images apart, and the factor 2 of b is left to the
// kernel.

template <class V, class T>
TARGET static void small_image_transform_of(const T* image, Size line, Size channels,
                                            Size tiles, T* to, Size place) {
  for (Size t = 0; t < tiles; ++t, image += channels, to += channels) {
    V rows[3][3];
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) {
      const T* d = image + j * channels;
      const V a = load<V>(d), b = load<V>(d + line), c = load<V>(d + 2 * line);
      rows[0][j] = a - b;
      rows[1][j] = b;
      rows[2][j] = b - c;
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      T* v = to + 3 * i * place;
      store<V>(v, rows[i][0] - rows[i][1]);
      store<V>(v + place, rows[i][1]);
      store<V>(v + 2 * place, rows[i][1] - rows[i][2]);
    }
  }
}

template <class V, class T>
TARGET static void small_cotangent_transform_of(const T* image, Size line,
                                                Size channels, Size tiles, T* to,
                                                Size place) {
  for (Size t = 0; t < tiles; ++t, image += 2 * channels, to += channels) {
    V rows[3][2];
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const T* g = image + j * channels;
      const V g0 = load<V>(g), g1 = load<V>(g + line);
      rows[0][j] = g0;
      rows[1][j] = g0 + g1;
      rows[2][j] = -g1;
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      T* v = to + 3 * i * place;
      store<V>(v, rows[i][0]);
      store<V>(v + place, rows[i][0] + rows[i][1]);
      store<V>(v + 2 * place, -rows[i][1]);
    }
  }
}

template <class V, class T>
TARGET static void small_product_transform_of(const T* products, Size line,
                                              Size channels, Size tiles, T* to,
                                              Size place) {
  for (Size t = 0; t < tiles; ++t, products += channels, to += 2 * channels) {
    V rows[2][3];
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) {
      const T* m = products + j * place;
      const V m0 = load<V>(m), m1 = load<V>(m + 3 * place), m2 = load<V>(m + 6 * place);
      rows[0][j] = m0 + m1;
      rows[1][j] = m1 - m2;
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      T* y = to + i * line;
      store<V>(y, rows[i][0] + rows[i][1]);
      store<V>(y + channels, rows[i][1] - rows[i][2]);
    }
  }
}

// What three places give back to a pixel, along one axis: place 0 of the tile after it
// and of its own, the others of its own, place 2 of the tile before it.
template <class T>
TARGET static void give_back(const T* next0, const T* own0, const T* own1,
                             const T* own2, const T* before2, Size count, T* to) {
  using V = typename Vector<T, BYTES>::type;
  constexpr Size WIDTH = BYTES / sizeof(T);
  Size i = 0;
  for (; i + WIDTH <= count; i += WIDTH)
    store<V>(to + i, load<V>(next0 + i) - load<V>(own0 + i) + load<V>(own1 + i) +
                         load<V>(own2 + i) - load<V>(before2 + i));
  for (; i < count; ++i) to[i] = next0[i] - own0[i] + own1[i] + own2[i] - before2[i];
}

// y = max(z, slope z), z = sum + bias: sums of pixels are `wide` apart, their y `step`.
template <class V, class T>
TARGET static void activate_of(const T* sum, Size wide, Size pixels, const T* bias,
                               T slope, T* y, Size step) {
  const V more = load<V>(bias);
  for (; pixels; --pixels, sum += wide, y += step) {
    const V z = load<V>(sum) + more, low = z * slope;
    store<V>(y, z > low ? z : low);
  }
}

// y = sum (x >= 0 ? 1 : slope), with x that stood in the place of y.
template <class V, class T>
TARGET static void pull_back_of(const T* sum, Size wide, Size pixels, T slope, T* y,
                                Size step) {
  for (; pixels; --pixels, sum += wide, y += step) {
    const V x = load<V>(y), g = load<V>(sum), low = g * slope;
    store<V>(y, x >= V{} ? g : low);
  }
}

// CALL with every V of the channels c.
#define OVER_CHANNELS(CHANNELS, CALL)                                       \
  Size c = 0;                                                               \
  for (; c + Size(BYTES / sizeof(T)) <= CHANNELS; c += BYTES / sizeof(T)) { \
    using V = typename Vector<T, BYTES>::type;                              \
    CALL;                                                                   \
  }                                                                         \
  for (; c + Size(16 / sizeof(T)) <= CHANNELS; c += 16 / sizeof(T)) {       \
    using V = typename Vector<T, 16>::type;                                 \
    CALL;                                                                   \
  }                                                                         \
  for (; c < CHANNELS; ++c) {                                               \
    using V = T;                                                            \
    CALL;                                                                   \
  }

template <class T>
TARGET static void activate(const T* sum, Size wide, Size pixels, const T* bias,
                            T slope, Size used, T* y, Size step) {
  OVER_CHANNELS(used,
                activate_of<V>(sum + c, wide, pixels, bias + c, slope, y + c, step))
}

template <class T>
TARGET static void pull_back(const T* sum, Size wide, Size pixels, T slope, Size used,
                             T* y, Size step){
    OVER_CHANNELS(used, pull_back_of<V>(sum + c, wide, pixels, slope, y + c, step))}

#define TRANSFORM(NAME)                                                               \
  template <class T>                                                                  \
  TARGET static void NAME(const T* from, Size line, Size channels, Size tiles, T* to, \
                          Size place) {                                               \
    OVER_CHANNELS(channels,                                                           \
                  NAME##_of<V>(from + c, line, channels, tiles, to + c, place))       \
  }

TRANSFORM(image_transform)
TRANSFORM(cotangent_transform)
TRANSFORM(product_transform)
TRANSFORM(small_image_transform)
TRANSFORM(small_cotangent_transform)
TRANSFORM(small_product_transform)

#undef TRANSFORM
#undef OVER_CHANNELS

// clang-format off
template <class T>
constexpr Functions<T> functions = {
    BYTES / sizeof(T),
    product<T>,
    product_together<T>,
    zip<T>,
    unzip<T>,
    activate<T>,
    pull_back<T>,
    give_back<T>,
    {image_transform<T>, cotangent_transform<T>, product_transform<T>},
    {small_image_transform<T>, small_cotangent_transform<T>,
     small_product_transform<T>}
};
// clang-format on
