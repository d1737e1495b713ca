// Histograms of gradients and the best split of a leaf.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "table.hpp"

namespace boosting {

// Vectors of the compiler, GCC's and Clang's alike: of whatever processor.
typedef float Four __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));

struct Cell {
  Four sums;  // of gradients, hessians and rows; the last is not used
  float gradient() const { return sums[0]; }
  float hessian() const { return sums[1]; }
  float count() const { return sums[2]; }
};

struct Settings {
  float learning_rate, l2;
  int num_leaves, min_data;
  double row_share, column_share, linear_shrinkage;
};

struct Split {
  float gain = 0.0f;   // above that of no split
  int column = -1;     // -1: there is none
  uint64_t left = 0;   // bins that go left
  float extra_l2 = 0;  // of the leaves that it makes
  float gradient = 0, hessian = 0, count = 0;  // of the left leaf
};

// LightGBM's defaults for categories: a few are tried one against the rest, more are ordered by
// their mean gradient.
constexpr int kMostAlone = 4;
constexpr float kCategorySmoothing = 10.0f, kCategoryL2 = 10.0f, kLeastOfGroup = 100.0f;
constexpr int kMostOnOneSide = 32;
constexpr float kLeastHessian = 1e-3f;
constexpr float kNone = -std::numeric_limits<float>::infinity();

struct Leaf {
  float gradient = 0, hessian = 0;
  int count = 0;
};

inline float gain_of(float gradient, float hessian, float l2) {
  return gradient * gradient / (hessian + l2);
}

inline bool is_allowed(const Leaf& leaf, float hessian, float count, const Settings& s) {
  const float least = static_cast<float>(s.min_data);
  return count >= least && static_cast<float>(leaf.count) - count >= least &&
         hessian >= kLeastHessian && leaf.hessian - hessian >= kLeastHessian;
}

// The best threshold of a column of numbers: bins 1..b go left, and the missing ones where
// `missing_left` says so. Four bins at a time; of equals the first.
inline void find_threshold(const Cell* cells, int column, int num_bins, const Leaf& leaf,
                           const Settings& s, bool missing_left, Split& best) {
  const float least = static_cast<float>(s.min_data), count = static_cast<float>(leaf.count);
  Four total = missing_left ? cells[0].sums : Four{};
  Four top = Four{} + kNone, top_g = top, top_h = top, top_c = top;
  Ints top_bin{}, bins{1, 2, 3, 4};
  for (int b = 1; b < num_bins; b += 4) {  // cells past the column are empty
    const Four p = total + cells[b].sums, q = p + cells[b + 1].sums;
    const Four r = q + cells[b + 2].sums, t = r + cells[b + 3].sums;
    total = t;
    const Four g{p[0], q[0], r[0], t[0]}, h{p[1], q[1], r[1], t[1]}, c{p[2], q[2], r[2], t[2]};
    const Four other_g = leaf.gradient - g, other_h = leaf.hessian - h;
    const Ints fine = (c >= least) & (count - c >= least) & (h >= kLeastHessian) &
                      (other_h >= kLeastHessian);
    const Four gain = g * g / (h + s.l2) + other_g * other_g / (other_h + s.l2);
    const Ints better = fine & (gain > top);
    top = better ? gain : top;
    top_g = better ? g : top_g;
    top_h = better ? h : top_h;
    top_c = better ? c : top_c;
    top_bin = better ? bins : top_bin;
    bins += 4;
  }
  int k = 0;
  for (int i = 1; i < 4; i++) {
    if (top[i] > top[k] || (top[i] == top[k] && top_bin[i] < top_bin[k])) k = i;
  }
  const float gain = top[k] - gain_of(leaf.gradient, leaf.hessian, s.l2);
  if (!(gain > best.gain)) return;
  const uint64_t below = top_bin[k] >= 63 ? ~0ull : (1ull << (top_bin[k] + 1)) - 1;
  best = Split{gain, column, missing_left ? below | 1ull : below & ~1ull, 0.0f,
               top_g[k], top_h[k], top_c[k]};
}

// One category against the rest.
inline void find_category(const Cell* cells, int column, int num_bins, const Leaf& leaf,
                          const Settings& s, Split& best) {
  const float shift = gain_of(leaf.gradient, leaf.hessian, s.l2);
  for (int b = 1; b < num_bins; b++) {
    const Cell& c = cells[b];
    if (!is_allowed(leaf, c.hessian(), c.count(), s)) continue;
    const float gain = gain_of(c.gradient(), c.hessian(), s.l2) +
                       gain_of(leaf.gradient - c.gradient(), leaf.hessian - c.hessian(), s.l2) - shift;
    if (gain > best.gain)
      best = Split{gain, column, 1ull << b, 0.0f, c.gradient(), c.hessian(), c.count()};
  }
}

// Categories in the order of their smoothed mean gradient, from either end.
inline void find_categories(const Cell* cells, int column, int num_bins, const Leaf& leaf,
                            const Settings& s, Split& best) {
  int order[kMostBins], num = 0;
  float mean[kMostBins];
  for (int b = 1; b < num_bins; b++) {
    if (cells[b].count() < kCategorySmoothing) continue;
    mean[b] = cells[b].gradient() / (cells[b].hessian() + kCategorySmoothing);
    int place = num++;
    for (; place > 0 && mean[order[place - 1]] > mean[b]; place--) order[place] = order[place - 1];
    order[place] = b;
  }
  const float shift = gain_of(leaf.gradient, leaf.hessian, s.l2), l2 = s.l2 + kCategoryL2;
  const float total = static_cast<float>(leaf.count), least = static_cast<float>(s.min_data);
  const int most = std::min(kMostOnOneSide, (num + 1) / 2);
  for (int from_end = 0; from_end < 2; from_end++) {
    float g = 0, h = 0, count = 0, group = 0;
    uint64_t left = 0;
    for (int i = 0; i < most; i++) {
      const int b = order[from_end ? num - 1 - i : i];
      const Cell& c = cells[b];
      g += c.gradient(), h += c.hessian(), count += c.count(), group += c.count();
      left |= 1ull << b;
      if (count < least || h < kLeastHessian) continue;
      if (total - count < std::max(least, kLeastOfGroup)) break;
      if (leaf.hessian - h < kLeastHessian) break;
      if (group < kLeastOfGroup) continue;
      group = 0;
      const float gain = gain_of(g, h, l2) + gain_of(leaf.gradient - g, leaf.hessian - h, l2) - shift;
      if (gain > best.gain) best = Split{gain, column, left, kCategoryL2, g, h, count};
    }
  }
}

inline void find_in_column(const Table& table, int f, const Cell* histogram, const Leaf& leaf,
                           const Settings& s, Split& best) {
  const Column& column = table.columns[f];
  const Cell* cells = histogram + column.offset;
  if (column.is_categorical) {
    const auto find = column.num_bins - 1 <= kMostAlone ? find_category : find_categories;
    find(cells, f, column.num_bins, leaf, s, best);
    return;
  }
  find_threshold(cells, f, column.num_bins, leaf, s, false, best);
  if (cells[0].count() > 0.0f) find_threshold(cells, f, column.num_bins, leaf, s, true, best);
}

}  // namespace boosting
