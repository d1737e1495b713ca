// Matrix products whose columns run along the vectors.

#pragma once

#include "vectors.hpp"

namespace kernels {

// C[M, N] = A[M, K] B[K, N] + start; A may lie in any order, the rows of B and C are contiguous.
struct Product {
    int64_t m, n, k;
    const float* a;
    int64_t a_row, a_column;  // steps from row to row, and from column to column
    const float* b;
    int64_t b_row;
    float* c;
    int64_t c_row;
    const float* bias;  // the start: one number a row; or null for 0
    bool adds;          // the start is C itself, and bias is null
};

template <int ROWS, int VECS>
INLINE void tile(const Product& p, int64_t row, int64_t column) {
    Vec c[ROWS][VECS];
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECS; ++j)
            c[i][j] = p.adds   ? load(p.c + (row + i) * p.c_row + column + j * LANES)
                      : p.bias ? all(p.bias[row + i])
                               : Vec{};
    const float* a = p.a + row * p.a_row;
    const float* b = p.b + column;
    const int64_t a_row = p.a_row;
    for (int64_t k = 0; k < p.k; ++k) {
        Vec bs[VECS];
#pragma GCC unroll 8
        for (int j = 0; j < VECS; ++j) bs[j] = held(load(b + j * LANES));
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) {
            Vec factor = all(a[i * a_row]);
#pragma GCC unroll 8
            for (int j = 0; j < VECS; ++j) c[i][j] += factor * bs[j];
        }
        a += p.a_column;
        b += p.b_row;
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECS; ++j)
            store(p.c + (row + i) * p.c_row + column + j * LANES, c[i][j]);
}

// All rows of a few columns: full tiles, then 4, 2 and 1 rows.
template <int ROWS, int VECS>
void columns(const Product& p, int64_t column) {
    int64_t row = 0;
    for (; row + ROWS <= p.m; row += ROWS) tile<ROWS, VECS>(p, row, column);
    for (; row + 4 <= p.m; row += 4) tile<4, VECS>(p, row, column);
    for (; row + 2 <= p.m; row += 2) tile<2, VECS>(p, row, column);
    for (; row < p.m; ++row) tile<1, VECS>(p, row, column);
}

// `n` is a multiple of PADDING.
inline void multiply(const Product& p) {
    int64_t column = 0;
    if constexpr (MANY_REGISTERS) {
        for (; column + 4 * LANES <= p.n; column += 4 * LANES) columns<6, 4>(p, column);
        if (column + 3 * LANES <= p.n) {
            columns<8, 3>(p, column);
            column += 3 * LANES;
        }
    }
    for (; column + 2 * LANES <= p.n; column += 2 * LANES)
        columns<MANY_REGISTERS ? 12 : 6, 2>(p, column);
    for (; column < p.n; column += LANES) columns<MANY_REGISTERS ? 16 : 8, 1>(p, column);
}

}  // namespace kernels
