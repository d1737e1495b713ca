// Two nets of two hidden layers, as Stable-Baselines3's MlpPolicy: actor and critic, of tanh, or what
// acts in Q-learning and its target, of rectified units.

#pragma once

#include <vector>

#include "matmul.hpp"

namespace learners {

constexpr int HEAD = LANES;  // outputs of the actor, padded: at most 16 actions

// Where the weights of a net lie; rows of every matrix belong to inputs.
struct Places {
    int64_t first, first_bias, second, second_bias, head, head_bias;
};

struct Shape {
    int64_t inputs, outputs, hidden;
    bool is_discrete;
    Places actor, critic;  // in Q-learning the target is in the critic's place
    int64_t log_std, count;

    Shape(int64_t inputs, int64_t outputs, int64_t hidden, bool is_discrete, int64_t critic_width)
        : inputs(inputs), outputs(outputs), hidden(hidden), is_discrete(is_discrete) {
        int64_t next = 0;
        auto take = [&next](int64_t size) {
            int64_t place = next;
            next += size;
            return place;
        };
        auto net = [&](int64_t width) {
            Places at;
            at.first = take(inputs * hidden);
            at.first_bias = take(hidden);
            at.second = take(hidden * hidden);
            at.second_bias = take(hidden);
            at.head = take(hidden * width);
            at.head_bias = take(width);
            return at;
        };
        actor = net(HEAD);
        critic = net(critic_width);
        log_std = take(HEAD);
        count = next;
    }
};

// Activations and gradients of `rows` samples.
struct Work {
    std::vector<float> inputs, first, second, head, head_slope, below, above, transposed, slopes;

    void fit(const Shape& shape, int64_t rows) {
        auto grow = [](std::vector<float>& v, int64_t size) {
            if ((int64_t)v.size() < size) v.resize(size);
        };
        int64_t wide = rows * shape.hidden;
        grow(inputs, rows * shape.inputs);
        for (auto* v : {&first, &second, &below, &above}) grow(*v, wide);
        for (auto* v : {&head, &head_slope}) grow(*v, rows * HEAD);
        grow(transposed, shape.hidden * std::max<int64_t>(shape.hidden, HEAD));
        grow(slopes, shape.count);
    }
};

// Hidden units: what comes out of them, and the slope there by what came out.
struct Tangent {
    static void apply(float* x, int64_t count) { tangents(x, count); }
    static Vec through(Vec slope, Vec out) { return slope * (1.0f - out * out); }
};

struct Rectified {
    static void apply(float* x, int64_t count) {
        for (int64_t i = 0; i < count; ++i) x[i] = x[i] < 0.0f ? 0.0f : x[i];  // NaN stays NaN
    }
    static Vec through(Vec slope, Vec out) { return out > 0.0f ? slope : Vec{}; }
};

template <int HIDDEN, typename Unit = Tangent>
struct Network {
    static constexpr int VECS = HIDDEN / LANES;

    // Both hidden layers of a net, for x[rows, inputs].
    static void body(const Shape& s, const Places& at, const float* w, const float* x, int64_t rows,
                     Work& work) {
        float *first = work.first.data(), *second = work.second.data();
        multiply<VECS>(rows, s.inputs, {x, s.inputs, 1}, w + at.first, first, w + at.first_bias);
        Unit::apply(first, rows * HIDDEN);
        multiply<VECS>(rows, HIDDEN, {first, HIDDEN, 1}, w + at.second, second,
                       w + at.second_bias);
        Unit::apply(second, rows * HIDDEN);
    }

    // The outputs of a net of HEAD columns into work.head[rows, HEAD].
    static void outputs(const Shape& s, const Places& at, const float* w, const float* x,
                        int64_t rows, Work& work) {
        body(s, at, w, x, rows, work);
        multiply<1>(rows, HIDDEN, {work.second.data(), HIDDEN, 1}, w + at.head, work.head.data(),
                    w + at.head_bias);
    }

