// Trains and evaluates multilayer perceptrons, one lane after another.
//
// A lane runs its whole decision interval before the next one starts, so that its weights and the
// optimiser's state stay in the processor's own caches. The definition is models.py (MLP.apply),
// step.py and optimizers.py; this file repeats their arithmetic for one lane.
//
// Activations lie feature by feature, `[W, B]`: the minibatch runs along the vectors, so that the
// loss, layer norms and matrix products need no special case for any number of features or
// classes. `B` is a minibatch padded to a multiple of 16; what stands in the padding is masked out
// of the loss and thus has no gradient.
//
// Axes: `U` updates, `N` lanes, `D` inputs, `W` width, `K` outputs, `B` minibatch rows.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace {

// --- Vectors ------------------------------------------------------------------------------------

// LANES floats fill one register; tiles of the matrix product are chosen for its number of them.
#if defined(__AVX512F__)
constexpr int LANES = 16;
constexpr bool MANY_REGISTERS = true;
#elif defined(__AVX__)
constexpr int LANES = 8;
constexpr bool MANY_REGISTERS = false;
#elif defined(__aarch64__)
constexpr int LANES = 4;
constexpr bool MANY_REGISTERS = true;
#else
constexpr int LANES = 4;
constexpr bool MANY_REGISTERS = false;
#endif

constexpr int PADDING = 16;  // columns of activations come in multiples of it; LANES divides it
constexpr int BLOCK = 64;    // rows that evaluation takes at a time

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Int __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef float AnyVec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define INLINE inline __attribute__((always_inline))

INLINE Vec load(const float* p) { return *reinterpret_cast<const AnyVec*>(p); }
INLINE void store(float* p, Vec v) { *reinterpret_cast<AnyVec*>(p) = v; }
INLINE Vec all(float x) { return x - Vec{}; }
INLINE Vec select(Int mask, Vec yes, Vec no) { return mask ? yes : no; }
INLINE Vec larger(Vec a, Vec b) { return select(a > b, a, b); }  // b where one is NaN

INLINE Int iota() {
    Int v;
    for (int i = 0; i < LANES; ++i) v[i] = i;
    return v;
}

INLINE float sum(Vec v) {
    float part[LANES];
    std::memcpy(part, &v, sizeof v);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; ++i) part[i] += part[i + width];
    return part[0];
}

int64_t padded(int64_t n) { return (n + PADDING - 1) / PADDING * PADDING; }

// --- Elementary functions, to about 1e-7 of 1; NaN stays NaN ------------------------------------

// exp: coefficients of expf in the Cephes library (S. Moshier, netlib.org/cephes).
INLINE Vec exponential(Vec x) {
    x = select(x < -87.0f, all(-87.0f), x);
    x = select(x > 88.0f, all(88.0f), x);
    const Vec magic = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    Vec shifted = x * 1.44269504088896341f + magic;
    Vec n = shifted - magic;
    Vec r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    Vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    Vec y = p * (r * r) + r + 1.0f;
    Int power = ((Int)shifted - 0x4B400000 + 127) << 23;
    return y * (Vec)power;
}

