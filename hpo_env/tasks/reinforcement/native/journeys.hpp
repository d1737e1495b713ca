// Journeys: long ways to a place, paid by nearness, that end by arrival or by a crash.

#pragma once

#include "classic.hpp"

namespace learners {

// A step is paid by how much the merit of the place rises (Ng, Harada and Russell, "Policy invariance
// under reward transformations", 1999, with a discount of 1), less what it costs; an end by what it
// is worth. The first two physics of all: pay for a unit of merit, worth of an arrival and cost of a
// crash. The last number of the state is the merit before.
template <typename Rules>
struct Journey {
    static void reset(const float* p, float* s, Random& random) {
        Rules::place(p, s, random);
        s[Rules::STATE - 1] = Rules::merit(p, s);
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        float cost = Rules::move(p, s, action, random), before = s[Rules::STATE - 1];
        float merit = s[Rules::STATE - 1] = Rules::merit(p, s);
        float outcome = Rules::outcome(p, s);  // share of the worth
        is_end = outcome != 0.0f;
        return p[0] * (merit - before) - cost + p[1] * outcome;
    }
};

inline float length(float x, float y) { return std::sqrt(square(x) + square(y)); }

// A spacecraft comes to another in the plane of its orbit, x away from the earth and y along the way
// (Clohessy and Wiltshire, "Terminal guidance system for satellite rendezvous", 1960); physics: pay,
// worth, orbital rate, acceleration, radius of the port, speed that it bears, fuel, unsteadiness.
struct Docking : Discrete, Journey<Docking> {
    static constexpr int STATE = 5, SEEN = 6, OUTPUTS = 5, MAX_STEPS = 400;
    static constexpr float STEP = 0.1f, EDGE = 1.6f;

    static void place(const float*, float* s, Random& random) {
        float angle = random.uniform(-PI, PI), far = random.uniform(0.6f, 1.0f);
        s[0] = far * std::cos(angle);
        s[1] = far * std::sin(angle);
        for (int i = 2; i < 4; ++i) s[i] = random.uniform(-0.03f, 0.03f);
    }
    static void observe(const float*, const float* s, float* seen) {
        float far = length(s[0], s[1]);
        for (int i = 0; i < 2; ++i) {
            seen[i] = s[i];
            seen[2 + i] = 4.0f * s[2 + i];
        }
        seen[4] = far;
        seen[5] = 4.0f * (s[0] * s[2] + s[1] * s[3]) / (far + 0.01f);
    }
    static float move(const float* p, float* s, const float* action, Random& random) {
        const int chosen = (int)action[0];
        float push = STEP * p[3], n = p[2], turn = n * STEP;
        float x = s[0], vx = s[2] + (chosen == 1 ? push : chosen == 2 ? -push : 0.0f);
        float y = s[1], vy = s[3] + (chosen == 3 ? push : chosen == 4 ? -push : 0.0f);
        vx += p[7] * random.normal();
        vy += p[7] * random.normal();
        // Their equations are solved for a step of drift after the push.
        float sine = std::sin(turn), rest = 2.0f * square(std::sin(0.5f * turn));  // 1 - cosine
        s[0] = x + 3.0f * rest * x + (sine * vx + 2.0f * rest * vy) / n;
        s[1] = y + 6.0f * (sine - turn) * x +
               ((4.0f * sine - 3.0f * turn) * vy - 2.0f * rest * vx) / n;
        s[2] = vx - rest * vx + 3.0f * n * sine * x + 2.0f * sine * vy;
        s[3] = vy - 4.0f * rest * vy - 6.0f * n * rest * x - 2.0f * sine * vx;
        return chosen == 0 ? 0.0f : p[6];
    }
    static float merit(const float*, const float* s) {
        return -length(s[0], s[1]) - length(s[2], s[3]);
    }
    static float outcome(const float* p, const float* s) {
        float far = length(s[0], s[1]);
        if (far < p[4]) return length(s[2], s[3]) < p[5] ? 1.0f : -1.0f;
        return far > EDGE ? -1.0f : 0.0f;
    }
};

// A car drives into a bay between two others: a kinematic bicycle (Rajamani, "Vehicle dynamics and
// control", 2012, section 2.2) about its rear axle; physics: pay, worth, wheelbase, acceleration, how
// fast the wheels turn, half the way between the others, radius of the goal, slip.
struct Parking : Continuous, Journey<Parking> {
    static constexpr int STATE = 6, SEEN = 8, OUTPUTS = 2, MAX_STEPS = 300;
    static constexpr float STEP = 0.1f, TURN = 0.6f, BODY = 0.5f;

