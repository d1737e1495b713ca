// A table in bins, as all lanes that boost on it share it.
#pragma once

#include <cstdint>
#include <vector>

namespace boosting {

enum class Target : int64_t { regression = 0, binary = 1, multiclass = 2 };

// Most bins of a column, bin 0 for what is missing (and for rare categories) included: a set of
// them fits a word.
constexpr int kMostBins = 64;

// Cells of a column in a histogram: four bins are read at a time, from the second on.
constexpr int padded(int num_bins) { return num_bins + 3; }

struct Column {
  int offset;  // of its first cell in a histogram
  int num_bins;
  bool is_categorical;
};

struct Table {
  Target target;
  int num_scores;        // K
  int begin[4];          // training, validation and test rows, one after the other
  std::vector<Column> columns;
  int num_cells;         // of a histogram
  std::vector<uint8_t> bins;  // [rows, columns]
  std::vector<float> y;       // [rows]
  std::vector<float> base;    // [K] best constant scores

  // The linear stage: standardised inputs and the Cholesky factor of their ridge.
  int num_inputs = 0;
  std::vector<float> inputs;   // [rows, inputs]
  std::vector<double> factor;  // [inputs, inputs], lower

  int num_rows() const { return begin[3]; }
  int num_train() const { return begin[1]; }
  int num_columns() const { return static_cast<int>(columns.size()); }
  const uint8_t* row(int r) const { return bins.data() + static_cast<size_t>(r) * columns.size(); }
};

}  // namespace boosting
