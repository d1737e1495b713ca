// In which order the training rows come: minibatches.py.

#pragma once

#include <cmath>

#include "random_numbers.hpp"

namespace kernels {

// Walks through the rows in the order of minibatches.py.
class Order {
  public:
    Order(uint32_t seed, int64_t consumed, int64_t num_rows, const int64_t* strides, int64_t count)
        : key_(combine(mix(seed), ORDER)),
          num_rows_(num_rows),
          epoch_(consumed / num_rows),
          position_(consumed % num_rows),
          strides_(strides),
          num_strides_(count) {
        begin();
    }

    int64_t next() {
        if (position_ == num_rows_) {
            position_ = 0;
            ++epoch_;
            begin();
        }
        int64_t row = row_;
        ++position_;
        row_ += stride_;
        if (row_ >= num_rows_) row_ -= num_rows_;
        return row;
    }

  private:
    void begin() {
        uint32_t key = combine(key_, static_cast<uint32_t>(epoch_));
        float start = std::floor(uniform(key) * static_cast<float>(num_rows_));
        stride_ = strides_[epoch_ % num_strides_] % num_rows_;
        row_ = (stride_ * position_ + static_cast<int64_t>(start)) % num_rows_;
    }

    uint32_t key_;
    int64_t num_rows_, epoch_, position_;
    const int64_t* strides_;
    int64_t num_strides_, stride_ = 0, row_ = 0;
};

// Draws where windows of a text begin: minibatches.py's window_starts.
class Draws {
  public:
    Draws(uint32_t seed, int64_t consumed, int64_t num_starts)
        : key_(combine(mix(seed), WINDOWS)),
          num_starts_(static_cast<float>(num_starts)),
          place_(static_cast<uint32_t>(consumed)) {}

    int64_t next() {
        return static_cast<int64_t>(std::floor(uniform(combine(key_, place_++)) * num_starts_));
    }

  private:
    uint32_t key_;
    float num_starts_;
    uint32_t place_;
};

}  // namespace kernels
