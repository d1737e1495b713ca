// Two convolutions and a linear read-out: models.py's CNN.

#pragma once

#include <optional>

#include "activations.hpp"
#include "convolution.hpp"
#include "linear.hpp"
#include "rows.hpp"

namespace kernels {

class CNN {
  public:
    using Rows = NumberRows;
    static constexpr int64_t BLOCK = 64;  // rows at a time: all that is kept of them fills a cache

    struct Sizes {
        int64_t height, width, stride, first, second;
    };

    CNN(const Model& model, Arena& arena, int64_t b, bool is_training)
        : sizes_(*reinterpret_cast<const Sizes*>(model.sizes)),
          first_(first_layer()),
          second_(second_layer()),
          read_out_(parameters_, second_.num_positions * sizes_.second, model.num_outputs),
          gradient_(arena, is_training ? read_out_.num_inputs : 0, read_out_.num_outputs, b) {
        const int64_t sizes[] = {first_.num_positions * sizes_.first * b,
                                 second_.num_positions * sizes_.second * b};
        x_ = arena.take((sizes_.height * sizes_.width + 1) * b);
        outputs_ = arena.take(padded(model.num_outputs) * b);
        for (int i = 0; i < 2; ++i) {
            h_[i] = arena.take(sizes[i]);
            slopes_[i] = is_training ? arena.take(sizes[i]) : nullptr;
            dz_[i] = is_training ? arena.take(sizes[i]) : nullptr;
        }
    }

    const Parameters& parameters() const { return parameters_; }
    float* inputs() const { return x_; }
    float* outputs() const { return outputs_; }
    int64_t outputs_per_row() const { return 1; }

    void forward(const Weights& w, const Pass& pass) const {
        const int64_t b = pass.b;
        // What lies around the image; where it begins depends on b.
        std::memset(x_ + sizes_.height * sizes_.width * b, 0, static_cast<size_t>(b) * 4);
        convolve(first_, w[first_.weight], w[first_.bias], x_, h_[0], b);
        rectify(first_, pass, 0);
        convolve(second_, w[second_.weight], w[second_.bias], h_[0], h_[1], b);
        rectify(second_, pass, 1);
        linear_forward(read_out_, w[read_out_.weight], w[read_out_.bias], {h_[1], b}, {outputs_, b},
                       pass.num_outputs, b);
    }

    // Gradients of all parameters from that of the outputs, which lies in their place.
    void backward(const Weights& w, const Pass& pass, const Weights& gradients, bool adds) const {
        const int64_t b = pass.b;
        gradient_(read_out_, {h_[1], b}, {outputs_, b}, pass.rows, b, gradients[read_out_.weight],
                  gradients[read_out_.bias], adds);
        linear_backward(read_out_, w[read_out_.weight], {outputs_, b}, {dz_[1], b},
                        pass.num_outputs, b);
        through_rectifier(second_, 1, b);
        convolution_gradient(second_, h_[0], dz_[1], b, gradients[second_.weight],
                             gradients[second_.bias], adds);
        convolve_backward(second_, w[second_.weight], dz_[1], dz_[0], b);
        through_rectifier(first_, 0, b);
        convolution_gradient(first_, x_, dz_[0], b, gradients[first_.weight],
                             gradients[first_.bias], adds);
    }

  private:
    // 3x3 with a border of 0, which is a row of its own behind those of the image.
    Convolution first_layer() {
        const int64_t height = first_height(), width = first_width();
        const int32_t border = static_cast<int32_t>(sizes_.height * sizes_.width);
        Convolution layer{height * width, 9, sizes_.first, {}, 0, 0};
        for (int64_t position = 0; position < height * width; ++position)
            for (int64_t k = 0; k < 9; ++k) {
                const int64_t i = position / width * sizes_.stride + k / 3 - 1;
                const int64_t j = position % width * sizes_.stride + k % 3 - 1;
                const bool is_inside =
                    i >= 0 && i < sizes_.height && j >= 0 && j < sizes_.width;
                layer.rows.push_back(is_inside ? static_cast<int32_t>(i * sizes_.width + j)
                                               : border);
            }
        return placed(layer);
    }

    // 2x2 with stride 2.
    Convolution second_layer() {
        const int64_t height = first_height() / 2, width = first_width() / 2;
        Convolution layer{height * width, 4 * sizes_.first, sizes_.second, {}, 0, 0};
        for (int64_t position = 0; position < height * width; ++position)
            for (int64_t k = 0; k < 4; ++k) {
                const int64_t i = position / width * 2 + k / 2, j = position % width * 2 + k % 2;
                for (int64_t channel = 0; channel < sizes_.first; ++channel)
                    layer.rows.push_back(static_cast<int32_t>(
                        (i * first_width() + j) * sizes_.first + channel));
            }
        return placed(layer);
    }

    Convolution placed(Convolution layer) {
        layer.weight = parameters_.add(layer.patch * layer.num_outputs);
        layer.bias = parameters_.add(layer.num_outputs);
        return layer;
    }

    int64_t first_height() const { return (sizes_.height - 1) / sizes_.stride + 1; }
    int64_t first_width() const { return (sizes_.width - 1) / sizes_.stride + 1; }

    void rectify(const Convolution& layer, const Pass& pass, int site) const {
        std::optional<DropoutSite> dropout;
        if (pass.dropout) dropout.emplace(*pass.dropout, static_cast<uint32_t>(site));
        activate_layer<RELU>({h_[site], pass.is_training ? slopes_[site] : nullptr, nullptr,
                              layer.num_positions * layer.num_outputs, pass.b, pass.first_row,
                              dropout ? &*dropout : nullptr});
    }

    void through_rectifier(const Convolution& layer, int site, int64_t b) const {
        const int64_t count = layer.num_positions * layer.num_outputs * b;
        for (int64_t at = 0; at < count; at += LANES)
            store(dz_[site] + at, load(dz_[site] + at) * load(slopes_[site] + at));
    }

    Sizes sizes_;
    Parameters parameters_;
    Convolution first_, second_;
    Linear read_out_;
    LinearGradient gradient_;
    float *x_, *outputs_;                // [pixels and the border, B], [K, B]
    float *h_[2], *slopes_[2], *dz_[2];  // of both convolutions [position * channel, B]
};

}  // namespace kernels
