// Learners in lanes; `kernel.py` calls these functions, `reference.py` is the same in NumPy.

#include "q_learning.hpp"

namespace learners {

// Columns of what an interval measures: those of `measures.py`, then those of telemetry.
enum Column {
    NUM_EPISODES,
    EPISODE_RETURN,
    EPISODE_RETURN_SPREAD,
    EPISODE_LENGTH,
    TRUNCATED_SHARE,
    REWARD_MEAN,
    REWARD_SPREAD,
    EXPLAINED_VARIANCE,
    APPROX_KL,
    CLIP_FRACTION,
    POLICY_ENTROPY,
    VALUE_LOSS,
    GRADIENT_NORM,
    CLIPPED_SHARE,
    ADVANTAGE_SPREAD,
    TARGET_SPREAD,
    FIRST_GRADIENT_NORM,
    LAST_GRADIENT_NORM,
    UPDATE_RATIO,
    UPDATE_AGREEMENT,
    NUM_COLUMNS
};

struct Memory {
    Work work;
    Batch batch;
};

Memory& memory() {
    static thread_local Memory kept;
    return kept;
}

void report(const Tally& t, const Progress& p, int64_t algorithm, double* out) {
    std::fill_n(out, NUM_COLUMNS, NAN);
    out[NUM_EPISODES] = t.episodes;
    if (t.episodes > 0) {
        out[EPISODE_RETURN] = t.mean_return;
        out[EPISODE_LENGTH] = t.length / t.episodes;
        out[TRUNCATED_SHARE] = t.truncated / t.episodes;
    }
    if (t.episodes > 1) out[EPISODE_RETURN_SPREAD] = std::sqrt(t.square_return / (t.episodes - 1));
    double mean = out[REWARD_MEAN] = t.reward / t.steps;
    out[REWARD_SPREAD] = std::sqrt(std::max(0.0, t.square_reward / t.steps - mean * mean));
    if (p.updates == 0) return;
    if (algorithm == PPO) {
        out[APPROX_KL] = p.divergence / p.updates;
        out[CLIP_FRACTION] = p.clipped / p.updates;
    }
    if (algorithm != DQN) {
        out[EXPLAINED_VARIANCE] = p.explained / p.updates;
        out[POLICY_ENTROPY] = p.entropy / p.updates;
        out[ADVANTAGE_SPREAD] = p.advantage / p.updates;
        out[TARGET_SPREAD] = p.target / p.updates;
    }
    out[VALUE_LOSS] = p.value_loss / p.updates;
    out[GRADIENT_NORM] = p.norm / p.minibatches;
    out[CLIPPED_SHARE] = p.over_limit / p.minibatches;
    out[FIRST_GRADIENT_NORM] = p.first_norm;
    out[LAST_GRADIENT_NORM] = p.last_norm;
}

// How far the weights went, and whether the interval's second half went on in the first's way.
void report_way(const float* start, const float* middle, const float* end, int64_t count,
                bool has_middle, double* out) {
    double length = 0, way = 0, first = 0, second = 0, product = 0;
    for (int64_t i = 0; i < count; ++i) {
        double a = (double)middle[i] - start[i], b = (double)end[i] - middle[i], c = a + b;
        length += (double)start[i] * start[i];
        way += c * c;
        first += a * a;
        second += b * b;
        product += a * b;
    }
    out[UPDATE_RATIO] = std::sqrt(way / length);
    if (has_middle && first > 0 && second > 0)
        out[UPDATE_AGREEMENT] = product / std::sqrt(first * second);
}

template <int HIDDEN>
void begin(Lane& lane, const double* values, double* out) {
    Tally tally;
    start(lane);
    if (lane.is_q_learning())
        fill<HIDDEN>(lane, values, memory().work, tally);
    else
        collect<HIDDEN>(lane, (float)values[DISCOUNT], (float)values[REWARD_SCALE], memory().work,
                        tally);
    report(tally, Progress(), lane.settings[ALGORITHM], out);
}

template <int HIDDEN>
void advance(Lane& lane, const double* values, double* out) {
    Tally tally;
    Progress progress;
    const int64_t rollouts = lane.settings[NUM_ROLLOUTS], half = rollouts / 2;
    const std::vector<float> before(lane.weights, lane.weights + lane.shape.count);
    std::vector<float> middle = before;
    for (int64_t k = 0; k < rollouts; ++k) {
        if (k == half) middle.assign(lane.weights, lane.weights + lane.shape.count);
        if (lane.is_q_learning()) {
            learn_and_play<HIDDEN>(lane, values, memory().work, memory().batch, tally, progress);
            continue;
        }
        learn<HIDDEN>(lane, values, memory().work, memory().batch, progress);
        collect<HIDDEN>(lane, (float)values[DISCOUNT], (float)values[REWARD_SCALE], memory().work,
                        tally);
    }
    report(tally, progress, lane.settings[ALGORITHM], out);
    report_way(before.data(), middle.data(), lane.weights, lane.shape.count, half > 0, out);
}

template <int HIDDEN>
void evaluate(Lane& lane, int64_t num_episodes, uint64_t seed, double* totals) {
    Work& work = memory().work;
    const Shape& shape = lane.shape;
    if (lane.is_q_learning()) {
        auto choose = [&](const float* row, float* action, Random random) {
            const bool is_random = random.uniform() < LAST_EXPLORATION;
            action[0] =
                (float)(is_random ? random.below((int)shape.outputs) : best(row, shape.outputs));
        };
        evaluate<QNetwork<HIDDEN>>(lane, num_episodes, seed, work, totals, choose);
    } else {
        auto choose = [&](const float* row, float* action, Random random) {
            draw(shape, lane.weights, row, action, random);
        };
        evaluate<Network<HIDDEN>>(lane, num_episodes, seed, work, totals, choose);
    }
}

template <typename Call>
void each(int64_t num_lanes, const int64_t* settings, const float* physics, float* const* memories,
          uint64_t* const* counters, Call call) {
    for (int64_t n = 0; n < num_lanes; ++n) {
        Lane lane(settings + n * NUM_SETTINGS, physics + n * MAX_PHYSICS, memories[n], counters[n]);
        call(lane, n);
    }
}

}  // namespace learners

