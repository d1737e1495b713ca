// Few states and few actions: grids, chains and tables.

#pragma once

#include "classic.hpp"

namespace learners {

// The state of a generator that belongs to a place in a table: the table never changes.
inline uint64_t placed(float seed, int first, int second) {
    return (uint64_t)seed * 1000003ull + (uint64_t)first * 4099ull + (uint64_t)second;
}

inline void one_hot(float* seen, int size, int place) {
    std::fill_n(seen, size, 0.0f);
    seen[place] = 1.0f;
}

// Steps to the left, down, right and up, the order of Gymnasium's FrozenLake.
constexpr int LAKE_X[] = {-1, 0, 1, 0}, LAKE_Y[] = {0, 1, 0, -1};

// Four by four, from the corner to the opposite one, past holes; physics: chance to slip to each
// side, the holes as bits (cell 0 lowest).
struct FrozenLake : Discrete {
    static constexpr int STATE = 1, SEEN = 16, OUTPUTS = 4, MAX_STEPS = 100;

    static void reset(const float*, float* s, Random&) { s[0] = 0.0f; }
    static void observe(const float*, const float* s, float* seen) {
        one_hot(seen, 16, (int)s[0]);
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        int way = (int)action[0], at = (int)s[0];
        float drawn = random.uniform();
        if (drawn < p[0])
            way = (way + 3) % 4;
        else if (drawn < 2.0f * p[0])
            way = (way + 1) % 4;
        int x = at % 4 + LAKE_X[way], y = at / 4 + LAKE_Y[way];
        if (x >= 0 && x < 4 && y >= 0 && y < 4) at = 4 * y + x;
        s[0] = (float)at;
        is_end = at == 15 || ((int)p[1] >> at & 1);
        return at == 15 ? 1.0f : 0.0f;
    }
};

// Up, right, down, left: the order of Gymnasium's CliffWalking; physics: width, chance that a step
// goes anywhere.
struct Cliff : Discrete {
    static constexpr int STATE = 1, SEEN = 48, OUTPUTS = 4, MAX_STEPS = 200, ROWS = 4;

    static void reset(const float* p, float* s, Random&) { s[0] = (ROWS - 1) * p[0]; }
    static void observe(const float*, const float* s, float* seen) {
        one_hot(seen, SEEN, (int)s[0]);
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        constexpr int X[] = {0, 1, 0, -1}, Y[] = {-1, 0, 1, 0};
        int way = (int)action[0], width = (int)p[0], at = (int)s[0];
        if (random.uniform() < p[1]) way = random.below(4);
        int x = std::min(std::max(at % width + X[way], 0), width - 1);
        int y = std::min(std::max(at / width + Y[way], 0), ROWS - 1);
        bool falls = y == ROWS - 1 && x > 0 && x < width - 1;
        if (falls) x = 0;
        s[0] = (float)(y * width + x);
        is_end = y == ROWS - 1 && x == width - 1;
        return falls ? -100.0f : -1.0f;
    }
};

// Osband et al., "Behaviour Suite for Reinforcement Learning", 2020: a diagonal of which every step
// costs and only the last pays; which action goes right differs from place to place. physics:
// size, seed.
struct DeepSea : Discrete {
    static constexpr int STATE = 2, SEEN = 20, OUTPUTS = 2, MAX_STEPS = 10;

    static void reset(const float*, float* s, Random&) { s[0] = s[1] = 0.0f; }
    static void observe(const float*, const float* s, float* seen) {
        std::fill_n(seen, SEEN, 0.0f);
        if (s[0] < 10.0f) seen[(int)s[0]] = 1.0f;
        seen[10 + (int)s[1]] = 1.0f;
    }
    static float step(const float* p, float* s, const float* action, Random&, bool& is_end) {
        int row = (int)s[0], column = (int)s[1], size = (int)p[0];
        uint64_t place = placed(p[1], row, column);
        bool goes_right = ((int)action[0] == 1) == (Random{place}.uniform() < 0.5f);
        float reward = 0.0f;
        if (goes_right) {
            reward = -0.01f / size;
            if (column == size - 1) reward += 1.0f;
            column = std::min(column + 1, size - 1);
        } else {
            column = std::max(column - 1, 0);
        }
        s[0] = (float)(row + 1);
        s[1] = (float)column;
        is_end = row + 1 == size;
        return reward;
    }
};

// Strehl and Littman, "An analysis of model-based interval estimation", 2008: upstream pays a lot,
// seldom; downstream a little, at once. physics: states, chance to get on, to stay, small reward.
struct RiverSwim : Discrete {
    static constexpr int STATE = 1, SEEN = 12, OUTPUTS = 2, MAX_STEPS = 50;

    static void reset(const float*, float* s, Random&) { s[0] = 0.0f; }
    static void observe(const float*, const float* s, float* seen) {
        one_hot(seen, SEEN, (int)s[0]);
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool&) {
        int at = (int)s[0], last = (int)p[0] - 1;
        if ((int)action[0] == 0) {
            s[0] = (float)std::max(at - 1, 0);
            return at == 0 ? p[3] : 0.0f;
        }
        float drawn = random.uniform();
        bool gets_on = drawn < p[1];
        if (at == last && gets_on) return 1.0f;
        if (gets_on)
            s[0] = (float)(at + 1);
        else if (drawn >= p[1] + p[2])
            s[0] = (float)std::max(at - 1, 0);
        return 0.0f;
    }
};

// Garnets (Archibald, McKinnon and Thomas, 1995): sixteen states, four actions, three states that
// may follow; a few states pay. physics: seed, share of states that pay, noise of the reward.
struct RandomTable : Discrete {
    static constexpr int STATE = 1, SEEN = 16, OUTPUTS = 4, MAX_STEPS = 40;