// log for positive numbers: coefficients of logf in Cephes.
INLINE Vec logarithm(Vec x) {
    Int bits = (Int)x;
    Int half = (bits & 0x007FFFFF) | 0x3F000000;
    Vec m = (Vec)half;  // in [0.5, 1)
    Vec e = __builtin_convertvector((bits >> 23) - 126, Vec);
    Int is_low = m < 0.707106781186547524f;
    e = select(is_low, e - 1.0f, e);
    m = select(is_low, m + m, m) - 1.0f;
    Vec z = m * m;
    Vec p = all(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    Vec y = p * m * z + e * -2.12194440e-4f - z * 0.5f;
    y = m + y + e * 0.693359375f;
    return select(x == x, y, x);
}

// tanh: the polynomial of tanhf in Cephes near 0, 1 - 2 / (e^2x + 1) beyond.
INLINE Vec hyperbolic_tangent(Vec x) {
    Vec z = x * x;
    Vec p = all(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    Vec near = p * z * x + x;
    Vec size = select(x < 0.0f, -x, x);
    Vec far = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
    return select(size < 0.625f, near, select(x < 0.0f, -far, far));
}

// The normal distribution function and its density times sqrt(2 pi).
// erfc(u) = Q(t) exp(-u^2), t = 1 / (1 + 0.4 u); Q is our own fit to scipy.special.erfcx on [0, 7],
// to 3e-8 of its value.
struct Normal {
    Vec share, density;
};

INLINE Normal normal(Vec x) {
    Vec size = select(x < 0.0f, -x, x);
    Vec t = 1.0f / (1.0f + size * (0.4f * 0.70710678118654752f));
    Vec density = exponential(-0.5f * x * x);
    Vec q = all(0.0810935178f);
    q = q * t - 0.431119908f;
    q = q * t + 0.768772412f;
    q = q * t - 0.482868076f;
    q = q * t + 0.494556684f;
    q = q * t + 0.097550447f;
    q = q * t + 0.248994604f;
    q = q * t + 0.222874521f;
    q = q * t + 0.000145771314f;
    Vec tail = 0.5f * q * density;
    return {select(x < 0.0f, tail, 1.0f - tail), density};
}

// --- Matrix products ----------------------------------------------------------------------------

// C[M, N] = A[M, K] B[K, N] + bias[M]; A may lie in any order, the rows of B and C are contiguous.
struct Product {
    int64_t m, n, k;
    const float* a;
    int64_t a_row, a_column;  // steps from row to row, and from column to column
    const float* b;
    int64_t b_row;
    float* c;
    int64_t c_row;
    const float* bias;  // one number a row, or null
};

template <int ROWS, int VECS>
INLINE void tile(const Product& p, int64_t row, int64_t column) {
    Vec c[ROWS][VECS];
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECS; ++j) c[i][j] = p.bias ? all(p.bias[row + i]) : Vec{};
    const float* a = p.a + row * p.a_row;
    const float* b = p.b + column;
    const int64_t a_row = p.a_row;
    for (int64_t k = 0; k < p.k; ++k) {
        Vec bs[VECS];
#pragma GCC unroll 8
        for (int j = 0; j < VECS; ++j) bs[j] = load(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) {
            Vec factor = all(a[i * a_row]);
#pragma GCC unroll 8
            for (int j = 0; j < VECS; ++j) c[i][j] += factor * bs[j];
        }
        a += p.a_column;
        b += p.b_row;
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECS; ++j)
            store(p.c + (row + i) * p.c_row + column + j * LANES, c[i][j]);
}

// All rows of a few columns: full tiles, then 4, 2 and 1 rows.
template <int ROWS, int VECS>
void columns(const Product& p, int64_t column) {
    int64_t row = 0;
    for (; row + ROWS <= p.m; row += ROWS) tile<ROWS, VECS>(p, row, column);
    for (; row + 4 <= p.m; row += 4) tile<4, VECS>(p, row, column);
    for (; row + 2 <= p.m; row += 2) tile<2, VECS>(p, row, column);
    for (; row < p.m; ++row) tile<1, VECS>(p, row, column);
}

// `n` is a multiple of PADDING.
void multiply(const Product& p) {
    int64_t column = 0;
    if constexpr (MANY_REGISTERS) {
        for (; column + 4 * LANES <= p.n; column += 4 * LANES) columns<6, 4>(p, column);
        if (column + 3 * LANES <= p.n) {
            columns<8, 3>(p, column);
            column += 3 * LANES;
        }
    }
    for (; column + 2 * LANES <= p.n; column += 2 * LANES)
        columns<MANY_REGISTERS ? 12 : 6, 2>(p, column);
    for (; column < p.n; column += LANES) columns<MANY_REGISTERS ? 16 : 8, 1>(p, column);
}

// --- Transposition ------------------------------------------------------------------------------

template <int DISTANCE, int... I>
INLINE void exchange(Vec& a, Vec& b, std::integer_sequence<int, I...>) {
    Vec low = __builtin_shufflevector(a, b, ((I & DISTANCE) ? LANES + I - DISTANCE : I)...);
    Vec high = __builtin_shufflevector(a, b, ((I & DISTANCE) ? LANES + I : I + DISTANCE)...);
    a = low;
    b = high;
}

template <int DISTANCE>
INLINE void transpose_stage(Vec* v) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i)
        if (!(i & DISTANCE))
            exchange<DISTANCE>(v[i], v[i + DISTANCE], std::make_integer_sequence<int, LANES>{});
    if constexpr (DISTANCE > 1) transpose_stage<DISTANCE / 2>(v);
}

// One block of LANES x LANES; `from(i)` is the address of its row i.
template <class From>
INLINE void transpose_block(From from, float* to, int64_t to_row) {
    Vec v[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) v[i] = load(from(i));
    transpose_stage<LANES / 2>(v);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) store(to + i * to_row, v[i]);
}

// [rows, columns] -> [columns, rows]; `from(i)` is the address of row i. Whole blocks of rows are
// read, so `rows` is a multiple of PADDING; `columns` may be any number.
template <class From>
void transpose(From from, int64_t rows, int64_t columns, float* to, int64_t to_row) {
    for (int64_t r = 0; r < rows; r += LANES) {
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES)
            transpose_block([&](int i) { return from(r + i) + c; }, to + c * to_row + r, to_row);
        for (; c < columns; ++c)
            for (int i = 0; i < LANES; ++i) to[c * to_row + r + i] = from(r + i)[c];
    }
}

// --- The model ----------------------------------------------------------------------------------

enum Activation { RELU, TANH, GELU, SILU };

}  // namespace

