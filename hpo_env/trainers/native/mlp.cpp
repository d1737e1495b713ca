// Trains and evaluates multilayer perceptrons, one lane after another.
//
// A lane runs its whole decision interval before the next one starts, so that its weights and the
// optimiser's state stay in the processor's own caches. The definition is models.py (MLP.apply),
// step.py and optimizers.py; this file repeats their arithmetic for one lane.
//
// Activations lie feature by feature, `[W, B]`: the minibatch runs along the vectors, so that the
// loss, layer norms and matrix products need no special case for any number of features or
// classes. `B` is a minibatch padded to a multiple of 16; what stands in the padding is masked out
// of the loss and thus has no gradient.
//
// Axes: `U` updates, `N` lanes, `D` inputs, `W` width, `K` outputs, `B` minibatch rows.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace {

// --- Vectors ------------------------------------------------------------------------------------

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
constexpr int BLOCK = 64;    // rows that evaluation takes at a time

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

INLINE float sum(Vec v) {
    float part[LANES];
    std::memcpy(part, &v, sizeof v);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; ++i) part[i] += part[i + width];
    return part[0];
}

int64_t padded(int64_t n) { return (n + PADDING - 1) / PADDING * PADDING; }

// --- Elementary functions, to about 1e-7 of 1; NaN stays NaN ------------------------------------

// exp: coefficients of expf in the Cephes library (S. Moshier, netlib.org/cephes).
INLINE Vec exponential(Vec x) {
    x = select(x < -87.0f, all(-87.0f), x);
    x = select(x > 88.0f, all(88.0f), x);
    const Vec magic = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    Vec shifted = x * 1.44269504088896341f + magic;
    Vec n = shifted - magic;
    Vec r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    Vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    Vec y = p * (r * r) + r + 1.0f;
    Int power = ((Int)shifted - 0x4B400000 + 127) << 23;
    return y * (Vec)power;
}

// log for positive numbers: coefficients of logf in Cephes.
INLINE Vec logarithm(Vec x) {
    Int bits = (Int)x;
    Int half = (bits & 0x007FFFFF) | 0x3F000000;
    Vec m = (Vec)half;  // in [0.5, 1)
    Vec e = __builtin_convertvector((bits >> 23) - 126, Vec);
    Int is_low = m < 0.707106781186547524f;
    e = select(is_low, e - 1.0f, e);
    m = select(is_low, m + m, m) - 1.0f;
    Vec z = m * m;
    Vec p = all(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    Vec y = p * m * z + e * -2.12194440e-4f - z * 0.5f;
    y = m + y + e * 0.693359375f;
    return select(x == x, y, x);
}

// tanh: the polynomial of tanhf in Cephes near 0, 1 - 2 / (e^2x + 1) beyond.
INLINE Vec hyperbolic_tangent(Vec x) {
    Vec z = x * x;
    Vec p = all(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    Vec near = p * z * x + x;
    Vec size = select(x < 0.0f, -x, x);
    Vec far = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
    return select(size < 0.625f, near, select(x < 0.0f, -far, far));
}

// The normal distribution function and its density times sqrt(2 pi).
// erfc(u) = Q(t) exp(-u^2), t = 1 / (1 + 0.35 u); Q is fitted to scipy.special.erfcx on [0, 7].
struct Normal {
    Vec share, density;
};

INLINE Normal normal(Vec x) {
    Vec size = select(x < 0.0f, -x, x);
    Vec t = 1.0f / (1.0f + size * (0.35f * 0.70710678118654752f));
    Vec density = exponential(-0.5f * x * x);
    Vec q = all(ERFCX_9);
    q = q * t + ERFCX_8;
    q = q * t + ERFCX_7;
    q = q * t + ERFCX_6;
    q = q * t + ERFCX_5;
    q = q * t + ERFCX_4;
    q = q * t + ERFCX_3;
    q = q * t + ERFCX_2;
    q = q * t + ERFCX_1;
    q = q * t + ERFCX_0;
    Vec tail = 0.5f * q * density;
    return {select(x < 0.0f, tail, 1.0f - tail), density};
}
