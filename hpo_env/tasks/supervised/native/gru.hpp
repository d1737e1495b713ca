// Gated recurrent units on embeddings of tokens: recurrent.py's GRU.
//
// Tokens stand side by side, column `t * b + r` being token t of row r, so that what treats tokens
// alike sees one wide block, and one token of all rows is a block of columns.

#pragma once

#include "elementary.hpp"
#include "embedding.hpp"
#include "linear.hpp"
#include "rows.hpp"
#include "token_dropout.hpp"

namespace kernels {

INLINE Vec logistic(Vec z) { return 1.0f / (1.0f + exponential(-z)); }

class GRU {
  public:
    using Rows = TextWindows;
    static constexpr int64_t BLOCK = 64;  // rows at a time: products of a token are this wide

    struct Sizes {
        int64_t context, width;
    };

    GRU(const Model& model, Arena& arena, int64_t b, bool is_training)
        : t_(reinterpret_cast<const Sizes*>(model.sizes)->context),
          width_(reinterpret_cast<const Sizes*>(model.sizes)->width),
          embed_(parameters_, arena, model.num_outputs, width_, t_, b, is_training),
          read_(parameters_, width_, 3 * width_),
          keep_(parameters_, width_, 3 * width_),
          read_out_(parameters_, width_, model.num_outputs),
          gradient_(arena, is_training ? width_ : 0,
                    is_training ? std::max(3 * width_, model.num_outputs) : 0, t_ * b),
          tokens_(static_cast<size_t>(t_ * b)) {
        const int64_t columns = t_ * b, size = width_ * columns;
        outputs_ = arena.take(padded(model.num_outputs) * columns);
        x_ = arena.take(size);
        memory_ = arena.take(width_ * (columns + b));  // before the first token it is 0
        kept_ = arena.take(3 * width_ * b);
        h_ = arena.take(size);
        for (float** p : {&reset_, &update_, &candidate_, &candidate_kept_}) *p = arena.take(size);
        gates_ = arena.take(padded(3 * width_) * columns);
        if (!is_training) return;
        factors_ = arena.take(size);
        dh_ = arena.take(padded(width_) * columns);
        dkept_ = arena.take(padded(3 * width_) * columns);
        carried_ = arena.take(width_ * b);
    }

    const Parameters& parameters() const { return parameters_; }
    int32_t* tokens() const { return tokens_.data(); }
    float* outputs() const { return outputs_; }
    int64_t outputs_per_row() const { return t_; }

    void forward(const Weights& w, const Pass& pass) const {
        const int64_t b = pass.b, columns = t_ * b;
        embed_.forward(w, tokens_.data(), x_, pass);
        linear_forward(read_, w[read_.weight], w[read_.bias], {x_, columns}, {gates_, columns},
                       3 * width_, columns);
        for (int64_t f = 0; f < width_; ++f)
            std::memset(memory_ + f * (columns + b), 0, static_cast<size_t>(b) * 4);
        for (int64_t t = 0; t < t_; ++t) {
            linear_forward(keep_, w[keep_.weight], w[keep_.bias], memory(t, b), {kept_, b},
                           3 * width_, b);
            take_in(t, b);
        }
        for (int64_t f = 0; f < width_; ++f)
            std::memcpy(h_ + f * columns, memory_ + f * (columns + b) + b,
                        static_cast<size_t>(columns) * 4);
        if (pass.dropout) drop_tokens(pass, 0, t_, width_, h_, factors_);
        linear_forward(read_out_, w[read_out_.weight], w[read_out_.bias], {h_, columns},
                       {outputs_, columns}, pass.num_outputs, columns);
    }

