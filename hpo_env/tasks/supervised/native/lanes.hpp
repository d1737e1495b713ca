// Trains and evaluates lanes of one model, one after another, and deals them to threads.
//
// A lane runs its whole decision interval before the next one starts, so that its weights and the
// optimiser's state stay in the processor's own caches. The definition is step.py; this file
// repeats it for one lane, with a model that takes a minibatch block of rows by block of rows.

#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "jobs.hpp"
#include "loss.hpp"
#include "optimizer.hpp"
#include "parameters.hpp"
#include "rows.hpp"

namespace kernels {

constexpr float CLIP_EPSILON = 1e-6f;

// Sums over a flat copy's elements: add(i, sums) adds the terms of LANES of them to each sum. Blocks
// are summed in float, and added in double: a float loses what follows the first hundred thousand.
template <int NUM_SUMS, class Add>
std::array<double, NUM_SUMS> sums_over(int64_t count, Add add) {
    constexpr int64_t BLOCK = 4096;
    std::array<double, NUM_SUMS> totals = {};
    for (int64_t first = 0; first < count; first += BLOCK) {
        const int64_t end = std::min(first + BLOCK, count);
        Vec sums[NUM_SUMS] = {};
        for (int64_t i = first; i < end; i += LANES) add(i, sums);
        for (int j = 0; j < NUM_SUMS; ++j) totals[j] += static_cast<double>(sum(sums[j]));
    }
    return totals;
}

// A lane's own numbers of a job.
template <class Net>
struct Lane {
    uint32_t seed;
    int64_t num_updates, batch_size;
    typename Net::Rows rows;
    Weights weights, momenta, squares;

    Lane(const TrainJob& job, const Parameters& parameters, int64_t lane)
        : Lane(job, parameters, lane, Counters(job, lane)) {}

  private:
    Lane(const TrainJob& job, const Parameters& parameters, int64_t lane, const Counters& counters)
        : seed(counters.seed()),
          num_updates(counters.num_updates()),
          batch_size(counters.batch_size()),
          rows(job, lane, counters) {
        const std::vector<Parameter>& listed = parameters.listed();
        for (size_t i = 0; i < listed.size(); ++i) {
            const int64_t offset = lane * listed[i].size;
            weights.push_back(job.tensors[i] + offset);
            momenta.push_back(job.tensors[listed.size() + i] + offset);
            squares.push_back(job.tensors[2 * listed.size() + i] + offset);
        }
    }
};

// The losses of all outputs of a pass: one a row, or one a token that is read, which stand side by
// side.
template <class Net>
Losses measure_outputs(const Net& net, const float* y, const Pass& pass, Objective objective,
                       float smoothing, float share) {
    const int64_t count = net.outputs_per_row();
    Losses all = {0.0f, 0};
    for (int64_t t = 0; t < count; ++t) {
        Losses some = measure(net.outputs() + t * pass.b, count * pass.b, y + t * pass.b,
                              pass.num_outputs, pass.rows, pass.b, objective, smoothing,
                              pass.is_training, share);
        all.sum += some.sum;
        all.num_right += some.num_right;
    }
    return all;
}

template <class Net>
class Trainer {
  public:
    explicit Trainer(const TrainJob& job)
        : job_(job),
          net_(job.model, arena_, std::min(padded(job.batch), Net::BLOCK), true),
          y_(arena_.take(Net::BLOCK * net_.outputs_per_row())),
          flat_gradients_(arena_.take(net_.parameters().num_weights())),
          start_(arena_.take(net_.parameters().num_weights())),
          middle_(arena_.take(net_.parameters().num_weights())),
          gradients_(net_.parameters().places_in(flat_gradients_)) {}

    // Trains a lane for one interval.
    void train(int64_t number) {
        const Parameters& parameters = net_.parameters();
        Lane<Net> lane(job_, parameters, number);
        const int64_t num_updates = job_.num_updates[number];
        parameters.copy_flat(lane.weights, start_);
        for (int64_t u = 0; u < num_updates; ++u) {
            if (u == num_updates / 2) parameters.copy_flat(lane.weights, middle_);
            const int64_t at = u * job_.num_lanes + number;
            Settings settings;
            std::memcpy(&settings, job_.settings + at * (sizeof settings / 4), sizeof settings);
            job_.losses[at] = minibatch(lane, settings, lane.num_updates + u);
            job_.norms[at] = update(lane, settings);
        }
        measure_movement(lane, number);
    }

  private:
    // Computes the gradients of one minibatch and returns its loss.
    float minibatch(Lane<Net>& lane, const Settings& c, int64_t num_updates) {
        const Dropout dropout(lane.seed, num_updates, c.dropout);
        const float count = static_cast<float>(lane.batch_size * net_.outputs_per_row());
        float total = 0.0f;
        for (int64_t first = 0; first < lane.batch_size; first += Net::BLOCK) {
            const int64_t rows = std::min(lane.batch_size - first, Net::BLOCK);
            const Pass pass{static_cast<int64_t>(c.num_outputs), rows, padded(rows), first, true,
                            c.dropout > 0.0f ? &dropout : nullptr};
            lane.rows.next(net_, y_, pass);
            net_.forward(lane.weights, pass);
            total += measure_outputs(net_, y_, pass, static_cast<Objective>(c.objective),
                                     c.label_smoothing, 1.0f / count)
                         .sum;
            clear_unreal_outputs(pass);
            net_.backward(lane.weights, pass, gradients_, first > 0);
        }
        return total / count;
    }

