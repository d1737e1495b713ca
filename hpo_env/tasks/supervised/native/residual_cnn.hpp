// Convolutions with batch norms, residual blocks of two, and the mean of all pixels:
// residual_cnn.py.

#pragma once

#include <optional>

#include "batch_norm.hpp"
#include "dropout.hpp"
#include "linear.hpp"
#include "rows.hpp"
#include "stencil.hpp"

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
          first_(sizes_.height, sizes_.width, sizes_.stride, false),
          others_(height_, width_, 1, false),
          turned_(height_, width_, 1, true),
          layers_(add_layers(arena, b, is_training)),
          read_out_(parameters_, channels_, model.num_outputs),
          gradient_(arena, is_training ? channels_ : 0, read_out_.num_outputs, b) {
        x_ = arena.take(sizes_.height * sizes_.width * b);
        outputs_ = arena.take(padded(model.num_outputs) * b);
        pooled_ = arena.take(channels_ * b);
        if (!is_training) return;
        factors_ = arena.take(channels_ * b);
        flipped_ = arena.take(9 * channels_ * channels_);
        dpooled_ = arena.take(padded(channels_) * b);
        dh_ = arena.take(image_size(b));
        dz_ = arena.take(image_size(b));
        spare_ = arena.take(image_size(b));
    }

    const Parameters& parameters() const { return parameters_; }
    float* inputs() const { return x_; }
    float* outputs() const { return outputs_; }
    int64_t outputs_per_row() const { return 1; }

    void forward(const Weights& w, const Pass& pass) const {
        const int64_t b = pass.b;
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
            differentiate(layers_[i], w, pass, layers_[i - 1].h, dh_, gradients);
            turn(w[layers_[i].weight], b, false);
            differentiate(layers_[i - 1], w, pass, layers_[i - 2].h, dz_, gradients);
            turn(w[layers_[i - 1].weight], b, true);
        }
        differentiate(layers_[0], w, pass, x_, dh_, gradients);
    }

  private:
    struct Layer {
        const Stencil* stencil;
        int64_t num_inputs;
        int weight;
        BatchNorm norm;
        float* h;            // what goes on
        float *x, *inverse;  // see batch_normalize
    };

    int64_t image_size(int64_t b) const { return pixels_ * channels_ * b; }

    std::vector<Layer> add_layers(Arena& arena, int64_t b, bool is_training) {
        std::vector<Layer> layers;
        for (int64_t i = 0; i <= 2 * sizes_.num_blocks; ++i) {
            const int64_t num_inputs = i ? channels_ : 1;
            const int weight = parameters_.add(9 * num_inputs * channels_);
            const BatchNorm norm(parameters_, pixels_, channels_);
            layers.push_back({i ? &others_ : &first_, num_inputs, weight, norm,
                              arena.take(image_size(b)),
                              is_training ? arena.take(image_size(b)) : nullptr,
                              is_training ? arena.take(channels_) : nullptr});
        }
        return layers;
    }

    // layer.h = rectifier(norm(convolution(from)) + before); `before` may be null.
    void through(const Layer& layer, const Weights& w, const Pass& pass, const float* from,
                 const float* before) const {
        const int64_t b = pass.b;
        float* h = layer.h;
        apply_stencil(*layer.stencil, layer.num_inputs, channels_, w[layer.weight], from, h, b,
                      false);
        if (pass.is_training)
            batch_normalize(layer.norm, w, before, h, layer.x, layer.inverse, pass.rows, b);
        else
            normalize_by_averages(layer.norm, w, before, h, b);
    }

    // Gradients of a layer's own weights from dh, that of what it gives; dz becomes that of what its
    // convolution gives.
    void differentiate(const Layer& layer, const Weights& w, const Pass& pass, const float* from,
                       float* dh, const Weights& gradients) const {
        batch_normalize_backward(layer.norm, w, layer.h, layer.x, layer.inverse, dh, dz_, pass.rows,
                                 pass.b, gradients);
        stencil_gradient(*layer.stencil, layer.num_inputs, channels_, from, dz_, pass.b,
                         gradients[layer.weight]);
    }

    // The gradient of a convolution's inputs from dz: into dz itself, or added to dh.
    void turn(const float* weight, int64_t b, bool adds) const {
        const int64_t c = channels_;
        for (int64_t k = 0; k < 9; ++k)
            for (int64_t in = 0; in < c; ++in)
                for (int64_t out = 0; out < c; ++out)
                    flipped_[(k * c + out) * c + in] = weight[(k * c + in) * c + out];
        apply_stencil(turned_, c, c, flipped_, dz_, adds ? dh_ : spare_, b, adds);
        if (!adds) std::swap(dz_, spare_);
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
    Stencil first_, others_, turned_;
    std::vector<Layer> layers_;
    Linear read_out_;
    LinearGradient gradient_;
    float *x_, *outputs_, *pooled_;  // [pixels, B], [K, B], [C, B]
    float *factors_ = nullptr, *flipped_ = nullptr, *dpooled_ = nullptr, *dh_ = nullptr;
    mutable float *dz_ = nullptr, *spare_ = nullptr;  // they change places
};

}  // namespace kernels
