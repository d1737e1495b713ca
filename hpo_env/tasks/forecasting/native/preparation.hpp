// What happens to a series before the walk, as `preparation.prepare` does it.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr double kYearlyWeight = .85, kSmallestRatio = .01, kMultiplicativeFrom = 1e-3;

enum class Season : int64_t { automatic, multiplicative, additive };

struct Prepared {
  double scale, naive_error;
  bool is_seasonal, is_multiplicative;
};

using Numbers = std::vector<double>;

Numbers moving_average(int period) {
  if (period % 2) return Numbers(period, 1.0 / period);
  Numbers weights(period + 1, 1.0 / period);
  weights.front() = weights.back() = .5 / period;
  return weights;
}

// Weighted means wherever all weights have a value; the weights are symmetric.
Numbers averaged(const Numbers& values, const Numbers& weights) {
  Numbers out(values.size() + 1 - weights.size());
  for (size_t i = 0; i < out.size(); i++)
    for (size_t k = 0; k < weights.size(); k++) out[i] += weights[k] * values[i + k];
  return out;
}

// The least squares line through `period` values, which lie `step` apart, reaches `num` places before
// the first of them; the nearest place comes first.
Numbers line_beyond(const double* first, int step, int period, int num) {
  double mean = 0.0, moment = 0.0, square = 0.0;
  for (int i = 0; i < period; i++) mean += first[i * step] / period;
  for (int i = 0; i < period; i++) {
    const double place = i - (period - 1) / 2.0;
    moment += place * first[i * step];
    square += place * place;
  }
  Numbers out(num);
  for (int k = 0; k < num; k++)
    out[k] = mean + moment / square * (-(period - 1) / 2.0 - (k + 1));
  return out;
}

// Average deviations from a trend by place in the season, and shrink them: `_one_pass`.
void one_pass(const double* values, const Numbers& trend, int first, int period, bool is_factor,
              double* indices) {
  const int n = static_cast<int>(trend.size());
  Numbers deviation(n), total(period), squares(period), sums(period), powers(n / period + 1, 1.0);
  for (size_t k = 1; k < powers.size(); k++) powers[k] = powers[k - 1] * kYearlyWeight;
  for (int i = 0; i < n; i++) {
    deviation[i] = is_factor ? values[i] / std::max(trend[i], 1e-9) : values[i] - trend[i];
    const double weight = powers[(n - 1 - i) / period];
    const int place = (first + i) % period;
    total[place] += weight;
    squares[place] += weight * weight;
    sums[place] += weight * deviation[i];
  }
  const double neutral = is_factor ? 1.0 : 0.0;
  double inverse = 0.0, mean = 0.0;
  for (int p = 0; p < period; p++) {
    const bool is_known = total[p] > 0.0;
    indices[p] = is_known ? sums[p] / total[p] : neutral;
    inverse += (is_known ? squares[p] / (total[p] * total[p]) : 1.0) / period;
    mean += indices[p] / period;
  }
  double rest = 0.0, spread = 0.0;
  for (int i = 0; i < n; i++) {
    const double left = deviation[i] - indices[(first + i) % period];
    rest += left * left;
  }
  const double chance = rest / std::max(n - period, 1) * inverse;
  for (int p = 0; p < period; p++) {
    indices[p] = (is_factor ? indices[p] / mean : indices[p] - mean) - neutral;
    spread += indices[p] * indices[p];
  }
  spread /= period - 1;
  const double shrink =
      static_cast<double>(std::max(period - 3, 0)) / (period - 1) * chance / std::max(spread, 1e-12);
  const double kept = 1.0 - std::min(shrink, 1.0);
  for (int p = 0; p < period; p++) {
    indices[p] = neutral + kept * indices[p];
    if (is_factor) indices[p] = std::max(indices[p], kSmallestRatio);
  }
}

void free_of(double* values, int num, const double* indices, int period, bool is_factor) {
  for (int i = 0; i < num; i++)
    values[i] = is_factor ? values[i] / indices[i % period] : values[i] - indices[i % period];
}

void shrunken_indices(const double* values, int num, int period, bool is_factor, double* indices) {
  const Numbers weights = moving_average(period);
  const int half = static_cast<int>(weights.size()) / 2;
  const Numbers trend = averaged(Numbers(values, values + num), weights);
  one_pass(values + half, trend, half, period, is_factor, indices);
  Numbers free(values, values + num);
  free_of(free.data(), num, indices, period, is_factor);
  const Numbers before = line_beyond(free.data(), 1, period, half);
  const Numbers after = line_beyond(free.data() + num - 1, -1, period, half);
  Numbers whole(before.rbegin(), before.rend());
  whole.insert(whole.end(), free.begin(), free.end());
  whole.insert(whole.end(), after.begin(), after.end());
  one_pass(values, averaged(whole, weights), 0, period, is_factor, indices);
}

// Scale `num` observations in place, take their season out, and write its indices `[period]`.
Prepared prepare(double* values, int num, int period, Season season, double* indices) {
  Prepared out{};
  for (int i = 0; i < num; i++) out.scale += std::fabs(values[i]);
  out.scale = out.scale / num + 1e-9;
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (int i = 0; i < num; i++) {
    values[i] /= out.scale;
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  out.is_multiplicative = season == Season::multiplicative ||
                          (season == Season::automatic && low > kMultiplicativeFrom);
  out.is_seasonal = num > 2 * period && period > 1 && high > low;
  std::fill(indices, indices + period, out.is_multiplicative ? 1.0 : 0.0);
  if (out.is_seasonal) shrunken_indices(values, num, period, out.is_multiplicative, indices);
  const int lag = num > period ? period : 1;
  for (int i = lag; i < num; i++) out.naive_error += std::fabs(values[i] - values[i - lag]);
  out.naive_error = std::max(out.naive_error / (num - lag), 1e-4);
  free_of(values, num, indices, period, out.is_multiplicative);
  return out;
}

}  // namespace
