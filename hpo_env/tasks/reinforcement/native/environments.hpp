// All types of environment, in the order of `environments/registry.py`.

#pragma once

#include "games.hpp"
#include "journeys.hpp"
#include "motion.hpp"

namespace learners {

// A type: the sizes of its arrays, its action space, its time limit and its rules.
struct Environment {
    int state_size, observation_size, num_outputs;  // outputs: actions, or their dimensions
    bool is_discrete;
    int max_steps;
    float low, high;  // of continuous actions
    void (*reset)(const float* physics, float* state, Random& random);
    void (*observe)(const float* physics, const float* state, float* seen);
    float (*step)(const float* physics, float* state, const float* action, Random& random,
                  bool& is_end);
};

constexpr int MAX_PHYSICS = 12;  // numbers that make a type a task
constexpr int MAX_ENVS = 32;     // side by side in a lane

template <typename Type>
constexpr Environment make() {
    return {Type::STATE,     Type::SEEN,   Type::OUTPUTS, Type::IS_DISCRETE, Type::MAX_STEPS,
            Type::LOW,       Type::HIGH,   Type::reset,   Type::observe,     Type::step};
}

const Environment ENVIRONMENTS[] = {
    make<CartPole>(),
    make<CartPoleSwingUp>(),
    make<MountainCar>(),
    make<MountainCarContinuous>(),
    make<Pendulum>(),
    make<SparsePendulum>(),
    make<Acrobot>(),
    make<Pendubot>(),
    make<PointMass>(),
    make<PointGoal>(),
    make<Regulator>(),
    make<Reacher>(),
    make<SpringChain>(),
    make<Tanks>(),
    make<BallOnBeam>(),
    make<FrozenLake>(),
    make<Cliff>(),
    make<DeepSea>(),
    make<RiverSwim>(),
    make<RandomTable>(),
    make<FourRooms>(),
    make<KeyAndDoor>(),
    make<ContextBandit>(),
    make<Catch>(),
    make<Bricks>(),
    make<Dodge>(),
    make<Crossing>(),
    make<Gather>(),
    make<Squash>(),
    make<Docking>(),
    make<Parking>(),
    make<Trailer>(),
    make<Crane>(),
    make<Plate>(),
    make<Channel>(),
};

constexpr int64_t NUM_ENVIRONMENTS = sizeof ENVIRONMENTS / sizeof *ENVIRONMENTS;

}  // namespace learners
