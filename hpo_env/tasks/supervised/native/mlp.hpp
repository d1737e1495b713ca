// Multilayer perceptrons: models.py's MLP.

#pragma once

#include <optional>

#include "activations.hpp"
#include "linear.hpp"
#include "norm.hpp"
#include "rows.hpp"

namespace kernels {

class MLP {
  public:
    using Rows = NumberRows;
    static constexpr int64_t BLOCK = 64;  // rows at a time: they and the weights fill the caches

    struct Sizes {
        int64_t depth, width, activation, is_normalized, is_residual;
    };

    MLP(const Model& model, Arena& arena, int64_t b, bool is_training)
        : sizes_(*reinterpret_cast<const Sizes*>(model.sizes)),
          layers_(add_layers(model)),
          widest_(padded(std::max(sizes_.width, model.num_outputs))),
          gradient_(arena, is_training ? std::max(sizes_.width, model.num_inputs) : 0,
                    is_training ? widest_ : 0, b) {
        const int64_t size = sizes_.width * b;
        h_.push_back(arena.take(padded(model.num_inputs) * b));
        for (int64_t i = 0; i < sizes_.depth; ++i) {
            h_.push_back(arena.take(size));
            slopes_.push_back(is_training ? arena.take(size) : nullptr);
            if (sizes_.is_normalized) normalized_.push_back({arena.take(size), arena.take(b)});
        }
        outputs_ = arena.take(padded(model.num_outputs) * b);
        if (!is_training) return;
        dh_ = arena.take(widest_ * b);
        dz_ = arena.take(widest_ * b);
        through_ = arena.take(sizes_.is_residual ? widest_ * b : 0);
    }

    const Parameters& parameters() const { return parameters_; }
    float* inputs() const { return h_[0]; }
    float* outputs() const { return outputs_; }
    int64_t outputs_per_row() const { return 1; }

    void forward(const Weights& w, const Pass& pass) const {
        const int64_t width = sizes_.width, b = pass.b;
        for (int64_t i = 0; i < sizes_.depth; ++i) {
            const Layer& layer = layers_[i];
            float* out = h_[i + 1];
            linear_forward(layer.linear, w[layer.linear.weight], w[layer.linear.bias], {h_[i], b},
                           {out, b}, width, b);
            if (sizes_.is_normalized)
                normalize(out, out, w[layer.scale], w[layer.shift], normalized_[i], width, b);
            std::optional<DropoutSite> site;
            if (pass.dropout) site.emplace(*pass.dropout, static_cast<uint32_t>(i));
            activate_layer(sizes_.activation,
                           {out, pass.is_training ? slopes_[i] : nullptr,
                            sizes_.is_residual && i ? h_[i] : nullptr, width, b, pass.first_row,
                            site ? &*site : nullptr});
        }
        const Linear& last = layers_.back().linear;
        linear_forward(last, w[last.weight], w[last.bias], {h_.back(), b}, {outputs_, b},
                       pass.num_outputs, b);
    }

    // Gradients of all parameters from that of the outputs, which lies in their place.
    void backward(const Weights& w, const Pass& pass, const Weights& gradients, bool adds) const {
        const int64_t width = sizes_.width, b = pass.b, count = width * b;
        const Linear& last = layers_.back().linear;
        gradient_(last, {h_.back(), b}, {outputs_, b}, pass.rows, b, gradients[last.weight],
                  gradients[last.bias], adds);
        linear_backward(last, w[last.weight], {outputs_, b}, {dh_, b}, pass.num_outputs, b);
        for (int64_t i = sizes_.depth - 1; i >= 0; --i) {
            const Layer& layer = layers_[i];
            for (int64_t at = 0; at < count; at += LANES)
                store(dz_ + at, load(dh_ + at) * load(slopes_[i] + at));
            if (sizes_.is_normalized)
                normalize_backward(dz_, w[layer.scale], normalized_[i], gradients[layer.scale],
                                   gradients[layer.shift], width, b, adds);
            gradient_(layer.linear, {h_[i], b}, {dz_, b}, pass.rows, b,
                      gradients[layer.linear.weight], gradients[layer.linear.bias], adds);
            if (i == 0) break;
            float* through = sizes_.is_residual ? through_ : dh_;
            linear_backward(layer.linear, w[layer.linear.weight], {dz_, b}, {through, b}, width, b);
            if (sizes_.is_residual)
                for (int64_t at = 0; at < count; at += LANES)
                    store(dh_ + at, load(dh_ + at) + load(through + at));
        }
    }

  private:
    struct Layer {
        Linear linear;
        int scale, shift;
    };

    std::vector<Layer> add_layers(const Model& model) {
        std::vector<Layer> layers;
        for (int64_t i = 0; i < sizes_.depth; ++i) {
            Layer layer{{parameters_, i ? sizes_.width : model.num_inputs, sizes_.width}, 0, 0};
            if (sizes_.is_normalized) {
                layer.scale = parameters_.add(sizes_.width);
                layer.shift = parameters_.add(sizes_.width);
            }
            layers.push_back(layer);
        }
        layers.push_back({{parameters_, sizes_.width, model.num_outputs}, 0, 0});
        return layers;
    }

    Sizes sizes_;
    Parameters parameters_;
    std::vector<Layer> layers_;  // hidden ones, then the output layer
    int64_t widest_;
    LinearGradient gradient_;
    std::vector<float*> h_;       // inputs of every layer [W, B]; the first are the minibatch
    std::vector<float*> slopes_;  // of what follows each hidden layer's product, [W, B]
    std::vector<Normalized> normalized_;
    float *outputs_, *dh_ = nullptr, *dz_ = nullptr, *through_ = nullptr;
};

}  // namespace kernels