    static float clearance(const float* p, const float* s) {
        return std::min(length(s[0] - p[5], s[1]), length(s[0] + p[5], s[1])) - BODY;
    }
    static void place(const float*, float* s, Random& random) {
        s[0] = random.uniform(-1.2f, 1.2f);
        s[1] = random.uniform(-2.4f, -1.6f);
        s[2] = 0.5f * PI + random.uniform(-0.8f, 0.8f);
        s[3] = s[4] = 0.0f;
    }
    static void observe(const float* p, const float* s, float* seen) {
        seen[0] = s[0];
        seen[1] = s[1];
        seen[2] = std::cos(s[2]);
        seen[3] = std::sin(s[2]);
        seen[4] = 2.0f * s[3];
        seen[5] = s[4] / TURN;
        seen[6] = length(s[0], s[1]);
        seen[7] = clearance(p, s);
    }
    static float move(const float* p, float* s, const float* action, Random& random) {
        s[3] = clip(s[3] + STEP * (p[3] * action[0] - 0.3f * s[3]), -0.3f, 0.6f);
        s[4] += STEP * p[4] * (TURN * action[1] - s[4]);
        float slip = p[7] * s[3] * random.normal();
        s[2] = wrapped(s[2] + STEP * s[3] / p[2] * std::tan(s[4]) + slip);
        s[0] += STEP * s[3] * std::cos(s[2]);
        s[1] += STEP * s[3] * std::sin(s[2]);
        return 0.02f * (square(action[0]) + square(action[1]));
    }
    static float merit(const float*, const float* s) {
        return -length(s[0], s[1]) - 0.5f * (1.0f - std::sin(s[2]));
    }
    static float outcome(const float* p, const float* s) {
        bool stands = std::fabs(s[3]) < 0.2f && std::sin(s[2]) > 0.95f;
        if (length(s[0], s[1]) < p[6] && stands) return 1.0f;
        bool is_out = std::fabs(s[0]) > 2.5f || s[1] > 0.5f || s[1] < -3.2f;
        return is_out || clearance(p, s) < 0.0f ? -1.0f : 0.0f;
    }
};

// A truck backs its trailer to a ramp (Nguyen and Widrow, "The truck backer-upper", 1989; the hitch
// over the truck's rear axle): the trailer's axle, its heading, the hitch, the wheels; physics: pay,
// worth, wheelbase, length of the trailer, speed, how far the wheels turn in a step, bumps.
struct Trailer : Discrete, Journey<Trailer> {
    static constexpr int STATE = 6, SEEN = 6, OUTPUTS = 3, MAX_STEPS = 400;
    static constexpr float STEP = 0.1f, TURN = 0.6f;

    static void place(const float*, float* s, Random& random) {
        s[0] = random.uniform(2.4f, 3.2f);
        s[1] = random.uniform(-0.8f, 0.8f);
        s[2] = random.uniform(-0.4f, 0.4f);
        s[3] = random.uniform(-0.2f, 0.2f);
        s[4] = 0.0f;
    }
    static void observe(const float*, const float* s, float* seen) {
        seen[0] = s[0] - 1.5f;
        seen[1] = 2.0f * s[1];
        seen[2] = 2.0f * s[2];
        seen[3] = 2.0f * s[3];
        seen[4] = s[4] / TURN;
        seen[5] = s[1] - s[0] * std::sin(s[2]);  // where it comes out if it goes on so
    }
    static float move(const float* p, float* s, const float* action, Random& random) {
        s[4] = clip(s[4] + p[5] * (action[0] - 1.0f), -TURN, TURN);
        float way = -STEP * p[4], turn = way / p[3] * std::sin(s[3]);
        float along = way * std::cos(s[3]);
        s[0] += along * std::cos(s[2]);
        s[1] += along * std::sin(s[2]);
        s[2] += turn;
        s[3] += way / p[2] * std::tan(s[4]) - turn + p[6] * random.normal();
        return 0.0f;
    }
    static float merit(const float*, const float* s) {
        return -0.3f * s[0] - std::fabs(s[1]) - 0.5f * std::fabs(s[2]) - 0.2f * std::fabs(s[3]);
    }
    static float outcome(const float*, const float* s) {
        if (s[0] <= 0.0f) {  // at the ramp: the worse, the more askew
            float askew = 2.0f * std::fabs(s[1]) + std::fabs(s[2]);
            return askew < 1.0f ? 1.0f - askew : -0.5f;
        }
        bool folds = std::fabs(s[3]) > 1.1f;
        return folds || std::fabs(s[1]) > 2.0f || std::fabs(s[2]) > 1.4f ? -1.0f : 0.0f;
    }
};

// A crane lifts a load over a stack and sets it down behind it: a pendulum under a driven trolley, on
// a cable that is wound (Abdel-Rahman, Nayfeh and Masoud, "Dynamics and control of cranes", 2003);
// physics: pay, worth, acceleration of the trolley, speed of the hoist, height of the stack, radius
// of the goal, gravity, wind.
struct Crane : Continuous, Journey<Crane> {
    static constexpr int STATE = 6, SEEN = 8, OUTPUTS = 2, MAX_STEPS = 400;
    static constexpr float STEP = 0.05f, GOAL = 3.0f, DEPTH = 1.6f, FASTEST = 0.5f;

