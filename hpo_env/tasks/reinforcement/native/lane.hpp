// A lane: all that one learner is, in memory that the caller owns; `memory.py` has the same layout.

#pragma once

#include "environments.hpp"
#include "network.hpp"

namespace learners {

enum Setting {
    TYPE,
    ALGORITHM,
    HIDDEN,
    NUM_ENVS,
    NUM_STEPS,
    NUM_ROLLOUTS,
    NORMALISES,
    STRETCH,
    BUFFER_SIZE,
    TOTAL_STEPS,
    NUM_SETTINGS
};
enum Algorithm { PPO, A2C, DQN };

enum Value {
    LEARNING_RATE,
    DISCOUNT,
    GAE_LAMBDA,
    ENTROPY,
    CLIP_RANGE,
    EPOCHS,
    BATCH_SIZE,
    VALUE_COEFFICIENT,
    MAX_GRAD_NORM,
    REWARD_SCALE,
    TARGET_UPDATE_INTERVAL,
    NUM_VALUES
};

struct Lane {
    const int64_t* settings;
    const float* physics;
    const Environment& kind;
    Shape shape;
    int64_t num_envs, num_steps, rollout;
    // weights and what the optimiser remembers of them
    float *weights, *moment, *square;
    // environments
    float *states, *returns, *lengths, *starts, *seen;  // seen: what the learner sees now
    float *phases, *held;  // of a move that several steps make: steps so far, the action that counts
    // what VecNormalize remembers: mean, variance and count of observations and of returns
    float *seen_mean, *seen_var, *discounted, *scales;
    // the rollout, or the replay buffer: step by step, the environments side by side
    float *observations, *actions, *rewards;
    float *values, *log_probs, *first, *last_values;  // of a rollout
    float *following, *ended;                         // of a replay buffer
    // random states: the learner's, one for each environment; numbers of updates and, in Q-learning,
    // of steps that the environments have made together
    uint64_t *random, *env_randoms, *num_updates, *num_calls;
    int64_t size, num_counters;

    Lane(const int64_t* settings, const float* physics, float* memory, uint64_t* counters)
        : settings(settings),
          physics(physics),
          kind(ENVIRONMENTS[settings[TYPE]]),
          shape(kind.observation_size, kind.num_outputs, settings[HIDDEN], kind.is_discrete,
                settings[ALGORITHM] == DQN ? HEAD : 1),
          num_envs(settings[NUM_ENVS]),
          num_steps(settings[NUM_STEPS]),
          rollout(num_envs * num_steps) {
        int64_t next = 0;
        auto take = [&](int64_t count) {
            float* place = memory + next;
            next += count;
            return place;
        };
        int64_t width = action_width(), inputs = shape.inputs;
        for (float** part : {&weights, &moment, &square}) *part = take(shape.count);
        states = take(num_envs * kind.state_size);
        for (float** part : {&returns, &lengths, &starts, &discounted, &last_values, &phases})
            *part = take(num_envs);
        held = take(num_envs * width);
        seen = take(num_envs * inputs);
        seen_mean = take(inputs);
        seen_var = take(inputs);
        scales = take(4);  // count of observations; mean, variance and count of returns
        const int64_t rows = num_rows();
        observations = take(rows * inputs);
        actions = take(rows * width);
        rewards = take(rows);
        if (is_q_learning()) {
            following = take(rows * inputs);
            ended = take(rows);
        } else {
            for (float** part : {&values, &log_probs, &first}) *part = take(rows);
        }
        size = next;
        random = counters;
        num_updates = counters + 1;
        num_calls = counters + 2;
        env_randoms = counters + 3;
        num_counters = 3 + num_envs;
    }

    bool is_q_learning() const { return settings[ALGORITHM] == DQN; }
    // Steps that are kept.
    int64_t num_rows() const {
        return is_q_learning() ? settings[BUFFER_SIZE] / num_envs * num_envs : rollout;
    }
    int64_t action_width() const { return kind.is_discrete ? 1 : kind.num_outputs; }
    float* state(int64_t env) { return states + env * kind.state_size; }
};

}  // namespace learners
