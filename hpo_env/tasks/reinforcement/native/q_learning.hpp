// Deep Q-learning with the rules of Stable-Baselines3's DQN; `q_learning.py` is the same in NumPy.

#pragma once

#include "update.hpp"

namespace learners {

// Stable-Baselines3's defaults; `dqn.py` has the same.
constexpr int64_t LEARNING_STARTS = 100;  // steps before anything is learned, by actions at random
constexpr int64_t TRAIN_FREQ = 4;         // steps of each environment from update to update
constexpr double EXPLORATION_SHARE = 0.1, FIRST_EXPLORATION = 1.0, LAST_EXPLORATION = 0.05;

template <int HIDDEN>
using QNetwork = Network<HIDDEN, Rectified>;

inline int64_t steps_made(const Lane& lane) { return (int64_t)*lane.num_calls * lane.num_envs; }

// By what odds the next actions are drawn at random.
inline double exploration(const Lane& lane) {
    const double share = (double)steps_made(lane) / lane.settings[TOTAL_STEPS];
    if (share > EXPLORATION_SHARE) return LAST_EXPLORATION;
    return FIRST_EXPLORATION +
           share * (LAST_EXPLORATION - FIRST_EXPLORATION) / EXPLORATION_SHARE;
}

inline int64_t best(const float* row, int64_t count) {
    return std::max_element(row, row + count) - row;
}

// Play so many steps into the replay buffer.
template <int HIDDEN>
void play(Lane& lane, const double* values, int64_t num_steps, Work& work, Tally& tally) {
    const Shape& shape = lane.shape;
    const int64_t count = lane.num_envs, width = shape.inputs;
    const uint64_t rows = lane.num_rows() / count;
    const uint64_t copied = std::max<int64_t>(
        std::llround(values[TARGET_UPDATE_INTERVAL]) / count, 1);
    const float reward_scale = (float)values[REWARD_SCALE];
    Random random{*lane.random};
    work.fit(shape, count);
    for (int64_t t = 0; t < num_steps; ++t) {
        const int64_t at = *lane.num_calls % rows * count;
        const bool is_random =
            steps_made(lane) < LEARNING_STARTS || random.uniform() < exploration(lane);
        if (!is_random) QNetwork<HIDDEN>::act(shape, lane.weights, lane.seen, count, work);
        std::memcpy(lane.observations + at * width, lane.seen, sizeof(float) * count * width);
        for (int64_t e = 0; e < count; ++e) {
            const int64_t chosen = is_random ? random.below((int)shape.outputs)
                                             : best(work.head.data() + e * HEAD, shape.outputs);
            float* action = lane.actions + at + e;
            float* following = lane.following + (at + e) * width;
            float* seen = lane.seen + e * width;
            *action = (float)chosen;
            const Outcome made = take_step(lane, e, action, seen, following, tally);
            if (!made.is_end && !made.is_cut)
                std::memcpy(following, seen, sizeof(float) * width);
            const float reward = lane.rewards[at + e] = reward_scale * made.reward;
            lane.ended[at + e] = made.is_end;
            tally.reward += reward;
            tally.square_reward += (double)reward * reward;
        }
        tally.steps += count;
        if (++*lane.num_calls % copied == 0)
            std::copy_n(lane.weights + shape.actor.first, shape.critic.first,
                        lane.weights + shape.critic.first);
    }
}

// One gradient step on a minibatch that is drawn from the buffer.
template <int HIDDEN>
void replay(Lane& lane, const double* values, Work& work, Batch& batch, Progress& progress) {
    using Net = QNetwork<HIDDEN>;
    const Shape& shape = lane.shape;
    const int64_t size = std::llround(values[BATCH_SIZE]), width = shape.inputs;
    const int64_t kept = std::min(steps_made(lane), lane.num_rows());
    const float discount = (float)values[DISCOUNT], share = 1.0f / size;
    work.fit(shape, size);
    batch.order.resize(size);
    batch.returns.resize(size);
    Random random{*lane.random};
    float* x = work.inputs.data();
    for (int64_t i = 0; i < size; ++i) {
        const int64_t from = batch.order[i] = random.below((int)kept);
        std::memcpy(x + i * width, lane.following + from * width, sizeof(float) * width);
    }
    Net::outputs(shape, shape.critic, lane.weights, x, size, work);
    for (int64_t i = 0; i < size; ++i) {
        const int64_t from = batch.order[i];
        const float* row = work.head.data() + i * HEAD;
        batch.returns[i] = lane.rewards[from] +
                           (1.0f - lane.ended[from]) * discount * row[best(row, shape.outputs)];
        std::memcpy(x + i * width, lane.observations + from * width, sizeof(float) * width);
    }
    Net::act(shape, lane.weights, x, size, work);
    std::fill_n(work.head_slope.data(), size * HEAD, 0.0f);
    double loss = 0;
    for (int64_t i = 0; i < size; ++i) {  // Huber's loss: squares within 1, distances beyond
        const int64_t chosen = (int64_t)lane.actions[batch.order[i]];
        const float off = work.head[i * HEAD + chosen] - batch.returns[i], far = std::fabs(off);
        loss += far < 1.0f ? 0.5f * off * off : far - 0.5f;
        work.head_slope[i * HEAD + chosen] = share * std::max(-1.0f, std::min(1.0f, off));
    }
    Net::act_back(shape, lane.weights, x, size, work);
    const float* slopes = work.slopes.data();
    const int64_t trained = shape.critic.first;
    float total = 0.0f;
    for (int64_t i = 0; i < trained; ++i) total += slopes[i] * slopes[i];
    const float norm = std::sqrt(total), limit = (float)values[MAX_GRAD_NORM];
    Adam::step(lane, slopes, trained, std::min(1.0f, limit / (norm + 1e-6f)),
               (float)values[LEARNING_RATE], 1e-8f);
    if (progress.minibatches == 0) progress.first_norm = norm;
    progress.last_norm = norm;
    progress.updates += 1;
    progress.minibatches += 1;
    progress.norm += norm;
    progress.over_limit += norm > limit;
    progress.value_loss += loss / size;
}

// Act at random until something can be learned.
template <int HIDDEN>
void fill(Lane& lane, const double* values, Work& work, Tally& tally) {
    *lane.num_calls = 0;
    while (steps_made(lane) <= LEARNING_STARTS)
        play<HIDDEN>(lane, values, TRAIN_FREQ, work, tally);
}

template <int HIDDEN>
void learn_and_play(Lane& lane, const double* values, Work& work, Batch& batch, Tally& tally,
                    Progress& progress) {
    for (int64_t t = 0; t < lane.num_steps; t += TRAIN_FREQ) {
        replay<HIDDEN>(lane, values, work, batch, progress);
        play<HIDDEN>(lane, values, TRAIN_FREQ, work, tally);
    }
}

}  // namespace learners
