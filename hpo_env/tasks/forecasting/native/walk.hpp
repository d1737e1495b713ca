// The walk through a series: smoothing, autoregression, fixed smoothers and their delayed errors.
// One lane after the other, in doubles, in the order of operations of the NumPy twin (`walk.py`).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace {

constexpr int kSmoothers = 10, kFar = 4, kMaxPeriod = 53, kLags = 12, kRegressors = kLags + 1;
constexpr int kMaxHorizon = 64, kFeatures = 18 + 2 * kSmoothers;
constexpr double kTiny = 1e-5;

// level, trend, damping: `layout.SMOOTHERS`
constexpr double kFactors[kSmoothers][3] = {
    {.1, 0, .9},  {.1, .1, .95},  {.3, 0, .9},    {.3, .1, .95}, {.6, 0, .9},
    {.6, .1, .95}, {.999, 0, .9}, {.999, .1, .95}, {.3, .3, .9},  {.6, .3, .98}};

struct State {  // `layout.COLUMNS`
  double age, level, slope, seasonal[kMaxPeriod];
  double shadow_level[kSmoothers], shadow_slope[kSmoothers];
  double last, last_error, error_fast, error_slow, size_fast, size_slow, product, square, naive_size;
  double count, own_sum, naive_sum, regression_sum, shadow_sum[kSmoothers];
  double far_count, own_far, regression_far, shadow_far[kSmoothers];
  double trend_0, trend_1, trend_2, trend_z, trend_xz;
  double ring_live[kFar], ring_own[kFar], ring_regression[kFar], ring_shadow[kFar][kSmoothers];
  double gram[kRegressors][kRegressors], moment[kRegressors], weights[kRegressors], lags[kLags];
  double change_square, log_q, interval_error, interval_count;
};

struct Facts {  // `layout.FACTS`
  int64_t length, num_future, period, is_seasonal, is_multiplicative, stride, warm;
};

struct Values {  // `layout.HYPERPARAMETERS`
  double level, trend, seasonal, damping, drift, lags, ridge, regression_share;
};

double line_slope(const State& s) {
  const double d = s.trend_0 * s.trend_2 - s.trend_1 * s.trend_1;
  if (s.trend_0 < 5.0 || d <= 1e-6) return 0.0;
  return (s.trend_0 * s.trend_xz - s.trend_1 * s.trend_z) / d / 20.0;
}

double change_variance(const State& s) {
  return s.change_square / std::max(s.age - 1.0, 1.0) + 1e-9;
}

// Ridge regression of the changes on the first lags and a constant, from the sums so far.
void solve(State& s, const Values& v) {
  const int order = static_cast<int>(v.lags);
  const double variance = change_variance(s);
  int active[kRegressors], n = 0;
  for (int i = 0; i < order; i++) active[n++] = i;
  active[n++] = kLags;
  double a[kRegressors][kRegressors], x[kRegressors];
  for (int i = 0; i < n; i++) {
    for (int j = 0; j <= i; j++) a[i][j] = s.gram[active[i]][active[j]];
    a[i][i] += v.ridge * (active[i] == kLags ? 1.0 : variance);
    x[i] = s.moment[active[i]];
  }
  for (int i = 0; i < n; i++) {  // Cholesky
    for (int j = 0; j <= i; j++) {
      double sum = a[i][j];
      for (int k = 0; k < j; k++) sum -= a[i][k] * a[j][k];
      a[i][j] = i == j ? std::sqrt(std::max(sum, 1e-300)) : sum / a[j][j];
    }
  }
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < i; k++) x[i] -= a[i][k] * x[k];
    x[i] /= a[i][i];
  }
  for (int i = n - 1; i >= 0; i--) {
    for (int k = i + 1; k < n; k++) x[i] -= a[k][i] * x[k];
    x[i] /= a[i][i];
  }
  std::fill(s.weights, s.weights + kRegressors, 0.0);
  for (int i = 0; i < n; i++) s.weights[active[i]] = x[i];
}

// Forecasts of the autoregression, `num` steps ahead.
void regress(const State& s, int num, double* out) {
  double lags[kLags];
  std::copy(s.lags, s.lags + kLags, lags);
  const double bound = 5.0 * std::sqrt(change_variance(s));
  double value = s.last;
  for (int h = 0; h < num; h++) {
    double change = s.weights[kLags];
    for (int i = 0; i < kLags; i++) change += s.weights[i] * lags[i];
    change = std::min(std::max(change, -bound), bound);
    value += change;
    for (int i = kLags - 1; i > 0; i--) lags[i] = lags[i - 1];
    lags[0] = change;
    out[h] = value;
  }
}

double damped_sum(double damping, int num) {
  double sum = 0.0, power = 1.0;
  for (int i = 0; i < num; i++) {
    power *= damping;
    sum += power;
  }
  return sum;
}

void average(double& value, double now, double rate) { value = (1.0 - rate) * value + rate * now; }

