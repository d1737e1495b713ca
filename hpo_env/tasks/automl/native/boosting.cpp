// Gradient boosting with histograms over lanes: the functions that Python calls.
//
// A lane is a function of its table, its generator and its values alone; what runs beside it
// changes no bit of it. Trees are applied to all rows as they grow and then forgotten.

#include <atomic>
#include <thread>

#include "rounds.hpp"

using namespace boosting;

namespace {

Settings settings_of(const double* values) {
  Settings s;
  s.learning_rate = static_cast<float>(values[0]);
  s.num_leaves = std::max(2, static_cast<int>(std::lround(values[1])));
  s.min_data = std::max(1, static_cast<int>(std::lround(values[2])));
  s.l2 = static_cast<float>(values[3]);
  s.row_share = values[4];
  s.column_share = values[5];
  s.linear_shrinkage = values[6];
  return s;
}

}  // namespace

extern "C" {

// rows [4]: where each side begins and ends; bins [rows, columns]; y [rows]; base [K].
void* boosting_table(int64_t target, int64_t num_scores, const int64_t* rows, int64_t num_columns,
                     const int64_t* num_bins, const int64_t* is_categorical, const uint8_t* bins,
                     const float* y, const float* base) {
  Table* table = new Table();
  table->target = static_cast<Target>(target);
  table->num_scores = static_cast<int>(num_scores);
  for (int i = 0; i < 4; i++) table->begin[i] = static_cast<int>(rows[i]);
  int offset = 0;
  for (int64_t f = 0; f < num_columns; f++) {
    const int bins_here = static_cast<int>(num_bins[f]);
    table->columns.push_back(Column{offset, bins_here, is_categorical[f] != 0});
    offset += padded(bins_here);
  }
  table->num_cells = offset;
  table->bins.assign(bins, bins + rows[3] * num_columns);
  table->y.assign(y, y + rows[3]);
  table->base.assign(base, base + num_scores);
  return table;
}

// inputs [rows, num]; factor [num, num], the lower Cholesky factor of their ridge.
void boosting_set_linear(void* table, int64_t num, const float* inputs, const double* factor) {
  Table& t = *static_cast<Table*>(table);
  t.num_inputs = static_cast<int>(num);
  t.inputs.assign(inputs, inputs + static_cast<size_t>(t.num_rows()) * num);
  t.factor.assign(factor, factor + num * num);
}

void boosting_free(void* table) { delete static_cast<Table*>(table); }

// Fills the scores [rows, K] of a lane with the best constants and measures them: losses [4] are
// those of the three sides and the metric.
void boosting_start(void* table, float* scores, double* losses) {
  const Table& t = *static_cast<Table*>(table);
  for (int r = 0; r < t.num_rows(); r++)
    for (int k = 0; k < t.num_scores; k++) scores[static_cast<size_t>(r) * t.num_scores + k] = t.base[k];
  const Lane lane{t, scores, Generator{0}};
  for (int side = 0; side < 3; side++) losses[side] = loss_of(lane, static_cast<Side>(side));
  losses[3] = metric_of(lane);
}

// Boosts n lanes over some threads: values [n, 7], num_rounds [n], best validation losses [n] so
// far. Losses [4, n, most_rounds]: of validation rows after each round, of training rows after the
// last, and test loss and metric after rounds that are the best so far. The others stay as they
// are.
void boosting_advance(int64_t num_threads, int64_t num_lanes, void** tables, float** scores,
                      uint64_t* states, const double* values, const int64_t* num_rounds,
                      const double* best, int64_t most_rounds, double* losses) {
  const auto advance = [&](int64_t i, Workspace& work) {
    Lane lane{*static_cast<Table*>(tables[i]), scores[i], Generator{states[i]}};
    const Settings settings = settings_of(values + 7 * i);
    double lowest = best[i];
    double* found[4];
    for (int64_t side = 0; side < 4; side++)
      found[side] = losses + (side * num_lanes + i) * most_rounds;
    for (int64_t round = 0; round < num_rounds[i]; round++) {
      const bool with_linear =
          round == 0 && settings.linear_shrinkage > 0.0 && lane.table.num_inputs > 0;
      boost(lane, settings, with_linear, work);
      found[1][round] = loss_of(lane, kValidation);
      if (found[1][round] < lowest) {
        lowest = found[1][round];
        found[2][round] = loss_of(lane, kTest);
        found[3][round] = metric_of(lane);
      }
    }
    if (num_rounds[i] > 0) found[0][num_rounds[i] - 1] = loss_of(lane, kTrain);
    states[i] = lane.random.state;
  };
  std::atomic<int64_t> next{0};
  const auto take = [&] {
    static thread_local Workspace work;
    for (int64_t i = next++; i < num_lanes; i = next++) advance(i, work);
  };
  std::vector<std::thread> others;
  for (int64_t k = 1; k < std::min(num_threads, num_lanes); k++) others.emplace_back(take);
  take();
  for (std::thread& other : others) other.join();
}
}
