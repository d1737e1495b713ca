// Rounds of a lane: slopes of the loss, a tree for each score, a linear stage, and the losses.
#pragma once

#include "tree.hpp"

namespace boosting {

enum Side { kTrain = 0, kValidation = 1, kTest = 2 };

// What a lane is: its table, its scores [rows, K] and its generator.
struct Lane {
  const Table& table;
  float* scores;
  Generator random;
};

inline void draw_rows(Lane& lane, double share, Workspace& work) {
  const int all = lane.table.num_train();
  int wanted = std::max(1, static_cast<int>(std::lround(share * all)));
  work.used.clear();
  work.unused.clear();
  if (wanted >= all) {
    for (int r = 0; r < all; r++) work.used.push_back(r);
    return;
  }
  for (int r = 0; r < all; r++) {  // exactly so many, each set alike (Knuth's algorithm S)
    const bool is_used = lane.random.share() * (all - r) < wanted;
    (is_used ? work.used : work.unused).push_back(r);
    wanted -= is_used;
  }
}

// The share of each class in each training row, into work.shares [rows, K].
inline void find_shares(const Lane& lane, Workspace& work) {
  const int num = lane.table.num_train(), k = lane.table.num_scores;
  work.shares.resize(static_cast<size_t>(num) * k);
  for (int r = 0; r < num; r++) {
    const float* scores = lane.scores + static_cast<size_t>(r) * k;
    float* shares = work.shares.data() + static_cast<size_t>(r) * k;
    float most = scores[0], total = 0.0f;
    for (int j = 1; j < k; j++) most = std::max(most, scores[j]);
    for (int j = 0; j < k; j++) shares[j] = exponential(scores[j] - most);
    for (int j = 0; j < k; j++) total += shares[j];
    for (int j = 0; j < k; j++) shares[j] /= total;
  }
}

// First and second derivative of the loss by score k in each training row, into work.slopes.
inline void find_slopes(const Lane& lane, int k, Workspace& work) {
  const Table& table = lane.table;
  const int num = table.num_train();
  const float* y = table.y.data();
  Slope* slopes = work.slopes.data();
  switch (table.target) {
    case Target::regression:
      for (int r = 0; r < num; r++) slopes[r] = Slope{lane.scores[r] - y[r], 1.0f};
      break;
    case Target::binary:
      for (int r = 0; r < num; r++) {
        const float share = 1.0f / (1.0f + exponential(-lane.scores[r]));
        slopes[r] = Slope{share - y[r], std::max(share * (1.0f - share), 1e-6f)};
      }
      break;
    case Target::multiclass: {
      const float factor = static_cast<float>(table.num_scores) / (table.num_scores - 1);
      for (int r = 0; r < num; r++) {
        const float share = work.shares[static_cast<size_t>(r) * table.num_scores + k];
        const float is_it = static_cast<int>(y[r]) == k ? 1.0f : 0.0f;
        slopes[r] = Slope{share - is_it, std::max(factor * share * (1.0f - share), 1e-6f)};
      }
    }
  }
}

// A ridge regression of the step that Newton would take, shrunk, added to score k.
inline void add_linear(const Lane& lane, int k, double shrinkage, const Workspace& work) {
  const Table& table = lane.table;
  const int num = table.num_inputs, stride = table.num_scores;
  std::vector<double> weights(num, 0.0);
  double hessian = 0.0;
  for (int r = 0; r < table.num_train(); r++) {
    const float* inputs = table.inputs.data() + static_cast<size_t>(r) * num;
    const double g = work.slopes[r].gradient;
    hessian += work.slopes[r].hessian;
    for (int j = 0; j < num; j++) weights[j] -= inputs[j] * g;
  }
  const std::vector<double>& factor = table.factor;
  for (int i = 0; i < num; i++) {
    for (int j = 0; j < i; j++) weights[i] -= factor[i * num + j] * weights[j];
    weights[i] /= factor[i * num + i];
  }
  for (int i = num - 1; i >= 0; i--) {
    for (int j = i + 1; j < num; j++) weights[i] -= factor[j * num + i] * weights[j];
    weights[i] /= factor[i * num + i];
  }
  const double scale = shrinkage * table.num_train() / hessian;
  for (int r = 0; r < table.num_rows(); r++) {
    const float* inputs = table.inputs.data() + static_cast<size_t>(r) * num;
    double sum = 0.0;
    for (int j = 0; j < num; j++) sum += inputs[j] * weights[j];
    lane.scores[static_cast<size_t>(r) * stride + k] += static_cast<float>(scale * sum);
  }
}

inline void boost(Lane& lane, const Settings& settings, bool with_linear, Workspace& work) {
  const Table& table = lane.table;
  draw_rows(lane, settings.row_share, work);
  work.slopes.resize(table.num_train());
  if (with_linear) {
    if (table.target == Target::multiclass) find_shares(lane, work);
    for (int k = 0; k < table.num_scores; k++) {
      find_slopes(lane, k, work);
      add_linear(lane, k, settings.linear_shrinkage, work);
    }
  }
  if (table.target == Target::multiclass) find_shares(lane, work);
  for (int k = 0; k < table.num_scores; k++) {
    find_slopes(lane, k, work);
    Tree(table, settings, work, lane.random).add_to(lane.scores, k);
  }
}

// Root mean square error, or log loss, on a side of the split.
inline double loss_of(const Lane& lane, Side side) {
  const Table& table = lane.table;
  const int begin = table.begin[side], end = table.begin[side + 1], k = table.num_scores;
  double total = 0.0;
  for (int r = begin; r < end; r++) {
    const float* scores = lane.scores + static_cast<size_t>(r) * k;
    const float y = table.y[r];
    if (table.target == Target::regression) {
      const double error = static_cast<double>(scores[0]) - y;
      total += error * error;
    } else if (table.target == Target::binary) {
      const double margin = y > 0.5f ? scores[0] : -scores[0];
      total += std::log1p(std::exp(-std::fabs(margin))) + (margin < 0.0 ? -margin : 0.0);
    } else {
      double most = scores[0], sum = 0.0;
      for (int j = 1; j < k; j++) most = std::max(most, static_cast<double>(scores[j]));
      for (int j = 0; j < k; j++) sum += exponential(static_cast<float>(scores[j] - most));
      total += std::log(sum) + most - scores[static_cast<int>(y)];
    }
  }
  const double mean = total / std::max(end - begin, 1);
  return table.target == Target::regression ? std::sqrt(mean) : mean;
}

// R² of a regression, accuracy else, on test rows.
inline double metric_of(const Lane& lane) {
  const Table& table = lane.table;
  const int begin = table.begin[kTest], end = table.begin[kTest + 1], k = table.num_scores;
  const int num = std::max(end - begin, 1);
  if (table.target == Target::regression) {
    double mean = 0.0, spread = 0.0;
    for (int r = begin; r < end; r++) mean += table.y[r] / num;
    for (int r = begin; r < end; r++) spread += (table.y[r] - mean) * (table.y[r] - mean) / num;
    const double error = loss_of(lane, kTest);
    return 1.0 - error * error / std::max(spread, 1e-300);
  }
  int right = 0;
  for (int r = begin; r < end; r++) {
    const float* scores = lane.scores + static_cast<size_t>(r) * k;
    const int guess = table.target == Target::binary
                          ? scores[0] > 0.0f
                          : static_cast<int>(std::max_element(scores, scores + k) - scores);
    right += guess == static_cast<int>(table.y[r]);
  }
  return static_cast<double>(right) / num;
}

}  // namespace boosting
