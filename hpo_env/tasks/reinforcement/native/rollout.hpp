// Rollouts as Stable-Baselines3 collects them, and what they say.

#pragma once

#include "lane.hpp"

namespace learners {

// Sums over the steps and episodes of an interval; the updates' are means already.
struct Tally {
    double episodes = 0, mean_return = 0, square_return = 0, length = 0, truncated = 0;
    double steps = 0, reward = 0, square_reward = 0;

    void add_episode(double total, double steps_taken, bool was_cut) {
        double off = total - mean_return;
        episodes += 1;
        mean_return += off / episodes;
        square_return += off * (total - mean_return);
        length += steps_taken;
        truncated += was_cut;
    }
};

// VecNormalize: running moments after Chan, Golub and LeVeque; bounds and epsilon are its own.
struct Normaliser {
    static constexpr float BOUND = 10.0f, EPSILON = 1e-8f, DISCOUNT = 0.99f, FIRST_COUNT = 1e-4f;

    static void begin(Lane& lane) {
        for (int64_t d = 0; d < lane.shape.inputs; ++d) {
            lane.seen_mean[d] = 0.0f;
            lane.seen_var[d] = 1.0f;
        }
        lane.scales[0] = lane.scales[3] = FIRST_COUNT;
        lane.scales[1] = 0.0f;
        lane.scales[2] = 1.0f;
        for (int64_t e = 0; e < lane.num_envs; ++e) lane.discounted[e] = 0.0f;
    }

    // Take in rows of numbers, a column at a time.
    static void take(const float* x, int64_t rows, int64_t width, float* mean, float* var,
                     float count) {
        for (int64_t d = 0; d < width; ++d) {
            float sum = 0.0f, squares = 0.0f;
            for (int64_t i = 0; i < rows; ++i) sum += x[i * width + d];
            float batch = sum / rows;
            for (int64_t i = 0; i < rows; ++i) {
                float off = x[i * width + d] - batch;
                squares += off * off;
            }
            float total = count + rows, delta = batch - mean[d];
            float m2 = var[d] * count + squares + delta * delta * count * rows / total;
            mean[d] += delta * rows / total;
            var[d] = m2 / total;
        }
    }

    static void take_observations(Lane& lane, const float* x) {
        take(x, lane.num_envs, lane.shape.inputs, lane.seen_mean, lane.seen_var, lane.scales[0]);
        lane.scales[0] += lane.num_envs;
    }

    static void apply(const Lane& lane, const float* x, int64_t rows, float* out) {
        int64_t width = lane.shape.inputs;
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t d = 0; d < width; ++d) {
                float scaled = (x[i * width + d] - lane.seen_mean[d]) /
                               std::sqrt(lane.seen_var[d] + EPSILON);
                out[i * width + d] = std::max(-BOUND, std::min(BOUND, scaled));
            }
    }

    // Normalise the rewards of one step of all environments in place.
    static void rewards(Lane& lane, float* rewards, const bool* over) {
        for (int64_t e = 0; e < lane.num_envs; ++e)
            lane.discounted[e] = lane.discounted[e] * DISCOUNT + rewards[e];
        take(lane.discounted, lane.num_envs, 1, lane.scales + 1, lane.scales + 2, lane.scales[3]);
        lane.scales[3] += lane.num_envs;
        float scale = std::sqrt(lane.scales[2] + EPSILON);
        for (int64_t e = 0; e < lane.num_envs; ++e) {
            rewards[e] = std::max(-BOUND, std::min(BOUND, rewards[e] / scale));
            if (over[e]) lane.discounted[e] = 0.0f;
        }
    }
};

// Draw an action from a row of the actor's outputs; returns the logarithm of its probability.
inline float draw(const Shape& s, const float* weights, const float* row, float* action,
                  Random random) {
    if (s.is_discrete) {
        float odds[HEAD], highest = row[0], sum = 0.0f;
        for (int64_t a = 1; a < s.outputs; ++a) highest = std::max(highest, row[a]);
        for (int64_t a = 0; a < s.outputs; ++a) sum += odds[a] = std::exp(row[a] - highest);
        float left = random.uniform() * sum;
        int64_t chosen = 0;
        while (chosen < s.outputs - 1 && left >= odds[chosen]) left -= odds[chosen++];
        action[0] = (float)chosen;
        return row[chosen] - highest - std::log(sum);
    }
    float log_prob = 0.0f;
    for (int64_t a = 0; a < s.outputs; ++a) {
        float log_std = weights[s.log_std + a], noise = random.normal();
        action[a] = row[a] + std::exp(log_std) * noise;
        log_prob -= 0.5f * noise * noise + log_std + 0.5f * std::log(2.0f * PI);
    }
    return log_prob;
}

