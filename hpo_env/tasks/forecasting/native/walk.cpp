// The walk through a series: smoothing, autoregression, fixed smoothers and their delayed errors.
// One lane after the other, in doubles, in the order of operations of the NumPy twin (`walk.py`).
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace {

constexpr int kSmoothers = 10, kAlphas = 20, kMaxPeriod = 53, kLags = 12, kRegressors = kLags + 1;
constexpr int kFar = 4, kLong = 12;  // `layout.LEADS`
constexpr int kMaxHorizon = 64, kFeatures = 19 + kSmoothers + 2 * (4 + kSmoothers);
constexpr double kTiny = 1e-5;

// level, trend, damping: `layout.SMOOTHERS`
constexpr double kFactors[kSmoothers][3] = {
    {.1, 0, .9},  {.1, .1, .95},  {.3, 0, .9},    {.3, .1, .95}, {.6, 0, .9},
    {.6, .1, .95}, {.999, 0, .9}, {.999, .1, .95}, {.3, .3, .9},  {.6, .3, .98}};

template <int kLead>
struct Waiting {  // `layout._waiting`
  double count, own, regression, theta, pool, shadow[kSmoothers];
  double ring_live[kLead], ring_own[kLead], ring_regression[kLead], ring_theta[kLead];
  double ring_pool[kLead], ring_shadow[kLead][kSmoothers];
};

struct State {  // `layout.COLUMNS`
  double age, seasonality, level, slope, seasonal[kMaxPeriod];
  double shadow_level[kSmoothers], shadow_slope[kSmoothers];
  double theta_level[kAlphas], theta_square[kAlphas];
  double last, last_error, error_fast, error_slow, size_fast, size_slow, product, square, naive_size;
  double count, naive_sum, own_sum, regression_sum, theta_sum, pool_sum, shadow_sum[kSmoothers];
  double trend_0, trend_1, trend_2, trend_z, trend_xz, plain_z, plain_xz;
  Waiting<kFar> far;
  Waiting<kLong> longer;
  double gram[kRegressors][kRegressors], moment[kRegressors], weights[kRegressors], lags[kLags];
  double change_square, log_q, interval_error, interval_count;
};

struct Facts {  // `layout.FACTS`
  int64_t length, num_future, period, is_seasonal, is_multiplicative, stride, warm;
};

struct Values {  // `layout.HYPERPARAMETERS`
  double level, trend, seasonal, damping, drift, lags, ridge, regression_share, theta_share, pool_share;
};

double slope_of(const State& s, double z, double xz) {
  const double d = s.trend_0 * s.trend_2 - s.trend_1 * s.trend_1;
  if (s.trend_0 < 5.0 || d <= 1e-6) return 0.0;
  return (s.trend_0 * xz - s.trend_1 * z) / d / 20.0;
}

double line_slope(const State& s) { return slope_of(s, s.trend_z, s.trend_xz); }

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

// `layout.ALPHAS`, as NumPy's linspace rounds them.
double alpha(int k) { return k == kAlphas - 1 ? .999 : k * ((.999 - .02) / (kAlphas - 1)) + .02; }

// Forecast of Theta: level of the best simple smoothing, and half of the slope of the line.
struct Theta {
  double level, slope, ahead;
  explicit Theta(const State& s) {
    const int best = static_cast<int>(
        std::min_element(s.theta_square, s.theta_square + kAlphas) - s.theta_square);
    const double a = alpha(best);
    level = s.theta_level[best];
    slope = .5 * slope_of(s, s.plain_z, s.plain_xz);
    ahead = (1.0 - std::pow(1.0 - a, s.age)) / a;
  }
  double forecast(int steps) const { return level + slope * (steps - 1 + ahead); }
};

// Weights of the fixed smoothers, by their errors of one step and some steps ahead.
void pool_weights(const State& s, double* out) {
  double error[kSmoothers], smallest = 0.0, total = 0.0;
  for (int k = 0; k < kSmoothers; k++) {
    error[k] = (s.shadow_sum[k] + kTiny * (s.count + 1.0)) *
               (s.far.shadow[k] + kTiny * (s.far.count + 1.0));
    smallest = k ? std::min(smallest, error[k]) : error[k];
  }
  for (int k = 0; k < kSmoothers; k++) {
    const double ratio = smallest / error[k];
    out[k] = (ratio * ratio) * (ratio * ratio);
    total += out[k];
  }
  for (int k = 0; k < kSmoothers; k++) out[k] /= total;
}

template <int kLead>
void judge(Waiting<kLead>& w, double target, double z, int64_t age) {
  const int slot = static_cast<int>(age % kLead);
  if (w.ring_live[slot] == 0.0) return;
  w.count += 1.0;
  w.own += std::fabs(target - w.ring_own[slot]);
  w.regression += std::fabs(z - w.ring_regression[slot]);
  w.theta += std::fabs(z - w.ring_theta[slot]);
  w.pool += std::fabs(z - w.ring_pool[slot]);
  for (int k = 0; k < kSmoothers; k++) w.shadow[k] += std::fabs(z - w.ring_shadow[slot][k]);
}

// They see the observation itself: nothing that is set changes them.
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

void smooth_thetas(State& s, double z, bool is_first) {
  for (int k = 0; k < kAlphas; k++) {
    if (is_first) {
      s.theta_level[k] = z;
      continue;
    }
    const double error = z - s.theta_level[k];
    s.theta_square[k] += error * error;
    s.theta_level[k] = s.theta_level[k] + alpha(k) * error;
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

template <int kLead>
void look_ahead(Waiting<kLead>& w, const State& s, const Values& v, const double* regressed,
                const double* weights, int64_t age, bool is_live) {
  const int slot = static_cast<int>(age % kLead);
  w.ring_live[slot] = is_live ? 1.0 : 0.0;
  w.ring_own[slot] =
      s.level + damped_sum(v.damping, kLead) * s.slope + v.drift * line_slope(s) * kLead;
  w.ring_regression[slot] = regressed[kLead - 1];
  w.ring_theta[slot] = Theta(s).forecast(kLead);
  double pool = 0.0;
  for (int k = 0; k < kSmoothers; k++) {
    w.ring_shadow[slot][k] =
        s.shadow_level[k] + damped_sum(kFactors[k][2], kLead) * s.shadow_slope[k];
    pool += weights[k] * w.ring_shadow[slot][k];
  }
  w.ring_pool[slot] = pool;
}

// Take in the next observation.
void absorb(State& s, const Facts& f, const Values& v, const double* series) {
  const int64_t age = static_cast<int64_t>(s.age);
  const double z = series[age];
  const bool is_first = age == 0, is_live = age >= f.warm;
  const double drift = v.drift * line_slope(s);
  double& index = s.seasonal[age % f.period];
  const double before = index;
  const double target = f.is_multiplicative ? z / std::max(before, .02) : z - before;
  const double base = s.level + v.damping * s.slope + drift;
  double error = 0.0, weights[kSmoothers];
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
  if (is_live && !is_first) {
    s.theta_sum += std::fabs(z - Theta(s).forecast(1));
    pool_weights(s, weights);
    double pool = 0.0;
    for (int k = 0; k < kSmoothers; k++)
      pool += weights[k] * (s.shadow_level[k] + kFactors[k][2] * s.shadow_slope[k]);
    s.pool_sum += std::fabs(z - pool);
  }
  if (is_live) {
    judge(s.far, target, z, age);
    judge(s.longer, target, z, age);
  }
  smooth_shadows(s, z, is_first, is_live);
  smooth_thetas(s, z, is_first);
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
  s.plain_z += z;
  s.plain_xz += z * x;
  s.age += 1.0;
  double regressed[kLong];
  regress(s, kLong, regressed);
  pool_weights(s, weights);
  look_ahead(s.far, s, v, regressed, weights, age, is_live);
  look_ahead(s.longer, s, v, regressed, weights, age, is_live);
}

// Forecasts of the state, before the season of the preparation is put back.
void forecast(const State& s, const Facts& f, const Values& v, int num, double* out) {
  regress(s, num, out);
  const double drift = v.drift * line_slope(s);
  const Theta theta(s);
  double damping = 1.0, sum = 0.0, powers[kSmoothers], sums[kSmoothers], weights[kSmoothers];
  std::fill(powers, powers + kSmoothers, 1.0);
  std::fill(sums, sums + kSmoothers, 0.0);
  pool_weights(s, weights);
  const int64_t age = static_cast<int64_t>(s.age);
  for (int h = 0; h < num; h++) {
    damping *= v.damping;
    sum += damping;
    const double base = s.level + sum * s.slope + drift * (h + 1);
    const double index = s.seasonal[(age + h) % f.period];
    const double smoothed = f.is_multiplicative ? base * index : base + index;
    double pool = 0.0;
    for (int k = 0; k < kSmoothers; k++) {
      powers[k] *= kFactors[k][2];
      sums[k] += powers[k];
      pool += weights[k] * (s.shadow_level[k] + sums[k] * s.shadow_slope[k]);
    }
    out[h] = (1.0 - v.regression_share) * smoothed + v.regression_share * out[h];
    out[h] = (1.0 - v.theta_share) * out[h] + v.theta_share * theta.forecast(h + 1);
    out[h] = (1.0 - v.pool_share) * out[h] + v.pool_share * pool;
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

// Log of the error over what comes.
double log_error(const State& s, const Facts& f, const Values& v, const double* series,
                   const double* indices, double naive_error, int horizon) {
  const int64_t age = static_cast<int64_t>(s.age);
  const int num = static_cast<int>(
      std::min<int64_t>(horizon, f.length + f.num_future - age));
  if (num < 1) return 0.0;
  double out[kMaxHorizon], actual[kMaxHorizon];
  forecast(s, f, v, num, out);
  for (int h = 0; h < num; h++) {
    const double index = indices[age + h], z = series[age + h];
    actual[h] = f.is_multiplicative ? z * index : z + index;
    out[h] = f.is_multiplicative ? out[h] * index : out[h] + index;
  }
  return std::log(loss(actual, out, num, naive_error));
}

double squashed_log(double over, double under) { return std::tanh(std::log(over / under) / 1.5); }

template <int kLead>
double* waiting_features(const State& s, const Waiting<kLead>& w, double* o) {
  const bool is_known = w.count > 0.0;
  const double floor = kTiny * (w.count + 1.0);
  const double unit = s.naive_sum / std::max(s.count, 1.0) * w.count + floor;
  for (const double sum : {w.own, w.regression, w.theta, w.pool})
    *o++ = is_known ? squashed_log(sum + floor, unit) : 0.0;
  for (const double sum : w.shadow) *o++ = is_known ? squashed_log(sum + floor, unit) : 0.0;
  return o;
}

void features(const State& s, const Facts& f, double* o) {
  const bool has_near = s.count > 0.0;
  const double change = s.naive_size + kTiny;
  const double floor = kTiny * (s.count + 1.0), near = s.naive_sum + floor;
  *o++ = std::tanh(std::log(f.length / 40.0) / 1.5);
  *o++ = std::tanh(std::log(s.count + 1.0) / 3.0 - .5);
  *o++ = std::min(std::log(static_cast<double>(f.period)) / std::log(24.0), 1.0);
  *o++ = f.is_seasonal ? s.seasonality : -1.0;
  *o++ = s.error_fast / (s.size_fast + kTiny);
  *o++ = s.error_slow / (s.size_slow + kTiny);
  *o++ = s.product / (s.square + kTiny * kTiny);
  *o++ = squashed_log(s.size_fast + kTiny, s.size_slow + kTiny);
  *o++ = squashed_log(s.size_slow + kTiny, change);
  *o++ = squashed_log(change, .03 * std::fabs(s.level) + kTiny);
  *o++ = has_near ? squashed_log(s.own_sum + floor, near) : 0.0;
  *o++ = std::tanh(s.slope / change);
  *o++ = std::tanh(line_slope(s) / change);
  *o++ = std::tanh((s.last - s.level) / change);
  *o++ = s.far.count > 0.0 ? 1.0 : -1.0;
  *o++ = s.longer.count > 0.0 ? 1.0 : -1.0;
  for (const double sum : {s.regression_sum, s.theta_sum, s.pool_sum})
    *o++ = has_near ? squashed_log(sum + floor, near) : 0.0;
  for (const double sum : s.shadow_sum) *o++ = has_near ? squashed_log(sum + floor, near) : 0.0;
  o = waiting_features(s, s.far, o);
  waiting_features(s, s.longer, o);
}

}  // namespace

extern "C" {

int64_t walk_state_size() { return sizeof(State) / sizeof(double); }
int64_t walk_num_features() { return kFeatures; }

// Take in some observations, then solve the autoregression for the forecasts to come.
void walk_advance(int64_t num_lanes, const int64_t* lanes, State* states, const Facts* facts,
                  const Values* values, const double* series, int64_t length,
                  const int64_t* counts) {
  for (int64_t i = 0; i < num_lanes; i++) {
    const int64_t lane = lanes[i];
    State& s = states[lane];
    s.interval_error = s.interval_count = 0.0;
    solve(s, values[lane]);
    for (int64_t k = 0; k < counts[i]; k++)
      absorb(s, facts[lane], values[lane], series + lane * length);
    if (counts[i] > 0) solve(s, values[lane]);
  }
}

void walk_log_error(int64_t num_lanes, const int64_t* lanes, const State* states,
                    const Facts* facts, const Values* values, const double* series,
                    const double* indices, int64_t length, const double* naive_error,
                    const int64_t* horizon, double* out) {
  for (int64_t i = 0; i < num_lanes; i++) {
    const int64_t lane = lanes[i];
    out[i] = log_error(states[lane], facts[lane], values[lane], series + lane * length,
                       indices + lane * length, naive_error[lane], static_cast<int>(horizon[lane]));
  }
}

void walk_features(int64_t num_lanes, const int64_t* lanes, const State* states,
                   const Facts* facts, double* out) {
  for (int64_t i = 0; i < num_lanes; i++)
    features(states[lanes[i]], facts[lanes[i]], out + i * kFeatures);
}

void walk_forecast(int64_t num_lanes, const int64_t* lanes, const State* states,
                   const Facts* facts, const Values* values, int64_t num, double* out) {
  for (int64_t i = 0; i < num_lanes; i++)
    forecast(states[lanes[i]], facts[lanes[i]], values[lanes[i]], static_cast<int>(num),
             out + i * num);
}
}
