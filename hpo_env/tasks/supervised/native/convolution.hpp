// Convolutions of images whose pixels lie one after another, channels last: [pixel * channel, B].
//
// Which rows of the input a patch consists of stands in a table, so that borders and strides cost
// nothing here. A weight is [patch, out], as models.py has it.

#pragma once

#include <algorithm>
#include <type_traits>

#include "parameters.hpp"
#include "transpose.hpp"

namespace kernels {

struct Convolution {
    int64_t num_positions, patch, num_outputs;
    std::vector<int32_t> rows;  // [position, patch]: rows of the input
    int weight, bias;

    const int32_t* rows_at(int64_t position) const { return rows.data() + position * patch; }
};

constexpr int PATCH_ROWS = MANY_REGISTERS ? 8 : 4, PATCH_VECS = 2;  // of a tile

// Calls work(rows, columns, first row, first column), the first two as types, for tiles that cover
// [height, width].
template <int ROWS, int COLUMNS, class Work>
INLINE void over_tiles(int64_t height, int64_t width, Work work) {
    using std::integral_constant;
    for (int64_t j = 0; j < width;) {
        const bool is_wide = j + COLUMNS <= width;
        for (int64_t i = 0; i < height;) {
            const bool is_tall = i + ROWS <= height;
            if (is_tall && is_wide)
                work(integral_constant<int, ROWS>{}, integral_constant<int, COLUMNS>{}, i, j);
            else if (is_tall)
                work(integral_constant<int, ROWS>{}, integral_constant<int, 1>{}, i, j);
            else if (is_wide)
                work(integral_constant<int, 1>{}, integral_constant<int, COLUMNS>{}, i, j);
            else
                work(integral_constant<int, 1>{}, integral_constant<int, 1>{}, i, j);
            i += is_tall ? ROWS : 1;
        }
        j += is_wide ? COLUMNS : 1;
    }
}

// Calls work(rows, vectors, first row, first column) for tiles that cover [height, B].
template <class Work>
INLINE void over_patches(int64_t height, int64_t b, Work work) {
    over_tiles<PATCH_ROWS, PATCH_VECS>(
        height, b / LANES, [&](auto tall, auto wide, int64_t row, int64_t vector) {
            work(tall, wide, row, vector * LANES);
        });
}

// Sums of a tile that is a few vectors wide.
template <int ROWS, int VECS>
struct PatchSums {
    Vec sums[ROWS][VECS];

    // All of a row are start(row).
    template <class Start>
    INLINE explicit PatchSums(Start start) {
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < VECS; ++j) sums[i][j] = all(start(i));
    }

    // sums[i] += sum over k < depth of factors[i * factor_row + k * factor_column] * row(k)
    template <class Row>
    INLINE void add(int64_t depth, const float* factors, int64_t factor_row, int64_t factor_column,
                    Row row) {
        for (int64_t k = 0; k < depth; ++k) {
            const float* from = row(k);
            Vec values[VECS];
#pragma GCC unroll 4
            for (int j = 0; j < VECS; ++j) values[j] = held(load(from + j * LANES));
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; ++i) {
                Vec factor = all(factors[i * factor_row]);
#pragma GCC unroll 4
                for (int j = 0; j < VECS; ++j) sums[i][j] += factor * values[j];
            }
            factors += factor_column;
        }
    }

    // Calls put(row, vector, sum).
    template <class Put>
    INLINE void each(Put put) const {
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < VECS; ++j) put(i, j, sums[i][j]);
    }
};

// z [position * out, B] of inputs h.
inline void convolve(const Convolution& layer, const float* weight, const float* bias,
                     const float* h, float* z, int64_t b) {
    for (int64_t position = 0; position < layer.num_positions; ++position) {
        const int32_t* rows = layer.rows_at(position);
        float* to = z + position * layer.num_outputs * b;
        over_patches(layer.num_outputs, b, [&](auto tall, auto wide, int64_t row, int64_t column) {
            PatchSums<tall, wide> sums([&](int i) { return bias[row + i]; });
            sums.add(layer.patch, weight + row, 1, layer.num_outputs,
                     [&](int64_t k) { return h + rows[k] * b + column; });
            sums.each([&](int i, int j, Vec sum) {
                store(to + (row + i) * b + column + j * LANES, sum);
            });
        });
    }
}

