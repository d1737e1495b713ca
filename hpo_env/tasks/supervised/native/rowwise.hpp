// Small matrix products, one for each row of the minibatch: the rows run along the vectors.

#pragma once

#include "vectors.hpp"

namespace kernels {

// A matrix whose elements are vectors of LANES floats; steps from row to row and from column to
// column.
struct RowwiseMatrix {
    float* p;
    int64_t row, column;

    INLINE float* at(int64_t i, int64_t j) const { return p + i * row + j * column; }
    RowwiseMatrix transposed() const { return {p, column, row}; }
    RowwiseMatrix from(int64_t i) const { return {at(i, 0), row, column}; }  // row i being the first
};

template <int ROWS, int COLUMNS>
INLINE void rowwise_tile(int64_t depth, RowwiseMatrix a, RowwiseMatrix b, RowwiseMatrix c,
                         int64_t row, int64_t column) {
    Vec sums[ROWS][COLUMNS] = {};
    const float* left = a.at(row, 0);
    const float* right = b.at(0, column);
    for (int64_t k = 0; k < depth; ++k) {
        Vec bs[COLUMNS];
#pragma GCC unroll 8
        for (int j = 0; j < COLUMNS; ++j) bs[j] = held(load(right + j * b.column));
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
            Vec factor = held(load(left + i * a.row));
#pragma GCC unroll 8
            for (int j = 0; j < COLUMNS; ++j) sums[i][j] += factor * bs[j];
        }
        left += a.column;
        right += b.row;
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < COLUMNS; ++j) store(c.at(row + i, column + j), sums[i][j]);
}

// C[m, n] = A[m, k] B[k, n], for LANES rows.
inline void rowwise_multiply(int64_t m, int64_t n, int64_t k, RowwiseMatrix a, RowwiseMatrix b,
                             RowwiseMatrix c) {
    constexpr int SIDE = MANY_REGISTERS ? 4 : 2;
    for (int64_t i = 0; i < m;) {
        const bool is_tall = i + SIDE <= m;
        for (int64_t j = 0; j < n;) {
            const bool is_whole = is_tall && j + SIDE <= n;
            if (is_whole)
                rowwise_tile<SIDE, SIDE>(k, a, b, c, i, j);
            else
                for (int64_t r = i; r < (is_tall ? i + SIDE : i + 1); ++r)
                    rowwise_tile<1, 1>(k, a, b, c, r, j);
            j += is_whole ? SIDE : 1;
        }
        i += is_tall ? SIDE : 1;
    }
}

}  // namespace kernels
