// Layer norm over the features of every column of [W, B].

#pragma once

#include "elementary.hpp"

namespace kernels {

constexpr float NORM_EPSILON = 1e-5f;

// What the gradient needs: the columns before scale and shift [W, B], and one over their standard
// deviations [B].
struct Normalized {
    float *x, *inverse;
};

// out = norm(h); they may be the same.
INLINE void normalize(const float* h, float* out, const float* scale, const float* shift,
                      const Normalized& kept, int64_t width, int64_t b) {
    const float share = 1.0f / static_cast<float>(width);
    for (int64_t c = 0; c < b; c += LANES) {
        Vec mean = Vec{}, variance = Vec{};
        for (int64_t f = 0; f < width; ++f) mean += load(h + f * b + c);
        mean *= share;
        for (int64_t f = 0; f < width; ++f) {
            Vec centred = load(h + f * b + c) - mean;
            variance += centred * centred;
        }
        Vec factor = 1.0f / square_root(variance * share + NORM_EPSILON);
        store(kept.inverse + c, factor);
        for (int64_t f = 0; f < width; ++f) {
            Vec x = (load(h + f * b + c) - mean) * factor;
            store(kept.x + f * b + c, x);
            store(out + f * b + c, x * scale[f] + shift[f]);
        }
    }
}

// The gradient through `normalize`: dz [W, B] in place; scale's and shift's own into theirs, or
// added to them.
INLINE void normalize_backward(float* dz, const float* scale, const Normalized& kept,
                               float* dscale, float* dshift, int64_t width, int64_t b, bool adds) {
    const float share = 1.0f / static_cast<float>(width);
    for (int64_t f = 0; f < width; ++f) {
        Vec by_scale = Vec{}, by_shift = Vec{};
        for (int64_t c = 0; c < b; c += LANES) {
            Vec d = load(dz + f * b + c);
            by_scale += d * load(kept.x + f * b + c);
            by_shift += d;
        }
        dscale[f] = sum(by_scale) + (adds ? dscale[f] : 0.0f);
        dshift[f] = sum(by_shift) + (adds ? dshift[f] : 0.0f);
    }
    for (int64_t c = 0; c < b; c += LANES) {
        Vec mean = Vec{}, along = Vec{};
        for (int64_t f = 0; f < width; ++f) {
            Vec d = load(dz + f * b + c) * scale[f];
            mean += d;
            along += d * load(kept.x + f * b + c);
        }
        mean *= share;
        along *= share;
        Vec factor = load(kept.inverse + c);
        for (int64_t f = 0; f < width; ++f) {
            Vec d = load(dz + f * b + c) * scale[f];
            store(dz + f * b + c, (d - mean - load(kept.x + f * b + c) * along) * factor);
        }
    }
}

}  // namespace kernels
