// One transformer block over tokens that the inputs are dealt to: attention.py's Attention.

#pragma once

#include "block.hpp"
#include "rows.hpp"

namespace kernels {

class Attention {
  public:
    using Rows = NumberRows;
    static constexpr int64_t BLOCK = 16;  // rows at a time: all that is kept of them fills a cache

    struct Sizes {
        int64_t num_tokens, width, num_heads;
    };

    Attention(const Model& model, Arena& arena, int64_t b, bool is_training)
        : sizes_(block_sizes(*reinterpret_cast<const Sizes*>(model.sizes))),
          t_(sizes_.num_tokens),
          width_(sizes_.width),
          embed_(t_, (model.num_inputs + t_ - 1) / t_, width_, parameters_),
          block_(parameters_, arena, sizes_, b, is_training, 0),
          norm_(parameters_, width_),
          read_out_(parameters_, width_, model.num_outputs),
          gradient_(arena, std::max(2 * width_, embed_.one.num_inputs),
                    std::max(3 * width_, model.num_outputs), t_ * b),
          scratch_(arena, sizes_, b, is_training) {
        const int64_t columns = t_ * b, size = width_ * columns;
        x_ = arena.take(padded(embed_.one.num_inputs * t_) * b);
        outputs_ = arena.take(padded(model.num_outputs) * b);
        pooled_ = arena.take(width_ * b);
        h_ = arena.take(size);
        kept_ = {arena.take(size), arena.take(columns)};
        if (is_training) dh_ = arena.take(padded(width_) * columns);
    }

    const Parameters& parameters() const { return parameters_; }
    float* inputs() const { return x_; }
    float* outputs() const { return outputs_; }
    int64_t outputs_per_row() const { return 1; }

    void forward(const Weights& w, const Pass& pass) const {
        const int64_t b = pass.b, columns = t_ * b;
        embed(w, b);
        block_.forward(w, pass, h_, scratch_);
        normalize(h_, scratch_.branch, w[norm_.scale], w[norm_.shift], kept_, width_, columns);
        pool(b);
        linear_forward(read_out_, w[read_out_.weight], w[read_out_.bias], {pooled_, b},
                       {outputs_, b}, pass.num_outputs, b);
    }

    // Gradients of all parameters from that of the outputs, which lies in their place.
    void backward(const Weights& w, const Pass& pass, const Weights& gradients, bool adds) const {
        const int64_t b = pass.b, columns = t_ * b;
        gradient_(read_out_, {pooled_, b}, {outputs_, b}, pass.rows, b,
                  gradients[read_out_.weight], gradients[read_out_.bias], adds);
        linear_backward(read_out_, w[read_out_.weight], {outputs_, b}, {scratch_.dz, b},
                        pass.num_outputs, b);
        unpool(b);
        through_norm(norm_, w, kept_, dh_, width_, columns, gradients, adds);
        block_.backward(w, pass, dh_, scratch_, gradient_, gradients, adds);
        embed_backward(pass, gradients, adds);
    }

  private:
    // A linear layer for each token: their weights and biases lie side by side in one parameter.
    struct Embedding {
        Parameters own;
        Linear one;  // of any token, but for the places
        int weight, bias;

        Embedding(int64_t num_tokens, int64_t num_inputs, int64_t width, Parameters& parameters)
            : one(own, num_inputs, width),
              weight(parameters.add(num_tokens * num_inputs * width)),
              bias(parameters.add(num_tokens * width)) {}
    };

    static BlockSizes block_sizes(const Sizes& sizes) {
        return {sizes.num_tokens, sizes.width, sizes.num_heads, 2, false};
    }

    // Input d is of token `d % T`: a token's inputs are T rows apart.
    Features token_inputs(int64_t t, int64_t b) const { return {x_ + t * b, t_ * b}; }

    void embed(const Weights& w, int64_t b) const {
        const int64_t size = embed_.one.num_inputs * width_;
        for (int64_t t = 0; t < t_; ++t)
            linear_forward(embed_.one, w[embed_.weight] + t * size, w[embed_.bias] + t * width_,
                           token_inputs(t, b), {h_ + t * b, t_ * b}, width_, b);
    }

    void embed_backward(const Pass& pass, const Weights& gradients, bool adds) const {
        const int64_t b = pass.b, size = embed_.one.num_inputs * width_;
        for (int64_t t = 0; t < t_; ++t)
            gradient_(embed_.one, token_inputs(t, b), {dh_ + t * b, t_ * b}, pass.rows, b,
                      gradients[embed_.weight] + t * size, gradients[embed_.bias] + t * width_,
                      adds);
    }

    // The mean of all tokens.
    void pool(int64_t b) const {
        const float share = 1.0f / static_cast<float>(t_);
        for (int64_t f = 0; f < width_; ++f)
            for (int64_t c = 0; c < b; c += LANES) {
                Vec total = Vec{};
                for (int64_t t = 0; t < t_; ++t)
                    total += load(scratch_.branch + (f * t_ + t) * b + c);
                store(pooled_ + f * b + c, total * share);
            }
    }

    void unpool(int64_t b) const {
        const float share = 1.0f / static_cast<float>(t_);
        for (int64_t f = 0; f < width_; ++f)
            for (int64_t t = 0; t < t_; ++t)
                for (int64_t c = 0; c < b; c += LANES)
                    store(dh_ + (f * t_ + t) * b + c, load(scratch_.dz + f * b + c) * share);
    }

    BlockSizes sizes_;
    int64_t t_, width_;
    Parameters parameters_;
    Embedding embed_;
    Block block_;
    Norm norm_;
    Linear read_out_;
    LinearGradient gradient_;
    BlockScratch scratch_;

    float *x_, *outputs_, *pooled_;  // [D, B], [K, B], [W, B]
    float* h_;                       // the stream
    Normalized kept_;
    float* dh_ = nullptr;
};

}  // namespace kernels
