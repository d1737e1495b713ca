// Advantages, and the updates of PPO and A2C with the rules of Stable-Baselines3.

#pragma once

#include "rollout.hpp"

namespace learners {

// Sums of what the updates of an interval measure; `updates` and `minibatches` count them.
struct Progress {
    double updates = 0, minibatches = 0, explained = 0, divergence = 0, clipped = 0, entropy = 0;
    double value_loss = 0, norm = 0, over_limit = 0, advantage = 0, target = 0;
    double first_norm = NAN, last_norm = NAN;
};

inline double spread(const std::vector<float>& x) {
    double mean = 0, squares = 0;
    for (float v : x) mean += v;
    mean /= x.size();
    for (float v : x) squares += (v - mean) * (v - mean);
    return std::sqrt(squares / x.size());
}

// Generalised advantages (Schulman et al., "High-dimensional continuous control using generalized
// advantage estimation", 2016, equation 16), and the returns that they make with the values.
struct Targets {
    std::vector<float> advantages, returns;

    Targets(const Lane& lane, float discount, float decay)
        : advantages(lane.rollout), returns(lane.rollout) {
        const int64_t count = lane.num_envs;
        for (int64_t e = 0; e < count; ++e) {
            float next_value = lane.last_values[e], goes_on = 1.0f - lane.starts[e], sum = 0.0f;
            for (int64_t i = lane.rollout - count + e; i >= 0; i -= count) {
                float error = lane.rewards[i] + discount * next_value * goes_on - lane.values[i];
                sum = error + discount * decay * goes_on * sum;
                advantages[i] = sum;
                returns[i] = sum + lane.values[i];
                next_value = lane.values[i];
                goes_on = 1.0f - lane.first[i];
            }
        }
    }

    // As Stable-Baselines3's explained_variance; NaN where the returns do not vary.
    double explained(const Lane& lane) const {
        std::vector<float> errors(lane.rollout);
        for (int64_t i = 0; i < lane.rollout; ++i) errors[i] = returns[i] - lane.values[i];
        double of_errors = spread(errors), of_returns = spread(returns);
        return of_returns == 0.0 ? NAN : 1.0 - of_errors * of_errors / (of_returns * of_returns);
    }
};

struct Adam {
    static constexpr float FIRST = 0.9f, SECOND = 0.999f;

    // Of the first `count` weights.
    static void step(Lane& lane, const float* slopes, int64_t count, float scale, float rate,
                     float epsilon) {
        double t = (double)++*lane.num_updates;
        float size = (float)(rate / (1.0 - std::pow((double)FIRST, t)));
        float root = (float)(1.0 / std::sqrt(1.0 - std::pow((double)SECOND, t)));
        for (int64_t i = 0; i < count; ++i) {
            float g = slopes[i] * scale;
            float m = lane.moment[i] = FIRST * lane.moment[i] + (1.0f - FIRST) * g;
            float v = lane.square[i] = SECOND * lane.square[i] + (1.0f - SECOND) * g * g;
            lane.weights[i] -= size * m / (std::sqrt(v) * root + epsilon);
        }
    }
};

struct RmsProp {
    static constexpr float DECAY = 0.99f, EPSILON = 1e-5f;

    static void step(Lane& lane, const float* slopes, float scale, float rate) {
        ++*lane.num_updates;
        for (int64_t i = 0; i < lane.shape.count; ++i) {
            float g = slopes[i] * scale;
            float v = lane.square[i] = DECAY * lane.square[i] + (1.0f - DECAY) * g * g;
            lane.weights[i] -= rate * g / (std::sqrt(v) + EPSILON);
        }
    }
};

// The policy's part of the loss, sample by sample: its slope in the actor's outputs.
struct PolicyLoss {
    const Lane& lane;
    float clip, entropy_weight;
    bool is_ppo;
    double divergence = 0, clipped = 0, entropy = 0;