void judge(State& s, double target, double z, int slot) {
  if (s.ring_live[slot] == 0.0) return;
  s.far_count += 1.0;
  s.own_far += std::fabs(target - s.ring_own[slot]);
  s.regression_far += std::fabs(z - s.ring_regression[slot]);
  for (int k = 0; k < kSmoothers; k++) s.shadow_far[k] += std::fabs(z - s.ring_shadow[slot][k]);
}

// They see the observation itself: nothing that an agent does may change what it is measured against.
void smooth_shadows(State& s, double z, bool is_first, bool is_live) {
  for (int k = 0; k < kSmoothers; k++) {
    if (is_first) {
      s.shadow_level[k] = z;
      s.shadow_slope[k] = 0.0;
      continue;
    }
    const double rate = std::max(kFactors[k][0], 1.0 / (s.age + 1.0));
    const double base = s.shadow_level[k] + kFactors[k][2] * s.shadow_slope[k];
    if (is_live) s.shadow_sum[k] += std::fabs(z - base);
    const double level = rate * z + (1.0 - rate) * base;
    s.shadow_slope[k] = kFactors[k][1] * (level - s.shadow_level[k]) +
                        (1.0 - kFactors[k][1]) * kFactors[k][2] * s.shadow_slope[k];
    s.shadow_level[k] = level;
  }
}

void extend_regression(State& s, double change, bool is_live) {
  double x[kRegressors];
  std::copy(s.lags, s.lags + kLags, x);
  x[kLags] = 1.0;
  double expected = 0.0;
  for (int i = 0; i < kRegressors; i++) expected += s.weights[i] * x[i];
  if (is_live) s.regression_sum += std::fabs(change - expected);
  for (int i = 0; i < kRegressors; i++) {
    for (int j = 0; j < kRegressors; j++) s.gram[i][j] += x[i] * x[j];
    s.moment[i] += x[i] * change;
  }
  s.change_square += change * change;
  for (int i = kLags - 1; i > 0; i--) s.lags[i] = s.lags[i - 1];
  s.lags[0] = change;
}

// Take in the next observation.
void absorb(State& s, const Facts& f, const Values& v, const double* series) {
  const int64_t age = static_cast<int64_t>(s.age);
  const double z = series[age];
  const bool is_first = age == 0, is_live = age >= f.warm;
  const int slot = static_cast<int>(age % kFar);
  const double drift = v.drift * line_slope(s);
  double& index = s.seasonal[age % f.period];
  const double before = index;
  const double target = f.is_multiplicative ? z / std::max(before, .02) : z - before;
  const double base = s.level + v.damping * s.slope + drift;
  double error = 0.0;
  if (is_first) {
    s.level = z;
    s.slope = 0.0;
  } else {
    error = z - (f.is_multiplicative ? base * before : base + before);
    const double level = v.level * target + (1.0 - v.level) * base;
    s.slope = v.trend * (level - s.level - drift) + (1.0 - v.trend) * v.damping * s.slope;
    s.level = level;
    if (f.is_seasonal) {
      const double now = f.is_multiplicative ? z / std::max(base, .05) : z - base;
      index = v.seasonal * now + (1.0 - v.seasonal) * before;
      if (f.is_multiplicative) index = std::min(std::max(index, .05), 10.0);
    }
  }
  if (is_live) judge(s, target, z, slot);
  smooth_shadows(s, z, is_first, is_live);
  if (!is_first) {
    const double size = std::fabs(error), change = z - s.last;
    average(s.error_fast, error, .3);
    average(s.error_slow, error, .1);
    average(s.size_fast, size, .3);
    average(s.size_slow, size, .1);
    average(s.product, error * s.last_error, .15);
    average(s.square, error * error, .15);
    average(s.naive_size, std::fabs(change), .1);
    extend_regression(s, change, is_live);
    if (is_live) {
      s.own_sum += size;
      s.naive_sum += std::fabs(change);
      s.count += 1.0;
    }
    s.last_error = error;
    s.interval_error += size;
    s.interval_count += 1.0;
  }
  s.last = z;
  const double x = s.age / 20.0;
  s.trend_0 += 1.0;
  s.trend_1 += x;
  s.trend_2 += x * x;
  s.trend_z += target;
  s.trend_xz += target * x;
  s.age += 1.0;
  double far[kFar];
  regress(s, kFar, far);
  s.ring_live[slot] = is_live ? 1.0 : 0.0;
  s.ring_own[slot] =
      s.level + damped_sum(v.damping, kFar) * s.slope + v.drift * line_slope(s) * kFar;
  s.ring_regression[slot] = far[kFar - 1];
  for (int k = 0; k < kSmoothers; k++)
    s.ring_shadow[slot][k] =
        s.shadow_level[k] + damped_sum(kFactors[k][2], kFar) * s.shadow_slope[k];
}

// Take in some observations, then solve the autoregression for the forecasts to come.
void take_in(State& s, const Facts& f, const Values& v, const double* series, int64_t count) {
  s.interval_error = s.interval_count = 0.0;
  solve(s, v);
  for (int64_t k = 0; k < count; k++) absorb(s, f, v, series);
  if (count > 0) solve(s, v);
}

