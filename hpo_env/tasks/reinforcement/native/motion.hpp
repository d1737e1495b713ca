// Things that are moved and held: masses, arms, tanks and beams.

#pragma once

#include "classic.hpp"

namespace learners {

// A mass on a plane; physics: force over mass, friction, noise of the force, half the field.
inline void glide(const float* p, float* s, const float* force, Random& random) {
    constexpr float STEP = 0.1f;
    for (int i = 0; i < 2; ++i) {
        float push = p[0] * force[i] + p[2] * random.normal();
        s[2 + i] += STEP * (push - p[1] * s[2 + i]);
        s[i] += STEP * s[2 + i];
        if (s[i] < -p[3] || s[i] > p[3]) {  // a wall takes the speed
            s[i] = clip(s[i], -p[3], p[3]);
            s[2 + i] = 0.0f;
        }
    }
}

// position, speed, target
inline void place_mass(const float* p, float* s, Random& random) {
    for (int i = 0; i < 2; ++i) {
        s[i] = random.uniform(-p[3], p[3]);
        s[2 + i] = 0.0f;
        s[4 + i] = random.uniform(-p[3], p[3]);
    }
}

inline void observe_mass(const float* p, const float* s, float* seen) {
    for (int i = 0; i < 2; ++i) {
        seen[i] = s[i] / p[3];
        seen[2 + i] = s[2 + i];
        seen[4 + i] = (s[4 + i] - s[i]) / p[3];
    }
}

inline float distance(const float* s) {
    return std::sqrt(square(s[4] - s[0]) + square(s[5] - s[1]));
}

struct PointMass : Continuous {
    static constexpr int STATE = 6, SEEN = 6, OUTPUTS = 2, MAX_STEPS = 100;

    static void reset(const float* p, float* s, Random& random) { place_mass(p, s, random); }
    static void observe(const float* p, const float* s, float* seen) { observe_mass(p, s, seen); }
    static float step(const float* p, float* s, const float* action, Random& random, bool&) {
        glide(p, s, action, random);
        return -distance(s) / p[3] - 0.02f * (square(action[0]) + square(action[1]));
    }
};

struct PointGoal : Discrete {  // paid at the target alone; physics: the same, the target's radius
    static constexpr int STATE = 6, SEEN = 6, OUTPUTS = 5, MAX_STEPS = 100;

    static void reset(const float* p, float* s, Random& random) { place_mass(p, s, random); }
    static void observe(const float* p, const float* s, float* seen) { observe_mass(p, s, seen); }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        const int chosen = (int)action[0];
        const float force[2] = {chosen == 1 ? 1.0f : chosen == 2 ? -1.0f : 0.0f,
                                chosen == 3 ? 1.0f : chosen == 4 ? -1.0f : 0.0f};
        glide(p, s, force, random);
        is_end = distance(s) < p[4];
        return is_end ? 1.0f : 0.0f;
    }
};

// x' = rate * turned(x) + gain * B u + noise, three states and two inputs; physics: rate, angle of
// the turn, gain, noise.
struct Regulator : Continuous {
    static constexpr int STATE = 3, SEEN = 3, OUTPUTS = 2, MAX_STEPS = 60;

    static void reset(const float*, float* s, Random& random) {
        for (int i = 0; i < 3; ++i) s[i] = random.uniform(-1.0f, 1.0f);
    }
    static void observe(const float*, const float* s, float* seen) { std::copy(s, s + 3, seen); }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        float cosine = std::cos(p[1]), sine = std::sin(p[1]), x = s[0], y = s[1], z = s[2];
        s[0] = p[0] * (cosine * x - sine * y) + p[3] * random.normal();
        s[1] = p[0] * (sine * x + cosine * y + 0.3f * z) + p[2] * action[0] + p[3] * random.normal();
        s[2] = p[0] * z + p[2] * action[1] + p[3] * random.normal();
        float size = square(s[0]) + square(s[1]) + square(s[2]);
        is_end = size > 100.0f;
        float cost = std::min(size, 100.0f) + 0.1f * (square(action[0]) + square(action[1]));
        return is_end ? -100.0f : -0.1f * cost;
    }
};

// Two driven links on a plane, and a target; physics: torque, friction, length of the second link.
struct Reacher : Continuous {
    static constexpr int STATE = 6, SEEN = 10, OUTPUTS = 2, MAX_STEPS = 80;
    static constexpr float STEP = 0.05f;

