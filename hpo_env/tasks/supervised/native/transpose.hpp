// Transposition in blocks of registers, and sums along them.

#pragma once

#include <utility>

#include "vectors.hpp"

namespace kernels {

template <int DISTANCE, int... I>
INLINE void exchange(Vec& a, Vec& b, std::integer_sequence<int, I...>) {
    Vec low = __builtin_shufflevector(a, b, ((I & DISTANCE) ? LANES + I - DISTANCE : I)...);
    Vec high = __builtin_shufflevector(a, b, ((I & DISTANCE) ? LANES + I : I + DISTANCE)...);
    a = low;
    b = high;
}

template <int DISTANCE>
INLINE void transpose_stage(Vec* v) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i)
        if (!(i & DISTANCE))
            exchange<DISTANCE>(v[i], v[i + DISTANCE], std::make_integer_sequence<int, LANES>{});
    if constexpr (DISTANCE > 1) transpose_stage<DISTANCE / 2>(v);
}

// The sums of LANES vectors, side by side in the first of them; each is that of `sum`, to the bit.
template <int DISTANCE = LANES / 2>
INLINE void sum_each(Vec* v) {
#pragma GCC unroll 16
    for (int i = 0; i < DISTANCE; ++i) {
        exchange<DISTANCE>(v[i], v[i + DISTANCE], std::make_integer_sequence<int, LANES>{});
        v[i] += v[i + DISTANCE];
    }
    if constexpr (DISTANCE > 1) sum_each<DISTANCE / 2>(v);
}

// One block of LANES x LANES; `from(i)` is the address of its row i.
template <class From>
INLINE void transpose_block(From from, float* to, int64_t to_row) {
    Vec v[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) v[i] = load(from(i));
    transpose_stage<LANES / 2>(v);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) store(to + i * to_row, v[i]);
}

// [rows, columns] -> [columns, rows]; `from(i)` is the address of row i. Whole blocks of rows are
// read, so `rows` is a multiple of PADDING; `columns` may be any number.
template <class From>
void transpose(From from, int64_t rows, int64_t columns, float* to, int64_t to_row) {
    for (int64_t r = 0; r < rows; r += LANES) {
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES)
            transpose_block([&](int i) { return from(r + i) + c; }, to + c * to_row + r, to_row);
        for (; c < columns; ++c)
            for (int i = 0; i < LANES; ++i) to[c * to_row + r + i] = from(r + i)[c];
    }
}

}  // namespace kernels
