// Random numbers without state: random_numbers.py, modulo 2^32.

#pragma once

#include "vectors.hpp"

namespace kernels {

template <class T>
INLINE T mix(T x) {
    x = ((x >> 16) ^ x) * 0x119DE1F3u;
    x = ((x >> 16) ^ x) * 0x119DE1F3u;
    return (x >> 16) ^ x;
}

template <class T>
INLINE T combine(T key, T place) {
    return mix<T>(key + place * 0x1E3779B9u);
}

inline float uniform(uint32_t key) { return static_cast<float>(key >> 8) * 0x1p-24f; }

constexpr uint32_t ORDER = 1, DROPOUT = 2, WINDOWS = 3;  // purposes

inline uint32_t dropout_key(uint32_t seed, uint32_t update) {
    return combine(combine(mix(seed), DROPOUT), update);
}

}  // namespace kernels
