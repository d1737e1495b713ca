// Vectors, a hyperbolic tangent and random numbers.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace learners {

constexpr int LANES = 16;  // floats side by side; the compiler splits them where registers are small
constexpr float PI = 3.14159265358979f;

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef float AnyVec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const AnyVec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<AnyVec*>(p) = v; }

// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random {
    uint64_t& state;

    uint64_t bits() {
        state += 0x9E3779B97F4A7C15ull;
        uint64_t z = state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }
    float uniform() { return (bits() >> 40) * (1.0f / 16777216.0f); }  // [0, 1)
    float uniform(float low, float high) { return low + (high - low) * uniform(); }
    int below(int count) { return (int)(bits() % (uint64_t)count); }
    float normal() {  // Box and Muller
        float size = std::sqrt(-2.0f * std::log(1.0f - uniform()));
        return size * std::cos(2.0f * PI * uniform());
    }
};

// The rational function of Eigen's ptanh (MathFunctionsImpl.h, MPL 2): a few 1e-7 from tanh.
inline float tangent(float x) {
    x = x > 7.9f ? 7.9f : x < -7.9f ? -7.9f : x;  // NaN stays NaN
    float z = x * x;
    float p = -2.76076847742355e-16f;
    p = p * z + 2.00018790482477e-13f;
    p = p * z - 8.60467152213735e-11f;
    p = p * z + 5.12229709037114e-08f;
    p = p * z + 1.48572235717979e-05f;
    p = p * z + 6.37261928875436e-04f;
    p = p * z + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = q * z + 1.18534705686654e-04f;
    q = q * z + 2.26843463243900e-03f;
    q = q * z + 4.89352518554385e-03f;
    return x * p / q;
}

inline void tangents(float* x, int64_t count) {
    for (int64_t i = 0; i < count; ++i) x[i] = tangent(x[i]);
}

}  // namespace learners
