// Dropout of what stands token by token, [W, T * B].

#pragma once

#include "pass.hpp"

namespace kernels {

// Drops elements of h, and keeps the factors that its gradient passes by. Row r's elements are
// numbered token by token.
inline void drop_tokens(const Pass& pass, int site, int64_t num_tokens, int64_t width, float* h,
                        float* factors) {
    const DropoutSite dropout(*pass.dropout, static_cast<uint32_t>(site));
    const Bits row = (Bits)iota() + static_cast<uint32_t>(pass.first_row);
    const uint32_t size = static_cast<uint32_t>(num_tokens * width);
    int64_t at = 0;
    for (int64_t f = 0; f < width; ++f)
        for (int64_t t = 0; t < num_tokens; ++t)
            for (int64_t c = 0; c < pass.b; c += LANES, at += LANES) {
                Bits element = (row + static_cast<uint32_t>(c)) * size +
                               static_cast<uint32_t>(t * width + f);
                Int is_kept = dropout.keeps(element);
                store(factors + at, select(is_kept, all(dropout.scale()), Vec{}));
                store(h + at, select(is_kept, load(h + at) * dropout.scale(), Vec{}));
            }
}

// dh times the factors, element by element.
inline void scale_tokens(float* dh, const float* factors, int64_t count) {
    for (int64_t at = 0; at < count; at += LANES)
        store(dh + at, load(dh + at) * load(factors + at));
}

}  // namespace kernels