    static float pay(const float* p, int state) {
        uint64_t place = placed(p[0], state, 77);
        Random random{place};
        float drawn = random.uniform();
        return drawn < p[1] ? random.uniform(0.2f, 1.0f) : 0.0f;
    }
    static void reset(const float*, float* s, Random& random) { s[0] = (float)random.below(16); }
    static void observe(const float*, const float* s, float* seen) {
        one_hot(seen, 16, (int)s[0]);
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool&) {
        uint64_t place = placed(p[0], (int)s[0], (int)action[0]);
        Random table{place};
        int next[3];
        for (int& state : next) state = table.below(16);
        float drawn = random.uniform();
        s[0] = (float)next[drawn < 0.6f ? 0 : drawn < 0.85f ? 1 : 2];
        return pay(p, (int)s[0]) + p[2] * random.normal();
    }
};

// Eleven by eleven, walls with four doors; physics: whether the goal stays in its corner, chance
// that a step goes anywhere.
struct FourRooms : Discrete {
    static constexpr int STATE = 4, SEEN = 8, OUTPUTS = 4, MAX_STEPS = 120, SIZE = 11;

    static bool is_free(int x, int y) {
        if (x < 0 || y < 0 || x >= SIZE || y >= SIZE) return false;
        if (x == 5) return y == 2 || y == 8;
        if (y == 5) return x == 2 || x == 8;
        return true;
    }
    static void draw(float* at, Random& random) {
        int x, y;
        do {
            x = random.below(SIZE);
            y = random.below(SIZE);
        } while (!is_free(x, y));
        at[0] = (float)x;
        at[1] = (float)y;
    }
    static void reset(const float* p, float* s, Random& random) {
        draw(s, random);
        draw(s + 2, random);
        if (p[0] > 0.5f) s[2] = s[3] = SIZE - 1;
    }
    static void observe(const float*, const float* s, float* seen) {
        int x = (int)s[0], y = (int)s[1];
        for (int i = 0; i < 2; ++i) {
            seen[i] = s[i] / 5.0f - 1.0f;
            seen[2 + i] = s[2 + i] / 5.0f - 1.0f;
        }
        for (int way = 0; way < 4; ++way)
            seen[4 + way] = is_free(x + LAKE_X[way], y + LAKE_Y[way]) ? 1.0f : 0.0f;
    }
    static float step(const float* p, float* s, const float* action, Random& random, bool& is_end) {
        int way = (int)action[0];
        if (random.uniform() < p[1]) way = random.below(4);
        int x = (int)s[0] + LAKE_X[way], y = (int)s[1] + LAKE_Y[way];
        if (is_free(x, y)) {
            s[0] = (float)x;
            s[1] = (float)y;
        }
        is_end = s[0] == s[2] && s[1] == s[3];
        return is_end ? 1.0f : 0.0f;
    }
};

// A key, then a door, in a field; physics: size of the field, what the key pays, cost of a step.
struct KeyAndDoor : Discrete {
    static constexpr int STATE = 7, SEEN = 7, OUTPUTS = 4, MAX_STEPS = 80;

    static void reset(const float* p, float* s, Random& random) {
        for (int i = 0; i < 6; ++i) s[i] = (float)random.below((int)p[0]);
        s[6] = 0.0f;
    }
    static void observe(const float* p, const float* s, float* seen) {
        float half = 0.5f * (p[0] - 1.0f);
        for (int i = 0; i < 6; ++i) seen[i] = s[i] / half - 1.0f;
        seen[6] = s[6];
    }
    static float step(const float* p, float* s, const float* action, Random&, bool& is_end) {
        int way = (int)action[0];
        s[0] = clip(s[0] + LAKE_X[way], 0.0f, p[0] - 1.0f);
        s[1] = clip(s[1] + LAKE_Y[way], 0.0f, p[0] - 1.0f);
        if (s[6] == 0.0f && s[0] == s[2] && s[1] == s[3]) {
            s[6] = 1.0f;
            return p[1] - p[2];
        }
        is_end = s[6] == 1.0f && s[0] == s[4] && s[1] == s[5];
        return (is_end ? 1.0f : 0.0f) - p[2];
    }
};

// Which of four arms pays is told by eight numbers; physics: seed, chance that the right one pays.
struct ContextBandit : Discrete {
    static constexpr int STATE = 8, SEEN = 8, OUTPUTS = 4, MAX_STEPS = 20;

    static void reset(const float*, float* s, Random& random) {
        for (int i = 0; i < 8; ++i) s[i] = random.normal();
    }
    static void observe(const float*, const float* s, float* seen) { std::copy(s, s + 8, seen); }
    static float step(const float* p, float* s, const float* action, Random& random, bool&) {
        float highest = -1e9f;
        int right = 0;
        for (int arm = 0; arm < 4; ++arm) {
            uint64_t place = placed(p[0], arm, 5);
            Random weights{place};
            float score = 0.0f;
            for (int i = 0; i < 8; ++i) score += weights.normal() * s[i];
            if (score > highest) {
                highest = score;
                right = arm;
            }
        }
        bool pays = (int)action[0] == right && random.uniform() < p[1];
        reset(p, s, random);
        return pays ? 1.0f : 0.0f;
    }
};

}  // namespace learners
