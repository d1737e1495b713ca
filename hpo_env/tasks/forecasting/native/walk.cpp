// What Python calls: see `kernel.py`. Every call works on the given lanes.
#include "preparation.hpp"
#include "steering.hpp"
#include "walk.hpp"

extern "C" {

int64_t walk_state_size() { return sizeof(State) / sizeof(double); }
int64_t walk_num_features() { return kFeatures; }

// Take in some observations, then solve the autoregression for the forecasts to come.
void walk_advance(int64_t num_lanes, const int64_t* lanes, State* states, const Facts* facts,
                  const Values* values, const double* series, int64_t length,
                  const int64_t* counts) {
  for (int64_t i = 0; i < num_lanes; i++) {
    const int64_t lane = lanes[i];
    take_in(states[lane], facts[lane], values[lane], series + lane * length, counts[i]);
  }
}

void walk_log_ratio(int64_t num_lanes, const int64_t* lanes, const State* states,
                    const Facts* facts, const Values* values, const double* series,
                    const double* indices, int64_t length, const double* naive_error,
                    const int64_t* horizon, double* out) {
  for (int64_t i = 0; i < num_lanes; i++) {
    const int64_t lane = lanes[i];
    out[i] = log_ratio(states[lane], facts[lane], values[lane], series + lane * length,
                       indices + lane * length, naive_error[lane], static_cast<int>(horizon[lane]));
  }
}

void walk_features(int64_t num_lanes, const int64_t* lanes, const State* states,
                   const Facts* facts, double* out) {
  for (int64_t i = 0; i < num_lanes; i++)
    features(states[lanes[i]], facts[lanes[i]], out + i * kFeatures);
}

// `reference` may be null.
void walk_forecast(int64_t num_lanes, const int64_t* lanes, const State* states,
                   const Facts* facts, const Values* values, int64_t num, double* out,
                   double* reference) {
  for (int64_t i = 0; i < num_lanes; i++)
    forecast(states[lanes[i]], facts[lanes[i]], values[lanes[i]], static_cast<int>(num),
             out + i * num, reference ? reference + i * num : nullptr);
}

// Prepare series, `starts [n + 1]` saying where each begins in `observed`, into rows of `series` and
// `indices`, which have room for `length`.
void walk_prepare(int64_t num, const double* observed, const int64_t* starts, const int64_t* periods,
                  int64_t season, double* series, double* indices, int64_t length, double* scale,
                  double* naive_error, int64_t* is_seasonal, int64_t* is_multiplicative) {
  for (int64_t i = 0; i < num; i++) {
    double *values = series + i * length, *index = indices + i * length;
    std::copy(observed + starts[i], observed + starts[i + 1], values);
    const int period = static_cast<int>(periods[i]);
    const Prepared ready = prepare(values, static_cast<int>(starts[i + 1] - starts[i]), period,
                                   static_cast<Season>(season), index);
    for (int64_t k = period; k < length; k++) index[k] = index[k - period];
    scale[i] = ready.scale;
    naive_error[i] = ready.naive_error;
    is_seasonal[i] = ready.is_seasonal;
    is_multiplicative[i] = ready.is_multiplicative;
  }
}

// Walk through all lanes under a policy; `course` has room for `longest` decisions each.
void walk_steer(int64_t num_lanes, State* states, const Facts* facts, Values* values,
                const double* series, const double* indices, int64_t length,
                const double* naive_error, const Axis* axes, const Network* net, double floor,
                int64_t num_ahead, int64_t longest, double* course, double* sums, double* recent,
                double* counts, double* out) {
  for (int64_t i = 0; i < num_lanes; i++) {
    const int64_t row = i * num_ahead;
    steer(states[i], facts[i], values[i], series + i * length, indices + i * length, naive_error[i],
          axes, *net, floor, static_cast<int>(num_ahead), course + i * longest * kValues,
          {sums + row, recent + row, counts + row}, out + row);
  }
}
}
