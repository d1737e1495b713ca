// Actor and critic: two nets of two hidden layers of tanh, as Stable-Baselines3's MlpPolicy.

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
    Places actor, critic;
    int64_t log_std, count;

    Shape(int64_t inputs, int64_t outputs, int64_t hidden, bool is_discrete)
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
        critic = net(1);
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

template <int HIDDEN>
struct Network {
    static constexpr int VECS = HIDDEN / LANES;

    // Both hidden layers of a net, for x[rows, inputs].
    static void body(const Shape& s, const Places& at, const float* w, const float* x, int64_t rows,
                     Work& work) {
        float *first = work.first.data(), *second = work.second.data();
        multiply<VECS>(rows, s.inputs, {x, s.inputs, 1}, w + at.first, first, w + at.first_bias);
        tangents(first, rows * HIDDEN);
        multiply<VECS>(rows, HIDDEN, {first, HIDDEN, 1}, w + at.second, second,
                       w + at.second_bias);
        tangents(second, rows * HIDDEN);
    }

    // Logits or means into work.head[rows, HEAD].
    static void act(const Shape& s, const float* w, const float* x, int64_t rows, Work& work) {
        body(s, s.actor, w, x, rows, work);
        multiply<1>(rows, HIDDEN, {work.second.data(), HIDDEN, 1}, w + s.actor.head,
                    work.head.data(), w + s.actor.head_bias);
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
        through_tangents(below, second, rows, slopes + at.second_bias);
        multiply<VECS>(HIDDEN, rows, {first, 1, HIDDEN}, below, slopes + at.second, nullptr);
        transpose<HIDDEN>(w + at.second, turned);
        multiply<VECS>(rows, HIDDEN, {below, HIDDEN, 1}, turned, above, nullptr);
        through_tangents(above, first, rows, slopes + at.first_bias);
        multiply<VECS>(s.inputs, rows, {x, 1, s.inputs}, above, slopes + at.first, nullptr);
    }

    // The slopes in what goes into tangents, from those in what comes out, and the sum of all rows.
    static void through_tangents(float* slope, const float* tangents, int64_t rows, float* sums) {
        add_up<VECS>(slope, rows, sums, [tangents](int64_t i, int j, Vec x) {
            Vec out = load(tangents + i * HIDDEN + j * LANES);
            return x * (1.0f - out * out);
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
