// Elementary functions, to about 1e-7 of 1; NaN stays NaN.

#pragma once

#include <cmath>

#include "vectors.hpp"

namespace kernels {

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
// erfc(u) = Q(t) exp(-u^2), t = 1 / (1 + 0.4 u); Q is our own fit to scipy.special.erfcx on [0, 7],
// to 3e-8 of its value.
struct Normal {
    Vec share, density;
};

INLINE Normal normal(Vec x) {
    Vec size = select(x < 0.0f, -x, x);
    Vec t = 1.0f / (1.0f + size * (0.4f * 0.70710678118654752f));
    Vec density = exponential(-0.5f * x * x);
    Vec q = all(0.0810935178f);
    q = q * t - 0.431119908f;
    q = q * t + 0.768772412f;
    q = q * t - 0.482868076f;
    q = q * t + 0.494556684f;
    q = q * t + 0.097550447f;
    q = q * t + 0.248994604f;
    q = q * t + 0.222874521f;
    q = q * t + 0.000145771314f;
    Vec tail = 0.5f * q * density;
    return {select(x < 0.0f, tail, 1.0f - tail), density};
}

INLINE Vec square_root(Vec x) {
#if defined(__AVX512F__)
    return (Vec)_mm512_sqrt_ps((__m512)x);
#else
    Vec root;
    for (int i = 0; i < LANES; ++i) root[i] = std::sqrt(x[i]);
    return root;
#endif
}

}  // namespace kernels
