// One transformer block over tokens: models.py's Attention.
//
// Tokens stand side by side: features are [W, T * B], column `t * b + r` being token t of row r, so
// that what treats tokens alike (norms, linear layers) sees one wide block of columns.
//
// Axes beside the common ones: `T` tokens, `S` tokens that are attended to.

#pragma once

#include "activations.hpp"
#include "jobs.hpp"
#include "linear.hpp"
#include "norm.hpp"
#include "pass.hpp"
#include "rowwise.hpp"

namespace kernels {

// Scaled dot-product attention of all heads, between the projections.
class Heads {
  public:
    Heads(Arena& arena, int64_t num_tokens, int64_t width, int64_t num_heads, int64_t b)
        : t_(num_tokens),
          width_(width),
          heads_(num_heads),
          size_(width / num_heads),
          scale_(1.0f / std::sqrt(static_cast<float>(size_))),
          shares_(arena.take(num_heads * num_tokens * num_tokens * b)),
          gradient_(arena.take(num_tokens * num_tokens * LANES)) {}

    // mixed [W, T * B] of queries, keys and values, which lie one after another in qkv [3W, T * B].
    void forward(float* qkv, float* mixed, int64_t b) const {
        over(b, [&](int64_t head, int64_t c, float* shares) {
            const RowwiseMatrix p = scores(shares);
            rowwise_multiply(t_, t_, size_, part(qkv, 0, head, c, b),
                             part(qkv, 1, head, c, b).transposed(), p);
            for (int64_t t = 0; t < t_; ++t) softmax(p.at(t, 0));
            rowwise_multiply(t_, size_, t_, p, part(qkv, 2, head, c, b),
                             part(mixed, 0, head, c, b));
        });
    }

    // The gradient of qkv from that of mixed.
    void backward(float* qkv, float* dmixed, float* dqkv, int64_t b) const {
        over(b, [&](int64_t head, int64_t c, float* shares) {
            const RowwiseMatrix p = scores(shares), d = scores(gradient_);
            const RowwiseMatrix out = part(dmixed, 0, head, c, b);
            rowwise_multiply(t_, size_, t_, p.transposed(), out, part(dqkv, 2, head, c, b));
            rowwise_multiply(t_, t_, size_, out, part(qkv, 2, head, c, b).transposed(), d);
            for (int64_t t = 0; t < t_; ++t) softmax_backward(p.at(t, 0), d.at(t, 0));
            rowwise_multiply(t_, size_, t_, d, part(qkv, 1, head, c, b),
                             part(dqkv, 0, head, c, b));
            rowwise_multiply(t_, size_, t_, d.transposed(), part(qkv, 0, head, c, b),
                             part(dqkv, 1, head, c, b));
        });
    }

  private:
    // Calls work(head, first column, shares [T, S, LANES]) for LANES rows at a time.
    template <class Work>
    void over(int64_t b, Work work) const {
        float* shares = shares_;
        for (int64_t head = 0; head < heads_; ++head)
            for (int64_t c = 0; c < b; c += LANES, shares += t_ * t_ * LANES)
                work(head, c, shares);
    }

    // A head's tokens [T, size] in part 0, 1 or 2 of features [3W, T * B].
    RowwiseMatrix part(float* features, int64_t which, int64_t head, int64_t c, int64_t b) const {
        const int64_t first = which * width_ + head * size_;
        return {features + first * t_ * b + c, b, t_ * b};
    }

    RowwiseMatrix scores(float* p) const { return {p, t_ * LANES, LANES}; }

    // Of one token's scores [S, LANES], in place.
    void softmax(float* p) const {
        Vec top = load(p), total = Vec{};
        for (int64_t s = 1; s < t_; ++s) top = larger(load(p + s * LANES), top);
        for (int64_t s = 0; s < t_; ++s) {
            Vec e = exponential((load(p + s * LANES) - top) * scale_);
            total += e;
            store(p + s * LANES, e);
        }
        Vec share = 1.0f / total;
        for (int64_t s = 0; s < t_; ++s) store(p + s * LANES, load(p + s * LANES) * share);
    }

    // From the gradient d of the shares p to that of the scores, in place.
    void softmax_backward(const float* p, float* d) const {
        Vec along = Vec{};
        for (int64_t s = 0; s < t_; ++s) along += load(p + s * LANES) * load(d + s * LANES);
        for (int64_t s = 0; s < t_; ++s) {
            float* at = d + s * LANES;
            store(at, load(p + s * LANES) * (load(at) - along) * scale_);
        }
    }

    int64_t t_, width_, heads_, size_;
    float scale_;
    float* shares_;    // [heads, B / LANES, T, S, LANES]
    float* gradient_;  // [T, S, LANES]
};

class Attention {
  public:
    static constexpr int64_t BLOCK = 16;  // rows at a time: all that is kept of them fills a cache

    struct Sizes {
        int64_t num_tokens, width, num_heads;
    };