    static float across(const float* s) { return s[0] + s[4] * std::sin(s[2]); }
    static float depth(const float* s) { return s[4] * std::cos(s[2]); }
    // How deep the load should hang where it is: over the stack first, then down.
    static float wanted(const float* p, float at) {
        float over = DEPTH - p[4] - 0.2f;
        return over + (DEPTH - over) * clip((at - 1.8f) / 0.8f, 0.0f, 1.0f);
    }
    static void place(const float*, float* s, Random& random) {
        s[0] = random.uniform(-0.2f, 0.2f);
        s[1] = 0.0f;
        s[2] = random.uniform(-0.1f, 0.1f);
        s[3] = 0.0f;
        s[4] = random.uniform(1.3f, 1.5f);
    }
    static void observe(const float* p, const float* s, float* seen) {
        float at = across(s);
        seen[0] = s[0] - 1.5f;
        seen[1] = 2.0f * s[1];
        seen[2] = 4.0f * s[2];
        seen[3] = s[3];
        seen[4] = s[4];
        seen[5] = GOAL - at;
        seen[6] = depth(s) - wanted(p, at);
        seen[7] = clip((at - 1.2f) / 0.6f, -1.0f, 1.0f);
    }
    static float move(const float* p, float* s, const float* action, Random& random) {
        float speed = clip(s[1] + STEP * p[2] * action[0], -FASTEST, FASTEST);
        float far = s[0] + STEP * speed;
        if (far < -0.5f || far > 3.5f) {  // the rail's ends take the speed
            far = clip(far, -0.5f, 3.5f);
            speed = 0.0f;
        }
        float push = (speed - s[1]) / STEP;
        float longer = clip(s[4] + STEP * p[3] * action[1], 0.4f, 2.0f);
        float wind = (longer - s[4]) / STEP;
        float swing = -p[6] * std::sin(s[2]) - push * std::cos(s[2]) - 2.0f * wind * s[3];
        s[3] += STEP * (swing / longer - 0.1f * s[3]) + p[7] * random.normal();
        s[2] += STEP * s[3];
        s[0] = far;
        s[1] = speed;
        s[4] = longer;
        return 0.02f * (square(action[0]) + square(action[1]));
    }
    static float merit(const float* p, const float* s) {
        float at = across(s);
        return -0.5f * std::fabs(GOAL - at) - 0.3f * std::fabs(depth(s) - wanted(p, at)) -
               0.2f * std::fabs(s[2]);
    }
    static float outcome(const float* p, const float* s) {
        float at = across(s), deep = depth(s);
        bool is_calm = std::fabs(s[1] + s[4] * s[3]) < 0.3f;
        if (length(GOAL - at, DEPTH - deep) < p[5] && is_calm) return 1.0f;
        bool hits = at > 1.2f && at < 1.8f && deep > DEPTH - p[4];
        return hits || deep > 1.8f || std::fabs(s[2]) > 0.8f ? -1.0f : 0.0f;
    }
};

// A ball rolls on a plate that is tilted, through three chambers past holes; physics: pay, worth,
// gravity, how fast the plate tilts, friction, radius of the holes, gusts.
struct Plate : Continuous, Journey<Plate> {
    static constexpr int STATE = 7, SEEN = 8, OUTPUTS = 2, MAX_STEPS = 400, HOLES = 5;
    static constexpr float STEP = 0.05f, TILT = 0.2f, WALL = 0.33f, GOAL = 0.2f, BOUNCE = 0.3f;
    static constexpr float AT[HOLES][2] = {
        {-0.8f, 0.1f}, {-0.2f, -0.1f}, {0.2f, 0.3f}, {0.85f, -0.1f}, {0.5f, 0.3f}};

