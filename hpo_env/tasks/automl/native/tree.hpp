// One tree: grown leaf by leaf, and applied to the scores of all rows at once.
#pragma once

#include <vector>

#include "numbers.hpp"
#include "split.hpp"

namespace boosting {

struct Slope {
  float gradient, hessian;
};

// Memory that is kept from tree to tree; nothing in it outlives one.
struct Workspace {
  std::vector<Slope> slopes;                  // [training rows]
  std::vector<int> grown, applied;            // rows by leaf: those that grow the tree, the others
  std::vector<int> held;                      // rows that go right, for a moment
  std::vector<int> used, unused;              // training rows in and out of the sample
  std::vector<int> columns;                   // in the sample, in order
  std::vector<std::vector<Cell>> histograms;
  std::vector<int> free;                      // histograms that nobody has
  std::vector<float> shares;                  // [training rows, K] of several classes
};

class Tree {
 public:
  Tree(const Table& table, const Settings& settings, Workspace& work, Generator& random)
      : table_(table), settings_(settings), work_(work) {
    draw_columns(random);
    work_.free.clear();
    for (int i = static_cast<int>(work_.histograms.size()) - 1; i >= 0; i--) work_.free.push_back(i);
  }

  // Grows the tree on the slopes of the rows in use and adds it to score k of every row.
  void add_to(float* scores, int k) {
    begin();
    while (static_cast<int>(nodes_.size()) < settings_.num_leaves) {
      int best = -1;
      for (int i = 0; i < static_cast<int>(nodes_.size()); i++) {
        if (nodes_[i].split.column < 0) continue;
        if (best < 0 || nodes_[i].split.gain > nodes_[best].split.gain) best = i;
      }
      if (best < 0) break;
      divide(best);
    }
    for (const Node& node : nodes_) {
      const float value = -settings_.learning_rate * node.leaf.gradient /
                          (node.leaf.hessian + settings_.l2 + node.extra_l2);
      add(scores, k, value, work_.grown, node.grown);
      add(scores, k, value, work_.applied, node.applied);
    }
  }

 private:
  struct Range {
    int begin, end;
    int size() const { return end - begin; }
  };

  struct Node {
    Leaf leaf;
    Range grown, applied;
    float extra_l2;
    int histogram;
    Split split;
  };

  void draw_columns(Generator& random) {
    std::vector<int>& columns = work_.columns;
    const int all = table_.num_columns();
    columns.resize(all);
    for (int f = 0; f < all; f++) columns[f] = f;
    const int wanted = std::max(1, static_cast<int>(std::lround(settings_.column_share * all)));
    if (wanted >= all) return;
    for (int i = 0; i < wanted; i++) {
      std::swap(columns[i], columns[i + static_cast<int>(random.next() % (all - i))]);
    }
    columns.resize(wanted);
    std::sort(columns.begin(), columns.end());
  }

  void begin() {
    Workspace& w = work_;
    w.grown.assign(w.used.begin(), w.used.end());
    w.applied.assign(w.unused.begin(), w.unused.end());
    for (int r = table_.num_train(); r < table_.num_rows(); r++) w.applied.push_back(r);
    w.held.resize(table_.num_rows());
    double gradient = 0.0, hessian = 0.0;
    for (int r : w.grown) gradient += w.slopes[r].gradient, hessian += w.slopes[r].hessian;
    const int count = static_cast<int>(w.grown.size());
    Node root{Leaf{static_cast<float>(gradient), static_cast<float>(hessian), count},
              Range{0, count}, Range{0, static_cast<int>(w.applied.size())}, 0.0f, -1, Split{}};
    if (can_be_split(root)) {
      root.histogram = take();
      collect(root.grown, histogram(root.histogram));
      find(root);
    }
    nodes_.assign(1, root);
  }

  bool can_be_split(const Node& node) const { return node.grown.size() >= 2 * settings_.min_data; }

  Cell* histogram(int place) { return work_.histograms[place].data(); }

  int take() {
    if (work_.free.empty()) {
      work_.free.push_back(static_cast<int>(work_.histograms.size()));
      work_.histograms.emplace_back();
    }
    const int place = work_.free.back();
    work_.free.pop_back();
    if (static_cast<int>(work_.histograms[place].size()) < table_.num_cells)
      work_.histograms[place].resize(table_.num_cells);
    return place;
  }

