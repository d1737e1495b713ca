"""The walk through a series in NumPy, many lanes at once: the obvious twin of the C++ kernel.

The smoothing is Holt and Winters' with a damped trend in error-correction form (Hyndman, Koehler,
Ord and Snyder, Forecasting with exponential smoothing, 2008, chapter 2) on observations that are
free of the season, plus a share of the slope of the straight line through all of them,
which is what Theta adds (half of it: Hyndman and Billah, Unmasking the Theta method, 2003). The
autoregression is a ridge regression of the changes on the last changes and a constant, from
running sums: recursive least squares whose order and ridge may change at any time.

Every function takes rows of the state and returns new ones.

Axes: `n` rows, `S` columns of the state, `L` observations, `H` steps ahead, `K` smoothers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.forecasting.layout import (
    FACTS,
    FAR,
    FEATURES,
    HYPERPARAMETERS,
    MAX_LAGS,
    NUM_REGRESSORS,
    NUM_SMOOTHERS,
    SLICES,
    SMOOTHERS,
)

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_TINY = 1e-5  # of a scaled observation: far below any error that matters
_ALPHA, _BETA, _PHI = SMOOTHERS.T


class Rows:
    """Rows of the state, a part at a time; single columns come as `[n]`."""

    def __init__(self, state: Array) -> None:
        self.state = state

    def __getitem__(self, name: str) -> Array:
        part = self.state[:, SLICES[name]]
        return part[:, 0] if part.shape[1] == 1 else part

    def __setitem__(self, name: str, value: Array) -> None:
        part = self.state[:, SLICES[name]]
        part[...] = np.reshape(value, part.shape)


def advance(state: Array, facts: Ints, values: Array, series: Array, counts: Ints) -> Array:
    """Take in some observations, then solve the autoregression for the forecasts to come.

    Args:
        state: `[n, S]`.
        facts: `[n, len(FACTS)]`.
        values: `[n, len(HYPERPARAMETERS)]`.
        series: Observations without the season `[n, L]`.
        counts: How many to take in `[n]`.

    Returns:
        The new state `[n, S]`.
    """
    state = state.copy()
    rows = Rows(state)
    rows["interval_error"] = rows["interval_count"] = np.zeros(len(state))
    _solve(rows, values)
    for k in range(int(counts.max(initial=0))):
        active = np.flatnonzero(counts > k)
        part = Rows(state[active])
        _absorb(part, _by_name(FACTS, facts[active]), values[active], series[active])
        state[active] = part.state
    moved = np.flatnonzero(counts > 0)
    part = Rows(state[moved])
    _solve(part, values[moved])
    state[moved] = part.state
    return state


def forecast(state: Array, facts: Ints, values: Array, num: int) -> tuple[Array, Array]:
    """Forecast from the state, before the season of the preparation is put back.

    Returns:
        The learners' combined forecasts `[n, num]`, and the mean of the fixed smoothers'.
    """
    rows, fact, value = Rows(state), _by_name(FACTS, facts), _by_name(HYPERPARAMETERS, values)
    steps = np.arange(1, num + 1)
    sums = np.cumsum(value["damping"][:, None] ** steps, axis=1)
    drift = value["drift"] * _line_slope(rows)
    base = rows["level"][:, None] + sums * rows["slope"][:, None] + drift[:, None] * steps
    places = (rows["age"].astype(np.int64)[:, None] + steps - 1) % fact["period"][:, None]
    index = np.take_along_axis(rows["seasonal"], places, axis=1)
    smoothed = np.where(fact["is_multiplicative"][:, None], base * index, base + index)
    share = value["regression_share"][:, None]
    own = (1.0 - share) * smoothed + share * _regress(rows, num)
    shadow_sums = np.cumsum(_PHI[:, None] ** steps, axis=1)  # [K, num]
    # No matrix product: its sums would depend on how many rows there are.
    shadows = rows["shadow_level"][:, :, None] + rows["shadow_slope"][:, :, None] * shadow_sums
    return own, shadows.sum(axis=1) / NUM_SMOOTHERS


def log_ratio(
    state: Array,
    facts: Ints,
    values: Array,
    series: Array,
    indices: Array,
    naive_error: Array,
    horizon: Ints,
) -> Array:
    """Measure the forecast against what comes, relative to the fixed smoothers' mean.

    Both errors are `(scaled + 0.1) sqrt(symmetric + 0.01)`: the mean size over the seasonal naive's
    in the sample, and the mean of `2 |y - f| / (|y| + |f|)`, blended because people read both.

    Args:
        state: `[n, S]`.
        facts: `[n, len(FACTS)]`.
        values: `[n, len(HYPERPARAMETERS)]`.
        series: Observations `[n, L]`, those after the origin of the series included.
        indices: Their seasonal indices `[n, L]`.
        naive_error: `[n]`.
        horizon: Steps ahead that are judged, where there are as many observations `[n]`.

    Returns:
        Log ratios `[n]`; 0 where nothing comes any more.
    """
    fact = _by_name(FACTS, facts)
    age = Rows(state)["age"].astype(np.int64)
    nums = np.minimum(horizon, fact["length"] + fact["num_future"] - age)
    out = np.zeros(len(state))
    for num in np.unique(nums[nums > 0]):
        which = np.flatnonzero(nums == num)
        places = age[which, None] + np.arange(num)
        index = np.take_along_axis(indices[which], places, axis=1)
        factor = fact["is_multiplicative"][which, None] > 0
        actual = np.take_along_axis(series[which], places, axis=1)
        parts = (actual, *forecast(state[which], facts[which], values[which], int(num)))
        actual, own, reference = (np.where(factor, part * index, part + index) for part in parts)
        naive = naive_error[which]
        out[which] = np.log(_loss(actual, own, naive)) - np.log(_loss(actual, reference, naive))
    return out


def features(state: Array, facts: Ints) -> Array:
    """Return the family's own entries of the observation `[n, len(FEATURES)]`, in `[-1, 1]`."""
    s, fact = Rows(state), _by_name(FACTS, facts)
    count, far_count = s["count"], s["far_count"]
    change = s["naive_size"] + _TINY
    near_floor, far_floor = _TINY * (count + 1.0), _TINY * (far_count + 1.0)
    near = s["naive_sum"] + near_floor
    far = s["naive_sum"] / np.maximum(count, 1.0) * far_count + far_floor

    def near_ratio(total: Array) -> Array:
        return np.where(count > 0.0, _squashed_log((total + near_floor) / near), 0.0)

    def far_ratio(total: Array) -> Array:
        return np.where(far_count > 0.0, _squashed_log((total + far_floor) / far), 0.0)

    columns = [
        _squashed_log(fact["length"] / 40.0),
        np.tanh(np.log(count + 1.0) / 3.0 - 0.5),
        np.minimum(np.log(fact["period"]) / np.log(24.0), 1.0),
        np.where(fact["is_seasonal"] > 0, 1.0, -1.0),
        s["error_fast"] / (s["size_fast"] + _TINY),
        s["error_slow"] / (s["size_slow"] + _TINY),
        s["product"] / (s["square"] + _TINY**2),
        _squashed_log((s["size_fast"] + _TINY) / (s["size_slow"] + _TINY)),
        _squashed_log((s["size_slow"] + _TINY) / change),
        _squashed_log(change / (0.03 * np.abs(s["level"]) + _TINY)),
        near_ratio(s["own_sum"]),
        far_ratio(s["own_far"]),
        np.tanh(s["slope"] / change),
        np.tanh(_line_slope(s) / change),
        np.tanh((s["last"] - s["level"]) / change),
        np.where(far_count > 0.0, 1.0, -1.0),
        near_ratio(s["regression_sum"]),
        far_ratio(s["regression_far"]),
        *(near_ratio(total) for total in s["shadow_sum"].T),
        *(far_ratio(total) for total in s["shadow_far"].T),
    ]
    assert len(columns) == len(FEATURES)
    return np.stack(columns, axis=1)