    Attention(const Model& model, Arena& arena, int64_t b, bool is_training)
        : t_(reinterpret_cast<const Sizes*>(model.sizes)->num_tokens),
          width_(reinterpret_cast<const Sizes*>(model.sizes)->width),
          embed_(t_, (model.num_inputs + t_ - 1) / t_, width_, parameters_),
          norm1_(parameters_, width_),
          project_(parameters_, width_, 3 * width_),
          merge_(parameters_, width_, width_),
          norm2_(parameters_, width_),
          widen_(parameters_, width_, 2 * width_),
          narrow_(parameters_, 2 * width_, width_),
          norm3_(parameters_, width_),
          read_out_(parameters_, width_, model.num_outputs),
          heads_(arena, t_, width_, reinterpret_cast<const Sizes*>(model.sizes)->num_heads, b),
          gradient_(arena, std::max(2 * width_, embed_.one.num_inputs),
                    std::max(3 * width_, model.num_outputs), t_ * b) {
        const int64_t columns = t_ * b, size = width_ * columns;
        x_ = arena.take(padded(embed_.one.num_inputs * t_) * b);
        outputs_ = arena.take(padded(model.num_outputs) * b);
        pooled_ = arena.take(width_ * b);
        for (float** p : {&h_, &z1_, &mixed_, &z2_, &dropped_[0], &dropped_[1]})
            *p = arena.take(size);
        branch_ = arena.take(padded(width_) * columns);
        qkv_ = arena.take(3 * size);
        wide_ = arena.take(2 * size);
        for (Normalized& kept : kept_) kept = {arena.take(size), arena.take(columns)};
        if (!is_training) return;
        slopes_ = arena.take(2 * size);
        dwide_ = arena.take(padded(3 * width_) * columns);
        dh_ = arena.take(padded(width_) * columns);
        dz_ = arena.take(padded(width_) * columns);
    }

    const Parameters& parameters() const { return parameters_; }
    float* inputs() const { return x_; }
    float* outputs() const { return outputs_; }

    void forward(const Weights& w, const Pass& pass) const {
        const int64_t b = pass.b, columns = t_ * b;
        embed(w, b);
        normalize(h_, z1_, w[norm1_.scale], w[norm1_.shift], kept_[0], width_, columns);
        apply(project_, w, z1_, qkv_, columns);
        heads_.forward(qkv_, mixed_, b);
        apply(merge_, w, mixed_, branch_, columns);
        add_branch(pass, 0);
        normalize(h_, z2_, w[norm2_.scale], w[norm2_.shift], kept_[1], width_, columns);
        apply(widen_, w, z2_, wide_, columns);
        activate_layer<GELU>({wide_, pass.is_training ? slopes_ : nullptr, nullptr, 2 * width_,
                              columns, 0, nullptr});
        apply(narrow_, w, wide_, branch_, columns);
        add_branch(pass, 1);
        normalize(h_, branch_, w[norm3_.scale], w[norm3_.shift], kept_[2], width_, columns);
        pool(b);
        linear_forward(read_out_, w[read_out_.weight], w[read_out_.bias], {pooled_, b},
                       {outputs_, b}, pass.num_outputs, b);
    }

