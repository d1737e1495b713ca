"""Hyperparameters that cannot be moved in an episode, as users' loops lack some."""

from typing import Any

import numpy as np
import pytest

from hpo_env.errors import ConfigurationError
from hpo_env.vector_env import HPOControlVectorEnv

NAMES = ("learning_rate", "weight_decay", "dropout")


def lanes(num_envs: int = 12, **options: Any) -> HPOControlVectorEnv:
    return HPOControlVectorEnv(
        num_envs,
        dataset="diabetes",
        model="mlp_32x2_relu",
        hyperparameters=NAMES,
        num_decisions=3,
        engine="eager",
        autoreset_mode="Disabled",
        **options,
    )


def seen(env: HPOControlVectorEnv, observations: np.ndarray, field: str) -> np.ndarray:
    names = list(env.observation_docs)
    return observations[:, [names.index(f"{name}/{field}") for name in NAMES]]


def test_what_cannot_be_moved_keeps_its_value_and_is_masked() -> None:
    env = lanes(availability=0.5)
    observations, info = env.reset(seed=0)
    available = seen(env, observations, "available") > 0.0
    assert available[:, 0].all()  # the learning rate can always be moved
    assert 0 < available[:, 1:].sum() < available[:, 1:].size
    before = np.stack([info["hyperparameters"][name] for name in NAMES], axis=1)
    for _ in range(2):
        observations, *_, info = env.step(np.full((12, 3), 0.2))
    after = np.stack([info["hyperparameters"][name] for name in NAMES], axis=1)
    np.testing.assert_array_equal(after[~available], before[~available])
    assert (after[available] != before[available]).all()
    np.testing.assert_array_equal(seen(env, observations, "available") > 0.0, available)
    for field in ("position", "correction", "action"):
        assert (seen(env, observations, field)[~available] == 0.0).all()


def test_an_episode_that_follows_draws_again() -> None:
    env = lanes(availability=0.5)
    first, _ = env.reset(seed=0)
    second, _ = env.reset()
    assert not np.array_equal(seen(env, first, "available"), seen(env, second, "available"))


def test_where_all_can_be_moved_tasks_are_drawn_as_without_the_option() -> None:
    ours, theirs = lanes(availability=1.0), lanes()
    for env in (ours, theirs):
        env.reset(seed=0)
        env.reset()
    assert ours.tasks == theirs.tasks


def test_at_0_every_number_of_hyperparameters_is_equally_frequent() -> None:
    env = lanes(1000, availability=0.0)
    observations, _ = env.reset(seed=0)
    counts = (seen(env, observations, "available")[:, 1:] > 0.0).sum(axis=1)
    shares = np.bincount(counts, minlength=3) / 1000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.05)


@pytest.mark.parametrize("bad", [-0.1, 1.5, float("nan")])
def test_a_probability_out_of_range_is_refused(bad: float) -> None:
    with pytest.raises(ConfigurationError, match="availability must lie in"):
        lanes(availability=bad)