// The gradient of the inputs, where every one of them lies in one patch.
inline void convolve_backward(const Convolution& layer, const float* weight, const float* dz,
                              float* dh, int64_t b) {
    for (int64_t position = 0; position < layer.num_positions; ++position) {
        const int32_t* rows = layer.rows_at(position);
        const float* from = dz + position * layer.num_outputs * b;
        over_patches(layer.patch, b, [&](auto tall, auto wide, int64_t row, int64_t column) {
            PatchSums<tall, wide> sums([](int) { return 0.0f; });
            sums.add(layer.num_outputs, weight + row * layer.num_outputs, layer.num_outputs, 1,
                     [&](int64_t k) { return from + k * b + column; });
            sums.each([&](int i, int j, Vec sum) {
                store(dh + rows[row + i] * b + column + j * LANES, sum);
            });
        });
    }
}

// A tile of a weight's gradient: products along the minibatch, whose vectors are summed at the end.
template <int ROWS, int COLUMNS>
class GradientTile {
  public:
    // Adds the products of `count` LANES of inputs h(i) and gradients dz, each in rows `b` apart.
    template <class Input>
    INLINE void add(Input h, const float* dz, int64_t b) {
        for (int64_t c = 0; c < b; c += LANES) {
            Vec values[ROWS];
#pragma GCC unroll 4
            for (int i = 0; i < ROWS; ++i) values[i] = held(load(h(i) + c));
#pragma GCC unroll 4
            for (int j = 0; j < COLUMNS; ++j) {
                Vec d = held(load(dz + j * b + c));
#pragma GCC unroll 4
                for (int i = 0; i < ROWS; ++i) sums_[i * COLUMNS + j] += values[i] * d;
            }
        }
    }

    // Writes the sums to weight [row, column], whose rows are `width` long.
    void put(float* weight, int64_t width, bool adds) {
        for (int first = 0; first < ROWS * COLUMNS; first += LANES) {
            float each[LANES];
            sum_each(sums_ + first);
            store(each, sums_[first]);
            for (int k = first; k < std::min(first + LANES, ROWS * COLUMNS); ++k) {
                float* at = weight + k / COLUMNS * width + k % COLUMNS;
                *at = each[k - first] + (adds ? *at : 0.0f);
            }
        }
    }

  private:
    Vec sums_[(ROWS * COLUMNS + LANES - 1) / LANES * LANES] = {};
};

constexpr int GRADIENT_ROWS = MANY_REGISTERS ? 4 : 2, GRADIENT_COLUMNS = 4;

// The gradients of weight and bias.
inline void convolution_gradient(const Convolution& layer, const float* h, const float* dz,
                                 int64_t b, float* weight, float* bias, bool adds) {
    over_tiles<GRADIENT_ROWS, GRADIENT_COLUMNS>(
        layer.patch, layer.num_outputs, [&](auto tall, auto wide, int64_t row, int64_t column) {
            GradientTile<tall, wide> tile;
            for (int64_t position = 0; position < layer.num_positions; ++position) {
                const int32_t* rows = layer.rows_at(position) + row;
                tile.add([&](int i) { return h + rows[i] * b; },
                         dz + (position * layer.num_outputs + column) * b, b);
            }
            tile.put(weight + row * layer.num_outputs + column, layer.num_outputs, adds);
        });
    for (int64_t o = 0; o < layer.num_outputs; ++o) {
        Vec part = Vec{};
        for (int64_t position = 0; position < layer.num_positions; ++position)
            for (int64_t c = 0; c < b; c += LANES)
                part += load(dz + (position * layer.num_outputs + o) * b + c);
        bias[o] = sum(part) + (adds ? bias[o] : 0.0f);
    }
}

}  // namespace kernels
