// Matrix products whose columns run along the vectors, one scalar of A broadcast at a time.

#pragma once

#include "numbers.hpp"

namespace learners {

// C[M, VECS * LANES] = A[M, K] B[K, .] + bias; A may lie in any order.
struct Left {
    const float* data;
    int64_t row, column;  // steps from row to row, and from column to column
};

template <int ROWS, int VECS>
inline __attribute__((always_inline)) void tile(int64_t k, const float* a, Left shape,
                                                const float* b, float* c, const float* bias) {
    constexpr int64_t WIDTH = VECS * LANES;
    Vec sums[ROWS][VECS];
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECS; ++j) sums[i][j] = bias ? load(bias + j * LANES) : Vec{};
    for (int64_t step = 0; step < k; ++step) {
        Vec row[VECS];
        for (int j = 0; j < VECS; ++j) row[j] = held(load(b + step * WIDTH + j * LANES));
        for (int i = 0; i < ROWS; ++i) {
            float factor = a[i * shape.row + step * shape.column];
            for (int j = 0; j < VECS; ++j) sums[i][j] += factor * row[j];
        }
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECS; ++j) store(c + i * WIDTH + j * LANES, sums[i][j]);
}

template <int ROWS, int VECS>
inline __attribute__((always_inline)) void rows_of(int64_t first, int64_t k, Left a, const float* b,
                                                   float* c, const float* bias) {
    tile<ROWS, VECS>(k, a.data + first * a.row, a, b, c + first * VECS * LANES, bias);
}

template <int VECS>
void multiply(int64_t m, int64_t k, Left a, const float* b, float* c, const float* bias) {
    constexpr int ROWS = VECS >= 4 ? 6 : 8;  // as many sums as registers hold, and measured
    int64_t i = 0;
    for (; i + ROWS <= m; i += ROWS) rows_of<ROWS, VECS>(i, k, a, b, c, bias);
    for (; i + 4 <= m; i += 4) rows_of<4, VECS>(i, k, a, b, c, bias);
    for (; i < m; ++i) rows_of<1, VECS>(i, k, a, b, c, bias);
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
