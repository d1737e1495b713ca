// A convolution, residual blocks of two, and the mean of all pixels, with batch norms: residual_cnn.py.

#pragma once

#include <optional>

#include "batch_norm.hpp"
#include "convolution.hpp"
#include "dropout.hpp"
#include "linear.hpp"
#include "rows.hpp"

namespace kernels {

class ResidualCNN {
  public:
    using Rows = NumberRows;
    static constexpr int64_t BLOCK = 256;  // all rows of a minibatch: norms need them at once

    struct Sizes {
        int64_t height, width, stride, channels, num_blocks;
    };

    ResidualCNN(const Model& model, Arena& arena, int64_t b, bool is_training)
        : sizes_(*reinterpret_cast<const Sizes*>(model.sizes)),
          height_((sizes_.height - 1) / sizes_.stride + 1),
          width_((sizes_.width - 1) / sizes_.stride + 1),
          pixels_(height_ * width_),
          channels_(sizes_.channels),
          layers_(add_layers(arena, b, is_training)),
          read_out_(parameters_, channels_, model.num_outputs),
          gradient_(arena, is_training ? channels_ : 0, read_out_.num_outputs, b) {
        x_ = arena.take((sizes_.height * sizes_.width + 1) * b);
        outputs_ = arena.take(padded(model.num_outputs) * b);
        pooled_ = arena.take(channels_ * b);
        no_bias_ = arena.take(channels_);
        if (!is_training) return;
        factors_ = arena.take(channels_ * b);
        flipped_ = arena.take(9 * channels_ * channels_);
        dpooled_ = arena.take(padded(channels_) * b);
        dh_ = arena.take(image_size(b));
        dz_ = arena.take(image_size(b));
        spare_ = arena.take(image_size(b));
        turned_ = over_pixels(channels_, true);
    }

    const Parameters& parameters() const { return parameters_; }
    float* inputs() const { return x_; }
    float* outputs() const { return outputs_; }
    int64_t outputs_per_row() const { return 1; }

    void forward(const Weights& w, const Pass& pass) const {
        const int64_t b = pass.b;
        clear_border(x_, sizes_.height * sizes_.width, b);
        const float* h = x_;
        const float* before = nullptr;
        for (size_t i = 0; i < layers_.size(); ++i) {
            const bool ends_block = i > 0 && i % 2 == 0;
            through(layers_[i], w, pass, h, ends_block ? before : nullptr);
            h = layers_[i].h;
            if (i % 2 == 0) before = h;
        }
        pool(h, pass);
        linear_forward(read_out_, w[read_out_.weight], w[read_out_.bias], {pooled_, b},
                       {outputs_, b}, pass.num_outputs, b);
    }

    // Gradients of all parameters from that of the outputs, which lies in their place.
    void backward(const Weights& w, const Pass& pass, const Weights& gradients, bool) const {
        const int64_t b = pass.b;
        gradient_(read_out_, {pooled_, b}, {outputs_, b}, pass.rows, b,
                  gradients[read_out_.weight], gradients[read_out_.bias], false);
        linear_backward(read_out_, w[read_out_.weight], {outputs_, b}, {dpooled_, b},
                        pass.num_outputs, b);
        unpool(pass);
        for (size_t i = layers_.size() - 1; i > 0; i -= 2) {
            through_rectifier(layers_[i].h, dh_, b);
            std::memcpy(dz_, dh_, static_cast<size_t>(pixels_ * channels_ * b) * 4);
            differentiate(layers_[i], w, pass, layers_[i - 1].h, gradients);
            convolve_turned(w[layers_[i].convolution.weight], b, false);
            through_rectifier(layers_[i - 1].h, dz_, b);
            differentiate(layers_[i - 1], w, pass, layers_[i - 2].h, gradients);
            convolve_turned(w[layers_[i - 1].convolution.weight], b, true);
        }
        through_rectifier(layers_[0].h, dh_, b);
        std::memcpy(dz_, dh_, static_cast<size_t>(pixels_ * channels_ * b) * 4);
        differentiate(layers_[0], w, pass, x_, gradients);
    }

  private:
    struct Layer {
        Convolution convolution;
        BatchNorm norm;
        float* h;               // what goes on, and a border of 0 behind it
        float *x, *inverse;     // see batch_normalize
    };

    int64_t image_size(int64_t b) const { return (pixels_ * channels_ + 1) * b; }

    std::vector<Layer> add_layers(Arena& arena, int64_t b, bool is_training) {
        std::vector<Layer> layers;
        for (int64_t i = 0; i <= 2 * sizes_.num_blocks; ++i) {
            Convolution convolution = i ? over_pixels(channels_, false) : first_layer();
            convolution.weight = parameters_.add(convolution.patch * channels_);
            const BatchNorm norm(parameters_, pixels_, channels_);
            layers.push_back({convolution, norm, arena.take(image_size(b)),
                              is_training ? arena.take(pixels_ * channels_ * b) : nullptr,
                              is_training ? arena.take(channels_) : nullptr});
        }
        return layers;
    }

    // 3x3 over images of one channel, with a border of 0 that is a row behind those of the image.
    Convolution first_layer() const {
        const int32_t border = static_cast<int32_t>(sizes_.height * sizes_.width);
        Convolution layer{pixels_, 9, channels_, {}, 0, 0};
        for (int64_t position = 0; position < pixels_; ++position)
            for (int64_t k = 0; k < 9; ++k) {
                const int64_t i = position / width_ * sizes_.stride + k / 3 - 1;
                const int64_t j = position % width_ * sizes_.stride + k % 3 - 1;
                const bool is_inside = i >= 0 && i < sizes_.height && j >= 0 && j < sizes_.width;
                layer.rows.push_back(is_inside ? static_cast<int32_t>(i * sizes_.width + j)
                                               : border);
            }
        return layer;
    }