using namespace learners;

extern "C" {

int64_t learners_num_values() { return NUM_VALUES; }
int64_t learners_num_columns() { return NUM_COLUMNS; }
int64_t learners_num_environments() { return NUM_ENVIRONMENTS; }
int64_t learners_max_envs() { return MAX_ENVS; }

// state, observation, outputs, is discrete, time limit
void learners_environment(int64_t type, int64_t* facts, double* bounds) {
    const Environment& kind = ENVIRONMENTS[type];
    facts[0] = kind.state_size;
    facts[1] = kind.observation_size;
    facts[2] = kind.num_outputs;
    facts[3] = kind.is_discrete;
    facts[4] = kind.max_steps;
    bounds[0] = kind.low;
    bounds[1] = kind.high;
}

// Floats and counters of a lane, and how many of the floats are weights.
void learners_sizes(const int64_t* settings, int64_t* sizes) {
    Lane lane(settings, nullptr, nullptr, nullptr);
    sizes[0] = lane.size;
    sizes[1] = lane.num_counters;
    sizes[2] = lane.shape.count;
}

void learners_begin(int64_t num_lanes, const int64_t* settings, const float* physics,
                    float* const* memories, uint64_t* const* counters, const double* values,
                    double* out) {
    each(num_lanes, settings, physics, memories, counters, [&](Lane& lane, int64_t n) {
        const double* own = values + n * NUM_VALUES;
        double* row = out + n * NUM_COLUMNS;
        lane.shape.hidden == 32 ? begin<32>(lane, own, row) : begin<64>(lane, own, row);
    });
}

void learners_advance(int64_t num_lanes, const int64_t* settings, const float* physics,
                      float* const* memories, uint64_t* const* counters, const double* values,
                      double* out) {
    each(num_lanes, settings, physics, memories, counters, [&](Lane& lane, int64_t n) {
        const double* own = values + n * NUM_VALUES;
        double* row = out + n * NUM_COLUMNS;
        lane.shape.hidden == 32 ? advance<32>(lane, own, row) : advance<64>(lane, own, row);
    });
}

void learners_evaluate(int64_t num_lanes, const int64_t* settings, const float* physics,
                       float* const* memories, uint64_t* const* counters, int64_t num_episodes,
                       const uint64_t* seeds, double* out) {
    each(num_lanes, settings, physics, memories, counters, [&](Lane& lane, int64_t n) {
        double* row = out + n * num_episodes;
        lane.shape.hidden == 32 ? evaluate<32>(lane, num_episodes, seeds[n], row)
                                : evaluate<64>(lane, num_episodes, seeds[n], row);
    });
}

// One environment by itself, for comparisons: reset, and step; what is seen after it.
void learners_env_reset(int64_t type, const float* physics, float* state, uint64_t* random,
                        float* seen) {
    const Environment& kind = ENVIRONMENTS[type];
    Random numbers{*random};
    kind.reset(physics, state, numbers);
    kind.observe(physics, state, seen);
}

double learners_env_step(int64_t type, const float* physics, float* state, const float* action,
                         uint64_t* random, float* seen, int64_t* is_end) {
    const Environment& kind = ENVIRONMENTS[type];
    Random numbers{*random};
    bool over = false;
    double reward = kind.step(physics, state, action, numbers, over);
    kind.observe(physics, state, seen);
    *is_end = over;
    return reward;
}

}  // extern "C"
