// Batch norm over the rows and pixels of every channel of [pixel * channel, B]: batch_norm.py.

#pragma once

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

// The pixels and rows of a channel, of which the first `rows` are real.
class ChannelRows {
  public:
    ChannelRows(const BatchNorm& norm, int64_t rows, int64_t b)
        : norm_(norm), rows_(rows), b_(b) {}

    float count() const { return static_cast<float>(norm_.pixels * rows_); }

    // Calls work(place, mask) for LANES rows at a time of every pixel.
    template <class Work>
    INLINE void each(int64_t channel, Work work) const {
        for (int64_t c = 0; c < b_; c += LANES) {
            const Int is_real = iota() + static_cast<int32_t>(c) < static_cast<int32_t>(rows_);
            for (int64_t pixel = 0; pixel < norm_.pixels; ++pixel)
                work((pixel * norm_.channels + channel) * b_ + c, is_real);
        }
    }

  private:
    const BatchNorm& norm_;
    int64_t rows_, b_;
};

// z = norm(z), by the minibatch; x [pixel * channel, B] are the channels before scale and shift, and
// inverse [C] one over their standard deviations. The running averages follow.
inline void batch_normalize(const BatchNorm& norm, const Weights& w, float* z, float* x,
                            float* inverse, int64_t rows, int64_t b) {
    const ChannelRows all_rows(norm, rows, b);
    const float count = all_rows.count();
    for (int64_t channel = 0; channel < norm.channels; ++channel) {
        Vec total = Vec{}, squares = Vec{};
        all_rows.each(channel, [&](int64_t at, Int is_real) {
            total += select(is_real, load(z + at), Vec{});
        });
        const float mean = sum(total) / count;
        all_rows.each(channel, [&](int64_t at, Int is_real) {
            Vec centred = select(is_real, load(z + at) - mean, Vec{});
            squares += centred * centred;
        });
        const float square = sum(squares), factor = 1.0f / std::sqrt(square / count + NORM_EPSILON);
        inverse[channel] = factor;
        float &average = w[norm.mean][channel], &spread = w[norm.variance][channel];
        average += AVERAGE_STEP * (mean - average);
        spread += AVERAGE_STEP * (square / (count - 1.0f) - spread);
        const float scale = w[norm.scale][channel], shift = w[norm.shift][channel];
        all_rows.each(channel, [&](int64_t at, Int) {
            Vec value = (load(z + at) - mean) * factor;
            store(x + at, value);
            store(z + at, value * scale + shift);
        });
    }
}

// z = norm(z), by the running averages.
inline void normalize_by_averages(const BatchNorm& norm, const Weights& w, float* z, int64_t b) {
    const ChannelRows all_rows(norm, b, b);
    for (int64_t channel = 0; channel < norm.channels; ++channel) {
        const float mean = w[norm.mean][channel], shift = w[norm.shift][channel];
        const float factor = w[norm.scale][channel] /
                             std::sqrt(w[norm.variance][channel] + NORM_EPSILON);
        all_rows.each(channel, [&](int64_t at, Int) {
            store(z + at, (load(z + at) - mean) * factor + shift);
        });
    }
}

// The gradient through `batch_normalize`: dz in place, 0 in rows that are not there; scale's and
// shift's own into theirs.
inline void batch_normalize_backward(const BatchNorm& norm, const Weights& w, float* dz,
                                     const float* x, const float* inverse, int64_t rows, int64_t b,
                                     const Weights& gradients) {
    const ChannelRows all_rows(norm, rows, b);
    const float share = 1.0f / all_rows.count();
    for (int64_t channel = 0; channel < norm.channels; ++channel) {
        Vec by_scale = Vec{}, by_shift = Vec{};
        all_rows.each(channel, [&](int64_t at, Int is_real) {
            Vec d = select(is_real, load(dz + at), Vec{});
            by_scale += d * load(x + at);
            by_shift += d;
        });
        const float along = sum(by_scale), total = sum(by_shift);
        gradients[norm.scale][channel] = along;
        gradients[norm.shift][channel] = total;
        const float factor = w[norm.scale][channel] * inverse[channel];
        all_rows.each(channel, [&](int64_t at, Int is_real) {
            Vec d = load(dz + at) - total * share - load(x + at) * (along * share);
            store(dz + at, select(is_real, d * factor, Vec{}));
        });
    }
}

}  // namespace kernels