  void give(int place) {
    if (place >= 0) work_.free.push_back(place);
  }

  void collect(Range range, Cell* cells) const {
    const int* columns = work_.columns.data();
    const int num = static_cast<int>(work_.columns.size());
    for (int i = 0; i < num; i++) {
      const Column& c = table_.columns[columns[i]];
      std::memset(static_cast<void*>(cells + c.offset), 0, sizeof(Cell) * padded(c.num_bins));
    }
    const int* rows = work_.grown.data();
    const bool is_all = num == table_.num_columns();
    for (int i = range.begin; i < range.end; i++) {
      const uint8_t* bins = table_.row(rows[i]);
      const Slope slope = work_.slopes[rows[i]];
      const Four added{slope.gradient, slope.hessian, 1.0f, 0.0f};
      for (int j = 0; j < num; j++) {
        const int f = is_all ? j : columns[j];
        cells[table_.columns[f].offset + bins[f]].sums += added;
      }
    }
  }

  void find(Node& node) {
    node.split = Split{};
    for (int f : work_.columns)
      find_in_column(table_, f, histogram(node.histogram), node.leaf, settings_, node.split);
  }

  void divide(int place) {
    const Node parent = nodes_[place];
    const Split& split = parent.split;
    const int middle = partition(work_.grown, parent.grown, split);
    const int applied = partition(work_.applied, parent.applied, split);
    Node left{Leaf{split.gradient, split.hessian, middle - parent.grown.begin},
              Range{parent.grown.begin, middle}, Range{parent.applied.begin, applied},
              split.extra_l2, -1, Split{}};
    Node right{Leaf{parent.leaf.gradient - split.gradient, parent.leaf.hessian - split.hessian,
                    parent.grown.end - middle},
               Range{middle, parent.grown.end}, Range{applied, parent.applied.end},
               split.extra_l2, -1, Split{}};
    const bool is_last = static_cast<int>(nodes_.size()) + 1 >= settings_.num_leaves;
    if (!is_last && (can_be_split(left) || can_be_split(right)))
      look_further(parent.histogram, left, right);
    else
      give(parent.histogram);
    nodes_[place] = left;
    nodes_.push_back(right);
  }

  // The smaller leaf's histogram is collected, the larger one's is what is left of the parent's.
  void look_further(int parent, Node& left, Node& right) {
    Node& smaller = left.grown.size() <= right.grown.size() ? left : right;
    Node& larger = &smaller == &left ? right : left;
    smaller.histogram = take();
    larger.histogram = parent;
    Cell* mine = histogram(smaller.histogram);
    Cell* rest = histogram(parent);
    collect(smaller.grown, mine);
    for (int f : work_.columns) {
      const Column& c = table_.columns[f];
      for (int b = c.offset; b < c.offset + c.num_bins; b++) rest[b].sums -= mine[b].sums;
    }
    for (Node* node : {&smaller, &larger}) {
      if (can_be_split(*node)) find(*node);
      if (node->split.column < 0) give(node->histogram);
    }
  }

  int partition(std::vector<int>& rows, Range range, const Split& split) {
    int* kept = rows.data() + range.begin;
    int* held = work_.held.data();
    int num_held = 0;
    for (int i = range.begin; i < range.end; i++) {
      const int r = rows[i];
      const int is_left = static_cast<int>(split.left >> table_.row(r)[split.column] & 1);
      *kept = r;
      held[num_held] = r;
      kept += is_left;
      num_held += 1 - is_left;
    }
    std::copy(held, held + num_held, kept);
    return static_cast<int>(kept - rows.data());
  }

  void add(float* scores, int k, float value, const std::vector<int>& rows, Range range) const {
    const size_t stride = static_cast<size_t>(table_.num_scores);
    for (int i = range.begin; i < range.end; i++) scores[rows[i] * stride + k] += value;
  }

  const Table& table_;
  const Settings& settings_;
  Workspace& work_;
  std::vector<Node> nodes_;
};

}  // namespace boosting
