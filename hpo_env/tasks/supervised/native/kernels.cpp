// The library's functions: what Python calls. All kinds of models are compiled together.
//
// Features lie one after another, `[W, B]`: the minibatch runs along the vectors, so that losses,
// norms and matrix products need no special case for any number of features or classes. `B` is a
// block of a minibatch's rows, padded to a multiple of 16; what stands in the padding is masked out
// of the loss and thus has no gradient.
//
// Axes: `U` updates, `N` lanes, `D` inputs, `W` width, `K` outputs, `B` rows of a block.

#include "attention.hpp"
#include "cnn.hpp"
#include "gpt.hpp"
#include "gru.hpp"
#include "lanes.hpp"
#include "mlp.hpp"
#include "residual_cnn.hpp"

namespace {

// In the order of `kernel_kinds`.
enum Kind { MLP_KIND, ATTENTION_KIND, CNN_KIND, GPT_KIND, RESIDUAL_CNN_KIND, GRU_KIND };

}  // namespace

extern "C" {

// The order of what Python passes, checked when the library is loaded.
const char* kernel_settings() {
    return "coupled_decay shrink square_decay square_gain square_scale epsilon momentum gain rate "
           "is_rmsprop dropout label_smoothing gradient_clip objective num_outputs";
}

const char* kernel_counters() { return "seed num_updates batch_size num_consumed num_rows"; }

const char* kernel_facts() { return "slot num_rows num_outputs objective"; }

const char* kernel_objectives() { return "classification regression tokens"; }

const char* kernel_activations() { return "relu tanh gelu silu"; }

const char* kernel_kinds() { return "MLP Attention CNN GPT ResidualCNN GRU"; }

void kernel_train(const TrainJob* job) {
    switch (job->model.kind) {
        case MLP_KIND: return kernels::train_lanes<kernels::MLP>(*job);
        case ATTENTION_KIND: return kernels::train_lanes<kernels::Attention>(*job);
        case CNN_KIND: return kernels::train_lanes<kernels::CNN>(*job);
        case GPT_KIND: return kernels::train_lanes<kernels::GPT>(*job);
        case RESIDUAL_CNN_KIND: return kernels::train_lanes<kernels::ResidualCNN>(*job);
        default: return kernels::train_lanes<kernels::GRU>(*job);
    }
}

void kernel_evaluate(const EvaluateJob* job) {
    switch (job->model.kind) {
        case MLP_KIND: return kernels::evaluate_lanes<kernels::MLP>(*job);
        case ATTENTION_KIND: return kernels::evaluate_lanes<kernels::Attention>(*job);
        case CNN_KIND: return kernels::evaluate_lanes<kernels::CNN>(*job);
        case GPT_KIND: return kernels::evaluate_lanes<kernels::GPT>(*job);
        case RESIDUAL_CNN_KIND: return kernels::evaluate_lanes<kernels::ResidualCNN>(*job);
        default: return kernels::evaluate_lanes<kernels::GRU>(*job);
    }
}

}  // extern "C"
