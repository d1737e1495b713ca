// A whole walk under a policy: the observation of `observation.Observer` and `steering.Steering` in
// deployment, where only one-step errors are measured, the network, and the moves.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "preparation.hpp"
#include "walk.hpp"

namespace {

constexpr int kValues = 8, kRunFields = 22, kFieldsEach = 4, kLevels = 5;
constexpr int kObserved = kRunFields + kFieldsEach * kValues + kFeatures;
constexpr double kSmoothing = .7, kLongestRun = 1000.0, kRecent = .89;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

constexpr double kLogInteger = 1, kOneMinusLog = 2, kLogit = 3;  // scales; 0 is a logarithm

struct Axis {  // of a hyperparameter; `step` is how far a move of 1 goes on it
  double low, high, axis_low, axis_high, step, scale;
};

double to_axis(const Axis& a, double value) {
  const double below_one = std::min(value, 1.0 - 1e-12);
  if (a.scale == kOneMinusLog) return -std::log1p(-below_one);
  const double log = std::log(std::max(value, 1e-300));
  return a.scale == kLogit ? log - std::log(1.0 - below_one) : log;
}

// A base value moved by a distance on the axis, inside the range widened to hold the base.
double corrected(const Axis& a, double base, double distance) {
  double value = base;
  if (a.scale == kOneMinusLog) {
    value = base - (1.0 - base) * std::expm1(-distance);
  } else if (a.scale == kLogit) {
    const double e = std::expm1(distance);
    value = base + base * (1.0 - base) * e / (1.0 + base * e);
  } else {
    value = base * std::exp(distance);
    if (a.scale == kLogInteger) value = std::nearbyint(value);
  }
  return std::min(std::max(value, std::min(a.low, base)), std::max(a.high, base));
}

struct Network {  // weights `[in, out]` and biases of layer after layer; no layer: no moves
  int64_t num_layers, num_members, is_relu, is_clipped;
  const int64_t* sizes;  // [num_layers + 1]
  const double* numbers;
  const double* mean;  // of the observations of meta-training; null: the network is trusted everywhere
  const double* whitening;  // [kObserved, kObserved]
  double threshold, offset;
};

// tanh to the last digits of its absolute value, without a call or a branch, so that a layer is computed
// several numbers at a time: exp(-2|x|) = 2^k e^r with |r| < ln 2 / 2, and e^r from its series.
inline double quick_tanh(double x) {
  const double y = -2.0 * std::min(std::fabs(x), 20.0);
  const double k = std::nearbyint(y * 1.4426950408889634);
  const double r = (y - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
  double e = 1.0;
  for (int i = 13; i > 0; i--) e = 1.0 + r * (1.0 / i) * e;
  const int64_t bits = (static_cast<int64_t>(k) + 1023) << 52;
  double power;
  std::memcpy(&power, &bits, sizeof power);
  const double share = e * power;
  return std::copysign((1.0 - share) / (1.0 + share), x);
}

// The share of the network in a decision: `Familiarity.trust`.
double trust(const Network& net, const float* observed, Numbers& whitened) {
  whitened.assign(kObserved, 0.0);
  for (int i = 0; i < kObserved; i++) {
    const double deviation = observed[i] - net.mean[i], *row = net.whitening + i * kObserved;
    for (int o = 0; o < kObserved; o++) whitened[o] += deviation * row[o];
  }
  double square = 0.0;
  for (double value : whitened) square += value * value;
  const double distance = std::max(std::hypot(std::sqrt(square), net.offset), net.threshold);
  return net.threshold / distance * (net.threshold / distance);
}

// The mean moves `[kValues]` of the members.
void act(const Network& net, const Axis* axes, const float* observed, Numbers& one, Numbers& two,
         float* moves) {
  one.assign(observed, observed + kObserved);
  const double* numbers = net.numbers;
  for (int64_t layer = 0; layer < net.num_layers; layer++) {
    const int64_t num_in = net.sizes[layer], num_out = net.sizes[layer + 1];
    two.assign(num_out, 0.0);
    for (int64_t i = 0; i < num_in; i++) {
      const double value = one[i], *row = numbers + i * num_out;
      for (int64_t o = 0; o < num_out; o++) two[o] += value * row[o];
    }
    const double* bias = numbers + num_in * num_out;
    for (int64_t o = 0; o < num_out; o++) two[o] += bias[o];
    const bool is_hidden = layer + 1 < net.num_layers;
    if (is_hidden && net.is_relu)
      for (double& value : two) value = std::max(value, 0.0);
    if (is_hidden && !net.is_relu)
      for (double& value : two) value = quick_tanh(value);
    std::swap(one, two);
    numbers = bias + num_out;
  }
  const double* output = one.data();
  double total[kValues] = {};
  for (int64_t member = 0; member < net.num_members; member++) {
    for (int h = 0; h < kValues; h++) {
      if (net.is_clipped) {
        total[h] += std::min(std::max(*output++, -1.0), 1.0);
        continue;
      }
      const double highest = *std::max_element(output, output + kLevels);
      double level = 0.0, sum = 0.0;
      for (int k = 0; k < kLevels; k++, output++) {
        const double e = std::exp(*output - highest);
        level += e * (k - kLevels / 2) / (kLevels / 2);
        sum += e;
      }
      total[h] += level / sum;
    }
  }
  const double share = net.mean ? trust(net, observed, two) : 1.0;
  for (int h = 0; h < kValues; h++) {
    double move = total[h] / static_cast<double>(net.num_members);
    if (share < 1.0) {  // back to where no correction is, as far as a step goes
      const Axis& a = axes[h];
      const double distance = observed[kRunFields + kFieldsEach * h + 1];
      const double back = -distance / (a.step / (a.axis_high - a.axis_low));
      move = share * move + (1.0 - share) * std::min(std::max(back, -1.0), 1.0);
    }
    moves[h] = static_cast<float>(move);
  }
}

// What `observation.Memory` keeps of a run whose only measure is the error of one step.
struct Course {
  double interval = 0.0, first = kNone, current = kNone, best = kNone, loss = kNone;
  double drop = 0.0, drop_before = 0.0, drop_average = 0.0;
  float moves[kValues] = {};
  double distances[kValues] = {}, values[kValues] = {};
};

void close_interval(Course& c, double loss, double floor) {
  const double log = std::isfinite(loss) ? std::log(std::max(loss, floor)) : c.current;
  const double previous = std::isnan(c.current) ? log : c.current;
  if (std::isnan(c.first)) c.first = log;
  c.drop_before = c.drop;
  c.drop = previous - log;
  c.drop_average = kSmoothing * c.drop_average + (1.0 - kSmoothing) * c.drop;
  c.best = std::fmin(c.best, log);
  c.current = log;
  c.loss = loss;
  c.interval += 1.0;
}

double squashed(double raw, double scale) {
  return std::isnan(raw) ? 0.0 : std::tanh(raw / scale);
}

void observe(const Course& c, const State& s, const Facts& f, const Axis* axes, double num_decisions,
             float* out) {
  double all[kObserved] = {}, *o = all;
  *o++ = 2.0 * c.interval / num_decisions - 1.0;
  *o++ = std::min(std::log1p(num_decisions - c.interval) / std::log1p(kLongestRun), 1.0);
  *o++ = squashed(c.first - c.current, 1.5);
  *o++ = squashed(c.drop, .1);
  *o++ = squashed(c.drop, 1.0);
  *o++ = squashed(c.drop_before, .1);
  *o++ = squashed(c.drop_average, .05);
  *o++ = squashed(c.current - c.best, .1);
  o = all + 18;  // nothing else is measured; the masks say so
  *o++ = -1.0;
  *o++ = std::isfinite(c.loss) ? 1.0 : -1.0;
  *o++ = -1.0;
  *o++ = -1.0;
  for (int h = 0; h < kValues; h++) {
    const Axis& a = axes[h];
    const double range = a.axis_high - a.axis_low;
    const double share = (to_axis(a, c.values[h]) - a.axis_low) / range;
    *o++ = std::min(std::max(2.0 * share - 1.0, -1.0), 1.0);
    *o++ = std::min(std::max(c.distances[h] / range, -1.0), 1.0);
    *o++ = c.moves[h];
    *o++ = 1.0;
  }
  features(s, f, o);
  for (int i = 0; i < kFeatures; i++) o[i] = std::min(std::max(o[i], -1.0), 1.0);
  for (int i = 0; i < kObserved; i++) out[i] = static_cast<float>(all[i]);
}

void take_moves(Course& c, const Axis* axes, const double* initial) {
  for (int h = 0; h < kValues; h++) {
    const Axis& a = axes[h];
    const double start = to_axis(a, initial[h]);
    const double lowest = std::min(a.axis_low - start, 0.0);
    const double highest = std::max(a.axis_high - start, 0.0);
    const double moved = c.distances[h] + c.moves[h] * a.step;
    c.distances[h] = std::min(std::max(moved, lowest), highest);
    c.values[h] = corrected(a, initial[h], c.distances[h]);
  }
}

struct Realised {  // errors by steps ahead, each `[num_ahead]`: sums, late ones counting more, numbers
  double *sums, *recent, *counts;
};

// Forecast from where the walk is, and compare with what is known to come.
void judge_forecast(const State& s, const Facts& f, const Values& v, const double* series,
                    const double* indices, int num, double* own, const Realised& r) {
  const int64_t age = static_cast<int64_t>(s.age);
  const int left = static_cast<int>(std::min<int64_t>(num, f.length - age));
  if (left < 1) return;
  forecast(s, f, v, left, own, nullptr);
  for (int h = 0; h < left; h++) {
    const double scaled = std::fabs(series[age + h] - own[h]);
    const double size = f.is_multiplicative ? scaled * indices[age + h] : scaled;
    r.sums[h] += size;
    r.recent[h] = kRecent * r.recent[h] + size;
    r.counts[h] += 1.0;
  }
}

// Walk through a series that is warm, from its first decision to its forecast `out [num_ahead]`.
void steer(State& s, const Facts& f, Values& v, const double* series, const double* indices,
           double naive_error, const Axis* axes, const Network& net, double floor, int num_ahead,
           double* course, const Realised& realised, double* out) {
  double initial[kValues];
  float observed[kObserved];
  std::copy(&v.level, &v.level + kValues, initial);
  Course c;
  std::copy(initial, initial + kValues, c.values);
  Numbers one, two;
  const int64_t num_decisions = (f.length - f.warm) / f.stride + 1;
  for (int64_t decision = 0; decision < num_decisions; decision++) {
    if (net.num_layers > 0) {
      observe(c, s, f, axes, static_cast<double>(num_decisions), observed);
      act(net, axes, observed, one, two, c.moves);
      take_moves(c, axes, initial);
    }
    std::copy(c.values, c.values + kValues, &v.level);
    course = std::copy(c.values, c.values + kValues, course);
    judge_forecast(s, f, v, series, indices, num_ahead, out, realised);
    take_in(s, f, v, series, static_cast<int64_t>(s.age) < f.length ? f.stride : 0);
    const double loss = s.interval_count > 0.0
                            ? s.interval_error / std::max(s.interval_count, 1.0) / naive_error
                            : kNone;
    close_interval(c, loss, floor);
  }
  forecast(s, f, v, num_ahead, out, nullptr);
}

}  // namespace
