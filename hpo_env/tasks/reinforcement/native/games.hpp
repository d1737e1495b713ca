// Small games on a board.

#pragma once

#include "grids.hpp"

namespace learners {

// A ball falls through ten rows of five and is to be caught (as in Osband et al., 2020); physics:
// chance that the ball drifts to a side.
struct Catch : Discrete {
    static constexpr int STATE = 3, SEEN = 50, OUTPUTS = 3, MAX_STEPS = 10, ROWS = 10, WIDTH = 5;

    static void reset(const float*, float* s, Random& random) {
        s[0] = (float)random.below(WIDTH);  // of the ball
        s[1] = 0.0f;
        s[2] = WIDTH / 2;  // of the paddle, in the last row
    }
    static void observe(const float*, const float* s, float* seen) {
        std::fill_n(seen, SEEN, 0.0f);
        seen[(int)s[1] * WIDTH + (int)s[0]] = 1.0f;
        seen[(ROWS - 1) * WIDTH + (int)s[2]] = 1.0f;
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        s[2] = clip(s[2] + action[0] - 1.0f, 0.0f, WIDTH - 1.0f);
        float drawn = random.uniform();
        float drift = drawn < 0.5f * p[0] ? -1.0f : drawn < p[0] ? 1.0f : 0.0f;
        s[0] = clip(s[0] + drift, 0.0f, WIDTH - 1.0f);
        s[1] += 1.0f;
        is_end = s[1] == ROWS - 1;
        return !is_end ? 0.0f : s[0] == s[2] ? 1.0f : -1.0f;
    }
};

// A ball, a paddle and three rows of six bricks; physics: rows of bricks, width of the paddle.
struct Bricks : Discrete {
    static constexpr int STATE = 23, SEEN = 23, OUTPUTS = 3, MAX_STEPS = 300, SIZE = 6, ROWS = 8;

    static void put_bricks(const float* p, float* s) {
        for (int i = 0; i < 18; ++i) s[5 + i] = i / SIZE < (int)p[0] ? 1.0f : 0.0f;
    }
    static void reset(const float* p, float* s, Random& random) {
        s[0] = (float)random.below(SIZE);  // of the ball: column, row, ways
        s[1] = 3.0f;
        s[2] = random.uniform() < 0.5f ? -1.0f : 1.0f;
        s[3] = 1.0f;
        s[4] = (float)random.below(SIZE);  // of the paddle: its left end
        put_bricks(p, s);
    }
    static void observe(const float*, const float* s, float* seen) {
        seen[0] = s[0] / 2.5f - 1.0f;
        seen[1] = s[1] / 3.5f - 1.0f;
        seen[2] = s[2];
        seen[3] = s[3];
        seen[4] = s[4] / 2.5f - 1.0f;
        std::copy(s + 5, s + 23, seen + 5);
    }
    static float step(const float* p, float* s, const float* action, Random&, bool& is_end) {
        s[4] = clip(s[4] + action[0] - 1.0f, 0.0f, SIZE - p[1]);
        float x = s[0] + s[2], y = s[1] + s[3];
        if (x < 0.0f || x >= SIZE) {
            s[2] = -s[2];
            x = s[0] + s[2];
        }
        if (y < 0.0f) {
            s[3] = 1.0f;
            y = s[1] + s[3];
        }
        float reward = 0.0f;
        if (y < 3.0f && s[5 + (int)y * SIZE + (int)x] > 0.5f) {  // bounces off, and the brick goes
            s[5 + (int)y * SIZE + (int)x] = 0.0f;
            reward = 1.0f;
            s[3] = -s[3];
            y = s[1];
            bool any = false;
            for (int i = 0; i < 18; ++i) any |= s[5 + i] > 0.5f;
            if (!any) put_bricks(p, s);
        } else if (y == ROWS - 1) {
            if (x >= s[4] && x < s[4] + p[1]) {
                s[3] = -1.0f;
                y = ROWS - 2;
            } else {
                is_end = true;
            }
        }
        s[0] = x;
        s[1] = y;
        return reward;
    }
};

// Blocks fall through six rows of five; whoever is hit is out. physics: chance of a block in each
// column.
struct Dodge : Discrete {
    static constexpr int STATE = 31, SEEN = 35, OUTPUTS = 3, MAX_STEPS = 200, ROWS = 6, WIDTH = 5;

    static void reset(const float*, float* s, Random& random) {
        std::fill_n(s, STATE, 0.0f);
        s[30] = (float)random.below(WIDTH);
    }
    static void observe(const float*, const float* s, float* seen) {
        std::copy(s, s + 30, seen);
        one_hot(seen + 30, WIDTH, (int)s[30]);
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        s[30] = clip(s[30] + action[0] - 1.0f, 0.0f, WIDTH - 1.0f);
        for (int i = (ROWS - 1) * WIDTH - 1; i >= 0; --i) s[i + WIDTH] = s[i];
        int count = 0;
        for (int i = 0; i < WIDTH; ++i) {
            bool falls = random.uniform() < p[0] && count < 2;  // there is always a way
            s[i] = falls ? 1.0f : 0.0f;
            count += falls;
        }
        is_end = s[(ROWS - 1) * WIDTH + (int)s[30]] > 0.5f;
        return is_end ? 0.0f : 1.0f;
    }
};

// Five lanes with a car each; up to the other side, and again. physics: speed of the slowest car,
// how much faster each next one is, length of a car.
struct Crossing : Discrete {
    static constexpr int STATE = 6, SEEN = 12, OUTPUTS = 3, MAX_STEPS = 150, LANES_OF_CARS = 5;