extern "C" {

struct Model {
    int64_t depth, width, num_inputs, num_outputs;
    int64_t activation;  // the place of its name in `mlp_activations`
    int64_t is_normalized, is_residual;
};

// What an interval of all lanes needs. Lane i is in slot i of every buffer.
struct TrainJob {
    Model model;
    float* const* tensors;  // weights, momenta, squares of every parameter, each [C, ...]
    const float* x;         // [C, capacity, D]
    const float* y;         // [C, capacity]
    int64_t capacity;
    int64_t num_threads, num_lanes, num_updates, batch;  // batch: rows of the largest minibatch
    const int64_t* counters;  // [N, 5 + num_strides], see `mlp_counters`
    int64_t num_strides;
    const float* settings;  // [U, N, 15], see `mlp_settings`
    float* losses;          // [U, N]
    float* norms;           // [U, N]
    float* movement;        // [5, N], see step.py's weight_movement
};

// One pass over rows of some slots.
struct EvaluateJob {
    Model model;
    float* const* tensors;  // weights of every parameter, each [C, ...]
    const float* x;         // [C, capacity, D]
    const float* y;         // [C, capacity]
    int64_t capacity;
    int64_t num_threads, num_lanes;
    const int64_t* facts;  // [n, 4]: slot, rows, real outputs, whether it is a regression
    double* loss;          // [n]
    double* accuracy;      // [n]
};

}  // extern "C"

namespace {

constexpr float NORM_EPSILON = 1e-5f;
constexpr float CLIP_EPSILON = 1e-6f;

struct Settings {
    float coupled_decay, shrink, square_decay, square_gain, square_scale, epsilon, momentum, gain,
        rate, is_rmsprop, dropout, label_smoothing, gradient_clip, is_regression, num_outputs;
};

struct Parameter {
    int64_t rows, columns;
    int64_t offset;  // in a lane's flat copy of all of them
    int64_t size() const { return rows * columns; }
};

// Which parameters a layer has, as places in the list of models.py's MLP.parameters.
struct Layer {
    int64_t num_inputs, width;
    int weight, bias, scale, shift;
};

struct Plan {
    std::vector<Parameter> parameters;
    std::vector<Layer> layers;  // hidden ones, then the output layer
    int64_t num_weights = 0;    // of a lane

    explicit Plan(const Model& m) {
        for (int64_t i = 0; i <= m.depth; ++i) {
            bool is_hidden = i < m.depth;
            Layer layer{i ? m.width : m.num_inputs, is_hidden ? m.width : m.num_outputs, 0, 0, 0, 0};
            layer.weight = add(layer.num_inputs, layer.width);
            layer.bias = add(1, layer.width);
            if (is_hidden && m.is_normalized) {
                layer.scale = add(1, layer.width);
                layer.shift = add(1, layer.width);
            }
            layers.push_back(layer);
        }
    }

    int add(int64_t rows, int64_t columns) {
        parameters.push_back({rows, columns, num_weights});
        num_weights += padded(rows * columns);
        return static_cast<int>(parameters.size()) - 1;
    }
};

// Memory for one lane at a time, aligned to cache lines.
class Arena {
  public:
    float* take(int64_t count) {
        int64_t bytes = padded(count > 0 ? count : 1) * 4;
        void* p = std::aligned_alloc(64, bytes);
        if (p == nullptr) std::abort();
        std::memset(p, 0, bytes);
        blocks_.push_back(p);
        return static_cast<float*>(p);
    }
    Arena() = default;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena() {
        for (void* p : blocks_) std::free(p);
    }

  private:
    std::vector<void*> blocks_;
};

struct Scratch {
    std::vector<float*> h;           // inputs of every layer [W, B]; the first are the minibatch
    std::vector<float*> derivative;  // of what follows each hidden layer's product, [W, B]
    std::vector<float*> normalized;  // before scale and shift [W, B]
    std::vector<float*> inverse;     // one over the standard deviations [B]
    float *outputs, *y, *dh, *dz, *flipped, *wide;
    float *gradients, *start, *middle;

