// Causal transformer blocks on embeddings of tokens and of their places: language.py's GPT.

#pragma once

#include <deque>

#include "block.hpp"
#include "embedding.hpp"
#include "rows.hpp"

namespace kernels {

class GPT {
  public:
    using Rows = TextWindows;
    static constexpr int64_t BLOCK = 16;  // rows at a time: all that is kept of them fills a cache

    struct Sizes {
        int64_t context, width, num_blocks, num_heads;
    };

    GPT(const Model& model, Arena& arena, int64_t b, bool is_training)
        : sizes_(block_sizes(*reinterpret_cast<const Sizes*>(model.sizes))),
          t_(sizes_.num_tokens),
          width_(sizes_.width),
          embed_(parameters_, arena, model.num_outputs, width_, t_, b, is_training),
          places_(parameters_.add(t_ * width_)),
          blocks_(add_blocks(reinterpret_cast<const Sizes*>(model.sizes)->num_blocks, arena, b,
                             is_training)),
          norm_(parameters_, width_),
          read_out_(parameters_, width_, model.num_outputs),
          gradient_(arena, 4 * width_, std::max(4 * width_, model.num_outputs), t_ * b),
          scratch_(arena, sizes_, b, is_training),
          tokens_(static_cast<size_t>(t_ * b)) {
        const int64_t columns = t_ * b, size = width_ * columns;
        outputs_ = arena.take(padded(model.num_outputs) * columns);
        h_ = arena.take(size);
        z_ = arena.take(size);
        kept_ = {arena.take(size), arena.take(columns)};
        if (is_training) dh_ = arena.take(padded(width_) * columns);
    }

    const Parameters& parameters() const { return parameters_; }
    int32_t* tokens() const { return tokens_.data(); }
    float* outputs() const { return outputs_; }
    int64_t outputs_per_row() const { return t_; }

    void forward(const Weights& w, const Pass& pass) const {
        const int64_t columns = t_ * pass.b;
        embed_.forward(w, tokens_.data(), h_, pass);
        add_places(w[places_], pass.b);
        for (const Block& block : blocks_) block.forward(w, pass, h_, scratch_);
        normalize(h_, z_, w[norm_.scale], w[norm_.shift], kept_, width_, columns);
        linear_forward(read_out_, w[read_out_.weight], w[read_out_.bias], {z_, columns},
                       {outputs_, columns}, pass.num_outputs, columns);
    }

    // Gradients of all parameters from that of the outputs, which lies in their place.
    void backward(const Weights& w, const Pass& pass, const Weights& gradients, bool adds) const {
        const int64_t columns = t_ * pass.b;
        differentiate(gradient_, read_out_, z_, outputs_, columns, gradients, adds);
        linear_backward(read_out_, w[read_out_.weight], {outputs_, columns}, {dh_, columns},
                        pass.num_outputs, columns);
        through_norm(norm_, w, kept_, dh_, width_, columns, gradients, adds);
        for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block)
            block->backward(w, pass, dh_, scratch_, gradient_, gradients, adds);
        embed_.backward(tokens_.data(), dh_, pass, gradients, adds);
        places_backward(gradients[places_], pass.b, adds);
    }

  private:
    static BlockSizes block_sizes(const Sizes& sizes) {
        return {sizes.context, sizes.width, sizes.num_heads, 4, true};
    }

    std::deque<Block> add_blocks(int64_t count, Arena& arena, int64_t b, bool is_training) {
        std::deque<Block> blocks;
        for (int64_t i = 0; i < count; ++i)
            blocks.emplace_back(parameters_, arena, sizes_, b, is_training,
                                static_cast<int>(2 * i));
        return blocks;
    }

    void add_places(const float* places, int64_t b) const {
        for (int64_t f = 0; f < width_; ++f)
            for (int64_t t = 0; t < t_; ++t)
                for (int64_t c = 0; c < b; c += LANES) {
                    float* at = h_ + (f * t_ + t) * b + c;
                    store(at, load(at) + places[t * width_ + f]);
                }
    }

    void places_backward(float* gradient, int64_t b, bool adds) const {
        for (int64_t f = 0; f < width_; ++f)
            for (int64_t t = 0; t < t_; ++t) {
                Vec part = Vec{};
                for (int64_t c = 0; c < b; c += LANES) part += load(dh_ + (f * t_ + t) * b + c);
                float* at = gradient + t * width_ + f;
                *at = sum(part) + (adds ? *at : 0.0f);
            }
    }

    BlockSizes sizes_;
    int64_t t_, width_;
    Parameters parameters_;
    TokenEmbedding embed_;
    int places_;  // [T, W]
    std::deque<Block> blocks_;
    Norm norm_;
    Linear read_out_;
    LinearGradient gradient_;
    BlockScratch scratch_;

    mutable std::vector<int32_t> tokens_;  // [T * B]
    float* outputs_;                       // [K, T * B]
    float *h_, *z_;                        // the stream, and what is read out
    Normalized kept_;
    float* dh_ = nullptr;
};

}  // namespace kernels
