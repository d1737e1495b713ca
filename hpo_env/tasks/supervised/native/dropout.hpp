// Which elements of a layer are dropped.

#pragma once

#include "random_numbers.hpp"

namespace kernels {

struct Dropout {
    uint32_t key;  // of the update
    float rate, scale;

    Dropout(uint32_t seed, int64_t update, float rate)
        : key(dropout_key(seed, static_cast<uint32_t>(update))),
          rate(rate),
          scale(1.0f / (1.0f - rate)) {}
};

// One layer of the model, which numbers them.
class DropoutSite {
  public:
    DropoutSite(const Dropout& dropout, uint32_t site)
        : key_(combine(dropout.key, site)), rate_(dropout.rate), scale_(dropout.scale) {}

    // Which elements stay, by their numbers `row * width + feature` in the minibatch.
    INLINE Int keeps(Bits element) const {
        Bits key = combine(Bits{} + key_, element);
        Vec number = __builtin_convertvector((Int)(key >> 8), Vec) * 0x1p-24f;
        return number >= rate_;
    }

    float scale() const { return scale_; }

  private:
    uint32_t key_;
    float rate_, scale_;
};

}  // namespace kernels
