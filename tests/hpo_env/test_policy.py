from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.familiarity import Familiarity
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace, split_joint_choices
from hpo_env.observation import field_names
from hpo_env.policy import Policy, num_outputs

SPACE = HyperparameterSpace(
    [
        Hyperparameter(name="learning_rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0),
        Hyperparameter(
            name="dropout", low=0.0, high=0.5, default=0.0, max_step=0.1, scale="linear"
        ),
    ]
)
NUM_FIELDS = len(field_names(SPACE.names))


def make_policy(
    head: Any = "clipped", hidden: tuple[int, ...] = (), activation: Any = "tanh", **changes: Any
) -> Policy:
    rng = np.random.default_rng(0)
    sizes = (NUM_FIELDS, *hidden, num_outputs(head, len(SPACE)))
    layers = list(pairwise(sizes))
    given: dict[str, Any] = {
        "family": "supervised",
        "space": SPACE,
        "base_schedule": "cosine",
        "head": head,
        "activation": activation,
        "weights": tuple(rng.normal(size=(o, i)).astype(np.float32) for i, o in layers),
        "biases": tuple(rng.normal(size=o).astype(np.float32) for _, o in layers),
    }
    return Policy(**(given | changes))


def constant_outputs(head: Any, outputs: list[float]) -> Policy:
    weight = np.zeros((len(outputs), NUM_FIELDS), dtype=np.float32)
    return make_policy(head, weights=(weight,), biases=(np.array(outputs, dtype=np.float32),))


@pytest.mark.parametrize(
    ("head", "outputs", "moves"),
    [
        ("clipped", [0.25, -7.0], [0.25, -1.0]),
        ("squashed", [0.0, 1.0], [0.0, np.tanh(1.0)]),
        ("choices", [0, 0, 0, 99, 0, 9, 9, 0, -99, -99], [0.5, -0.75]),
        ("choices", np.log([1, 2, 3, 4, 5, 6, 5, 4, 3, 2]).tolist(), [1 / 3, -0.25]),
        ("joint_choice", [0.0] * 7 + [1.0] + [0.0] * 17, [-0.5, 0.0]),  # 7 = 1 * 5 + 2
    ],
)
def test_each_head_turns_outputs_into_moves(
    head: str, outputs: list[float], moves: list[float]
) -> None:
    policy = constant_outputs(head, outputs)
    acted = policy.act(np.zeros((3, NUM_FIELDS), dtype=np.float32))
    assert acted.dtype == np.float64
    tolerance = 2e-4 if head == "choices" else 1e-7  # a logit of 9 leaves others a little
    np.testing.assert_allclose(acted, np.tile(moves, (3, 1)), atol=tolerance)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_network_is_the_textbook_perceptron(activation: str) -> None:
    policy = make_policy("clipped", (7, 5), activation)
    x = np.random.default_rng(1).uniform(-1, 1, (4, NUM_FIELDS))
    activate = np.tanh if activation == "tanh" else lambda v: np.where(v > 0, v, 0)
    (w0, w1, w2), (b0, b1, b2) = policy.weights, policy.biases
    expected = w2 @ activate(w1 @ activate(w0 @ x.T + b0[:, None]) + b1[:, None]) + b2[:, None]
    np.testing.assert_allclose(policy.outputs(x), expected.T, atol=1e-12)


@pytest.mark.parametrize("threshold", [None, 1.0])
@pytest.mark.parametrize("head", ["clipped", "squashed", "choices"])
def test_a_lane_acts_the_same_alone_and_among_others(head: str, threshold: float | None) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (256, NUM_FIELDS)).astype(np.float32)
    known = None
    if threshold is not None:
        known = replace(Familiarity.fit(x, field_names(SPACE.names)), threshold=threshold)
    policy = make_policy(head, (192, 192), familiarity=known)
    alone = np.concatenate([policy.act(row[None]) for row in x])
    np.testing.assert_array_equal(policy.act(x), alone)


def test_joint_choices_are_split_with_the_last_hyperparameter_fastest() -> None:
    every = split_joint_choices(np.arange(125), 3)
    assert every[:6].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 0, 4], [0, 1, 0]]
    assert len(np.unique(every, axis=0)) == 125


ONE_LAYER: NDArray[np.float32] = np.zeros((2, NUM_FIELDS), dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(weights=(ONE_LAYER[:, :-1],)), "layers.0.weight must be float32"),
        (dict(weights=(ONE_LAYER.astype(np.float64),)), "float64"),
        (dict(weights=(ONE_LAYER + np.float32(np.nan),)), "must be finite"),
        (dict(weights=()), "at least one layer"),
        (
            dict(head="choices", weights=(ONE_LAYER,), biases=(ONE_LAYER[:, 0],)),
            "needs 10 outputs a member; got 2",
        ),
        (dict(family=""), "family"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_at_construction(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_policy(**changes)


@pytest.mark.parametrize("changes", [{"activation": "tahn"}, {"base_schedule": "cosin"}])
def test_near_names_are_suggested(changes: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        make_policy("clipped", **changes)


def test_a_wrong_number_of_fields_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=rf"D={NUM_FIELDS}\]; got \(1, 3\)"):
        make_policy().act(np.zeros((1, 3)))


def test_policies_need_neither_torch_nor_gymnasium_nor_stable_baselines3() -> None:
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'gymnasium', 'stable_baselines3']))\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'gymnasium' else find(name, *a)\n"
        "import hpo_env.policy_file"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