    // The chamber's way out, and how far it is on from there.
    static float next(const float* s, float* at) {
        const int chamber = s[0] < -WALL ? 0 : s[0] < WALL ? 1 : 2;
        at[0] = chamber == 0 ? -WALL + 0.05f : chamber == 1 ? WALL + 0.05f : 0.67f;
        at[1] = chamber == 1 ? -0.7f : 0.7f;
        return chamber == 0 ? 2.97f : chamber == 1 ? 1.43f : 0.0f;
    }
    static void place(const float*, float* s, Random& random) {
        s[0] = random.uniform(-0.8f, -0.5f);
        s[1] = random.uniform(-0.9f, -0.6f);
        for (int i = 2; i < 6; ++i) s[i] = 0.0f;
    }
    static void observe(const float*, const float* s, float* seen) {
        float at[2];
        next(s, at);
        for (int i = 0; i < 2; ++i) {
            seen[i] = s[i];
            seen[2 + i] = s[2 + i];
            seen[4 + i] = s[4 + i] / TILT;
            seen[6 + i] = at[i] - s[i];
        }
    }
    static float move(const float* p, float* s, const float* action, Random& random) {
        for (int i = 0; i < 2; ++i) {
            s[4 + i] += STEP * p[3] * (TILT * action[i] - s[4 + i]);
            float pull = 5.0f / 7.0f * p[2] * std::sin(s[4 + i]) + p[6] * random.normal();
            s[2 + i] += STEP * (pull - p[4] * s[2 + i]);
        }
        float x = s[0] + STEP * s[2], y = s[1] + STEP * s[3];
        bool first = (s[0] < -WALL) != (x < -WALL) && s[1] < 0.4f;
        bool second = (s[0] < WALL) != (x < WALL) && s[1] > -0.4f;
        if (first || second || std::fabs(x) > 1.0f) {
            x = s[0];
            s[2] *= -BOUNCE;
        }
        if (std::fabs(y) > 1.0f) {
            y = s[1];
            s[3] *= -BOUNCE;
        }
        s[0] = x;
        s[1] = y;
        return 0.02f * (square(action[0]) + square(action[1]));
    }
    static float merit(const float*, const float* s) {
        float at[2], on = next(s, at);
        return -0.5f * (length(at[0] - s[0], at[1] - s[1]) + on);
    }
    static float outcome(const float* p, const float* s) {
        for (int k = 0; k < HOLES; ++k)
            if (length(s[0] - AT[k][0], s[1] - AT[k][1]) < p[5]) return -1.0f;
        float at[2], on = next(s, at);
        return on == 0.0f && length(at[0] - s[0], at[1] - s[1]) < GOAL ? 1.0f : 0.0f;
    }
};

// A boat in a winding channel with a current, banks on both sides: place, heading, rate of turn after
// Nomoto ("On the steering qualities of ships", 1957), speed, the channel's phase; physics: pay,
// worth, speed, turn by the rudder, how slowly she answers, half the width, windings, current, gusts.
struct Channel : Discrete, Journey<Channel> {
    static constexpr int STATE = 7, SEEN = 9, OUTPUTS = 6, MAX_STEPS = 500;
    static constexpr float STEP = 0.1f, END = 10.0f;

    static float middle(const float* p, const float* s, float x) {
        return p[6] * (std::sin(x + s[5]) + 0.5f * std::sin(2.3f * x + 2.0f * s[5]));
    }
    static float slope(const float* p, const float* s, float x) {
        return p[6] * (std::cos(x + s[5]) + 1.15f * std::cos(2.3f * x + 2.0f * s[5]));
    }
    static float off(const float* p, const float* s) { return (s[1] - middle(p, s, s[0])) / p[5]; }
    static void place(const float* p, float* s, Random& random) {
        s[0] = s[3] = 0.0f;
        s[5] = random.uniform(-PI, PI);
        s[1] = middle(p, s, 0.0f) + p[5] * random.uniform(-0.3f, 0.3f);
        s[2] = std::atan(slope(p, s, 0.0f)) + random.uniform(-0.3f, 0.3f);
        s[4] = p[2];
    }
    static void observe(const float* p, const float* s, float* seen) {
        float course = s[2] - std::atan(slope(p, s, s[0]));
        seen[0] = off(p, s);
        seen[1] = std::cos(course);
        seen[2] = std::sin(course);
        seen[3] = s[3];
        seen[4] = 2.0f * s[4];
        for (int i = 0; i < 3; ++i) seen[5 + i] = slope(p, s, s[0] + 0.5f * i);
        seen[8] = s[0] / END - 0.5f;
    }
    static float move(const float* p, float* s, const float* action, Random& random) {
        const int chosen = (int)action[0];
        float rudder = (float)(chosen % 3 - 1), wanted = chosen < 3 ? p[2] : 0.4f * p[2];
        s[4] += STEP * 0.5f * (wanted - s[4]);
        s[3] += STEP * (p[3] * rudder - s[3]) / p[4] + p[8] * random.normal();
        s[2] = wrapped(s[2] + STEP * s[3]);
        s[0] += STEP * (s[4] * std::cos(s[2]) + p[7]);
        s[1] += STEP * s[4] * std::sin(s[2]);
        return 0.02f;
    }
    static float merit(const float* p, const float* s) {
        return 0.2f * s[0] - 0.3f * std::fabs(off(p, s));
    }
    static float outcome(const float* p, const float* s) {
        if (std::fabs(off(p, s)) > 1.0f || s[0] < -0.5f) return -1.0f;
        return s[0] > END ? 1.0f : 0.0f;
    }
};

}  // namespace learners
