// What a model is told of the rows that it is applied to.

#pragma once

#include "dropout.hpp"

namespace kernels {

struct Pass {
    int64_t num_outputs;     // real outputs of the lane
    int64_t rows, b;         // real rows, and padded to a multiple of PADDING
    int64_t first_row;       // the first one's place in the minibatch
    bool is_training;        // whether a backward pass follows
    const Dropout* dropout;  // or null
};

}  // namespace kernels