    Scratch(Arena& arena, const Model& m, const Plan& plan, int64_t b, bool is_training) {
        int64_t widest = padded(m.width > m.num_outputs ? m.width : m.num_outputs);
        h.push_back(arena.take(padded(m.num_inputs) * b));
        for (int64_t i = 0; i < m.depth; ++i) {
            h.push_back(arena.take(m.width * b));
            derivative.push_back(is_training ? arena.take(m.width * b) : nullptr);
            normalized.push_back(m.is_normalized ? arena.take(m.width * b) : nullptr);
            inverse.push_back(m.is_normalized ? arena.take(b) : nullptr);
        }
        outputs = arena.take(padded(m.num_outputs) * b);
        y = arena.take(b);
        if (!is_training) return;
        dh = arena.take(widest * b);
        dz = arena.take(widest * b);
        flipped = arena.take(widest * b);
        int64_t tallest = m.width > m.num_inputs ? m.width : m.num_inputs;
        wide = arena.take(tallest * widest);
        gradients = arena.take(plan.num_weights);
        start = arena.take(plan.num_weights);
        middle = arena.take(plan.num_weights);
    }
};

// --- Random numbers: random_numbers.py, modulo 2^32 -----------------------------------------------

template <class T>
INLINE T mix(T x) {
    x = ((x >> 16) ^ x) * 0x119DE1F3u;
    x = ((x >> 16) ^ x) * 0x119DE1F3u;
    return (x >> 16) ^ x;
}

template <class T>
INLINE T combine(T key, T place) {
    return mix<T>(key + place * 0x1E3779B9u);
}

float uniform(uint32_t key) { return static_cast<float>(key >> 8) * 0x1p-24f; }

constexpr uint32_t ORDER = 1, DROPOUT = 2;  // purposes

uint32_t dropout_key(uint32_t seed, uint32_t update) {
    return combine(combine(mix(seed), DROPOUT), update);
}

// --- Forward ------------------------------------------------------------------------------------

struct Drop {
    uint32_t key;  // of the update and the layer
    float rate, scale;
};

template <int ACTIVATION>
INLINE void activate(Vec z, Vec& value, Vec& slope) {
    if constexpr (ACTIVATION == RELU) {
        // Written so that NaN passes, as it does through torch.relu.
        value = select(z <= 0.0f, Vec{}, z);
        slope = select(z > 0.0f, all(1.0f), Vec{});
    } else if constexpr (ACTIVATION == TANH) {
        value = hyperbolic_tangent(z);
        slope = 1.0f - value * value;
    } else if constexpr (ACTIVATION == GELU) {
        Normal n = normal(z);
        value = z * n.share;
        slope = n.share + z * n.density * 0.39894228040143268f;
    } else {
        Vec share = 1.0f / (1.0f + exponential(-z));
        value = z * share;
        slope = share + value * (1.0f - share);
    }
}

// h = dropout(activation(h)) + before, and the slope of that; [W, B] each.
template <int ACTIVATION>
void activate_layer(float* h, float* slopes, const float* before, int64_t width, int64_t b,
                    const Drop* drop) {
    const Bits row = (Bits)iota();
    for (int64_t f = 0; f < width; ++f) {
        for (int64_t c = 0; c < b; c += LANES) {
            int64_t at = f * b + c;
            Vec value, slope;
            activate<ACTIVATION>(load(h + at), value, slope);
            if (drop) {
                Bits element = (row + static_cast<uint32_t>(c)) * static_cast<uint32_t>(width) +
                               static_cast<uint32_t>(f);
                Bits key = combine(Bits{} + drop->key, element);
                Vec number = __builtin_convertvector((Int)(key >> 8), Vec) * 0x1p-24f;
                Int is_kept = number >= drop->rate;
                value = select(is_kept, value * drop->scale, Vec{});
                slope = select(is_kept, slope * drop->scale, Vec{});
            }
            if (before) value += load(before + at);
            store(h + at, value);
            if (slopes) store(slopes + at, slope);
        }
    }
}

void activate_layer(int64_t activation, float* h, float* slopes, const float* before, int64_t width,
                    int64_t b, const Drop* drop) {
    switch (activation) {
        case RELU: return activate_layer<RELU>(h, slopes, before, width, b, drop);
        case TANH: return activate_layer<TANH>(h, slopes, before, width, b, drop);
        case GELU: return activate_layer<GELU>(h, slopes, before, width, b, drop);
        default: return activate_layer<SILU>(h, slopes, before, width, b, drop);
    }
}

// Layer norm over the features of every column of h [W, B], in place.
void normalize(float* h, const float* scale, const float* shift, float* normalized, float* inverse,
               int64_t width, int64_t b) {
    const float share = 1.0f / static_cast<float>(width);
    for (int64_t c = 0; c < b; c += LANES) {
        Vec mean = Vec{}, variance = Vec{};
        for (int64_t f = 0; f < width; ++f) mean += load(h + f * b + c);
        mean *= share;
        for (int64_t f = 0; f < width; ++f) {
            Vec centred = load(h + f * b + c) - mean;
            variance += centred * centred;
        }
        variance = variance * share + NORM_EPSILON;
        Vec factor;
        for (int i = 0; i < LANES; ++i) factor[i] = 1.0f / std::sqrt(variance[i]);
        store(inverse + c, factor);
        for (int64_t f = 0; f < width; ++f) {
            Vec x = (load(h + f * b + c) - mean) * factor;
            store(normalized + f * b + c, x);
            store(h + f * b + c, x * scale[f] + shift[f]);
        }
    }
}

// The gradient through `normalize`: dz [W, B] in place; scale's and shift's own into theirs.
void normalize_backward(float* dz, const float* scale, const float* normalized,
                        const float* inverse, float* dscale, float* dshift, int64_t width,
                        int64_t b) {
    const float share = 1.0f / static_cast<float>(width);
    for (int64_t f = 0; f < width; ++f) {
        Vec by_scale = Vec{}, by_shift = Vec{};
        for (int64_t c = 0; c < b; c += LANES) {
            Vec d = load(dz + f * b + c);
            by_scale += d * load(normalized + f * b + c);
            by_shift += d;
        }
        dscale[f] = sum(by_scale);
        dshift[f] = sum(by_shift);
    }
    for (int64_t c = 0; c < b; c += LANES) {
        Vec mean = Vec{}, along = Vec{};
        for (int64_t f = 0; f < width; ++f) {
            Vec d = load(dz + f * b + c) * scale[f];
            mean += d;
            along += d * load(normalized + f * b + c);
        }
        mean *= share;
        along *= share;
        Vec factor = load(inverse + c);
        for (int64_t f = 0; f < width; ++f) {
            Vec d = load(dz + f * b + c) * scale[f];
            d = (d - mean - load(normalized + f * b + c) * along) * factor;
            store(dz + f * b + c, d);
        }
    }
}

// A lane's weights, in the order of the plan's parameters.
using Weights = std::vector<float*>;

// Computes outputs [k, B] of the inputs in `s.h[0]`, k being the real outputs. Dropout and slopes
// are for training.
void forward(const Model& m, const Plan& plan, const Weights& w, Scratch& s, int64_t k, int64_t b,
             bool is_training, const Drop* drops) {
    for (int64_t i = 0; i <= m.depth; ++i) {
        const Layer& layer = plan.layers[i];
        bool is_hidden = i < m.depth;
        float* out = is_hidden ? s.h[i + 1] : s.outputs;
        multiply({is_hidden ? m.width : k, b, layer.num_inputs, w[layer.weight], 1, layer.width,
                  s.h[i], b, out, b, w[layer.bias]});
        if (!is_hidden) break;
        if (m.is_normalized)
            normalize(out, w[layer.scale], w[layer.shift], s.normalized[i], s.inverse[i], m.width,
                      b);
        activate_layer(m.activation, out, is_training ? s.derivative[i] : nullptr,
                       m.is_residual && i ? s.h[i] : nullptr, m.width, b,
                       drops ? drops + i : nullptr);
    }
}

// --- Loss ---------------------------------------------------------------------------------------

struct Losses {
    float sum;  // over the real rows
    int64_t num_right;
};

// Losses of outputs [k, B] in the first `rows` columns. With `slopes`, the outputs are replaced by
// the gradient of the mean loss.
Losses measure(float* outputs, const float* y, int64_t k, int64_t rows, int64_t b,
               bool is_regression, float smoothing, bool slopes) {
    Vec total = Vec{};
    int64_t num_right = 0;
    const float share = 1.0f / static_cast<float>(rows);
    const float others = smoothing / static_cast<float>(k);
    for (int64_t c = 0; c < b; c += LANES) {
        Int is_real = iota() + static_cast<int32_t>(c) < static_cast<int32_t>(rows);
        Vec wanted = load(y + c);
        float* z = outputs + c;
        if (is_regression) {
            Vec error = load(z) - wanted;
            total += select(is_real, error * error, Vec{});
            if (slopes) store(z, select(is_real, error * (2.0f * share), Vec{}));
            continue;
        }
        Vec top = load(z), guess = Vec{}, own = Vec{}, all_outputs = Vec{};
        for (int64_t j = 1; j < k; ++j) {
            Vec value = load(z + j * b);
            Int is_larger = value > top;
            top = select(is_larger, value, top);
            guess = select(is_larger, all(static_cast<float>(j)), guess);
        }
        Vec volume = Vec{};
        for (int64_t j = 0; j < k; ++j) {
            Vec value = load(z + j * b) - top;
            volume += exponential(value);
            all_outputs += value;
            own = select(wanted == static_cast<float>(j), value, own);
        }
        Vec log_volume = logarithm(volume);
        Vec loss = (log_volume - own) * (1.0f - smoothing);
        if (smoothing != 0.0f)
            loss += (log_volume * static_cast<float>(k) - all_outputs) * others;
        total += select(is_real, loss, Vec{});
        Int is_right = (guess == wanted) & is_real;
        for (int i = 0; i < LANES; ++i) num_right -= is_right[i];
        if (!slopes) continue;
        for (int64_t j = 0; j < k; ++j) {
            Vec p = exponential(load(z + j * b) - top - log_volume);
            Vec target = select(wanted == static_cast<float>(j), all(1.0f - smoothing + others),
                                all(others));
            store(z + j * b, select(is_real, (p - target) * share, Vec{}));
        }
    }
    return {sum(total), num_right};
}

// --- Backward -----------------------------------------------------------------------------------

// Gradient of one layer's weight and bias from dz [W, B], which has rows of 0 up to a multiple of
// PADDING.
void weight_gradient(const Plan& plan, const Layer& layer, Scratch& s, const float* input,
                     const float* dz, int64_t rows, int64_t b) {
    int64_t wide = padded(layer.width);
    transpose([&](int64_t i) { return dz + i * b; }, wide, b, s.flipped, wide);
    float* gradient = s.gradients + plan.parameters[layer.weight].offset;
    bool is_whole = wide == layer.width;
    float* to = is_whole ? gradient : s.wide;
    multiply({layer.num_inputs, wide, rows, input, b, 1, s.flipped, wide, to, wide, nullptr});
    if (!is_whole)
        for (int64_t i = 0; i < layer.num_inputs; ++i)
            std::memcpy(gradient + i * layer.width, to + i * wide,
                        static_cast<size_t>(layer.width) * 4);
    float* bias = s.gradients + plan.parameters[layer.bias].offset;
    for (int64_t f = 0; f < layer.width; ++f) {
        Vec part = Vec{};
        for (int64_t c = 0; c < b; c += LANES) part += load(dz + f * b + c);
        bias[f] = sum(part);
    }
}

// Gradients of all weights from that of the outputs, `s.outputs` [k, B].
void backward(const Model& m, const Plan& plan, const Weights& w, Scratch& s, int64_t k,
              int64_t rows, int64_t b) {
    const Layer& last = plan.layers[m.depth];
    // Outputs that the lane does not have; another lane's may stand there.
    std::memset(s.outputs + k * b, 0, static_cast<size_t>((padded(last.width) - k) * b) * 4);
    weight_gradient(plan, last, s, s.h[m.depth], s.outputs, rows, b);
    multiply({m.width, b, k, w[last.weight], last.width, 1, s.outputs, b, s.dh, b, nullptr});
    int64_t count = m.width * b;
    for (int64_t i = m.depth - 1; i >= 0; --i) {
        const Layer& layer = plan.layers[i];
        for (int64_t at = 0; at < count; at += LANES)
            store(s.dz + at, load(s.dh + at) * load(s.derivative[i] + at));
        if (m.is_normalized)
            normalize_backward(s.dz, w[layer.scale], s.normalized[i], s.inverse[i],
                               s.gradients + plan.parameters[layer.scale].offset,
                               s.gradients + plan.parameters[layer.shift].offset, m.width, b);
        weight_gradient(plan, layer, s, s.h[i], s.dz, rows, b);
        if (i == 0) break;
        float* through = m.is_residual ? s.flipped : s.dh;
        multiply({m.width, b, m.width, w[layer.weight], m.width, 1, s.dz, b, through, b, nullptr});
        if (m.is_residual)
            for (int64_t at = 0; at < count; at += LANES)
                store(s.dh + at, load(s.dh + at) + load(through + at));
    }
}

// --- Optimiser: optimizers.py's update ----------------------------------------------------------

enum Kind { SGD, ADAM, RMSPROP };

INLINE Vec one_over_root(Vec square, float epsilon) {
#if defined(__AVX512F__)
    // Two estimates to 14 bits, each doubled by a step of Newton's; below 1e-30 a root is far
    // smaller than epsilon.
    Vec bounded = (Vec)_mm512_max_ps(_mm512_set1_ps(1e-30f), (__m512)square);
    Vec y = (Vec)_mm512_rsqrt14_ps((__m512)bounded);
    y = y * (1.5f - 0.5f * bounded * y * y);
    Vec denominator = bounded * y + epsilon;
    Vec z = (Vec)_mm512_rcp14_ps((__m512)denominator);
    return z * (2.0f - denominator * z);
#else
    Vec root;
    for (int i = 0; i < LANES; ++i) root[i] = std::sqrt(square[i]);
    return 1.0f / (root + epsilon);
#endif
}

template <int KIND>
INLINE void optimize(float* w, float* m, float* s, const float* gradient, float scale,
                     const Settings& c) {
    Vec weight = load(w);
    Vec g = load(gradient) * scale;
    g += weight * c.coupled_decay;
    if constexpr (KIND == SGD) {
        Vec moment = load(m) * c.momentum + g * c.gain;
        store(m, moment);
        store(w, weight * c.shrink - moment * c.rate);
    } else {
        Vec square = load(s) * c.square_decay + g * g * c.square_gain;
        Vec factor = one_over_root(square * c.square_scale, c.epsilon);
        Vec moment = load(m) * c.momentum + (KIND == RMSPROP ? g * factor : g) * c.gain;
        Vec direction = KIND == RMSPROP ? moment : moment * factor;
        store(s, square);
        store(m, moment);
        store(w, weight * c.shrink - direction * c.rate);
    }
}

template <int KIND>
void optimize_all(float* w, float* m, float* s, const float* gradient, int64_t size, float scale,
                  const Settings& c) {
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        optimize<KIND>(w + i, m + i, s + i, gradient + i, scale, c);
    if (i == size) return;
    float tail[4][LANES] = {};
    size_t bytes = static_cast<size_t>(size - i) * 4;
    std::memcpy(tail[0], w + i, bytes);
    std::memcpy(tail[1], m + i, bytes);
    std::memcpy(tail[2], s + i, bytes);
    std::memcpy(tail[3], gradient + i, bytes);
    optimize<KIND>(tail[0], tail[1], tail[2], tail[3], scale, c);
    std::memcpy(w + i, tail[0], bytes);
    std::memcpy(m + i, tail[1], bytes);
    std::memcpy(s + i, tail[2], bytes);
}

// --- One lane -----------------------------------------------------------------------------------

// Walks through the rows in the order of minibatches.py.
class Order {
  public:
    Order(uint32_t seed, int64_t consumed, int64_t num_rows, const int64_t* strides, int64_t count)
        : key_(combine(mix(seed), ORDER)),
          num_rows_(num_rows),
          epoch_(consumed / num_rows),
          position_(consumed % num_rows),
          strides_(strides),
          num_strides_(count) {
        begin();
    }

