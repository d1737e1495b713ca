// Embeddings of tokens, which stand side by side: column `t * b + r` is token t of row r.

#pragma once

#include "parameters.hpp"
#include "pass.hpp"
#include "transpose.hpp"

namespace kernels {

class TokenEmbedding {
  public:
    TokenEmbedding(Parameters& parameters, Arena& arena, int64_t num_tokens, int64_t width,
              int64_t context, int64_t b, bool is_training)
        : table(parameters.add(num_tokens * width)),
          num_tokens_(num_tokens),
          width_(width),
          context_(context),
          flipped_(is_training ? arena.take(context * b * padded(width)) : nullptr) {}

    const int table;  // [K, W], its place among the parameters

    // h [W, T * B] of tokens [T * B].
    void forward(const Weights& w, const int32_t* tokens, float* h, const Pass& pass) const {
        const int64_t columns = context_ * pass.b;
        const float* rows = w[table];
        transpose([&](int64_t i) { return rows + tokens[i] * width_; }, columns, width_, h,
                  columns);
    }

    // The gradient of the table from dh [W, T * B], which has rows up to a multiple of PADDING.
    void backward(const int32_t* tokens, const float* dh, const Pass& pass,
                  const Weights& gradients, bool adds) const {
        const int64_t columns = context_ * pass.b, wide = padded(width_);
        transpose([&](int64_t i) { return dh + i * columns; }, wide, columns, flipped_, wide);
        float* to = gradients[table];
        if (!adds) std::memset(to, 0, static_cast<size_t>(num_tokens_ * width_) * 4);
        for (int64_t t = 0; t < context_; ++t)
            for (int64_t r = 0; r < pass.rows; ++r) {
                const float* from = flipped_ + (t * pass.b + r) * wide;
                float* row = to + tokens[t * pass.b + r] * width_;
                for (int64_t f = 0; f < width_; ++f) row[f] += from[f];
            }
    }

  private:
    int64_t num_tokens_, width_, context_;
    float* flipped_;  // [T * B, W]
};

}  // namespace kernels