    // Logits, means or action values.
    static void act(const Shape& s, const float* w, const float* x, int64_t rows, Work& work) {
        outputs(s, s.actor, w, x, rows, work);
    }

    // Values of states [rows].
    static void value(const Shape& s, const float* w, const float* x, int64_t rows, Work& work,
                      float* values) {
        body(s, s.critic, w, x, rows, work);
        const float* head = w + s.critic.head;
        for (int64_t i = 0; i < rows; ++i) {
            const float* h = work.second.data() + i * HIDDEN;
            float sum = 0.0f;
            for (int j = 0; j < HIDDEN; ++j) sum += h[j] * head[j];
            values[i] = sum + w[s.critic.head_bias];
        }
    }

    // From work.below, the slope of the loss in the second layer's outputs, to the slopes of both.
    static void body_back(const Shape& s, const Places& at, const float* w, const float* x,
                          int64_t rows, Work& work) {
        float *below = work.below.data(), *above = work.above.data(), *turned = work.transposed.data();
        float* slopes = work.slopes.data();
        const float *first = work.first.data(), *second = work.second.data();
        through_units(below, second, rows, slopes + at.second_bias);
        multiply<VECS>(HIDDEN, rows, {first, 1, HIDDEN}, below, slopes + at.second, nullptr);
        transpose<HIDDEN>(w + at.second, turned);
        multiply<VECS>(rows, HIDDEN, {below, HIDDEN, 1}, turned, above, nullptr);
        through_units(above, first, rows, slopes + at.first_bias);
        multiply<VECS>(s.inputs, rows, {x, 1, s.inputs}, above, slopes + at.first, nullptr);
    }

    // The slopes in what goes into units, from those in what comes out, and the sum of all rows.
    static void through_units(float* slope, const float* units, int64_t rows, float* sums) {
        add_up<VECS>(slope, rows, sums, [units](int64_t i, int j, Vec x) {
            return Unit::through(x, load(units + i * HIDDEN + j * LANES));
        });
    }

    // From work.head_slope, after `act` on the same samples.
    static void act_back(const Shape& s, const float* w, const float* x, int64_t rows, Work& work) {
        const float* slope = work.head_slope.data();
        float* slopes = work.slopes.data();
        multiply<1>(HIDDEN, rows, {work.second.data(), 1, HIDDEN}, slope, slopes + s.actor.head,
                    nullptr);
        add_up<1>(work.head_slope.data(), rows, slopes + s.actor.head_bias,
                  [](int64_t, int, Vec x) { return x; });
        for (int i = 0; i < HIDDEN; ++i)
            for (int64_t a = 0; a < s.outputs; ++a)
                work.transposed[a * HIDDEN + i] = w[s.actor.head + i * HEAD + a];
        multiply<VECS>(rows, s.outputs, {slope, HEAD, 1}, work.transposed.data(),
                       work.below.data(), nullptr);
        body_back(s, s.actor, w, x, rows, work);
    }

    // From the slope of the loss in the values [rows], after `value` on the same samples.
    static void value_back(const Shape& s, const float* w, const float* x, int64_t rows,
                           Work& work, const float* slope) {
        float* slopes = work.slopes.data();
        const float* head = w + s.critic.head;
        float sum = 0.0f;
        Vec sums[VECS] = {};
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t at = i * HIDDEN;
            sum += slope[i];
            for (int j = 0; j < VECS; ++j) {
                sums[j] += slope[i] * load(work.second.data() + at + j * LANES);
                store(work.below.data() + at + j * LANES, slope[i] * load(head + j * LANES));
            }
        }
        for (int j = 0; j < VECS; ++j) store(slopes + s.critic.head + j * LANES, sums[j]);
        slopes[s.critic.head_bias] = sum;
        body_back(s, s.critic, w, x, rows, work);
    }
};

}  // namespace learners