    static void tip(const float* p, const float* s, float* at) {
        at[0] = std::cos(s[0]) + p[2] * std::cos(s[0] + s[1]);
        at[1] = std::sin(s[0]) + p[2] * std::sin(s[0] + s[1]);
    }
    static void reset(const float* p, float* s, Random& random) {
        for (int i = 0; i < 2; ++i) {
            s[i] = random.uniform(-PI, PI);
            s[2 + i] = 0.0f;
        }
        float far = random.uniform(0.2f, 0.9f) * (1.0f + p[2]), angle = random.uniform(-PI, PI);
        s[4] = far * std::cos(angle);
        s[5] = far * std::sin(angle);
    }
    static void observe(const float* p, const float* s, float* seen) {
        float at[2];
        tip(p, s, at);
        for (int i = 0; i < 2; ++i) {
            seen[2 * i] = std::cos(s[i]);
            seen[2 * i + 1] = std::sin(s[i]);
            seen[4 + i] = 0.2f * s[2 + i];
            seen[6 + i] = s[4 + i];
            seen[8 + i] = s[4 + i] - at[i];
        }
    }
    static float step(const float* p, float* s, const float* action, Random&, bool&) {
        for (int i = 0; i < 2; ++i) {
            s[2 + i] = clip(s[2 + i] + STEP * (p[0] * action[i] - p[1] * s[2 + i]), -8.0f, 8.0f);
            s[i] = wrapped(s[i] + STEP * s[2 + i]);
        }
        float at[2];
        tip(p, s, at);
        float far = std::sqrt(square(s[4] - at[0]) + square(s[5] - at[1]));
        return -far - 0.05f * (square(action[0]) + square(action[1]));
    }
};

// Three masses in a row on springs, the first is pushed, the last is to stand at a target; physics:
// stiffness, friction, force.
struct SpringChain : Continuous {
    static constexpr int STATE = 7, SEEN = 7, OUTPUTS = 1, MAX_STEPS = 120;
    static constexpr float STEP = 0.1f;

    static void reset(const float*, float* s, Random& random) {
        for (int i = 0; i < 6; ++i) s[i] = 0.0f;
        s[6] = random.uniform(-1.0f, 1.0f);
    }
    static void observe(const float*, const float* s, float* seen) {
        std::copy(s, s + 6, seen);
        seen[6] = s[6] - s[2];
    }
    static float step(const float* p, float* s, const float* action, Random&, bool&) {
        float force[3] = {p[2] * action[0] + p[0] * (s[1] - s[0]) - 0.2f * s[0],
                          p[0] * (s[0] - 2.0f * s[1] + s[2]), p[0] * (s[1] - s[2])};
        for (int i = 0; i < 3; ++i) s[3 + i] += STEP * (force[i] - p[1] * s[3 + i]);
        for (int i = 0; i < 3; ++i) s[i] = clip(s[i] + STEP * s[3 + i], -3.0f, 3.0f);
        return 1.0f - std::min(1.0f, std::fabs(s[6] - s[2])) - 0.02f * square(action[0]);
    }
};

// Two tanks, the upper drains into the lower; the pump is set, and the lower level is to follow a
// target. physics: pump, drain, noise of the drain, share of the pump that arrives in a step.
struct Tanks : Continuous {
    static constexpr int STATE = 4, SEEN = 4, OUTPUTS = 1, MAX_STEPS = 150;

    static void reset(const float*, float* s, Random& random) {
        s[0] = random.uniform(0.2f, 0.5f);
        s[1] = random.uniform(0.2f, 0.5f);
        s[2] = 0.0f;
        s[3] = random.uniform(0.3f, 0.8f);
    }
    static void observe(const float*, const float* s, float* seen) {
        for (int i = 0; i < 3; ++i) seen[i] = s[i];
        seen[3] = s[3] - s[1];
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        s[2] += p[3] * (0.5f * (1.0f + action[0]) - s[2]);
        float first = p[1] * std::sqrt(s[0]), second = p[1] * std::sqrt(s[1]);
        s[0] = std::max(0.0f, s[0] + 0.1f * (p[0] * s[2] - first));
        s[1] = std::max(0.0f, s[1] + 0.1f * (first - second) + p[2] * random.normal());
        is_end = s[0] > 1.5f || s[1] > 1.2f;
        return is_end ? -20.0f : -std::fabs(s[3] - s[1]);
    }
};

// A ball on a beam that is tilted; physics: gravity, how fast the beam turns, gusts.
struct BallOnBeam : Discrete {
    static constexpr int STATE = 3, SEEN = 3, OUTPUTS = 3, MAX_STEPS = 200;
    static constexpr float STEP = 0.05f;

    static void reset(const float*, float* s, Random& random) {
        s[0] = random.uniform(-0.5f, 0.5f);
        s[1] = random.uniform(-0.2f, 0.2f);
        s[2] = random.uniform(-0.05f, 0.05f);
    }
    static void observe(const float*, const float* s, float* seen) {
        seen[0] = s[0];
        seen[1] = s[1];
        seen[2] = 4.0f * s[2];
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        s[2] = clip(s[2] + STEP * p[1] * (action[0] - 1.0f), -0.4f, 0.4f);
        s[1] += STEP * (5.0f / 7.0f * p[0] * std::sin(s[2]) + p[2] * random.normal());
        s[0] += STEP * s[1];
        is_end = std::fabs(s[0]) > 1.0f;
        return is_end ? 0.0f : 1.0f - std::fabs(s[0]);
    }
};

}  // namespace learners
