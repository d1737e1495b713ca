// Linear layers and their gradients. A weight is [in, out], as models.py has it.

#pragma once

#include <algorithm>

#include "matmul.hpp"
#include "parameters.hpp"
#include "transpose.hpp"

namespace kernels {

// Places of a layer's weight and bias among the parameters.
struct Linear {
    int64_t num_inputs, num_outputs;
    int weight, bias;

    Linear(Parameters& parameters, int64_t num_inputs, int64_t num_outputs)
        : num_inputs(num_inputs),
          num_outputs(num_outputs),
          weight(parameters.add(num_inputs * num_outputs)),
          bias(parameters.add(num_outputs)) {}
};

// Rows of features [W, B] that lie `row` apart.
struct Features {
    float* p;
    int64_t row;
};

// The first `k` outputs z [k, B] of inputs h [in, B].
inline void linear_forward(const Linear& layer, const float* weight, const float* bias, Features h,
                           Features z, int64_t k, int64_t b) {
    multiply({k, b, layer.num_inputs, weight, 1, layer.num_outputs, h.p, h.row, z.p, z.row, bias,
              false});
}

// The gradient of the inputs dh [in, B] from that of the first `k` outputs dz [k, B].
inline void linear_backward(const Linear& layer, const float* weight, Features dz, Features dh,
                            int64_t k, int64_t b) {
    multiply({layer.num_inputs, b, k, weight, layer.num_outputs, 1, dz.p, dz.row, dh.p, dh.row,
              nullptr, false});
}

// The gradients of weights and biases.
class LinearGradient {
  public:
    // Room for layers of up to these sizes.
    LinearGradient(Arena& arena, int64_t num_inputs, int64_t num_outputs, int64_t b)
        : flipped_(arena.take(padded(num_outputs) * b)),
          wide_(arena.take(num_inputs * padded(num_outputs))) {}

    // From inputs h and dz [out, B], which has rows of 0 up to a multiple of PADDING; `num_columns`
    // are not 0.
    void operator()(const Linear& layer, Features h, Features dz, int64_t num_columns, int64_t b,
                    float* weight, float* bias, bool adds) const {
        const int64_t width = layer.num_outputs, wide = padded(width);
        transpose([&](int64_t i) { return dz.p + i * dz.row; }, wide, b, flipped_, wide);
        const bool is_whole = wide == width;
        multiply({layer.num_inputs, wide, num_columns, h.p, h.row, 1, flipped_, wide,
                  is_whole ? weight : wide_, wide, nullptr, is_whole && adds});
        if (!is_whole) unpad(layer, weight, adds);
        for (int64_t f = 0; f < width; ++f) {
            Vec part = Vec{};
            for (int64_t c = 0; c < b; c += LANES) part += load(dz.p + f * dz.row + c);
            bias[f] = sum(part) + (adds ? bias[f] : 0.0f);
        }
    }

  private:
    void unpad(const Linear& layer, float* weight, bool adds) const {
        const int64_t width = layer.num_outputs, wide = padded(width);
        for (int64_t i = 0; i < layer.num_inputs; ++i)
            for (int64_t j = 0; j < width; ++j)
                weight[i * width + j] =
                    wide_[i * wide + j] + (adds ? weight[i * width + j] : 0.0f);
    }

    float *flipped_, *wide_;
};

}  // namespace kernels
