// What Python asks for: the structures of kernel.py, field by field.
//
// Axes: `U` updates, `N` lanes, `C` slots, `D` inputs.

#pragma once

#include <cstdint>

extern "C" {

// A kind of model and its sizes, which each kind reads by itself.
struct Model {
    int64_t kind;  // the place of its name in `kernel_kinds`
    const int64_t* sizes;
    int64_t num_inputs, num_outputs;
};

// What an interval of all lanes needs. Lane i is in slot i of every buffer.
struct TrainJob {
    Model model;
    float* const* tensors;  // weights, momenta, squares of every parameter, each [C, ...]
    const void* x;          // float [C, capacity, D]; or texts, uint8_t [C, capacity]
    const float* y;         // [C, capacity]; not of texts
    int64_t capacity;
    int64_t num_threads, num_lanes, batch;  // batch: rows of the largest minibatch
    const int64_t* num_updates;             // [N], at most U
    const int64_t* counters;  // [N, 5 + num_strides], see `kernel_counters`
    int64_t num_strides;
    const float* settings;  // [U, N, 15], see `kernel_settings`
    float* losses;          // [U, N]
    float* norms;           // [U, N]
    float* movement;        // [5, N], see step.py's weight_movement
};

// One pass over rows of some slots.
struct EvaluateJob {
    Model model;
    float* const* tensors;  // weights of every parameter, each [C, ...]
    const void* x;          // float [C, capacity, D]; or texts, uint8_t [C, capacity]
    const float* y;         // [C, capacity]; not of texts
    int64_t capacity;
    int64_t num_threads, num_lanes;
    const int64_t* facts;  // [n, 4]: slot, rows, real outputs, objective
    double* loss;          // [n]
    double* accuracy;      // [n]
};

}  // extern "C"

namespace kernels {

struct Settings {
    float coupled_decay, shrink, square_decay, square_gain, square_scale, epsilon, momentum, gain,
        rate, is_rmsprop, dropout, label_smoothing, gradient_clip, objective, num_outputs;
};

}  // namespace kernels