    static void reset(const float*, float* s, Random& random) {
        s[0] = 0.0f;
        for (int i = 1; i < 6; ++i) s[i] = random.uniform(-1.0f, 1.0f);
    }
    static void observe(const float*, const float* s, float* seen) {
        one_hot(seen, 7, (int)s[0]);
        std::copy(s + 1, s + 6, seen + 7);
    }
    static float step(const float* p, float* s, const float* action, Random&, bool&) {
        float at = clip(s[0] + action[0] - 1.0f, 0.0f, 6.0f);
        for (int i = 0; i < LANES_OF_CARS; ++i) {
            float speed = (p[0] + p[1] * (i * 3 % 5)) * (i % 2 ? -1.0f : 1.0f);
            float x = s[1 + i] + speed;
            s[1 + i] = x > 1.0f ? x - 2.0f : x < -1.0f ? x + 2.0f : x;
        }
        if (at >= 1.0f && at <= 5.0f && std::fabs(s[(int)at]) < p[2]) at = 0.0f;
        float reward = at == 6.0f ? 1.0f : 0.0f;
        s[0] = at == 6.0f ? 0.0f : at;
        return reward;
    }
};

// Things are gathered in a field of seven by seven while somebody gives chase; physics: chance that
// the chaser moves, what being caught costs.
struct Gather : Discrete {
    static constexpr int STATE = 6, SEEN = 6, OUTPUTS = 5, MAX_STEPS = 120, SIZE = 7;

    static void reset(const float*, float* s, Random& random) {
        s[0] = s[1] = 3.0f;
        for (int i = 2; i < 4; ++i) s[i] = (float)random.below(SIZE);
        for (int i = 4; i < 6; ++i) s[i] = random.uniform() < 0.5f ? 0.0f : SIZE - 1.0f;
    }
    static void observe(const float*, const float* s, float* seen) {
        for (int i = 0; i < 2; ++i) {
            seen[i] = s[i] / 3.0f - 1.0f;
            seen[2 + i] = (s[2 + i] - s[i]) / 3.0f;
            seen[4 + i] = (s[4 + i] - s[i]) / 3.0f;
        }
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        int way = (int)action[0];
        if (way > 0) {
            s[0] = clip(s[0] + LAKE_X[way - 1], 0.0f, SIZE - 1.0f);
            s[1] = clip(s[1] + LAKE_Y[way - 1], 0.0f, SIZE - 1.0f);
        }
        float reward = 0.0f;
        if (s[0] == s[2] && s[1] == s[3]) {
            reward = 1.0f;
            for (int i = 2; i < 4; ++i) s[i] = (float)random.below(SIZE);
        }
        if (random.uniform() < p[0]) {
            float dx = s[0] - s[4], dy = s[1] - s[5];
            if (std::fabs(dx) > std::fabs(dy))
                s[4] += dx > 0.0f ? 1.0f : -1.0f;
            else if (dy != 0.0f)
                s[5] += dy > 0.0f ? 1.0f : -1.0f;
        }
        is_end = s[0] == s[4] && s[1] == s[5];
        return is_end ? reward - p[1] : reward;
    }
};

// A ball is played against a wall; physics: speed of the ball, half the paddle, speed of the paddle.
struct Squash : Discrete {
    static constexpr int STATE = 5, SEEN = 5, OUTPUTS = 3, MAX_STEPS = 400;

    static void reset(const float* p, float* s, Random& random) {
        s[0] = random.uniform(-0.5f, 0.5f);  // of the ball: place and speed
        s[1] = 0.5f;
        s[2] = random.uniform(-1.0f, 1.0f) * p[0];
        s[3] = p[0];
        s[4] = 0.0f;  // of the paddle, at the bottom
    }
    static void observe(const float* p, const float* s, float* seen) {
        seen[0] = s[0];
        seen[1] = 2.0f * s[1] - 1.0f;
        seen[2] = s[2] / p[0];
        seen[3] = s[3] / p[0];
        seen[4] = s[4];
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        s[4] = clip(s[4] + p[2] * (action[0] - 1.0f), -1.0f, 1.0f);
        s[0] += s[2];
        s[1] += s[3];
        if (std::fabs(s[0]) > 1.0f) {
            s[0] = clip(s[0], -1.0f, 1.0f);
            s[2] = -s[2];
        }
        if (s[1] > 1.0f) {
            s[1] = 1.0f;
            s[3] = -s[3];
        }
        if (s[1] > 0.0f) return 0.0f;
        if (std::fabs(s[0] - s[4]) > p[1]) {
            is_end = true;
            return 0.0f;
        }
        s[1] = 0.0f;
        s[3] = -s[3];
        s[2] = random.uniform(-1.0f, 1.0f) * p[0];
        return 1.0f;
    }
};

}  // namespace learners