    // The factor of the slope of the log probability: of the surrogate's minimum, or A2C's own.
    float pull(float log_ratio, float advantage) {
        float ratio = std::exp(log_ratio);
        divergence += (ratio - 1.0f) - log_ratio;
        clipped += std::fabs(ratio - 1.0f) > clip;
        if (!is_ppo) return -advantage;
        float within = std::min(1.0f + clip, std::max(1.0f - clip, ratio));
        return advantage * ratio <= advantage * within ? -advantage * ratio : 0.0f;
    }

    void discrete(int64_t i, float advantage, const float* row, float* slope, float share) {
        const int64_t count = lane.shape.outputs;
        float odds[HEAD], logs[HEAD], highest = row[0], sum = 0.0f, spread = 0.0f;
        for (int64_t a = 1; a < count; ++a) highest = std::max(highest, row[a]);
        for (int64_t a = 0; a < count; ++a) sum += odds[a] = std::exp(row[a] - highest);
        float log_sum = highest + std::log(sum);
        for (int64_t a = 0; a < count; ++a) {
            odds[a] /= sum;
            logs[a] = row[a] - log_sum;
            spread -= odds[a] * logs[a];
        }
        const int64_t chosen = (int64_t)lane.actions[i];
        entropy += spread;
        float factor = pull(logs[chosen] - lane.log_probs[i], advantage);
        for (int64_t a = 0; a < count; ++a)
            slope[a] = share * (factor * ((a == chosen) - odds[a]) +
                                entropy_weight * odds[a] * (logs[a] + spread));
    }

    void gaussian(int64_t i, float advantage, const float* row, float* slope, float share,
                  float* log_std_slope) {
        const int64_t count = lane.shape.outputs;
        const float* log_std = lane.weights + lane.shape.log_std;
        const float* action = lane.actions + i * count;
        float log_prob = 0.0f, z[HEAD];
        for (int64_t a = 0; a < count; ++a) {
            z[a] = (action[a] - row[a]) * std::exp(-log_std[a]);
            log_prob -= 0.5f * z[a] * z[a] + log_std[a] + 0.5f * std::log(2.0f * PI);
            entropy += log_std[a] + 0.5f * std::log(2.0f * PI * std::exp(1.0f));
        }
        float factor = pull(log_prob - lane.log_probs[i], advantage);
        for (int64_t a = 0; a < count; ++a) {
            slope[a] = share * factor * z[a] * std::exp(-log_std[a]);
            log_std_slope[a] += share * (factor * (z[a] * z[a] - 1.0f) - entropy_weight);
        }
    }
};

// Samples of a minibatch, gathered.
struct Batch {
    std::vector<float> advantages, returns, values, slopes;
    std::vector<int32_t> order;
};

template <int HIDDEN>
void learn_batch(Lane& lane, const double* values, const int32_t* chosen, int64_t size,
                 const Targets& targets, Work& work, Batch& batch, Progress& progress,
                 double& divergence) {
    const Shape& shape = lane.shape;
    const bool is_ppo = lane.settings[ALGORITHM] == PPO;
    const float share = 1.0f / size;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < size; ++i) {
        const int64_t from = chosen[i];
        std::memcpy(work.inputs.data() + i * shape.inputs,
                    lane.observations + from * shape.inputs, sizeof(float) * shape.inputs);
        batch.advantages[i] = targets.advantages[from];
        sum += batch.advantages[i];
    }
    if (is_ppo && size > 1) {
        const double mean = sum / size;
        for (int64_t i = 0; i < size; ++i) {
            double off = batch.advantages[i] - mean;
            squares += off * off;
        }
        const float scale = (float)(1.0 / (std::sqrt(squares / (size - 1)) + 1e-8));
        for (int64_t i = 0; i < size; ++i)
            batch.advantages[i] = (batch.advantages[i] - (float)mean) * scale;
    }
    const float* x = work.inputs.data();
    float* slopes = work.slopes.data();
    std::fill_n(slopes + shape.log_std, HEAD, 0.0f);
    Network<HIDDEN>::act(shape, lane.weights, x, size, work);
    PolicyLoss policy{lane, (float)values[CLIP_RANGE], (float)values[ENTROPY], is_ppo};
    std::fill_n(work.head_slope.data(), size * HEAD, 0.0f);
    for (int64_t i = 0; i < size; ++i) {
        const float* row = work.head.data() + i * HEAD;
        float* slope = work.head_slope.data() + i * HEAD;
        if (shape.is_discrete)
            policy.discrete(chosen[i], batch.advantages[i], row, slope, share);
        else
            policy.gaussian(chosen[i], batch.advantages[i], row, slope, share,
                            slopes + shape.log_std);
    }
    Network<HIDDEN>::act_back(shape, lane.weights, x, size, work);
    Network<HIDDEN>::value(shape, lane.weights, x, size, work, batch.values.data());
    double value_loss = 0;
    for (int64_t i = 0; i < size; ++i) {
        float off = batch.values[i] - targets.returns[chosen[i]];
        value_loss += (double)off * off;
        batch.slopes[i] = (float)values[VALUE_COEFFICIENT] * 2.0f * off * share;
    }
    Network<HIDDEN>::value_back(shape, lane.weights, x, size, work, batch.slopes.data());
    float total = 0.0f;
    for (int64_t i = 0; i < shape.count; ++i) total += slopes[i] * slopes[i];
    const float norm = std::sqrt(total), limit = (float)values[MAX_GRAD_NORM];
    const float scale = std::min(1.0f, limit / (norm + 1e-6f));
    if (is_ppo)
        Adam::step(lane, slopes, shape.count, scale, (float)values[LEARNING_RATE], 1e-5f);
    else
        RmsProp::step(lane, slopes, scale, (float)values[LEARNING_RATE]);
    if (progress.minibatches == 0) progress.first_norm = norm;
    progress.last_norm = norm;
    progress.minibatches += 1;
    progress.norm += norm;
    progress.over_limit += norm > limit;
    progress.clipped += policy.clipped / size;
    progress.entropy += policy.entropy / size;
    progress.value_loss += value_loss / size;
    divergence += policy.divergence / size;
}