    // Gradients of all parameters from that of the outputs, which lies in their place.
    void backward(const Weights& w, const Pass& pass, const Weights& gradients, bool adds) const {
        const int64_t b = pass.b, columns = t_ * b;
        gradient_(read_out_, {pooled_, b}, {outputs_, b}, pass.rows, b,
                  gradients[read_out_.weight], gradients[read_out_.bias], adds);
        linear_backward(read_out_, w[read_out_.weight], {outputs_, b}, {dz_, b}, pass.num_outputs,
                        b);
        unpool(b);
        through_norm(norm3_, w, kept_[2], dh_, columns, gradients, adds);

        const float* through = drop_gradient(pass, 1);
        differentiate(narrow_, wide_, through, columns, gradients, adds);
        linear_backward(narrow_, w[narrow_.weight], features(through, columns),
                        {dwide_, columns}, width_, columns);
        for (int64_t at = 0; at < 2 * width_ * columns; at += LANES)
            store(dwide_ + at, load(dwide_ + at) * load(slopes_ + at));
        differentiate(widen_, z2_, dwide_, columns, gradients, adds);
        linear_backward(widen_, w[widen_.weight], {dwide_, columns}, {dz_, columns}, 2 * width_,
                        columns);
        through_norm(norm2_, w, kept_[1], dz_, columns, gradients, adds);
        add_to_gradient(columns);

        through = drop_gradient(pass, 0);
        differentiate(merge_, mixed_, through, columns, gradients, adds);
        linear_backward(merge_, w[merge_.weight], features(through, columns), {dz_, columns},
                        width_, columns);
        heads_.backward(qkv_, dz_, dwide_, b);
        differentiate(project_, z1_, dwide_, columns, gradients, adds);
        linear_backward(project_, w[project_.weight], {dwide_, columns}, {dz_, columns},
                        3 * width_, columns);
        through_norm(norm1_, w, kept_[0], dz_, columns, gradients, adds);
        add_to_gradient(columns);
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

    struct Norm {
        int scale, shift;

        Norm(Parameters& parameters, int64_t width)
            : scale(parameters.add(width)), shift(parameters.add(width)) {}
    };

    // Input d is of token `d % T`: a token's inputs are T rows apart.
    Features token_inputs(int64_t t, int64_t b) const { return {x_ + t * b, t_ * b}; }

    static Features features(const float* p, int64_t row) { return {const_cast<float*>(p), row}; }

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

    void apply(const Linear& layer, const Weights& w, float* h, float* z, int64_t columns) const {
        linear_forward(layer, w[layer.weight], w[layer.bias], {h, columns}, {z, columns},
                       layer.num_outputs, columns);
    }

    void differentiate(const Linear& layer, float* h, const float* dz, int64_t columns,
                       const Weights& gradients, bool adds) const {
        gradient_(layer, {h, columns}, features(dz, columns), columns, columns,
                  gradients[layer.weight], gradients[layer.bias], adds);
    }

    void through_norm(const Norm& norm, const Weights& w, const Normalized& kept, float* dz,
                      int64_t columns, const Weights& gradients, bool adds) const {
        normalize_backward(dz, w[norm.scale], kept, gradients[norm.scale], gradients[norm.shift],
                           width_, columns, adds);
    }

    // h += dropout(branch); the factors of training rows are kept.
    void add_branch(const Pass& pass, int site) const {
        const int64_t count = width_ * t_ * pass.b;
        if (pass.dropout) drop(pass, site);
        for (int64_t at = 0; at < count; at += LANES)
            store(h_ + at, load(h_ + at) + load(branch_ + at));
    }

    // Row r's elements are numbered token by token.
    void drop(const Pass& pass, int site) const {
        const DropoutSite dropout(*pass.dropout, static_cast<uint32_t>(site));
        const Bits row = (Bits)iota() + static_cast<uint32_t>(pass.first_row);
        const uint32_t size = static_cast<uint32_t>(t_ * width_);
        int64_t at = 0;
        for (int64_t f = 0; f < width_; ++f)
            for (int64_t t = 0; t < t_; ++t)
                for (int64_t c = 0; c < pass.b; c += LANES, at += LANES) {
                    Bits element = (row + static_cast<uint32_t>(c)) * size +
                                   static_cast<uint32_t>(t * width_ + f);
                    Int is_kept = dropout.keeps(element);
                    store(dropped_[site] + at, select(is_kept, all(dropout.scale()), Vec{}));
                    store(branch_ + at,
                          select(is_kept, load(branch_ + at) * dropout.scale(), Vec{}));
                }
    }

    // The gradient of what was added to h: that of h, as dropout lets it through.
    const float* drop_gradient(const Pass& pass, int site) const {
        if (!pass.dropout) return dh_;
        const int64_t count = width_ * t_ * pass.b;
        for (int64_t at = 0; at < count; at += LANES)
            store(branch_ + at, load(dh_ + at) * load(dropped_[site] + at));
        return branch_;
    }

    void add_to_gradient(int64_t columns) const {
        for (int64_t at = 0; at < width_ * columns; at += LANES)
            store(dh_ + at, load(dh_ + at) + load(dz_ + at));
    }

    // The mean of all tokens.
    void pool(int64_t b) const {
        const float share = 1.0f / static_cast<float>(t_);
        for (int64_t f = 0; f < width_; ++f)
            for (int64_t c = 0; c < b; c += LANES) {
                Vec total = Vec{};
                for (int64_t t = 0; t < t_; ++t) total += load(branch_ + (f * t_ + t) * b + c);
                store(pooled_ + f * b + c, total * share);
            }
    }

    void unpool(int64_t b) const {
        const float share = 1.0f / static_cast<float>(t_);
        for (int64_t f = 0; f < width_; ++f)
            for (int64_t t = 0; t < t_; ++t)
                for (int64_t c = 0; c < b; c += LANES)
                    store(dh_ + (f * t_ + t) * b + c, load(dz_ + f * b + c) * share);
    }

    int64_t t_, width_;
    Parameters parameters_;
    Embedding embed_;
    Norm norm1_;
    Linear project_, merge_;
    Norm norm2_;
    Linear widen_, narrow_;
    Norm norm3_;
    Linear read_out_;
    Heads heads_;
    LinearGradient gradient_;

    float *x_, *outputs_, *pooled_;  // [D, B], [K, B], [W, B]
    float *h_, *branch_;             // the stream, and what is added to it next
    float *z1_, *qkv_, *mixed_;      // inputs of the linear layers, and qkv [3W, T * B]
    float *z2_, *wide_;
    float* dropped_[2];  // factors of dropout
    Normalized kept_[3];
    float *slopes_ = nullptr, *dwide_ = nullptr, *dh_ = nullptr, *dz_ = nullptr;
};

}  // namespace kernels
