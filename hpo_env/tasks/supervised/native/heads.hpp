// Attention of the tokens of a row to each other.
//
// Tokens stand side by side: features are [W, T * B], column `t * b + r` being token t of row r.
//
// Axes beside the common ones: `T` tokens, `S` tokens that are attended to.

#pragma once

#include <algorithm>

#include "elementary.hpp"
#include "parameters.hpp"
#include "rowwise.hpp"

namespace kernels {

// Scaled dot-product attention of all heads, between the projections. Where it is causal, tokens see
// those before them and themselves; products go band by band of tokens then, and leave out what no
// token of a band sees.
class Heads {
  public:
    Heads(Arena& arena, int64_t num_tokens, int64_t width, int64_t num_heads, bool is_causal,
          int64_t b)
        : t_(num_tokens),
          band_(is_causal ? BAND : num_tokens),
          width_(width),
          heads_(num_heads),
          size_(width / num_heads),
          is_causal_(is_causal),
          scale_(1.0f / std::sqrt(static_cast<float>(size_))),
          shares_(arena.take(num_heads * num_tokens * num_tokens * b)),
          gradient_(arena.take(num_tokens * num_tokens * LANES)) {}

    // mixed [W, T * B] of queries, keys and values, which lie one after another in qkv [3W, T * B].
    void forward(float* qkv, float* mixed, int64_t b) const {
        over(b, [&](int64_t head, int64_t c, float* shares) {
            const RowwiseMatrix p = scores(shares), q = part(qkv, 0, head, c, b),
                                k = part(qkv, 1, head, c, b), v = part(qkv, 2, head, c, b),
                                out = part(mixed, 0, head, c, b);
            over_bands([&](int64_t t, int64_t count, int64_t end) {
                rowwise_multiply(count, end, size_, q.from(t), k.transposed(), p.from(t));
                for (int64_t i = t; i < t + count; ++i) softmax(p.at(i, 0), seen_by(i), end);
                rowwise_multiply(count, size_, end, p.from(t), v, out.from(t));
            });
        });
    }

    // The gradient of qkv from that of mixed.
    void backward(float* qkv, float* dmixed, float* dqkv, int64_t b) const {
        over(b, [&](int64_t head, int64_t c, float* shares) {
            const RowwiseMatrix p = scores(shares), d = scores(gradient_),
                                q = part(qkv, 0, head, c, b), k = part(qkv, 1, head, c, b),
                                v = part(qkv, 2, head, c, b), out = part(dmixed, 0, head, c, b);
            const RowwiseMatrix dq = part(dqkv, 0, head, c, b), dk = part(dqkv, 1, head, c, b),
                                dv = part(dqkv, 2, head, c, b);
            over_seen(p, out, dv);
            over_bands([&](int64_t t, int64_t count, int64_t end) {
                rowwise_multiply(count, end, size_, out.from(t), v.transposed(), d.from(t));
                for (int64_t i = t; i < t + count; ++i)
                    softmax_backward(p.at(i, 0), d.at(i, 0), end);
                rowwise_multiply(count, size_, end, d.from(t), k, dq.from(t));
            });
            over_seen(d, q, dk);
        });
    }

  private:
    static constexpr int64_t BAND = MANY_REGISTERS ? 4 : 2;  // a tile's side

    // Calls work(head, first column, shares [T, S, LANES]) for LANES rows at a time.
    template <class Work>
    void over(int64_t b, Work work) const {
        float* shares = shares_;
        for (int64_t head = 0; head < heads_; ++head)
            for (int64_t c = 0; c < b; c += LANES, shares += t_ * t_ * LANES)
                work(head, c, shares);
    }

    // Calls work(first token, number of tokens, end of the tokens that they see).
    template <class Work>
    void over_bands(Work work) const {
        for (int64_t t = 0; t < t_; t += band_) {
            const int64_t count = std::min(band_, t_ - t);
            work(t, count, is_causal_ ? t + count : t_);
        }
    }

    // What each token gets from those that see it: to[s] = sum over t of weights[t, s] from[t].
    void over_seen(RowwiseMatrix weights, RowwiseMatrix from, RowwiseMatrix to) const {
        over_bands([&](int64_t s, int64_t count, int64_t) {
            const int64_t first = is_causal_ ? s : 0;
            const RowwiseMatrix seen = weights.from(first).transposed().from(s);
            rowwise_multiply(count, size_, t_ - first, seen, from.from(first), to.from(s));
        });
    }

    int64_t seen_by(int64_t token) const { return is_causal_ ? token + 1 : t_; }

    // A head's tokens [T, size] in part 0, 1 or 2 of features [3W, T * B].
    RowwiseMatrix part(float* features, int64_t which, int64_t head, int64_t c, int64_t b) const {
        const int64_t first = which * width_ + head * size_;
        return {features + first * t_ * b + c, b, t_ * b};
    }

    RowwiseMatrix scores(float* p) const { return {p, t_ * LANES, LANES}; }

    // Of one token's scores [S, LANES], in place: shares of the first `count`, and 0 up to `end`.
    void softmax(float* p, int64_t count, int64_t end) const {
        Vec top = load(p), total = Vec{};
        for (int64_t s = 1; s < count; ++s) top = larger(load(p + s * LANES), top);
        for (int64_t s = 0; s < count; ++s) {
            Vec e = exponential((load(p + s * LANES) - top) * scale_);
            total += e;
            store(p + s * LANES, e);
        }
        Vec share = 1.0f / total;
        for (int64_t s = 0; s < count; ++s) store(p + s * LANES, load(p + s * LANES) * share);
        for (int64_t s = count; s < end; ++s) store(p + s * LANES, Vec{});
    }

    // From the gradient d of the shares p to that of the scores, in place.
    void softmax_backward(const float* p, float* d, int64_t end) const {
        Vec along = Vec{};
        for (int64_t s = 0; s < end; ++s) along += load(p + s * LANES) * load(d + s * LANES);
        for (int64_t s = 0; s < end; ++s) {
            float* at = d + s * LANES;
            store(at, load(p + s * LANES) * (load(at) - along) * scale_);
        }
    }

    int64_t t_, band_, width_, heads_, size_;
    bool is_causal_;
    float scale_;
    float* shares_;    // [heads, B / LANES, T, S, LANES]
    float* gradient_;  // [T, S, LANES]
};

}  // namespace kernels