// One update: what was collected is learned from, in as many epochs as PPO makes.
template <int HIDDEN>
void learn(Lane& lane, const double* values, Work& work, Batch& batch, Progress& total) {
    const Targets targets(lane, (float)values[DISCOUNT], (float)values[GAE_LAMBDA]);
    const bool is_ppo = lane.settings[ALGORITHM] == PPO;
    const int64_t size =
        is_ppo ? std::min<int64_t>(std::llround(values[BATCH_SIZE]), lane.rollout) : lane.rollout;
    const int64_t epochs = is_ppo ? std::llround(values[EPOCHS]) : 1;
    for (auto* part : {&batch.advantages, &batch.returns, &batch.values, &batch.slopes})
        part->resize(size);
    batch.order.resize(lane.rollout);
    for (int64_t i = 0; i < lane.rollout; ++i) batch.order[i] = (int32_t)i;
    work.fit(lane.shape, size);
    Progress progress;
    double divergence = 0, last_batches = 0;
    Random random{*lane.random};
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
        if (is_ppo)
            for (int64_t i = lane.rollout - 1; i > 0; --i)
                std::swap(batch.order[i], batch.order[random.below((int)i + 1)]);
        divergence = last_batches = 0;
        for (int64_t at = 0; at < lane.rollout; at += size, ++last_batches)
            learn_batch<HIDDEN>(lane, values, batch.order.data() + at,
                                std::min(size, lane.rollout - at), targets, work, batch, progress,
                                divergence);
    }
    if (total.updates == 0) total.first_norm = progress.first_norm;
    total.last_norm = progress.last_norm;
    total.updates += 1;
    total.minibatches += progress.minibatches;
    total.norm += progress.norm;
    total.over_limit += progress.over_limit;
    total.clipped += progress.clipped / progress.minibatches;
    total.entropy += progress.entropy / progress.minibatches;
    total.value_loss += progress.value_loss / progress.minibatches;
    total.divergence += divergence / last_batches;
    total.explained += targets.explained(lane);
    total.advantage += spread(targets.advantages);
    total.target += spread(targets.returns);
}

}  // namespace learners
