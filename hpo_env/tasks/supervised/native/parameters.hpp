// Which parameters a model has, and memory for one lane at a time.

#pragma once

#include <cstdlib>
#include <vector>

#include "vectors.hpp"

namespace kernels {

// A lane's parameters, in the order of models.py's list.
using Weights = std::vector<float*>;

struct Parameter {
    int64_t size;
    int64_t offset;   // in a lane's flat copy of all of them
    bool is_average;  // a running average: it has no gradient, and is 0 in flat copies
};

class Parameters {
  public:
    int add(int64_t size) { return place({size, num_weights_, false}); }
    int add_average(int64_t size) { return place({size, num_weights_, true}); }

    const std::vector<Parameter>& listed() const { return listed_; }
    int64_t num_weights() const { return num_weights_; }  // of a flat copy, gaps included

    // Where each parameter lies in a flat copy.
    Weights places_in(float* flat) const {
        Weights places;
        for (const Parameter& p : listed_) places.push_back(flat + p.offset);
        return places;
    }

    void copy_flat(const Weights& from, float* to) const {
        for (size_t i = 0; i < listed_.size(); ++i)
            if (!listed_[i].is_average)
                std::memcpy(to + listed_[i].offset, from[i],
                            static_cast<size_t>(listed_[i].size) * 4);
    }

  private:
    int place(const Parameter& parameter) {
        listed_.push_back(parameter);
        num_weights_ += padded(parameter.size);
        return static_cast<int>(listed_.size()) - 1;
    }

    std::vector<Parameter> listed_;
    int64_t num_weights_ = 0;
};

// Blocks aligned to cache lines, full of 0.
class Arena {
  public:
    float* take(int64_t count) {
        int64_t bytes = padded(count > 0 ? count : 1) * 4;
        void* p = std::aligned_alloc(64, bytes);
        if (p == nullptr) std::abort();
        std::memset(p, 0, bytes);
        blocks_.push_back(p);
        return static_cast<float*>(p);
    }
    Arena() = default;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena() {
        for (void* p : blocks_) std::free(p);
    }

  private:
    std::vector<void*> blocks_;
};

}  // namespace kernels
