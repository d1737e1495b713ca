// Classic control: poles, cars and pendulums, after Gymnasium's classic_control where it has them.

#pragma once

#include "numbers.hpp"

namespace learners {

struct Discrete {
    static constexpr bool IS_DISCRETE = true;
    static constexpr float LOW = 0.0f, HIGH = 0.0f;
};

struct Continuous {
    static constexpr bool IS_DISCRETE = false;
    static constexpr float LOW = -1.0f, HIGH = 1.0f;
};

inline float clip(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
inline float square(float x) { return x * x; }

// An angle within [-pi, pi).
inline float wrapped(float angle) { return angle - 2.0f * PI * std::floor((angle + PI) / (2.0f * PI)); }

// Acceleration of a cart (first) and of the pole on it; physics: gravity, mass of the cart, of the
// pole, half the pole's length.
inline void pole_on_cart(const float* p, const float* s, float force, float* cart, float* pole) {
    float gravity = p[0], mass = p[2], half = p[3], total = p[1] + mass;
    float sine = std::sin(s[2]), cosine = std::cos(s[2]);
    float part = (force + mass * half * s[3] * s[3] * sine) / total;
    *pole = (gravity * sine - cosine * part) /
            (half * (4.0f / 3.0f - mass * cosine * cosine / total));
    *cart = part - mass * half * *pole * cosine / total;
}

struct CartPole : Discrete {  // physics: as above, size of the force
    static constexpr int STATE = 4, SEEN = 4, OUTPUTS = 2, MAX_STEPS = 500;
    static constexpr float STEP = 0.02f, EDGE = 2.4f, FALL = 12.0f * PI / 180.0f;

    static void reset(const float*, float* s, Random& random) {
        for (int i = 0; i < 4; ++i) s[i] = random.uniform(-0.05f, 0.05f);
    }
    static void observe(const float*, const float* s, float* seen) { std::copy(s, s + 4, seen); }
    static float step(const float* p, float* s, const float* action, Random&, bool& is_end) {
        float cart, pole;
        pole_on_cart(p, s, action[0] > 0.5f ? p[4] : -p[4], &cart, &pole);
        s[0] += STEP * s[1];
        s[1] += STEP * cart;
        s[2] += STEP * s[3];
        s[3] += STEP * pole;
        is_end = std::fabs(s[0]) > EDGE || std::fabs(s[2]) > FALL;
        return 1.0f;
    }
};

struct CartPoleSwingUp : Continuous {  // the same; the pole hangs at first
    static constexpr int STATE = 4, SEEN = 5, OUTPUTS = 1, MAX_STEPS = 250;
    static constexpr float STEP = 0.04f, EDGE = 3.0f;

    static void reset(const float*, float* s, Random& random) {
        for (int i = 0; i < 4; ++i) s[i] = random.uniform(-0.1f, 0.1f);
        s[2] += PI;
    }
    static void observe(const float*, const float* s, float* seen) {
        seen[0] = s[0];
        seen[1] = s[1];
        seen[2] = std::cos(s[2]);
        seen[3] = std::sin(s[2]);
        seen[4] = s[3];
    }
    static float step(const float* p, float* s, const float* action, Random&, bool& is_end) {
        float cart, pole;
        pole_on_cart(p, s, p[4] * action[0], &cart, &pole);
        s[1] += STEP * cart;
        s[3] = clip(s[3] + STEP * pole, -15.0f, 15.0f);
        s[0] += STEP * s[1];
        s[2] += STEP * s[3];
        is_end = std::fabs(s[0]) > EDGE;
        return 0.5f * (1.0f + std::cos(s[2])) - 0.01f * square(action[0]);
    }
};

// A car between two hills; physics: power, gravity, speed that is needed at the goal.
inline void drive(float* s, float push, float gravity) {
    s[1] = clip(s[1] + push - gravity * std::cos(3.0f * s[0]), -0.07f, 0.07f);
    s[0] = clip(s[0] + s[1], -1.2f, 0.6f);
    if (s[0] <= -1.2f && s[1] < 0.0f) s[1] = 0.0f;
}

struct MountainCar : Discrete {
    static constexpr int STATE = 2, SEEN = 2, OUTPUTS = 3, MAX_STEPS = 200;

    static void reset(const float*, float* s, Random& random) {
        s[0] = random.uniform(-0.6f, -0.4f);
        s[1] = 0.0f;
    }
    static void observe(const float*, const float* s, float* seen) { std::copy(s, s + 2, seen); }
    static float step(const float* p, float* s, const float* action, Random&, bool& is_end) {
        drive(s, (action[0] - 1.0f) * p[0], p[1]);
        is_end = s[0] >= 0.5f && s[1] >= p[2];
        return -1.0f;
    }
};

struct MountainCarContinuous : Continuous {
    static constexpr int STATE = 2, SEEN = 2, OUTPUTS = 1, MAX_STEPS = 999;

    static void reset(const float*, float* s, Random& random) {
        MountainCar::reset(nullptr, s, random);
    }
    static void observe(const float*, const float* s, float* seen) { std::copy(s, s + 2, seen); }
    static float step(const float* p, float* s, const float* action, Random&, bool& is_end) {
        drive(s, action[0] * p[0], p[1]);
        is_end = s[0] >= 0.45f && s[1] >= p[2];
        return (is_end ? 100.0f : 0.0f) - 0.1f * square(action[0]);
    }
};

// physics: gravity, mass, length, torque at an action of 1
inline void swing(const float* p, float* s, float torque, float fastest) {
    float gravity = p[0], mass = p[1], length = p[2];
    float pull = 3.0f * gravity / (2.0f * length) * std::sin(s[0]);
    s[1] = clip(s[1] + (pull + 3.0f / (mass * square(length)) * torque) * 0.05f, -fastest, fastest);
    s[0] += s[1] * 0.05f;
}

struct Pendulum : Continuous {
    static constexpr int STATE = 2, SEEN = 3, OUTPUTS = 1, MAX_STEPS = 200;
    static constexpr float LOW = -2.0f, HIGH = 2.0f;

    static void reset(const float*, float* s, Random& random) {
        s[0] = random.uniform(-PI, PI);
        s[1] = random.uniform(-1.0f, 1.0f);
    }
    static void observe(const float*, const float* s, float* seen) {
        seen[0] = std::cos(s[0]);
        seen[1] = std::sin(s[0]);
        seen[2] = s[1];
    }
    static float step(const float* p, float* s, const float* action, Random&, bool&) {
        float torque = p[3] * action[0];
        float cost = square(wrapped(s[0])) + 0.1f * square(s[1]) + 0.001f * square(torque);
        swing(p, s, torque, 8.0f);
        return -cost;
    }
};

struct SparsePendulum : Discrete {  // paid for while it stands; physics: the same, half the arc
    static constexpr int STATE = 2, SEEN = 3, OUTPUTS = 3, MAX_STEPS = 200;

    static void reset(const float*, float* s, Random& random) {
        s[0] = PI + random.uniform(-0.1f, 0.1f);
        s[1] = random.uniform(-0.1f, 0.1f);
    }
    static void observe(const float* p, const float* s, float* seen) {
        Pendulum::observe(p, s, seen);
    }
    static float step(const float* p, float* s, const float* action, Random&, bool&) {
        swing(p, s, p[3] * (action[0] - 1.0f), 8.0f);
        return std::fabs(wrapped(s[0])) < p[4] ? 1.0f : 0.0f;
    }
};

// Two links in gravity, as in Sutton and Barto's book; physics: gravity, length of the first link,
// mass of the first, mass of the second, torque. `first` and `second` are torques at the joints. It is
// never put in place: where a torque is known to be 0, sums would be rounded otherwise.
inline __attribute__((noinline)) void two_links(const float* p, const float* s, float first,
                                                float second, float* rate) {
    float gravity = p[0], length = p[1], m1 = p[2], m2 = p[3];
    float c1 = 0.5f * length, c2 = 0.5f, inertia = 1.0f;
    float cosine = std::cos(s[1]), sine = std::sin(s[1]);
    float d1 = m1 * square(c1) +
               m2 * (square(length) + square(c2) + 2.0f * length * c2 * cosine) + 2.0f * inertia;
    float d2 = m2 * (square(c2) + length * c2 * cosine) + inertia;
    float phi2 = m2 * c2 * gravity * std::cos(s[0] + s[1] - 0.5f * PI);
    float phi1 = -m2 * length * c2 * square(s[3]) * sine -
                 2.0f * m2 * length * c2 * s[3] * s[2] * sine +
                 (m1 * c1 + m2 * length) * gravity * std::cos(s[0] - 0.5f * PI) + phi2 - first;
    float a2 = (second + d2 / d1 * phi1 - m2 * length * c2 * square(s[2]) * sine - phi2) /
               (m2 * square(c2) + inertia - square(d2) / d1);
    rate[0] = s[2];
    rate[1] = s[3];
    rate[2] = -(d2 * a2 + phi1) / d1;
    rate[3] = a2;
}

inline void turn_links(const float* p, float* s, float first, float second) {  // Runge and Kutta
    constexpr float STEP = 0.2f;
    float k1[4], k2[4], k3[4], k4[4], at[4];
    two_links(p, s, first, second, k1);
    for (int i = 0; i < 4; ++i) at[i] = s[i] + 0.5f * STEP * k1[i];
    two_links(p, at, first, second, k2);
    for (int i = 0; i < 4; ++i) at[i] = s[i] + 0.5f * STEP * k2[i];
    two_links(p, at, first, second, k3);
    for (int i = 0; i < 4; ++i) at[i] = s[i] + STEP * k3[i];
    two_links(p, at, first, second, k4);
    for (int i = 0; i < 4; ++i)
        s[i] += STEP / 6.0f * (k1[i] + 2.0f * k2[i] + 2.0f * k3[i] + k4[i]);
    s[0] = wrapped(s[0]);
    s[1] = wrapped(s[1]);
    s[2] = clip(s[2], -4.0f * PI, 4.0f * PI);
    s[3] = clip(s[3], -9.0f * PI, 9.0f * PI);
}

inline float height(const float* p, const float* s) {
    return -p[1] * std::cos(s[0]) - std::cos(s[0] + s[1]);
}

struct Acrobot : Discrete {
    static constexpr int STATE = 4, SEEN = 6, OUTPUTS = 3, MAX_STEPS = 500;

    static void reset(const float*, float* s, Random& random) {
        for (int i = 0; i < 4; ++i) s[i] = random.uniform(-0.1f, 0.1f);
    }
    static void observe(const float*, const float* s, float* seen) {
        for (int i = 0; i < 2; ++i) {
            seen[2 * i] = std::cos(s[i]);
            seen[2 * i + 1] = std::sin(s[i]);
            seen[4 + i] = s[2 + i];
        }
    }
    static float step(const float* p, float* s, const float* action, Random&, bool& is_end) {
        turn_links(p, s, 0.0f, p[4] * (action[0] - 1.0f));
        is_end = -std::cos(s[0]) - std::cos(s[1] + s[0]) > 1.0f;
        return is_end ? 0.0f : -1.0f;
    }
};

struct Pendubot : Continuous {  // the first joint is driven; paid by the height of the tip
    static constexpr int STATE = 4, SEEN = 6, OUTPUTS = 1, MAX_STEPS = 150;

    static void reset(const float* p, float* s, Random& random) { Acrobot::reset(p, s, random); }
    static void observe(const float* p, const float* s, float* seen) {
        Acrobot::observe(p, s, seen);
    }
    static float step(const float* p, float* s, const float* action, Random&, bool&) {
        turn_links(p, s, p[4] * action[0], 0.0f);
        return 0.5f * (1.0f + height(p, s) / (p[1] + 1.0f)) - 0.01f * square(action[0]);
    }
};

}  // namespace learners
