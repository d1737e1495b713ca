// Convolutions of images whose pixels lie one after another, channels last: [pixel * channel, B].
//
// Which rows of the input a patch consists of stands in a table, so that borders and strides cost
// nothing here. A weight is [patch, out], as models.py has it.

#pragma once

#include <type_traits>

#include "parameters.hpp"

namespace kernels {

struct Convolution {
    int64_t num_positions, patch, num_outputs;
    std::vector<int32_t> rows;  // [position, patch]: rows of the input
    int weight, bias;

    const int32_t* rows_at(int64_t position) const { return rows.data() + position * patch; }
};

constexpr int PATCH_ROWS = MANY_REGISTERS ? 8 : 4;  // of a tile that is 2 vectors wide

// sums[i] = start[i] + sum over k of factors[i * factor_row + k * factor_column] * row(k)
template <int ROWS, int VECS, class Row>
INLINE void patch_sums(Vec (&sums)[ROWS][VECS], int64_t depth, const float* factors,
                       int64_t factor_row, int64_t factor_column, Row row) {
    for (int64_t k = 0; k < depth; ++k) {
        const float* from = row(k);
        Vec values[VECS];
#pragma GCC unroll 4
        for (int j = 0; j < VECS; ++j) values[j] = load(from + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
            Vec factor = all(factors[i * factor_row]);
#pragma GCC unroll 4
            for (int j = 0; j < VECS; ++j) sums[i][j] += factor * values[j];
        }
        factors += factor_column;
    }
}

// Calls work(rows, vectors, first row, first column), the first two as types, for tiles that cover
// [count, B].
template <class Work>
INLINE void over_tiles(int64_t count, int64_t b, Work work) {
    using std::integral_constant;
    for (int64_t c = 0; c < b;) {
        const bool is_wide = c + 2 * LANES <= b;
        for (int64_t i = 0; i < count;) {
            const bool is_tall = i + PATCH_ROWS <= count;
            if (is_tall && is_wide)
                work(integral_constant<int, PATCH_ROWS>{}, integral_constant<int, 2>{}, i, c);
            else if (is_tall)
                work(integral_constant<int, PATCH_ROWS>{}, integral_constant<int, 1>{}, i, c);
            else if (is_wide)
                work(integral_constant<int, 1>{}, integral_constant<int, 2>{}, i, c);
            else
                work(integral_constant<int, 1>{}, integral_constant<int, 1>{}, i, c);
            i += is_tall ? PATCH_ROWS : 1;
        }
        c += is_wide ? 2 * LANES : LANES;
    }
}

// z [position * out, B] of inputs h.
inline void convolve(const Convolution& layer, const float* weight, const float* bias,
                     const float* h, float* z, int64_t b) {
    for (int64_t position = 0; position < layer.num_positions; ++position) {
        const int32_t* rows = layer.rows_at(position);
        float* to = z + position * layer.num_outputs * b;
        over_tiles(layer.num_outputs, b, [&](auto tall, auto wide, int64_t row, int64_t column) {
            Vec sums[tall][wide];
            for (int i = 0; i < tall; ++i)
                for (int j = 0; j < wide; ++j) sums[i][j] = all(bias[row + i]);
            patch_sums(sums, layer.patch, weight + row, 1, layer.num_outputs,
                       [&](int64_t k) { return h + rows[k] * b + column; });
            for (int i = 0; i < tall; ++i)
                for (int j = 0; j < wide; ++j)
                    store(to + (row + i) * b + column + j * LANES, sums[i][j]);
        });
    }
}

// The gradient of the inputs, where every one of them lies in one patch.
inline void convolve_backward(const Convolution& layer, const float* weight, const float* dz,
                              float* dh, int64_t b) {
    for (int64_t position = 0; position < layer.num_positions; ++position) {
        const int32_t* rows = layer.rows_at(position);
        const float* from = dz + position * layer.num_outputs * b;
        over_tiles(layer.patch, b, [&](auto tall, auto wide, int64_t row, int64_t column) {
            Vec sums[tall][wide] = {};
            patch_sums(sums, layer.num_outputs, weight + row * layer.num_outputs,
                       layer.num_outputs, 1, [&](int64_t k) { return from + k * b + column; });
            for (int i = 0; i < tall; ++i)
                for (int j = 0; j < wide; ++j)
                    store(dh + rows[row + i] * b + column + j * LANES, sums[i][j]);
        });
    }
}

// Gradients of weights [row.., column..] in a tile: products along the minibatch, summed at the end.
template <int ROWS, int COLUMNS>
void convolution_gradient_tile(const Convolution& layer, const float* h, const float* dz, int64_t b,
                               int64_t row, int64_t column, float* weight, bool adds) {
    Vec sums[ROWS][COLUMNS] = {};
    for (int64_t position = 0; position < layer.num_positions; ++position) {
        const int32_t* rows = layer.rows_at(position) + row;
        const float* from = dz + (position * layer.num_outputs + column) * b;
        for (int64_t c = 0; c < b; c += LANES) {
            Vec values[ROWS];
#pragma GCC unroll 4
            for (int i = 0; i < ROWS; ++i) values[i] = load(h + rows[i] * b + c);
#pragma GCC unroll 8
            for (int j = 0; j < COLUMNS; ++j) {
                Vec d = load(from + j * b + c);
#pragma GCC unroll 4
                for (int i = 0; i < ROWS; ++i) sums[i][j] += values[i] * d;
            }
        }
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < COLUMNS; ++j) {
            float* at = weight + (row + i) * layer.num_outputs + column + j;
            *at = sum(sums[i][j]) + (adds ? *at : 0.0f);
        }
}

template <int COLUMNS>
void convolution_gradient_columns(const Convolution& layer, const float* h, const float* dz,
                                  int64_t b, int64_t column, float* weight, bool adds) {
    constexpr int ROWS = MANY_REGISTERS ? 3 : 2;
    int64_t row = 0;
    for (; row + ROWS <= layer.patch; row += ROWS)
        convolution_gradient_tile<ROWS, COLUMNS>(layer, h, dz, b, row, column, weight, adds);
    for (; row < layer.patch; ++row)
        convolution_gradient_tile<1, COLUMNS>(layer, h, dz, b, row, column, weight, adds);
}

// The gradients of weight and bias.
inline void convolution_gradient(const Convolution& layer, const float* h, const float* dz,
                                 int64_t b, float* weight, float* bias, bool adds) {
    constexpr int COLUMNS = MANY_REGISTERS ? 8 : 4;
    int64_t column = 0;
    for (; column + COLUMNS <= layer.num_outputs; column += COLUMNS)
        convolution_gradient_columns<COLUMNS>(layer, h, dz, b, column, weight, adds);
    for (; column < layer.num_outputs; ++column)
        convolution_gradient_columns<1>(layer, h, dz, b, column, weight, adds);
    for (int64_t o = 0; o < layer.num_outputs; ++o) {
        Vec part = Vec{};
        for (int64_t position = 0; position < layer.num_positions; ++position)
            for (int64_t c = 0; c < b; c += LANES)
                part += load(dz + (position * layer.num_outputs + o) * b + c);
        bias[o] = sum(part) + (adds ? bias[o] : 0.0f);
    }
}

}  // namespace kernels