    // Gradients of all parameters from that of the outputs, which lies in their place.
    void backward(const Weights& w, const Pass& pass, const Weights& gradients, bool adds) const {
        const int64_t b = pass.b, columns = t_ * b;
        gradient_(read_out_, {h_, columns}, {outputs_, columns}, columns, columns,
                  gradients[read_out_.weight], gradients[read_out_.bias], adds);
        linear_backward(read_out_, w[read_out_.weight], {outputs_, columns}, {dh_, columns},
                        pass.num_outputs, columns);
        if (pass.dropout) scale_tokens(dh_, factors_, width_ * columns);
        std::memset(carried_, 0, static_cast<size_t>(width_ * b) * 4);
        for (int64_t t = t_ - 1; t >= 0; --t) {
            give_back(t, b);
            // What the gates say of the memory goes on top of what it hands on itself.
            multiply({width_, b, 3 * width_, w[keep_.weight], 3 * width_, 1, dkept_ + t * b,
                      columns, carried_, b, nullptr, true});
        }
        gradient_(keep_, memory(0, b), {dkept_, columns}, columns, columns,
                  gradients[keep_.weight], gradients[keep_.bias], adds);
        gradient_(read_, {x_, columns}, {gates_, columns}, columns, columns,
                  gradients[read_.weight], gradients[read_.bias], adds);
        linear_backward(read_, w[read_.weight], {gates_, columns}, {dh_, columns}, 3 * width_,
                        columns);
        embed_.backward(tokens_.data(), dh_, pass, gradients, adds);
    }

  private:
    // What is remembered before token t, [W, B].
    Features memory(int64_t t, int64_t b) const { return {memory_ + t * b, (t_ + 1) * b}; }

    // Every LANES rows of a feature: visit(place in kept_ and carried_, in [W, T * B], in memory_).
    template <class Visit>
    void over(int64_t t, int64_t b, Visit visit) const {
        for (int64_t f = 0; f < width_; ++f)
            for (int64_t c = 0; c < b; c += LANES)
                visit(f * b + c, (f * t_ + t) * b + c, (f * (t_ + 1) + t) * b + c);
    }

    // The memory after token t; what it was made of is kept.
    void take_in(int64_t t, int64_t b) const {
        const int64_t gate = width_ * t_ * b, gate_kept = width_ * b;
        over(t, b, [&](int64_t in_block, int64_t at, int64_t in_memory) {
            const float* read = gates_ + at;
            const float* kept = kept_ + in_block;
            const Vec reset = logistic(load(read) + load(kept));
            const Vec update = logistic(load(read + gate) + load(kept + gate_kept));
            const Vec candidate_kept = load(kept + 2 * gate_kept);
            const Vec candidate =
                hyperbolic_tangent(load(read + 2 * gate) + reset * candidate_kept);
            const Vec before = load(memory_ + in_memory);
            store(memory_ + in_memory + b, candidate + update * (before - candidate));
            store(reset_ + at, reset);
            store(update_ + at, update);
            store(candidate_ + at, candidate);
            store(candidate_kept_ + at, candidate_kept);
        });
    }

    // From the gradient of the memory after token t to those of its gates, and to what of it the
    // memory before hands on.
    void give_back(int64_t t, int64_t b) const {
        const int64_t gate = width_ * t_ * b;
        over(t, b, [&](int64_t in_block, int64_t at, int64_t in_memory) {
            const Vec reset = load(reset_ + at), update = load(update_ + at);
            const Vec candidate = load(candidate_ + at);
            const Vec dh = load(dh_ + at) + load(carried_ + in_block);
            const Vec dcandidate = dh * (1.0f - update) * (1.0f - candidate * candidate);
            const Vec dupdate =
                dh * (load(memory_ + in_memory) - candidate) * update * (1.0f - update);
            const Vec dreset =
                dcandidate * load(candidate_kept_ + at) * reset * (1.0f - reset);
            for (float* to : {gates_, dkept_}) {
                store(to + at, dreset);
                store(to + at + gate, dupdate);
            }
            store(gates_ + at + 2 * gate, dcandidate);
            store(dkept_ + at + 2 * gate, dcandidate * reset);
            store(carried_ + in_block, dh * update);
        });
    }

    int64_t t_, width_;
    Parameters parameters_;
    TokenEmbedding embed_;
    Linear read_, keep_, read_out_;
    LinearGradient gradient_;

    mutable std::vector<int32_t> tokens_;  // [T * B]
    float* outputs_;                       // [K, T * B]
    float *x_, *h_;                        // what is read, and what is read out, [W, T * B]
    float* memory_;                        // [W, (1 + T) * B]
    float *gates_, *kept_;  // of tokens [3W, T * B], later their gradients; of a memory [3W, B]
    float *reset_, *update_, *candidate_, *candidate_kept_;  // [W, T * B]
    float *factors_ = nullptr, *dh_ = nullptr, *dkept_ = nullptr, *carried_ = nullptr;
};

}  // namespace kernels
