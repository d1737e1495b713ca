// Batch norm over the rows and pixels of every channel of [pixel * channel, B]: batch_norm.py.

#pragma once

#include <type_traits>

#include "elementary.hpp"
#include "norm.hpp"
#include "parameters.hpp"

namespace kernels {

constexpr float AVERAGE_STEP = 0.1f;

// Places of a norm's weights among the parameters.
struct BatchNorm {
    int64_t pixels, channels;
    int scale, shift, mean, variance;

    BatchNorm(Parameters& parameters, int64_t pixels, int64_t channels)
        : pixels(pixels),
          channels(channels),
          scale(parameters.add(channels)),
          shift(parameters.add(channels)),
          mean(parameters.add_average(channels)),
          variance(parameters.add_average(channels)) {}
};

// The pixels and rows of channels, of which the first `rows` are real. What is done to a channel goes
// along a chain of sums; a few of them are done at a time, so that none waits for itself.
class ChannelRows {
  public:
    static constexpr int TOGETHER = 4;

    ChannelRows(const BatchNorm& norm, int64_t rows, int64_t b)
        : norm_(norm), rows_(rows), b_(b) {}

    float count() const { return static_cast<float>(norm_.pixels * rows_); }

    // Calls work(number, first channel), the number of them as a type.
    template <class Work>
    INLINE void channels(Work work) const {
        int64_t channel = 0;
        for (; channel + TOGETHER <= norm_.channels; channel += TOGETHER)
            work(std::integral_constant<int, TOGETHER>{}, channel);
        for (; channel < norm_.channels; ++channel)
            work(std::integral_constant<int, 1>{}, channel);
    }

    // Calls work(number, place, mask) for LANES rows at a time of every pixel of NUMBER channels.
    template <int NUMBER, class Work>
    INLINE void each(int64_t channel, Work work) const {
        const int64_t b = b_, pixels = norm_.pixels, pixel = norm_.channels * b;
        for (int64_t c = 0; c < b; c += LANES) {
            const Int is_real = iota() + static_cast<int32_t>(c) < static_cast<int32_t>(rows_);
            int64_t at = channel * b + c;
            for (int64_t p = 0; p < pixels; ++p, at += pixel)
#pragma GCC unroll 4
                for (int n = 0; n < NUMBER; ++n) work(n, at + n * b, is_real);
        }
    }

  private:
    const BatchNorm& norm_;
    int64_t rows_, b_;
};

INLINE Vec rectified(Vec z) { return select(z <= 0.0f, Vec{}, z); }  // NaN passes

// z = rectifier(norm(z) + before), by the minibatch; x [pixel * channel, B] are the channels before
// scale and shift, and inverse [C] one over their standard deviations. The running averages follow.
// `before` may be null.
inline void batch_normalize(const BatchNorm& norm, const Weights& w, const float* before, float* z,
                            float* x, float* inverse, int64_t rows, int64_t b) {
    const ChannelRows all_rows(norm, rows, b);
    const float count = all_rows.count();
    all_rows.channels([&](auto number, int64_t first) {
        Vec totals[number] = {}, squares[number] = {};
        float means[number], factors[number], scales[number], shifts[number];
        all_rows.template each<number>(first, [&](int n, int64_t at, Int is_real) {
            totals[n] += select(is_real, load(z + at), Vec{});
        });
        for (int n = 0; n < number; ++n) means[n] = sum(totals[n]) / count;
        all_rows.template each<number>(first, [&](int n, int64_t at, Int is_real) {
            Vec centred = select(is_real, load(z + at) - means[n], Vec{});
            squares[n] += centred * centred;
        });
        for (int n = 0; n < number; ++n) {
            const int64_t channel = first + n;
            const float mean = means[n], square = sum(squares[n]);
            factors[n] = inverse[channel] = 1.0f / std::sqrt(square / count + NORM_EPSILON);
            float &average = w[norm.mean][channel], &spread = w[norm.variance][channel];
            average += AVERAGE_STEP * (mean - average);
            spread += AVERAGE_STEP * (square / (count - 1.0f) - spread);
            scales[n] = w[norm.scale][channel];
            shifts[n] = w[norm.shift][channel];
        }
        all_rows.template each<number>(first, [&](int n, int64_t at, Int) {
            Vec value = (load(z + at) - means[n]) * factors[n];
            store(x + at, value);
            Vec out = value * scales[n] + shifts[n];
            if (before) out += load(before + at);
            store(z + at, rectified(out));
        });
    });
}

// z = rectifier(norm(z) + before), by the running averages.
inline void normalize_by_averages(const BatchNorm& norm, const Weights& w, const float* before,
                                  float* z, int64_t b) {
    const ChannelRows all_rows(norm, b, b);
    all_rows.channels([&](auto number, int64_t first) {
        float means[number], factors[number], shifts[number];
        for (int n = 0; n < number; ++n) {
            means[n] = w[norm.mean][first + n];
            factors[n] = w[norm.scale][first + n] /
                         std::sqrt(w[norm.variance][first + n] + NORM_EPSILON);
            shifts[n] = w[norm.shift][first + n];
        }
        all_rows.template each<number>(first, [&](int n, int64_t at, Int) {
            Vec out = (load(z + at) - means[n]) * factors[n] + shifts[n];
            if (before) out += load(before + at);
            store(z + at, rectified(out));
        });
    });
}

// The gradient through `batch_normalize`, which gave h: from dh to dz, which is 0 in rows that are not
// there; dh becomes that of what went into the rectifier. They may be the same. Scale's and shift's
// own gradients go into theirs.
inline void batch_normalize_backward(const BatchNorm& norm, const Weights& w, const float* h,
                                     const float* x, const float* inverse, float* dh, float* dz,
                                     int64_t rows, int64_t b, const Weights& gradients) {
    const ChannelRows all_rows(norm, rows, b);
    const float share = 1.0f / all_rows.count();
    all_rows.channels([&](auto number, int64_t first) {
        Vec by_scale[number] = {}, by_shift[number] = {};
        float along[number], totals[number], factors[number];
        all_rows.template each<number>(first, [&](int n, int64_t at, Int is_real) {
            Vec through = select(load(h + at) > 0.0f, load(dh + at), Vec{});
            store(dh + at, through);
            Vec d = select(is_real, through, Vec{});
            by_scale[n] += d * load(x + at);
            by_shift[n] += d;
        });
        for (int n = 0; n < number; ++n) {
            along[n] = gradients[norm.scale][first + n] = sum(by_scale[n]);
            totals[n] = gradients[norm.shift][first + n] = sum(by_shift[n]);
            factors[n] = w[norm.scale][first + n] * inverse[first + n];
        }
        all_rows.template each<number>(first, [&](int n, int64_t at, Int is_real) {
            Vec d = load(dh + at) - totals[n] * share - load(x + at) * (along[n] * share);
            store(dz + at, select(is_real, d * factors[n], Vec{}));
        });
    });
}

}  // namespace kernels
