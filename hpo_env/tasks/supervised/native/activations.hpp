// Activation functions, with their slopes and the dropout that follows them.

#pragma once

#include "dropout.hpp"
#include "elementary.hpp"

namespace kernels {

enum Activation { RELU, TANH, GELU, SILU };  // in the order of `kernel_activations`

template <int ACTIVATION>
INLINE void activate(Vec z, Vec& value, Vec& slope) {
    if constexpr (ACTIVATION == RELU) {
        // Written so that NaN passes, as it does through torch.relu.
        value = select(z <= 0.0f, Vec{}, z);
        slope = select(z > 0.0f, all(1.0f), Vec{});
    } else if constexpr (ACTIVATION == TANH) {
        value = hyperbolic_tangent(z);
        slope = 1.0f - value * value;
    } else if constexpr (ACTIVATION == GELU) {
        Normal n = normal(z);
        value = z * n.share;
        slope = n.share + z * n.density * 0.39894228040143268f;
    } else {
        Vec share = 1.0f / (1.0f + exponential(-z));
        value = z * share;
        slope = share + value * (1.0f - share);
    }
}

// What `activate_layer` works on: `width` features of `b` rows, the first being `first_row` of the
// minibatch. `slopes`, `before` and `dropout` may be null.
struct ActivatedLayer {
    float* h;             // [W, B], replaced
    float* slopes;        // [W, B]
    const float* before;  // [W, B], added
    int64_t width, b, first_row;
    const DropoutSite* dropout;
};

// h = dropout(activation(h)) + before, and the slope of that.
template <int ACTIVATION>
void activate_layer(const ActivatedLayer& layer) {
    const Bits row = (Bits)iota() + static_cast<uint32_t>(layer.first_row);
    const uint32_t width = static_cast<uint32_t>(layer.width);
    for (int64_t f = 0; f < layer.width; ++f) {
        for (int64_t c = 0; c < layer.b; c += LANES) {
            int64_t at = f * layer.b + c;
            Vec value, slope;
            activate<ACTIVATION>(load(layer.h + at), value, slope);
            if (layer.dropout) {
                Bits element =
                    (row + static_cast<uint32_t>(c)) * width + static_cast<uint32_t>(f);
                Int is_kept = layer.dropout->keeps(element);
                value = select(is_kept, value * layer.dropout->scale(), Vec{});
                slope = select(is_kept, slope * layer.dropout->scale(), Vec{});
            }
            if (layer.before) value += load(layer.before + at);
            store(layer.h + at, value);
            if (layer.slopes) store(layer.slopes + at, slope);
        }
    }
}

inline void activate_layer(int64_t activation, const ActivatedLayer& layer) {
    switch (activation) {
        case RELU: return activate_layer<RELU>(layer);
        case TANH: return activate_layer<TANH>(layer);
        case GELU: return activate_layer<GELU>(layer);
        default: return activate_layer<SILU>(layer);
    }
}

}  // namespace kernels
