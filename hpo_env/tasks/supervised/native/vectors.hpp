// Vectors that fill one register, whatever the processor.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace kernels {

// LANES floats fill one register; tiles of the matrix product are chosen for its number of them.
#if defined(__AVX512F__)
constexpr int LANES = 16;
constexpr bool MANY_REGISTERS = true;
#elif defined(__AVX__)
constexpr int LANES = 8;
constexpr bool MANY_REGISTERS = false;
#elif defined(__aarch64__)
constexpr int LANES = 4;
constexpr bool MANY_REGISTERS = true;
#else
constexpr int LANES = 4;
constexpr bool MANY_REGISTERS = false;
#endif

constexpr int PADDING = 16;  // columns of activations come in multiples of it; LANES divides it

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Int __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef float AnyVec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define INLINE inline __attribute__((always_inline))

INLINE Vec load(const float* p) { return *reinterpret_cast<const AnyVec*>(p); }
INLINE void store(float* p, Vec v) { *reinterpret_cast<AnyVec*>(p) = v; }
INLINE Vec all(float x) { return x - Vec{}; }
INLINE Vec select(Int mask, Vec yes, Vec no) { return mask ? yes : no; }
INLINE Vec larger(Vec a, Vec b) { return select(a > b, a, b); }  // b where one is NaN

INLINE Int iota() {
    Int v;
    for (int i = 0; i < LANES; ++i) v[i] = i;
    return v;
}

// The same number, which the compiler keeps in a register: it would else load it again for each use.
INLINE Vec held(Vec x) {
#if defined(__AVX512F__)
    asm("" : "+v"(x));
#elif defined(__x86_64__) || defined(_M_X64)
    asm("" : "+x"(x));
#elif defined(__aarch64__)
    asm("" : "+w"(x));
#endif
    return x;
}

INLINE float sum(Vec v) {
    float part[LANES];
    std::memcpy(part, &v, sizeof v);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; ++i) part[i] += part[i + width];
    return part[0];
}

inline int64_t padded(int64_t n) { return (n + PADDING - 1) / PADDING * PADDING; }

}  // namespace kernels
