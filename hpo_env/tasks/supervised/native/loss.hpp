// Cross-entropy and squared error, and their gradients: row_losses of objectives.py.

#pragma once

#include "elementary.hpp"

namespace kernels {

enum Objective { CLASSIFICATION, REGRESSION, TOKENS };  // in the order of `kernel_objectives`

struct Losses {
    float sum;  // over the real rows
    int64_t num_right;
};

// Losses of outputs [k, B], which lie `step` apart, in the first `rows` columns. With `slopes`, the
// outputs are replaced by the gradient of the sum, times `share`. A next token is a class.
inline Losses measure(float* outputs, int64_t step, const float* y, int64_t k, int64_t rows,
                      int64_t b, Objective objective, float smoothing, bool slopes, float share) {
    Vec total = Vec{};
    int64_t num_right = 0;
    const float others = smoothing / static_cast<float>(k);
    for (int64_t c = 0; c < b; c += LANES) {
        Int is_real = iota() + static_cast<int32_t>(c) < static_cast<int32_t>(rows);
        Vec wanted = load(y + c);
        float* z = outputs + c;
        if (objective == REGRESSION) {
            Vec error = load(z) - wanted;
            total += select(is_real, error * error, Vec{});
            if (slopes) store(z, select(is_real, error * (2.0f * share), Vec{}));
            continue;
        }
        Vec top = load(z), guess = Vec{}, own = Vec{}, all_outputs = Vec{};
        for (int64_t j = 1; j < k; ++j) {
            Vec value = load(z + j * step);
            Int is_larger = value > top;
            top = select(is_larger, value, top);
            guess = select(is_larger, all(static_cast<float>(j)), guess);
        }
        Vec volume = Vec{};
        for (int64_t j = 0; j < k; ++j) {
            Vec value = load(z + j * step) - top;
            volume += exponential(value);
            all_outputs += value;
            own = select(wanted == static_cast<float>(j), value, own);
        }
        Vec log_volume = logarithm(volume);
        Vec loss = (log_volume - own) * (1.0f - smoothing);
        if (smoothing != 0.0f)
            loss += (log_volume * static_cast<float>(k) - all_outputs) * others;
        total += select(is_real, loss, Vec{});
        Int is_right = (guess == wanted) & is_real;
        for (int i = 0; i < LANES; ++i) num_right -= is_right[i];
        if (!slopes) continue;
        for (int64_t j = 0; j < k; ++j) {
            Vec p = exponential(load(z + j * step) - top - log_volume);
            Vec target = select(wanted == static_cast<float>(j), all(1.0f - smoothing + others),
                                all(others));
            store(z + j * step, select(is_real, (p - target) * share, Vec{}));
        }
    }
    return {sum(total), num_right};
}

}  // namespace kernels
