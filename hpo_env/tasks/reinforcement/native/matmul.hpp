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
        for (int j = 0; j < VECS; ++j) row[j] = load(b + step * WIDTH + j * LANES);
        for (int i = 0; i < ROWS; ++i) {
            float factor = a[i * shape.row + step * shape.column];
            for (int j = 0; j < VECS; ++j) sums[i][j] += factor * row[j];
        }
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECS; ++j) store(c + i * WIDTH + j * LANES, sums[i][j]);
}

template <int VECS>
void multiply(int64_t m, int64_t k, Left a, const float* b, float* c, const float* bias) {
    constexpr int ROWS = VECS >= 4 ? 6 : 8;  // as many sums as registers hold, and measured
    constexpr int64_t WIDTH = VECS * LANES;
    int64_t i = 0;
    for (; i + ROWS <= m; i += ROWS)
        tile<ROWS, VECS>(k, a.data + i * a.row, a, b, c + i * WIDTH, bias);
    for (; i < m; ++i) tile<1, VECS>(k, a.data + i * a.row, a, b, c + i * WIDTH, bias);
}

// sums[width] = the sum of the rows of x[rows, width]
inline void add_up(const float* x, int64_t rows, int64_t width, float* sums) {
    std::memset(sums, 0, sizeof(float) * width);
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < width; ++j) sums[j] += x[i * width + j];
}

}  // namespace learners
