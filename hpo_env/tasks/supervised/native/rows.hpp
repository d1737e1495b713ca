// What a model is trained on: rows of numbers with a target each, or windows of a text.
//
// Of either there are those of a minibatch, which a lane walks through, and those of a measurement,
// which lie in order. Both fill a model's inputs and the targets beside its outputs.

#pragma once

#include <algorithm>

#include "jobs.hpp"
#include "order.hpp"
#include "pass.hpp"
#include "transpose.hpp"

namespace kernels {

// A lane's number of a job's counters; the strides follow them.
struct Counters {
    const int64_t* of_lane;
    int64_t num_strides;

    Counters(const TrainJob& job, int64_t lane)
        : of_lane(job.counters + lane * (5 + job.num_strides)), num_strides(job.num_strides) {}

    uint32_t seed() const { return static_cast<uint32_t>(of_lane[0]); }
    int64_t num_updates() const { return of_lane[1]; }
    int64_t batch_size() const { return of_lane[2]; }
    int64_t num_consumed() const { return of_lane[3]; }
    int64_t num_rows() const { return of_lane[4]; }
    const int64_t* strides() const { return of_lane + 5; }
};

// Rows [D] of numbers. A model has one output for each.
class NumberRows {
  public:
    NumberRows(const TrainJob& job, int64_t lane, const Counters& counters)
        : x_(static_cast<const float*>(job.x) + lane * job.capacity * job.model.num_inputs),
          y_(job.y + lane * job.capacity),
          num_inputs_(job.model.num_inputs),
          order_(counters.seed(), counters.num_consumed(), counters.num_rows(),
                 counters.strides(), counters.num_strides) {}

    // The next rows of the lane's order.
    template <class Net>
    void next(const Net& net, float* y, const Pass& pass) {
        const float* chosen[Net::BLOCK];
        std::fill(chosen, chosen + pass.b, x_);
        for (int64_t r = 0; r < pass.rows; ++r) {
            const int64_t row = order_.next();
            chosen[r] = x_ + row * num_inputs_;
            y[r] = y_[row];
        }
        transpose([&](int64_t i) { return chosen[i]; }, pass.b, num_inputs_, net.inputs(), pass.b);
    }

    // The rows from the pass's first on, of a slot.
    template <class Net>
    static void measured(const EvaluateJob& job, int64_t slot, const Net& net, float* y,
                         const Pass& pass) {
        const int64_t d = job.model.num_inputs, first = slot * job.capacity + pass.first_row;
        const float* x = static_cast<const float*>(job.x);
        auto row = [&](int64_t i) { return x + (first + (i < pass.rows ? i : 0)) * d; };
        transpose(row, pass.b, d, net.inputs(), pass.b);
        std::memcpy(y, job.y + first, static_cast<size_t>(pass.rows) * 4);
    }

  private:
    const float *x_, *y_;
    int64_t num_inputs_;
    Order order_;
};

// Windows of a text: `num_inputs` tokens, of which a model reads all but the last and tells all but
// the first. It has one output for each token that it reads.
class TextWindows {
  public:
    TextWindows(const TrainJob& job, int64_t lane, const Counters& counters)
        : text_(static_cast<const uint8_t*>(job.x) + lane * job.capacity),
          read_(job.model.num_inputs - 1),
          draws_(counters.seed(), counters.num_consumed(), counters.num_rows()) {}

    template <class Net>
    void next(const Net& net, float* y, const Pass& pass) {
        for (int64_t r = 0; r < pass.rows; ++r) put(text_ + draws_.next(), r, net, y, pass, read_);
        fill(net, pass, read_);
    }

    template <class Net>
    static void measured(const EvaluateJob& job, int64_t slot, const Net& net, float* y,
                         const Pass& pass) {
        const int64_t read = job.model.num_inputs - 1;
        const uint8_t* text = static_cast<const uint8_t*>(job.x) + slot * job.capacity;
        for (int64_t r = 0; r < pass.rows; ++r)
            put(text + (pass.first_row + r) * read, r, net, y, pass, read);
        fill(net, pass, read);
    }

  private:
    template <class Net>
    static void put(const uint8_t* window, int64_t r, const Net& net, float* y, const Pass& pass,
                    int64_t read) {
        for (int64_t t = 0; t < read; ++t) {
            net.tokens()[t * pass.b + r] = window[t];
            y[t * pass.b + r] = static_cast<float>(window[t + 1]);
        }
    }

    // Some token in the place of rows that are not there.
    template <class Net>
    static void fill(const Net& net, const Pass& pass, int64_t read) {
        for (int64_t t = 0; t < read; ++t)
            for (int64_t r = pass.rows; r < pass.b; ++r) net.tokens()[t * pass.b + r] = 0;
    }

    const uint8_t* text_;
    int64_t read_;
    Draws draws_;
};

}  // namespace kernels