// What the environment is given: the drawn action within the bounds of the action space.
inline void bounded(const Environment& kind, const float* action, float* given) {
    if (kind.is_discrete) {
        given[0] = action[0];
        return;
    }
    for (int a = 0; a < kind.num_outputs; ++a)
        given[a] = std::max(kind.low, std::min(kind.high, action[a]));
}

inline void start(Lane& lane) {
    std::vector<float> raw(lane.num_envs * lane.shape.inputs);
    for (int64_t e = 0; e < lane.num_envs; ++e) {
        Random random{lane.env_randoms[e]};
        lane.kind.reset(lane.physics, lane.state(e), random);
        lane.kind.observe(lane.physics, lane.state(e), raw.data() + e * lane.shape.inputs);
        lane.returns[e] = lane.lengths[e] = 0.0f;
        lane.starts[e] = 1.0f;
        lane.phases[e] = 0.0f;
    }
    Normaliser::begin(lane);
    if (lane.settings[NORMALISES]) {
        Normaliser::take_observations(lane, raw.data());
        Normaliser::apply(lane, raw.data(), lane.num_envs, lane.seen);
    } else {
        std::copy(raw.begin(), raw.end(), lane.seen);
    }
}

// Make a step of one environment with the action that was drawn for it. Of as many steps as the
// setting says one, drawn by chance, is a move; nothing happens and nothing is paid in the others.
inline float step(Lane& lane, int64_t env, const float* action, bool& is_end) {
    const int64_t stretch = lane.settings[STRETCH];
    float* held = lane.held + env * lane.action_width();
    Random random{lane.env_randoms[env]};
    const int64_t before = (int64_t)lane.phases[env];
    if (before == 0 || random.below(before + 1) == 0) bounded(lane.kind, action, held);
    if (before + 1 < stretch) {
        lane.phases[env] += 1.0f;
        return 0.0f;
    }
    lane.phases[env] = 0.0f;
    return lane.kind.step(lane.physics, lane.state(env), held, random, is_end);
}

// What a step of one environment came to.
struct Outcome {
    float reward;
    bool is_end, is_cut;  // by the rules, or by the time limit
};

// Make a step and count it. What is seen then goes to `seen`; where the episode is over, the last that
// was seen of it goes to `last`, and another begins.
inline Outcome take_step(Lane& lane, int64_t e, const float* action, float* seen, float* last,
                         Tally& tally) {
    const Environment& kind = lane.kind;
    const float limit = (float)(kind.max_steps * lane.settings[STRETCH]);
    bool is_end = false;
    const float reward = step(lane, e, action, is_end);
    lane.returns[e] += reward;
    lane.lengths[e] += 1.0f;
    const bool is_cut = !is_end && lane.lengths[e] >= limit, is_over = is_end || is_cut;
    kind.observe(lane.physics, lane.state(e), seen);
    if (is_over) {
        tally.add_episode(lane.returns[e], lane.lengths[e], is_cut);
        lane.returns[e] = lane.lengths[e] = 0.0f;
        std::memcpy(last, seen, sizeof(float) * lane.shape.inputs);
        Random random{lane.env_randoms[e]};
        kind.reset(lane.physics, lane.state(e), random);
        kind.observe(lane.physics, lane.state(e), seen);
    }
    lane.starts[e] = is_over;
    return {reward, is_end, is_cut};
}