    int64_t next() {
        if (position_ == num_rows_) {
            position_ = 0;
            ++epoch_;
            begin();
        }
        int64_t row = row_;
        ++position_;
        row_ += stride_;
        if (row_ >= num_rows_) row_ -= num_rows_;
        return row;
    }

  private:
    void begin() {
        uint32_t key = combine(key_, static_cast<uint32_t>(epoch_));
        float start = std::floor(uniform(key) * static_cast<float>(num_rows_));
        stride_ = strides_[epoch_ % num_strides_] % num_rows_;
        row_ = (stride_ * position_ + static_cast<int64_t>(start)) % num_rows_;
    }

    uint32_t key_;
    int64_t num_rows_, epoch_, position_;
    const int64_t* strides_;
    int64_t num_strides_, stride_ = 0, row_ = 0;
};

// Copies rows of x [R, D] into columns of h [D, B].
template <class Row>
void gather(const Row& row, int64_t num_inputs, float* h, int64_t b) {
    transpose(row, b, num_inputs, h, b);
}

void copy_flat(const Plan& plan, const Weights& w, float* to) {
    for (size_t i = 0; i < plan.parameters.size(); ++i)
        std::memcpy(to + plan.parameters[i].offset, w[i],
                    static_cast<size_t>(plan.parameters[i].size()) * 4);
}

void train_lane(const TrainJob& job, const Plan& plan, Scratch& s, int64_t lane) {
    const Model& model = job.model;
    const int64_t num_parameters = static_cast<int64_t>(plan.parameters.size());
    Weights weights, momenta, squares;
    for (int64_t i = 0; i < num_parameters; ++i) {
        int64_t offset = lane * plan.parameters[i].size();
        weights.push_back(job.tensors[i] + offset);
        momenta.push_back(job.tensors[num_parameters + i] + offset);
        squares.push_back(job.tensors[2 * num_parameters + i] + offset);
    }
    const int64_t* counters = job.counters + lane * (5 + job.num_strides);
    const uint32_t seed = static_cast<uint32_t>(counters[0]);
    const int64_t num_updates = counters[1], rows = counters[2], b = padded(rows);
    Order order(seed, counters[3], counters[4], counters + 5, job.num_strides);
    const float* x = job.x + lane * job.capacity * model.num_inputs;
    const float* y = job.y + lane * job.capacity;
    std::vector<const float*> chosen(static_cast<size_t>(b), x);
    std::vector<Drop> drops(static_cast<size_t>(model.depth));

    copy_flat(plan, weights, s.start);
    for (int64_t u = 0; u < job.num_updates; ++u) {
        if (u == job.num_updates / 2) copy_flat(plan, weights, s.middle);
        Settings c;
        std::memcpy(&c, job.settings + (u * job.num_lanes + lane) * (sizeof(Settings) / 4),
                    sizeof c);
        const int64_t k = static_cast<int64_t>(c.num_outputs);
        for (int64_t r = 0; r < rows; ++r) {
            int64_t row = order.next();
            chosen[r] = x + row * model.num_inputs;
            s.y[r] = y[row];
        }
        gather([&](int64_t i) { return chosen[i]; }, model.num_inputs, s.h[0], b);
        if (c.dropout > 0.0f) {
            uint32_t key = dropout_key(seed, static_cast<uint32_t>(num_updates + u));
            for (size_t i = 0; i < drops.size(); ++i)
                drops[i] = {combine(key, static_cast<uint32_t>(i)), c.dropout,
                            1.0f / (1.0f - c.dropout)};
        }
        forward(model, plan, weights, s, k, b, true, c.dropout > 0.0f ? drops.data() : nullptr);
        Losses measured = measure(s.outputs, s.y, k, rows, b, c.is_regression > 0.5f,
                                  c.label_smoothing, true);
        backward(model, plan, weights, s, k, rows, b);

        Vec total = Vec{};
        for (int64_t i = 0; i < plan.num_weights; i += LANES) {
            Vec g = load(s.gradients + i);
            total += g * g;
        }
        float norm = std::sqrt(sum(total));
        float scale = c.gradient_clip / (norm + CLIP_EPSILON);
        if (scale > 1.0f) scale = 1.0f;
        for (int64_t i = 0; i < num_parameters; ++i) {
            const float* g = s.gradients + plan.parameters[i].offset;
            int64_t size = plan.parameters[i].size();
            if (c.is_rmsprop > 0.5f)
                optimize_all<RMSPROP>(weights[i], momenta[i], squares[i], g, size, scale, c);
            else if (c.square_gain > 0.0f)
                optimize_all<ADAM>(weights[i], momenta[i], squares[i], g, size, scale, c);
            else
                optimize_all<SGD>(weights[i], momenta[i], squares[i], g, size, scale, c);
        }
        job.losses[u * job.num_lanes + lane] = measured.sum / static_cast<float>(rows);
        job.norms[u * job.num_lanes + lane] = norm;
    }

    Vec sums[5] = {};
    copy_flat(plan, weights, s.gradients);
    for (int64_t i = 0; i < plan.num_weights; i += LANES) {
        Vec start = load(s.start + i), middle = load(s.middle + i), end = load(s.gradients + i);
        Vec first = middle - start, second = end - middle, whole = end - start;
        sums[0] += start * start;
        sums[1] += whole * whole;
        sums[2] += first * first;
        sums[3] += second * second;
        sums[4] += first * second;
    }
    for (int i = 0; i < 5; ++i) job.movement[i * job.num_lanes + lane] = sum(sums[i]);
}

void evaluate_lane(const EvaluateJob& job, const Plan& plan, Scratch& s, int64_t place) {
    const Model& model = job.model;
    const int64_t* facts = job.facts + place * 4;
    const int64_t slot = facts[0], num_rows = facts[1], k = facts[2];
    Weights weights;
    for (size_t i = 0; i < plan.parameters.size(); ++i)
        weights.push_back(job.tensors[i] + slot * plan.parameters[i].size());
    const float* x = job.x + slot * job.capacity * model.num_inputs;
    const float* y = job.y + slot * job.capacity;
    double loss = 0.0;
    int64_t num_right = 0;
    for (int64_t first = 0; first < num_rows; first += BLOCK) {
        int64_t rows = num_rows - first < BLOCK ? num_rows - first : BLOCK;
        int64_t b = padded(rows);
        auto row = [&](int64_t i) {
            return x + (first + (i < rows ? i : 0)) * model.num_inputs;
        };
        gather(row, model.num_inputs, s.h[0], b);
        std::memcpy(s.y, y + first, static_cast<size_t>(rows) * 4);
        forward(model, plan, weights, s, k, b, false, nullptr);
        Losses measured = measure(s.outputs, s.y, k, rows, b, facts[3] != 0, 0.0f, false);
        loss += measured.sum;
        num_right += measured.num_right;
    }
    job.loss[place] = loss / static_cast<double>(num_rows);
    job.accuracy[place] = static_cast<double>(num_right) / static_cast<double>(num_rows);
}

// Numbers below 1e-38 count as 0 meanwhile: momenta that die away would otherwise come to lie
// there, where every operation takes a hundred times as long.
class NoSubnormals {
  public:
#if defined(__x86_64__) || defined(_M_X64)
    NoSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }
    ~NoSubnormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#else
    NoSubnormals() {}
    ~NoSubnormals() {}
#endif
};

