// Matrix products whose columns run along the vectors, one scalar of A broadcast at a time.

#pragma once

#include <utility>

#include "numbers.hpp"

namespace learners {

// C[M, VECS * LANES] = A[M, K] B[K, .] + bias; A may lie in any order.
struct Left {
    const float* data;
    int64_t row, column;  // steps from row to row, and from column to column
};

// What a register holds, and how many of them, by how many rows, a tile of C has whose sums stay in
// registers: AVX-512 has 32, others 16; measured. A sum is the same in any tile.
#if defined(__AVX512F__)
constexpr int SIDE = LANES;
template <int VECS>
constexpr int TILE_ROWS = VECS >= 4 ? 6 : 8;
template <int VECS>
constexpr int TILE_PARTS = VECS;
#else
constexpr int SIDE = LANES / 2;
template <int VECS>
constexpr int TILE_ROWS = 6;
template <int VECS>
constexpr int TILE_PARTS = 2;
#endif
typedef float Part __attribute__((vector_size(4 * SIDE)));
typedef float AnyPart __attribute__((vector_size(4 * SIDE), aligned(4), may_alias));

inline Part part(const float* p) { return *reinterpret_cast<const AnyPart*>(p); }

// The same numbers, which the compiler keeps in a register: it would else load them again for each use.
inline Part held(Part x) {
#if defined(__AVX512F__)
    asm("" : "+v"(x));
#endif
    return x;
}

// A tile of so many rows and parts, of matrices of `WIDTH` columns.
template <int ROWS, int PARTS, int64_t WIDTH>
inline __attribute__((always_inline)) void tile(int64_t first, int64_t k, Left a, const float* b,
                                                float* c, const float* bias) {
    const float* factors = a.data + first * a.row;
    float* to = c + first * WIDTH;
    Part sums[ROWS][PARTS];
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < PARTS; ++j) sums[i][j] = bias ? part(bias + j * SIDE) : Part{};
    for (int64_t step = 0; step < k; ++step) {
        Part row[PARTS];
        for (int j = 0; j < PARTS; ++j) row[j] = held(part(b + step * WIDTH + j * SIDE));
        for (int i = 0; i < ROWS; ++i) {
            float factor = factors[i * a.row + step * a.column];
            for (int j = 0; j < PARTS; ++j) sums[i][j] += factor * row[j];
        }
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < PARTS; ++j)
            *reinterpret_cast<AnyPart*>(to + i * WIDTH + j * SIDE) = sums[i][j];
}

template <int VECS>
void multiply(int64_t m, int64_t k, Left a, const float* b, float* c, const float* bias) {
    constexpr int ROWS = TILE_ROWS<VECS>, PARTS = TILE_PARTS<VECS>;
    constexpr int64_t WIDTH = VECS * LANES;
    for (int64_t at = 0; at < WIDTH; at += PARTS * SIDE) {
        const float *from = b + at, *start = bias ? bias + at : nullptr;
        float* to = c + at;
        int64_t i = 0;
        for (; i + ROWS <= m; i += ROWS) tile<ROWS, PARTS, WIDTH>(i, k, a, from, to, start);
        for (; i + 4 <= m; i += 4) tile<4, PARTS, WIDTH>(i, k, a, from, to, start);
        for (; i < m; ++i) tile<1, PARTS, WIDTH>(i, k, a, from, to, start);
    }
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define CAN_SHUFFLE
#endif
#endif

#if defined(CAN_SHUFFLE)
// One stage of a transposition: vectors `DISTANCE` apart exchange blocks of that size.
template <int DISTANCE, int... I>
inline __attribute__((always_inline)) void exchange(Vec* v,
                                                    std::integer_sequence<int, I...> lanes) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) {
        if (i & DISTANCE) continue;
        const Vec a = v[i], b = v[i + DISTANCE];
        v[i] = __builtin_shufflevector(a, b, ((I & DISTANCE) ? LANES + I - DISTANCE : I)...);
        v[i + DISTANCE] =
            __builtin_shufflevector(a, b, ((I & DISTANCE) ? LANES + I : I + DISTANCE)...);
    }
    if constexpr (DISTANCE > 1) exchange<DISTANCE / 2>(v, lanes);
}
#endif

// One block of LANES x LANES of a square matrix with SIZE columns.
template <int SIZE>
void transpose_block(const float* from, float* to) {
#if defined(CAN_SHUFFLE)
    Vec v[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) v[i] = load(from + i * SIZE);
    exchange<LANES / 2>(v, std::make_integer_sequence<int, LANES>{});
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) store(to + i * SIZE, v[i]);
#else
    for (int i = 0; i < LANES; ++i)
        for (int j = 0; j < LANES; ++j) to[j * SIZE + i] = from[i * SIZE + j];
#endif
}

// to[j, i] = from[i, j] of [SIZE, SIZE], in blocks that stay in registers where the compiler has the
// means.
template <int SIZE>
void transpose(const float* from, float* to) {
    for (int i = 0; i < SIZE; i += LANES)
        for (int j = 0; j < SIZE; j += LANES)
            transpose_block<SIZE>(from + i * SIZE + j, to + j * SIZE + i);
}

// The sum of the rows of x[rows, VECS * LANES], each of which is put through change(row, vector, x)
// and written back first.
template <int VECS, typename Change>
void add_up(float* x, int64_t rows, float* to, Change change) {
    constexpr int64_t WIDTH = VECS * LANES;
    Vec sums[VECS] = {};
    for (int64_t i = 0; i < rows; ++i)
        for (int j = 0; j < VECS; ++j) {
            float* at = x + i * WIDTH + j * LANES;
            Vec changed = change(i, j, load(at));
            store(at, changed);
            sums[j] += changed;
        }
    for (int j = 0; j < VECS; ++j) store(to + j * LANES, sums[j]);
}

}  // namespace learners