// Forecasts of the state, before the season of the preparation is put back; `reference`: the mean of the
// fixed smoothers.
void forecast(const State& s, const Facts& f, const Values& v, int num, double* out,
              double* reference) {
  regress(s, num, out);
  const double drift = v.drift * line_slope(s);
  double damping = 1.0, sum = 0.0, powers[kSmoothers], sums[kSmoothers];
  std::fill(powers, powers + kSmoothers, 1.0);
  std::fill(sums, sums + kSmoothers, 0.0);
  const int64_t age = static_cast<int64_t>(s.age);
  for (int h = 0; h < num; h++) {
    damping *= v.damping;
    sum += damping;
    const double base = s.level + sum * s.slope + drift * (h + 1);
    const double index = s.seasonal[(age + h) % f.period];
    const double smoothed = f.is_multiplicative ? base * index : base + index;
    out[h] = (1.0 - v.regression_share) * smoothed + v.regression_share * out[h];
    double mean = 0.0;
    for (int k = 0; k < kSmoothers; k++) {
      powers[k] *= kFactors[k][2];
      sums[k] += powers[k];
      mean += (s.shadow_level[k] + sums[k] * s.shadow_slope[k]) / kSmoothers;
    }
    if (reference) reference[h] = mean;
  }
}

double loss(const double* actual, const double* expected, int num, double naive_error) {
  double scaled = 0.0, symmetric = 0.0;
  for (int h = 0; h < num; h++) {
    const double error = std::fabs(actual[h] - expected[h]);
    scaled += error;
    symmetric += 2.0 * error / (std::fabs(actual[h]) + std::fabs(expected[h]) + 1e-6);
  }
  const double a = scaled / num / naive_error + .1, b = symmetric / num + .01;
  return std::min(1e4, a * std::sqrt(b));
}

// Log ratio of the error over what comes to that of the fixed smoothers' mean.
double log_ratio(const State& s, const Facts& f, const Values& v, const double* series,
                 const double* indices, double naive_error, int horizon) {
  const int64_t age = static_cast<int64_t>(s.age);
  const int num = static_cast<int>(
      std::min<int64_t>(horizon, f.length + f.num_future - age));
  if (num < 1) return 0.0;
  double out[kMaxHorizon], reference[kMaxHorizon], actual[kMaxHorizon];
  forecast(s, f, v, num, out, reference);
  for (int h = 0; h < num; h++) {
    const double index = indices[age + h], z = series[age + h];
    actual[h] = f.is_multiplicative ? z * index : z + index;
    out[h] = f.is_multiplicative ? out[h] * index : out[h] + index;
    reference[h] = f.is_multiplicative ? reference[h] * index : reference[h] + index;
  }
  return std::log(loss(actual, out, num, naive_error)) -
         std::log(loss(actual, reference, num, naive_error));
}

double squashed_log(double over, double under) { return std::tanh(std::log(over / under) / 1.5); }

void features(const State& s, const Facts& f, double* o) {
  const bool has_far = s.far_count > 0.0, has_near = s.count > 0.0;
  const double change = s.naive_size + kTiny;
  const double near = s.naive_sum + kTiny * (s.count + 1.0);
  const double far = s.naive_sum / std::max(s.count, 1.0) * s.far_count + kTiny * (s.far_count + 1.0);
  const double near_floor = kTiny * (s.count + 1.0), far_floor = kTiny * (s.far_count + 1.0);
  *o++ = std::tanh(std::log(f.length / 40.0) / 1.5);
  *o++ = std::tanh(std::log(s.count + 1.0) / 3.0 - .5);
  *o++ = std::min(std::log(static_cast<double>(f.period)) / std::log(24.0), 1.0);
  *o++ = f.is_seasonal ? 1.0 : -1.0;
  *o++ = s.error_fast / (s.size_fast + kTiny);
  *o++ = s.error_slow / (s.size_slow + kTiny);
  *o++ = s.product / (s.square + kTiny * kTiny);
  *o++ = squashed_log(s.size_fast + kTiny, s.size_slow + kTiny);
  *o++ = squashed_log(s.size_slow + kTiny, change);
  *o++ = squashed_log(change, .03 * std::fabs(s.level) + kTiny);
  *o++ = has_near ? squashed_log(s.own_sum + near_floor, near) : 0.0;
  *o++ = has_far ? squashed_log(s.own_far + far_floor, far) : 0.0;
  *o++ = std::tanh(s.slope / change);
  *o++ = std::tanh(line_slope(s) / change);
  *o++ = std::tanh((s.last - s.level) / change);
  *o++ = has_far ? 1.0 : -1.0;
  *o++ = has_near ? squashed_log(s.regression_sum + near_floor, near) : 0.0;
  *o++ = has_far ? squashed_log(s.regression_far + far_floor, far) : 0.0;
  for (int k = 0; k < kSmoothers; k++)
    *o++ = has_near ? squashed_log(s.shadow_sum[k] + near_floor, near) : 0.0;
  for (int k = 0; k < kSmoothers; k++)
    *o++ = has_far ? squashed_log(s.shadow_far[k] + far_floor, far) : 0.0;
}

}  // namespace
