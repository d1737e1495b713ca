// 3x3 convolutions with padding, of images whose pixels lie one after another, channels last:
// [pixel * channel, B]. What lies around an image is left out, and not multiplied by 0.

#pragma once

#include "convolution.hpp"

namespace kernels {

// Which pixel of the input each output sees by each of the 9 elements of a weight [9 * in, out].
class Stencil {
  public:
    struct Tap {
        int32_t element, pixel;
    };
    struct Pair {
        int32_t input, output;
    };

    // `is_turned`: from outputs back to inputs, of a stencil of stride 1.
    Stencil(int64_t height, int64_t width, int64_t stride, bool is_turned) : pairs_(9) {
        const int64_t columns = (width - 1) / stride + 1, sign = is_turned ? -1 : 1;
        num_outputs_ = ((height - 1) / stride + 1) * columns;
        for (int64_t output = 0; output < num_outputs_; ++output) {
            taps_.emplace_back();
            for (int64_t k = 0; k < 9; ++k) {
                const int64_t i = output / columns * stride + sign * (k / 3 - 1);
                const int64_t j = output % columns * stride + sign * (k % 3 - 1);
                if (i < 0 || i >= height || j < 0 || j >= width) continue;
                const int32_t pixel = static_cast<int32_t>(i * width + j);
                taps_.back().push_back({static_cast<int32_t>(k), pixel});
                pairs_[static_cast<size_t>(k)].push_back({pixel, static_cast<int32_t>(output)});
            }
        }
    }

    int64_t num_outputs() const { return num_outputs_; }
    const std::vector<Tap>& taps(int64_t output) const {
        return taps_[static_cast<size_t>(output)];
    }
    const std::vector<Pair>& pairs(int64_t element) const {
        return pairs_[static_cast<size_t>(element)];
    }

  private:
    int64_t num_outputs_;
    std::vector<std::vector<Tap>> taps_;
    std::vector<std::vector<Pair>> pairs_;  // by element
};

// z [pixel * out, B] of h [pixel * in, B]; or added to z.
inline void apply_stencil(const Stencil& stencil, int64_t in, int64_t out, const float* weight,
                          const float* h, float* z, int64_t b, bool adds) {
    for (int64_t output = 0; output < stencil.num_outputs(); ++output) {
        float* to = z + output * out * b;
        over_patches(out, b, [&](auto tall, auto wide, int64_t row, int64_t column) {
            PatchSums<tall, wide> sums([](int) { return 0.0f; });
            for (const Stencil::Tap& tap : stencil.taps(output)) {
                const float* from = h + tap.pixel * in * b + column;
                sums.add(in, weight + tap.element * in * out + row, 1, out,
                         [&](int64_t k) { return from + k * b; });
            }
            sums.each([&](int i, int j, Vec sum) {
                float* at = to + (row + i) * b + column + j * LANES;
                store(at, adds ? load(at) + sum : sum);
            });
        });
    }
}

// The gradient of the weight [9 * in, out] from inputs h and dz.
inline void stencil_gradient(const Stencil& stencil, int64_t in, int64_t out, const float* h,
                             const float* dz, int64_t b, float* weight) {
    for (int64_t k = 0; k < 9; ++k, weight += in * out)
        over_tiles<GRADIENT_ROWS, GRADIENT_COLUMNS>(
            in, out, [&](auto tall, auto wide, int64_t row, int64_t column) {
                GradientTile<tall, wide> tile;
                for (const Stencil::Pair& pair : stencil.pairs(k)) {
                    const float* from = h + (pair.input * in + row) * b;
                    tile.add([&](int i) { return from + i * b; },
                             dz + (pair.output * out + column) * b, b);
                }
                tile.put(weight + row * out + column, out, false);
            });
}

}  // namespace kernels
