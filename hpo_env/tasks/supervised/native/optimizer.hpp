// The optimisers' step: optimizers.py's update.

#pragma once

#include "elementary.hpp"
#include "jobs.hpp"

namespace kernels {

enum Rule { SGD, ADAM, RMSPROP };

INLINE Vec one_over_root(Vec square, float epsilon) {
#if defined(__AVX512F__)
    // Two estimates to 14 bits, each doubled by a step of Newton's; below 1e-30 a root is far
    // smaller than epsilon.
    Vec bounded = (Vec)_mm512_max_ps(_mm512_set1_ps(1e-30f), (__m512)square);
    Vec y = (Vec)_mm512_rsqrt14_ps((__m512)bounded);
    y = y * (1.5f - 0.5f * bounded * y * y);
    Vec denominator = bounded * y + epsilon;
    Vec z = (Vec)_mm512_rcp14_ps((__m512)denominator);
    return z * (2.0f - denominator * z);
#else
    return 1.0f / (square_root(square) + epsilon);
#endif
}

template <int RULE>
INLINE void optimize(float* w, float* m, float* s, const float* gradient, float scale,
                     const Settings& c) {
    Vec weight = load(w);
    Vec g = load(gradient) * scale;
    g += weight * c.coupled_decay;
    if constexpr (RULE == SGD) {
        Vec moment = load(m) * c.momentum + g * c.gain;
        store(m, moment);
        store(w, weight * c.shrink - moment * c.rate);
    } else {
        Vec square = load(s) * c.square_decay + g * g * c.square_gain;
        Vec factor = one_over_root(square * c.square_scale, c.epsilon);
        Vec moment = load(m) * c.momentum + (RULE == RMSPROP ? g * factor : g) * c.gain;
        Vec direction = RULE == RMSPROP ? moment : moment * factor;
        store(s, square);
        store(m, moment);
        store(w, weight * c.shrink - direction * c.rate);
    }
}

template <int RULE>
void optimize_all(float* w, float* m, float* s, const float* gradient, int64_t size, float scale,
                  const Settings& c) {
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        optimize<RULE>(w + i, m + i, s + i, gradient + i, scale, c);
    if (i == size) return;
    float tail[4][LANES] = {};
    size_t bytes = static_cast<size_t>(size - i) * 4;
    std::memcpy(tail[0], w + i, bytes);
    std::memcpy(tail[1], m + i, bytes);
    std::memcpy(tail[2], s + i, bytes);
    std::memcpy(tail[3], gradient + i, bytes);
    optimize<RULE>(tail[0], tail[1], tail[2], tail[3], scale, c);
    std::memcpy(w + i, tail[0], bytes);
    std::memcpy(m + i, tail[1], bytes);
    std::memcpy(s + i, tail[2], bytes);
}

// Updates one parameter by the rule that the settings make of it.
inline void optimize_by(const Settings& c, float* w, float* m, float* s, const float* gradient,
                        int64_t size, float scale) {
    if (c.is_rmsprop > 0.5f) return optimize_all<RMSPROP>(w, m, s, gradient, size, scale, c);
    if (c.square_gain > 0.0f) return optimize_all<ADAM>(w, m, s, gradient, size, scale, c);
    optimize_all<SGD>(w, m, s, gradient, size, scale, c);
}

}  // namespace kernels
