// The pre-norm block that transformers are made of: transformer.py's Block.
//
// Tokens stand side by side, as in heads.hpp: what treats tokens alike (norms, linear layers) sees
// one wide block of columns.

#pragma once

#include "activations.hpp"
#include "heads.hpp"
#include "linear.hpp"
#include "norm.hpp"
#include "pass.hpp"
#include "token_dropout.hpp"

namespace kernels {

struct Norm {
    int scale, shift;

    Norm(Parameters& parameters, int64_t width)
        : scale(parameters.add(width)), shift(parameters.add(width)) {}
};

inline void forward(const Linear& layer, const Weights& w, float* h, float* z, int64_t columns) {
    linear_forward(layer, w[layer.weight], w[layer.bias], {h, columns}, {z, columns},
                   layer.num_outputs, columns);
}

inline void backward(const Linear& layer, const Weights& w, const float* dz, float* dh,
                     int64_t columns) {
    linear_backward(layer, w[layer.weight], {const_cast<float*>(dz), columns}, {dh, columns},
                    layer.num_outputs, columns);
}

inline void differentiate(const LinearGradient& gradient, const Linear& layer, float* h,
                          const float* dz, int64_t columns, const Weights& gradients, bool adds) {
    gradient(layer, {h, columns}, {const_cast<float*>(dz), columns}, columns, columns,
             gradients[layer.weight], gradients[layer.bias], adds);
}

inline void through_norm(const Norm& norm, const Weights& w, const Normalized& kept, float* dz,
                         int64_t width, int64_t columns, const Weights& gradients, bool adds) {
    normalize_backward(dz, w[norm.scale], kept, gradients[norm.scale], gradients[norm.shift], width,
                       columns, adds);
}

struct BlockSizes {
    int64_t num_tokens, width, num_heads, widening;
    bool is_causal;
};

// What all blocks of a model use one after another.
struct BlockScratch {
    float* branch;  // [W, T * B]: what is added next
    float *dwide, *dz;

    BlockScratch(Arena& arena, const BlockSizes& sizes, int64_t b, bool is_training)
        : branch(arena.take(padded(sizes.width) * sizes.num_tokens * b)),
          dwide(nullptr),
          dz(nullptr) {
        if (!is_training) return;
        const int64_t widest = std::max<int64_t>(3, sizes.widening) * sizes.width;
        dwide = arena.take(padded(widest) * sizes.num_tokens * b);
        dz = arena.take(padded(sizes.width) * sizes.num_tokens * b);
    }
};

class Block {
  public:
    // `first_site` is the number of the first of its two dropout layers.
    Block(Parameters& parameters, Arena& arena, const BlockSizes& sizes, int64_t b,
          bool is_training, int first_site)
        : t_(sizes.num_tokens),
          width_(sizes.width),
          hidden_(sizes.widening * sizes.width),
          first_site_(first_site),
          norm1_(parameters, width_),
          project_(parameters, width_, 3 * width_),
          merge_(parameters, width_, width_),
          norm2_(parameters, width_),
          widen_(parameters, width_, hidden_),
          narrow_(parameters, hidden_, width_),
          heads_(arena, t_, width_, sizes.num_heads, sizes.is_causal, b) {
        const int64_t columns = t_ * b, size = width_ * columns;
        for (float** p : {&z1_, &mixed_, &z2_, &dropped_[0], &dropped_[1]}) *p = arena.take(size);
        qkv_ = arena.take(3 * size);
        wide_ = arena.take(hidden_ * columns);
        for (Normalized& kept : kept_) kept = {arena.take(size), arena.take(columns)};
        if (is_training) slopes_ = arena.take(hidden_ * columns);
    }

    // h [W, T * B], in place.
    void forward(const Weights& w, const Pass& pass, float* h, const BlockScratch& scratch) const {
        const int64_t b = pass.b, columns = t_ * b;
        normalize(h, z1_, w[norm1_.scale], w[norm1_.shift], kept_[0], width_, columns);
        kernels::forward(project_, w, z1_, qkv_, columns);
        heads_.forward(qkv_, mixed_, b);
        kernels::forward(merge_, w, mixed_, scratch.branch, columns);
        add_branch(pass, 0, h, scratch.branch);
        normalize(h, z2_, w[norm2_.scale], w[norm2_.shift], kept_[1], width_, columns);
        kernels::forward(widen_, w, z2_, wide_, columns);
        activate_layer<GELU>({wide_, pass.is_training ? slopes_ : nullptr, nullptr, hidden_,
                              columns, 0, nullptr});
        kernels::forward(narrow_, w, wide_, scratch.branch, columns);
        add_branch(pass, 1, h, scratch.branch);
    }

    // From the gradient dh of what goes on to that of what came in, in place.
    void backward(const Weights& w, const Pass& pass, float* dh, const BlockScratch& scratch,
                  const LinearGradient& gradient, const Weights& gradients, bool adds) const {
        const int64_t columns = t_ * pass.b;
        float *dwide = scratch.dwide, *dz = scratch.dz;
        const float* through = drop_gradient(pass, 1, dh, scratch.branch);
        differentiate(gradient, narrow_, wide_, through, columns, gradients, adds);
        kernels::backward(narrow_, w, through, dwide, columns);
        for (int64_t at = 0; at < hidden_ * columns; at += LANES)
            store(dwide + at, load(dwide + at) * load(slopes_ + at));
        differentiate(gradient, widen_, z2_, dwide, columns, gradients, adds);
        kernels::backward(widen_, w, dwide, dz, columns);
        through_norm(norm2_, w, kept_[1], dz, width_, columns, gradients, adds);
        add(dz, dh, columns);

        through = drop_gradient(pass, 0, dh, scratch.branch);
        differentiate(gradient, merge_, mixed_, through, columns, gradients, adds);
        kernels::backward(merge_, w, through, dz, columns);
        heads_.backward(qkv_, dz, dwide, pass.b);
        differentiate(gradient, project_, z1_, dwide, columns, gradients, adds);
        kernels::backward(project_, w, dwide, dz, columns);
        through_norm(norm1_, w, kept_[0], dz, width_, columns, gradients, adds);
        add(dz, dh, columns);
    }

  private:
    // h += dropout(branch); the factors of training rows are kept.
    void add_branch(const Pass& pass, int branch_number, float* h, float* branch) const {
        const int64_t columns = t_ * pass.b;
        if (pass.dropout)
            drop_tokens(pass, first_site_ + branch_number, t_, width_, branch,
                        dropped_[branch_number]);
        add(branch, h, columns);
    }

    void add(const float* from, float* to, int64_t columns) const {
        for (int64_t at = 0; at < width_ * columns; at += LANES)
            store(to + at, load(to + at) + load(from + at));
    }

    // The gradient of what was added to h: that of h, as dropout lets it through.
    const float* drop_gradient(const Pass& pass, int branch_number, const float* dh,
                               float* branch) const {
        if (!pass.dropout) return dh;
        const int64_t count = width_ * t_ * pass.b;
        for (int64_t at = 0; at < count; at += LANES)
            store(branch + at, load(dh + at) * load(dropped_[branch_number] + at));
        return branch;
    }

    int64_t t_, width_, hidden_;
    int first_site_;
    Norm norm1_;
    Linear project_, merge_;
    Norm norm2_;
    Linear widen_, narrow_;
    Heads heads_;

    float *z1_, *qkv_, *mixed_, *z2_, *wide_;  // inputs of the linear layers, and qkv [3W, T * B]
    float* dropped_[2];                        // factors of dropout
    float* slopes_ = nullptr;
    Normalized kept_[2];
};

}  // namespace kernels
