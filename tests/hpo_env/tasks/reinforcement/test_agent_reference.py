"""Agents of Stable-Baselines3 as the family's reference, and as its twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.controller import Controller
from hpo_env.seeding import stream
from hpo_env.tasks.base import Engine, Trainer
from hpo_env.tasks.registry import make_family
from hpo_env.tasks.reinforcement.task import ReinforcementTask
from hpo_env.telemetry import MEASUREMENTS
from hpo_env.testing import ParityContract

pytest.importorskip("stable_baselines3")

SMALL: Mapping[str, Any] = {
    "environment": "cart_pole",
    "algorithm": "ppo",
    "shape": (2, 16, 2),
    "num_decisions": 3,
}
LANES = np.array([0, 1])

KINDS: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "A2C": ({**SMALL, "algorithm": "a2c"}, ("learning_rate", "discount", "gae_lambda", "entropy")),
    "continuous, normalised, scaled": (
        {**SMALL, "environment": "cart_pole_swing_up", "normalises": True},
        ("discount", "epochs", "batch_size", "value_coefficient", "max_grad_norm", "reward_scale"),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_agents_are_steered_alike_too(kind: str) -> None:
    options, controlled = KINDS[kind]
    contract = ParityContract()
    contract.family, contract.engine = "reinforcement", "reference"
    contract.options, contract.controlled = options, controlled
    run = contract.check_parity(contract.random_policy("squashed"), 3)
    assert len({str(decision.values) for decision in run.decisions}) == 3


def test_a_stretched_environment_moves_and_pays_at_every_so_many_steps() -> None:
    from hpo_env.integrations.sb3_agents.gymnasium_twins import TwinEnv

    plain, stretched = TwinEnv("cart_pole"), TwinEnv("cart_pole", stretch=3)
    assert stretched.max_steps == 3 * plain.max_steps
    seen, again = plain.reset(seed=4)[0], stretched.reset(seed=4)[0]
    is_end = False
    while not is_end:
        for _ in range(2):
            still, *told = stretched.step(1)
            np.testing.assert_array_equal(still, again)
            assert told == [0.0, False, False, {}]
        again, *theirs = stretched.step(1)
        seen, *ours = plain.step(1)
        np.testing.assert_array_equal(seen, again)
        assert ours == theirs
        is_end = bool(ours[1])


def test_a_learned_start_is_a_run_that_was_made_there() -> None:
    from hpo_env.integrations.sb3 import HPOControlCallback
    from hpo_env.integrations.sb3_agents.reference import make_agent, train

    family = make_family("reinforcement", **{**SMALL, "start": "default"})
    task = family.sample(stream(0, "task"))
    learned = family.at_learned_start(task)
    assert isinstance(task, ReinforcementTask)
    assert isinstance(learned, ReinforcementTask)
    assert learned.initial != task.initial
    contract = ParityContract()
    contract.family = "reinforcement"
    policy = contract.random_policy("squashed")
    assert family.learned_start is not None
    start = family.learned_start.subset(policy.space.names)
    policy = replace(policy, learned_start=start)
    there = train(family, learned, 5, Controller(policy))
    callback = HPOControlCallback(
        Controller(policy), is_guarded=False, num_decisions=3, start="learned"
    )
    make_agent(task, 5).learn(task.total_steps, callback=callback)
    assert callback.run is not None
    ours, theirs = ([d.to_json() for d in run.decisions] for run in (callback.run, there))
    np.testing.assert_equal(ours, theirs)


def started(seed: int = 1, **options: Any) -> tuple[Trainer, np.ndarray]:
    """Make a trainer of two lanes that has begun, and their values."""
    family = make_family("reinforcement", **{**SMALL, "start": "default", **options})
    tasks = [family.sample(stream(k, "task")) for k in range(2)]
    trainer = family.make_trainer(2, engine="reference", device="cpu")
    trainer.reset(LANES, tasks, [seed, seed + 1])
    return trainer, np.array([task.initial for task in tasks])


def advanced(trainer: Trainer, values: np.ndarray) -> dict[str, Any]:
    telemetry, used = trainer.advance(values)
    measured = {name: getattr(telemetry, name).tolist() for name in MEASUREMENTS}
    return measured | {"used": used.tolist(), "features": trainer.features(LANES).tolist()}


def test_a_snapshot_goes_on_bit_for_bit() -> None:
    trainer, values = started(normalises=True)
    advanced(trainer, values)
    snapshot = trainer.snapshot(LANES)
    expected = [advanced(trainer, values) for _ in range(2)]
    for _ in range(2):  # and can be gone back to twice
        trainer.restore(LANES, snapshot)
        np.testing.assert_equal([advanced(trainer, values) for _ in range(2)], expected)


def test_lanes_do_not_depend_on_each_other_nor_on_the_process() -> None:
    trainer, values = started()
    both = advanced(trainer, values)
    np.random.seed(5)
    alone, _ = started()
    changed = values.copy()
    changed[1, 0] *= 3.0
    other = advanced(alone, changed)
    assert both["features"][0] == other["features"][0]
    assert both["features"][1] != other["features"][1]


def test_the_kernel_measures_what_the_reference_does() -> None:
    """Runs of both differ, as their random numbers do; what they measure is alike on average."""
    options = {
        "environment": "cart_pole",
        "algorithm": "ppo",
        "shape": (4, 32, 2),
        "normalises": False,
    }
    family = make_family("reinforcement", **options, start="default", num_decisions=2)
    found = {}
    counts: dict[Engine, int] = {"reference": 4, "native": 32}
    for engine, count in counts.items():
        tasks, lanes = [family.sample(stream(0, "task"))] * count, np.arange(count)
        trainer = family.make_trainer(count, engine=engine, device="cpu")
        trainer.reset(lanes, tasks, list(range(count)))
        telemetry, _ = trainer.advance(np.array([task.initial for task in tasks]))
        means = dict(zip(family.features, trainer.features(lanes).mean(axis=0), strict=True))
        for name in ("gradient_norm_first", "gradient_norm_last", "update_ratio"):
            means[name] = float(np.log(getattr(telemetry, name)).mean())
        found[engine] = means | {"update_agreement": float(telemetry.update_agreement.mean())}
    native = found["native"]
    far = {n: (v, native[n]) for n, v in found["reference"].items() if abs(v - native[n]) > 0.4}
    assert not far, f"the kernel measures otherwise: {far}"