// Has threads take one lane after the other. Lanes share nothing that is written, so who takes which
// changes nothing; and a thread without a lane ends instead of spinning at a barrier.
template <class Job, class Work>
void over_lanes(const Job& job, Work work) {
    std::atomic<int64_t> next{0};
    std::vector<std::thread> others;
    int64_t num_threads = std::min(job.num_threads, job.num_lanes);
    for (int64_t i = 1; i < num_threads; ++i) others.emplace_back([&] { work(next); });
    work(next);
    for (std::thread& other : others) other.join();
}

}  // namespace

extern "C" {

// The order of the columns that Python passes, checked when the library is loaded.
const char* mlp_settings() {
    return "coupled_decay shrink square_decay square_gain square_scale epsilon momentum gain rate "
           "is_rmsprop dropout label_smoothing gradient_clip is_regression num_outputs";
}

const char* mlp_counters() { return "seed num_updates batch_size num_consumed num_rows"; }

const char* mlp_facts() { return "slot num_rows num_outputs is_regression"; }

const char* mlp_activations() { return "relu tanh gelu silu"; }

void mlp_train(const TrainJob* job) {
    Plan plan(job->model);
    over_lanes(*job, [&](std::atomic<int64_t>& next) {
        NoSubnormals guard;
        Arena arena;
        Scratch scratch(arena, job->model, plan, padded(job->batch), true);
        for (int64_t lane; (lane = next++) < job->num_lanes;)
            train_lane(*job, plan, scratch, lane);
    });
}

void mlp_evaluate(const EvaluateJob* job) {
    Plan plan(job->model);
    over_lanes(*job, [&](std::atomic<int64_t>& next) {
        NoSubnormals guard;
        Arena arena;
        Scratch scratch(arena, job->model, plan, BLOCK, false);
        for (int64_t place; (place = next++) < job->num_lanes;)
            evaluate_lane(*job, plan, scratch, place);
    });
}

}  // extern "C"
