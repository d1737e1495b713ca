"""Walks every hyperparameter of boosting through its range and back, on one library.

    python tests/hpo_env/integrations/walking.py lightgbm

A process of its own, as LightGBM ends the process where it is asked for the wrong thing. Prints a
line of JSON for each hyperparameter: the values written, and what the trees show of them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.tasks.automl.space import HYPERPARAMETERS, LIBRARY_NAMES

NUM_ROWS, NUM_COLUMNS = 1200, 20
_POINTS = 5  # of a range, up and down again
_TREES = 2  # at each


def rows() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(NUM_ROWS, NUM_COLUMNS))
    return x, 3.0 * x[:, 0] + x[:, 1] * x[:, 2] + x[:, 3:].sum(axis=1) + rng.normal(size=NUM_ROWS)


def walk(name: str) -> list[float]:
    known = next(h for h in HYPERPARAMETERS if h.name == name)
    space = HyperparameterSpace([known])
    low, high = space.to_axis(np.array([[known.low], [known.high]]))[:, 0]
    base = np.full((_POINTS, 1), known.low)
    up = space.values(base, np.linspace(0.0, high - low, _POINTS)[:, None])[:, 0].tolist()
    return [*up, *up[::-1]]


def with_lightgbm(name: str) -> list[dict[str, float]]:
    import lightgbm

    from hpo_env.integrations.lightgbm_parameters import LightGBMParameters

    x, y = rows()
    params = {"objective": "l2", "verbosity": -1, "num_threads": 1, "feature_pre_filter": False}
    model = lightgbm.Booster(params | {"min_data_in_leaf": 5}, lightgbm.Dataset(x, y))
    parameters = LightGBMParameters(model)
    _grow(name, parameters.values(), parameters.flush, model.update)
    return [_lightgbm_tree(tree) for tree in model.dump_model()["tree_info"]]


def _lightgbm_tree(tree: dict[str, Any]) -> dict[str, float]:
    leaves: list[tuple[int, float]] = []
    columns: set[int] = set()
    stack = [tree["tree_structure"]]
    while stack:
        node = stack.pop()
        if "split_feature" in node:
            columns.add(node["split_feature"])
            stack += [node["left_child"], node["right_child"]]
        else:
            leaves.append((node.get("leaf_count", NUM_ROWS), node["leaf_value"]))
    return {
        "learning_rate": tree["shrinkage"],
        "num_leaves": len(leaves),
        "min_data_in_leaf": min(count for count, _ in leaves),
        "lambda_l2": max(abs(value) for _, value in leaves) / tree["shrinkage"],
        "row_fraction": sum(count for count, _ in leaves) / NUM_ROWS,
        "column_fraction": len(columns) / NUM_COLUMNS,
    }


def with_xgboost(name: str) -> list[dict[str, float]]:
    import xgboost

    from hpo_env.integrations.xgboost import read_rate
    from hpo_env.integrations.xgboost_parameters import XGBoostParameters

    x, y = rows()
    data = xgboost.DMatrix(x, y)
    model = xgboost.Booster({"objective": "reg:squarederror", "nthread": 1}, [data])
    parameters = XGBoostParameters(model, "regression")
    rates: list[float] = []

    def update() -> None:
        rates.append(read_rate(model))
        model.update(data, len(rates) - 1)

    _grow(name, parameters.values(), parameters.flush, update)
    frame = model.trees_to_dataframe()
    trees = [group for _, group in frame.groupby("Tree")]
    return [_xgboost_tree(tree, rate) for tree, rate in zip(trees, rates, strict=True)]


def _xgboost_tree(tree: Any, rate: float) -> dict[str, float]:
    leaves = tree[tree["Feature"] == "Leaf"]
    return {
        "learning_rate": rate,
        "num_leaves": len(leaves),
        "min_data_in_leaf": float(leaves["Cover"].min()),  # of squared errors each row counts 1
        "lambda_l2": float(leaves["Gain"].abs().max()) / rate,
        "row_fraction": float(leaves["Cover"].sum()) / NUM_ROWS,
        "column_fraction": (tree["Feature"].nunique() - 1) / NUM_COLUMNS,
    }


def _grow(
    name: str, values: dict[str, Any], flush: Callable[[], None], update: Callable[[], object]
) -> None:
    """Grow trees, as shallow steps that keep the rest of the loss for those that come."""
    for other, steady in (("learning_rate", 0.05), ("num_leaves", 16.0)):
        if other != name:
            values[other].write(steady)
    for value in walk(name):
        values[name].write(value)
        flush()
        for _ in range(_TREES):
            update()


if __name__ == "__main__":
    train = {"lightgbm": with_lightgbm, "xgboost": with_xgboost}[sys.argv[1]]
    for one in LIBRARY_NAMES:
        written = [value for value in walk(one) for _ in range(_TREES)]
        shown = [tree[one] for tree in train(one)]
        print(json.dumps({"name": one, "written": written, "shown": shown}), flush=True)