    // Outputs that the lane does not have; another lane's may stand there.
    void clear_unreal_outputs(const Pass& pass) {
        const int64_t count = padded(job_.model.num_outputs) - pass.num_outputs;
        const int64_t columns = net_.outputs_per_row() * pass.b;
        std::memset(net_.outputs() + pass.num_outputs * columns, 0,
                    static_cast<size_t>(count * columns) * 4);
    }

    // Clips, takes the optimiser's step and returns the gradient's norm before clipping.
    float update(Lane<Net>& lane, const Settings& c) {
        const std::vector<Parameter>& listed = net_.parameters().listed();
        const auto squares = sums_over<1>(net_.parameters().num_weights(), [&](int64_t i, Vec* to) {
            Vec g = load(flat_gradients_ + i);
            to[0] += g * g;
        });
        const float norm = static_cast<float>(std::sqrt(squares[0]));
        float scale = c.gradient_clip / (norm + CLIP_EPSILON);
        if (scale > 1.0f) scale = 1.0f;
        for (size_t i = 0; i < listed.size(); ++i)
            if (!listed[i].is_average)
                optimize_by(c, lane.weights[i], lane.momenta[i], lane.squares[i], gradients_[i],
                            listed[i].size, scale);
        return norm;
    }

    void measure_movement(const Lane<Net>& lane, int64_t number) {
        float* ends = flat_gradients_;  // their gaps are 0 as well, and the gradients are used up
        net_.parameters().copy_flat(lane.weights, ends);
        const auto sums = sums_over<5>(net_.parameters().num_weights(), [&](int64_t i, Vec* to) {
            Vec start = load(start_ + i), middle = load(middle_ + i), end = load(ends + i);
            Vec first = middle - start, second = end - middle, whole = end - start;
            to[0] += start * start;
            to[1] += whole * whole;
            to[2] += first * first;
            to[3] += second * second;
            to[4] += first * second;
        });
        for (int i = 0; i < 5; ++i)
            job_.movement[i * job_.num_lanes + number] = static_cast<float>(sums[i]);
    }

    const TrainJob& job_;
    Arena arena_;
    Net net_;
    float *y_, *flat_gradients_, *start_, *middle_;
    Weights gradients_;
};

template <class Net>
class Evaluator {
  public:
    explicit Evaluator(const EvaluateJob& job)
        : job_(job),
          net_(job.model, arena_, BLOCK, false),
          y_(arena_.take(BLOCK * net_.outputs_per_row())) {}

    // Measures loss and share of right labels at one place of the job.
    void evaluate(int64_t place) {
        const int64_t* facts = job_.facts + place * 4;
        const int64_t slot = facts[0], num_rows = facts[1];
        Weights weights;
        for (size_t i = 0; i < net_.parameters().listed().size(); ++i)
            weights.push_back(job_.tensors[i] + slot * net_.parameters().listed()[i].size);
        double loss = 0.0;
        int64_t num_right = 0;
        for (int64_t first = 0; first < num_rows; first += BLOCK) {
            const int64_t rows = std::min(num_rows - first, BLOCK);
            const Pass pass{facts[2], rows, padded(rows), first, false, nullptr};
            Net::Rows::measured(job_, slot, net_, y_, pass);
            net_.forward(weights, pass);
            Losses measured = measure_outputs(net_, y_, pass, static_cast<Objective>(facts[3]),
                                              0.0f, 0.0f);
            loss += measured.sum;
            num_right += measured.num_right;
        }
        const double count = static_cast<double>(num_rows * net_.outputs_per_row());
        job_.loss[place] = loss / count;
        job_.accuracy[place] = static_cast<double>(num_right) / count;
    }

  private:
    // Rows at a time, of which each is measured by itself: all that is kept of them fills a cache.
    static constexpr int64_t BLOCK = std::min<int64_t>(Net::BLOCK, 64);

    const EvaluateJob& job_;
    Arena arena_;
    Net net_;
    float* y_;
};

// Numbers below 1e-38 count as 0 meanwhile: momenta that die away would otherwise come to lie
// there, where every operation takes a hundred times as long.
class NoSubnormals {
  public:
#if defined(__x86_64__) || defined(_M_X64)
    NoSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }
    ~NoSubnormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#else
    NoSubnormals() {}
    ~NoSubnormals() {}
#endif
};

// Has threads take one lane after the other. Lanes share nothing that is written, so who takes which
// changes nothing; and a thread without a lane ends instead of spinning at a barrier.
template <class Job, class Work>
void over_lanes(const Job& job, Work work) {
    std::atomic<int64_t> next{0};
    std::vector<std::thread> others;
    int64_t num_threads = std::min(job.num_threads, job.num_lanes);
    for (int64_t i = 1; i < num_threads; ++i) others.emplace_back([&] { work(next); });
    work(next);
    for (std::thread& other : others) other.join();
}

template <class Net>
void train_lanes(const TrainJob& job) {
    over_lanes(job, [&](std::atomic<int64_t>& next) {
        NoSubnormals guard;
        Trainer<Net> trainer(job);
        for (int64_t lane; (lane = next++) < job.num_lanes;) trainer.train(lane);
    });
}

template <class Net>
void evaluate_lanes(const EvaluateJob& job) {
    over_lanes(job, [&](std::atomic<int64_t>& next) {
        NoSubnormals guard;
        Evaluator<Net> evaluator(job);
        for (int64_t place; (place = next++) < job.num_lanes;) evaluator.evaluate(place);
    });
}

}  // namespace kernels