def _by_name(names: tuple[str, ...], columns: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {name: columns[:, k] for k, name in enumerate(names)}


def _squashed_log(ratio: Array) -> Array:
    return np.asarray(np.tanh(np.log(ratio) / 1.5))


def _loss(actual: Array, expected: Array, naive_error: Array) -> Array:
    error: Array = np.abs(actual - expected)
    symmetric = 2.0 * error / (np.abs(actual) + np.abs(expected) + 1e-6)
    scaled = error.mean(axis=1) / naive_error + 0.1
    return np.asarray(np.minimum(1e4, scaled * np.sqrt(symmetric.mean(axis=1) + 0.01)))


def _line_slope(s: Rows) -> Array:
    """Slope `[n]` of the least squares line through all observations; 0 with fewer than five."""
    determinant = s["trend_0"] * s["trend_2"] - s["trend_1"] ** 2
    is_known = (s["trend_0"] >= 5.0) & (determinant > 1e-6)
    slope = s["trend_0"] * s["trend_xz"] - s["trend_1"] * s["trend_z"]
    return np.asarray(np.where(is_known, slope / np.where(is_known, determinant, 1.0) / 20.0, 0.0))


def _change_variance(s: Rows) -> Array:
    return np.asarray(s["change_square"] / np.maximum(s["age"] - 1.0, 1.0) + 1e-9)


def _solve(s: Rows, values: Array) -> None:
    """Solve the ridge regression of the autoregression from the sums so far."""
    value, variance = _by_name(HYPERPARAMETERS, values), _change_variance(s)
    places = np.arange(NUM_REGRESSORS)
    used = (places < value["lags"][:, None]) | (places == MAX_LAGS)  # [n, R]
    gram = s["gram"].reshape(-1, NUM_REGRESSORS, NUM_REGRESSORS)
    gram = np.where(used[:, :, None] & used[:, None, :], gram, 0.0)
    penalty = value["ridge"][:, None] * np.where(places == MAX_LAGS, 1.0, variance[:, None])
    gram = gram + np.eye(NUM_REGRESSORS) * np.where(used, penalty, 1.0)[:, None, :]
    moment = np.where(used, s["moment"], 0.0)
    s["weights"] = np.asarray(np.linalg.solve(gram, moment[:, :, None])[:, :, 0], np.float64)


def _regress(s: Rows, num: int) -> Array:
    """Return the autoregression's forecasts `[n, num]`."""
    bound = 5.0 * np.sqrt(_change_variance(s))
    lags, weights, value = s["lags"], s["weights"], s["last"]
    out = np.empty((len(value), num))
    for h in range(num):
        change = weights[:, MAX_LAGS] + np.sum(weights[:, :MAX_LAGS] * lags, axis=1)
        change = np.clip(change, -bound, bound)
        value = value + change
        lags = np.concatenate([change[:, None], lags[:, :-1]], axis=1)
        out[:, h] = value
    return out


def _absorb(s: Rows, fact: Mapping[str, Ints], values: Array, series: Array) -> None:
    """Take in the next observation of every row."""
    value = _by_name(HYPERPARAMETERS, values)
    every = np.arange(len(values))
    age = s["age"].astype(np.int64)
    z = series[every, age]
    is_first, is_live = age == 0, age >= fact["warm"]
    target, error = _smooth(s, fact, value, z, is_first)
    _judge(s, target, z, is_live, age % FAR)
    _smooth_shadows(s, z, is_first, is_live)
    _measure_errors(s, error, z - s["last"], is_first, is_live)
    s["last"] = z
    x = s["age"] / 20.0
    for name, term in (("0", 1.0 + 0.0 * x), ("1", x), ("2", x * x), ("z", target)):
        s[f"trend_{name}"] = s[f"trend_{name}"] + term
    s["trend_xz"] = s["trend_xz"] + target * x
    s["age"] = s["age"] + 1.0
    _look_ahead(s, value, is_live, age % FAR)


def _smooth(
    s: Rows,
    fact: Mapping[str, Ints],
    value: Mapping[str, Array],
    z: Array,
    is_first: NDArray[np.bool_],
) -> tuple[Array, Array]:
    """Update level, slope and season; return the target of the level `[n]` and the error `[n]`."""
    every = np.arange(len(z))
    is_factor = fact["is_multiplicative"] > 0
    place = s["age"].astype(np.int64) % fact["period"]
    seasonal = s["seasonal"].copy()
    before = seasonal[every, place]
    drift = value["drift"] * _line_slope(s)
    target = np.where(is_factor, z / np.maximum(before, 0.02), z - before)
    base = s["level"] + value["damping"] * s["slope"] + drift
    error = z - np.where(is_factor, base * before, base + before)
    level = value["level"] * target + (1.0 - value["level"]) * base
    slope = value["trend"] * (level - s["level"] - drift)
    slope = slope + (1.0 - value["trend"]) * value["damping"] * s["slope"]
    now = np.where(is_factor, z / np.maximum(base, 0.05), z - base)
    index = value["seasonal"] * now + (1.0 - value["seasonal"]) * before
    index = np.where(is_factor, np.clip(index, 0.05, 10.0), index)
    moves = (fact["is_seasonal"] > 0) & ~is_first
    seasonal[every, place] = np.where(moves, index, before)
    s["seasonal"] = seasonal
    s["level"] = np.where(is_first, z, level)
    s["slope"] = np.where(is_first, 0.0, slope)
    return target, np.where(is_first, 0.0, error)


def _judge(s: Rows, target: Array, z: Array, is_live: NDArray[np.bool_], slot: Ints) -> None:
    """Compare the forecasts that waited for this observation with it."""
    every = np.arange(len(z))
    due = is_live & (s["ring_live"][every, slot] > 0.0)
    shadows = s["ring_shadow"].reshape(-1, FAR, NUM_SMOOTHERS)[every, slot]
    s["far_count"] = s["far_count"] + due
    for name, size in (
        ("own_far", np.abs(target - s["ring_own"][every, slot])),
        ("regression_far", np.abs(z - s["ring_regression"][every, slot])),
    ):
        s[name] = s[name] + np.where(due, size, 0.0)
    size = np.abs(z[:, None] - shadows)
    s["shadow_far"] = s["shadow_far"] + np.where(due[:, None], size, 0.0)


def _smooth_shadows(
    s: Rows, observed: Array, is_first: NDArray[np.bool_], is_live: NDArray[np.bool_]
) -> None:
    """Update the fixed smoothers, which start as means.

    They see the observation itself and not what the smoothing makes of it: nothing that an agent
    does may change what it is measured against.
    """
    z = observed[:, None]
    rate = np.maximum(_ALPHA, 1.0 / (s["age"] + 1.0)[:, None])
    base = s["shadow_level"] + _PHI * s["shadow_slope"]
    judged = (is_live & ~is_first)[:, None]
    s["shadow_sum"] = s["shadow_sum"] + np.where(judged, np.abs(z - base), 0.0)
    level = rate * z + (1.0 - rate) * base
    slope = _BETA * (level - s["shadow_level"]) + (1.0 - _BETA) * _PHI * s["shadow_slope"]
    s["shadow_level"] = np.where(is_first[:, None], z, level)
    s["shadow_slope"] = np.where(is_first[:, None], 0.0, slope)


def _measure_errors(
    s: Rows, error: Array, change: Array, is_first: NDArray[np.bool_], is_live: NDArray[np.bool_]
) -> None:
    """Update averages and sums of one-step errors, and the sums of the autoregression."""
    goes, judged = ~is_first, is_live & ~is_first
    size = np.abs(error)
    for name, now, rate in (
        ("error_fast", error, 0.3),
        ("error_slow", error, 0.1),
        ("size_fast", size, 0.3),
        ("size_slow", size, 0.1),
        ("product", error * s["last_error"], 0.15),
        ("square", error * error, 0.15),
        ("naive_size", np.abs(change), 0.1),
    ):
        s[name] = np.where(goes, (1.0 - rate) * s[name] + rate * now, s[name])
    x = np.concatenate([s["lags"], np.ones((len(size), 1))], axis=1)
    unexpected = np.abs(change - np.sum(s["weights"] * x, axis=1))
    for name, now in (
        ("regression_sum", unexpected),
        ("own_sum", size),
        ("naive_sum", np.abs(change)),
        ("count", 1.0 + 0.0 * size),
    ):
        s[name] = s[name] + np.where(judged, now, 0.0)
    for name, now in (
        ("gram", (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)),
        ("moment", x * change[:, None]),
        ("change_square", change * change),
        ("interval_error", size),
        ("interval_count", 1.0 + 0.0 * size),
    ):
        s[name] = s[name] + np.where(goes.reshape(-1, *[1] * (now.ndim - 1)), now, 0.0)
    lags = np.concatenate([change[:, None], s["lags"][:, :-1]], axis=1)
    s["lags"] = np.where(goes[:, None], lags, s["lags"])
    s["last_error"] = np.where(goes, error, s["last_error"])


def _look_ahead(
    s: Rows, value: Mapping[str, Array], is_live: NDArray[np.bool_], slot: Ints
) -> None:
    """Put the forecasts `FAR` steps ahead where they wait for their observation."""
    every = np.arange(len(slot))
    powers = np.arange(1, FAR + 1)
    sums = (value["damping"][:, None] ** powers).sum(axis=1)
    own = s["level"] + sums * s["slope"] + value["drift"] * _line_slope(s) * FAR
    shadows = s["shadow_level"] + (_PHI[:, None] ** powers).sum(axis=1) * s["shadow_slope"]
    waiting = s["ring_shadow"].reshape(-1, FAR, NUM_SMOOTHERS).copy()
    waiting[every, slot] = shadows
    s["ring_shadow"] = waiting.reshape(len(slot), -1)
    for name, now in (
        ("ring_live", is_live.astype(np.float64)),
        ("ring_own", own),
        ("ring_regression", _regress(s, FAR)[:, FAR - 1]),
    ):
        ring = s[name].copy()
        ring[every, slot] = now
        s[name] = ring