template <int HIDDEN>
void collect(Lane& lane, float discount, float reward_scale, Work& work, Tally& tally) {
    const Shape& shape = lane.shape;
    const int64_t count = lane.num_envs, width = shape.inputs, action_width = lane.action_width();
    const bool normalises = lane.settings[NORMALISES];
    work.fit(shape, count);
    std::vector<float> raw(count * width), final(count * width), paid(count), cut_values(count);
    std::vector<char> is_cut(count);
    bool over[MAX_ENVS];
    for (int64_t t = 0; t < lane.num_steps; ++t) {
        const int64_t at = t * count;
        float* seen = lane.observations + at * width;
        std::memcpy(seen, lane.seen, sizeof(float) * count * width);
        Network<HIDDEN>::value(shape, lane.weights, seen, count, work, lane.values + at);
        Network<HIDDEN>::act(shape, lane.weights, seen, count, work);
        bool any_cut = false;
        for (int64_t e = 0; e < count; ++e) {
            float* action = lane.actions + (at + e) * action_width;
            lane.log_probs[at + e] = draw(shape, lane.weights, work.head.data() + e * HEAD, action,
                                          Random{*lane.random});
            lane.first[at + e] = lane.starts[e];
            const Outcome made = take_step(lane, e, action, raw.data() + e * width,
                                           final.data() + e * width, tally);
            paid[e] = made.reward;
            is_cut[e] = made.is_cut;
            over[e] = made.is_end || made.is_cut;
            any_cut |= made.is_cut;
        }
        if (normalises) {
            Normaliser::take_observations(lane, raw.data());
            Normaliser::apply(lane, raw.data(), count, lane.seen);
            Normaliser::rewards(lane, paid.data(), over);
        } else {
            std::memcpy(lane.seen, raw.data(), sizeof(float) * count * width);
        }
        for (int64_t e = 0; e < count; ++e) {
            float reward = lane.rewards[at + e] = reward_scale * paid[e];
            tally.reward += reward;
            tally.square_reward += (double)reward * reward;
        }
        if (!any_cut) continue;
        for (int64_t e = 0; e < count; ++e) {  // what would have come after the time limit
            if (!is_cut[e]) continue;
            float* last = final.data() + e * width;
            if (normalises) Normaliser::apply(lane, last, 1, last);
            Network<HIDDEN>::value(shape, lane.weights, last, 1, work, cut_values.data());
            lane.rewards[at + e] += discount * cut_values[0];
        }
    }
    tally.steps += lane.rollout;
    Network<HIDDEN>::value(shape, lane.weights, lane.seen, count, work, lane.last_values);
}

// Play whole episodes without learning; the returns, undiscounted and unscaled. `choose(row, action,
// random)` takes an action by a row of the outputs of a net.
template <typename Net, typename Choose>
void evaluate(Lane& lane, int64_t num_episodes, uint64_t seed, Work& work, double* totals,
              Choose choose) {
    const Environment& kind = lane.kind;
    const Shape& shape = lane.shape;
    const int64_t width = shape.inputs;
    std::vector<float> states(num_episodes * kind.state_size), raw(num_episodes * width);
    std::vector<uint64_t> randoms(num_episodes);
    std::vector<int64_t> running(num_episodes);
    Random seeds{seed};
    work.fit(shape, num_episodes);
    for (int64_t k = 0; k < num_episodes; ++k) {
        randoms[k] = seeds.bits();
        Random random{randoms[k]};
        kind.reset(lane.physics, states.data() + k * kind.state_size, random);
        running[k] = k;
        totals[k] = 0.0;
    }
    for (int t = 0; t < kind.max_steps && !running.empty(); ++t) {
        const int64_t rows = running.size();
        for (int64_t i = 0; i < rows; ++i)
            kind.observe(lane.physics, states.data() + running[i] * kind.state_size,
                         raw.data() + i * width);
        if (lane.settings[NORMALISES]) Normaliser::apply(lane, raw.data(), rows, raw.data());
        Net::act(shape, lane.weights, raw.data(), rows, work);
        int64_t kept = 0;
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t k = running[i];
            Random random{randoms[k]};
            float action[HEAD], given[HEAD];
            choose(work.head.data() + i * HEAD, action, random);
            bounded(kind, action, given);
            bool is_end = false;
            totals[k] += kind.step(lane.physics, states.data() + k * kind.state_size, given,
                                   random, is_end);
            if (!is_end) running[kept++] = k;
        }
        running.resize(kept);
    }
}

}  // namespace learners