    // 3x3 over what a layer leaves. `is_turned`: from outputs back to inputs, tap k of a pixel being
    // the output that has the pixel for its tap k.
    Convolution over_pixels(int64_t channels, bool is_turned) const {
        const int32_t border = static_cast<int32_t>(pixels_ * channels);
        const int64_t sign = is_turned ? -1 : 1;
        Convolution layer{pixels_, 9 * channels, channels, {}, 0, 0};
        for (int64_t position = 0; position < pixels_; ++position)
            for (int64_t k = 0; k < 9; ++k) {
                const int64_t i = position / width_ + sign * (k / 3 - 1);
                const int64_t j = position % width_ + sign * (k % 3 - 1);
                const bool is_inside = i >= 0 && i < height_ && j >= 0 && j < width_;
                for (int64_t channel = 0; channel < channels; ++channel)
                    layer.rows.push_back(
                        is_inside ? static_cast<int32_t>((i * width_ + j) * channels + channel)
                                  : border);
            }
        return layer;
    }

    static void clear_border(float* image, int64_t rows, int64_t b) {
        std::memset(image + rows * b, 0, static_cast<size_t>(b) * 4);
    }

    // layer.h = rectifier(norm(convolution(from)) + before); `before` may be null.
    void through(const Layer& layer, const Weights& w, const Pass& pass, const float* from,
                 const float* before) const {
        const int64_t b = pass.b;
        float* h = layer.h;
        convolve(layer.convolution, w[layer.convolution.weight], no_bias_, from, h, b);
        if (pass.is_training)
            batch_normalize(layer.norm, w, h, layer.x, layer.inverse, pass.rows, b);
        else
            normalize_by_averages(layer.norm, w, h, b);
        for (int64_t at = 0; at < pixels_ * channels_ * b; at += LANES) {
            Vec z = load(h + at);
            if (before) z += load(before + at);
            store(h + at, select(z <= 0.0f, Vec{}, z));  // NaN passes
        }
        clear_border(h, pixels_ * channels_, b);
    }

    void through_rectifier(const float* h, float* d, int64_t b) const {
        for (int64_t at = 0; at < pixels_ * channels_ * b; at += LANES)
            store(d + at, select(load(h + at) > 0.0f, load(d + at), Vec{}));
    }

    // Gradients of a layer's own weights from dz, that of what its norm gives; dz becomes that of what
    // its convolution gives.
    void differentiate(const Layer& layer, const Weights& w, const Pass& pass, const float* from,
                       const Weights& gradients) const {
        batch_normalize_backward(layer.norm, w, dz_, layer.x, layer.inverse, pass.rows, pass.b,
                                 gradients);
        convolution_gradient(layer.convolution, from, dz_, pass.b,
                             gradients[layer.convolution.weight], nullptr, false);
    }

    // The gradient of a convolution's inputs from dz: into dz itself, or added to dh.
    void convolve_turned(const float* weight, int64_t b, bool adds) const {
        const int64_t c = channels_;
        for (int64_t k = 0; k < 9; ++k)
            for (int64_t in = 0; in < c; ++in)
                for (int64_t out = 0; out < c; ++out)
                    flipped_[(k * c + out) * c + in] = weight[(k * c + in) * c + out];
        clear_border(dz_, pixels_ * c, b);
        convolve(turned_, flipped_, no_bias_, dz_, spare_, b);
        if (!adds) return std::swap(dz_, spare_);
        for (int64_t at = 0; at < pixels_ * c * b; at += LANES)
            store(dh_ + at, load(dh_ + at) + load(spare_ + at));
    }

    // The mean of all pixels, and dropout.
    void pool(const float* h, const Pass& pass) const {
        const int64_t b = pass.b;
        std::optional<DropoutSite> dropout;
        if (pass.dropout) dropout.emplace(*pass.dropout, 0u);
        const float share = 1.0f / static_cast<float>(pixels_);
        const Bits row = (Bits)iota();
        for (int64_t f = 0; f < channels_; ++f)
            for (int64_t c = 0; c < b; c += LANES) {
                Vec total = Vec{};
                for (int64_t p = 0; p < pixels_; ++p)
                    total += load(h + (p * channels_ + f) * b + c);
                Vec factor = all(share);
                if (dropout) {
                    Bits element = (row + static_cast<uint32_t>(c)) *
                                       static_cast<uint32_t>(channels_) +
                                   static_cast<uint32_t>(f);
                    factor = select(dropout->keeps(element), all(share * dropout->scale()), Vec{});
                }
                store(pooled_ + f * b + c, total * factor);
                if (factors_) store(factors_ + f * b + c, factor);
            }
    }

    void unpool(const Pass& pass) const {
        const int64_t b = pass.b;
        for (int64_t f = 0; f < channels_; ++f)
            for (int64_t c = 0; c < b; c += LANES) {
                Vec d = load(dpooled_ + f * b + c) * load(factors_ + f * b + c);
                for (int64_t p = 0; p < pixels_; ++p)
                    store(dh_ + (p * channels_ + f) * b + c, d);
            }
    }

    Sizes sizes_;
    int64_t height_, width_, pixels_, channels_;
    Parameters parameters_;
    std::vector<Layer> layers_;
    Linear read_out_;
    LinearGradient gradient_;
    float *x_, *outputs_, *pooled_;  // [pixels and the border, B], [K, B], [C, B]
    float* no_bias_;                 // [C], 0
    Convolution turned_;
    float *factors_ = nullptr, *flipped_ = nullptr, *dpooled_ = nullptr, *dh_ = nullptr;
    mutable float *dz_ = nullptr, *spare_ = nullptr;  // they change places
};

}  // namespace kernels
