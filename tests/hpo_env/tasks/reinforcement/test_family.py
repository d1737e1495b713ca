"""Reinforcement as a family: what is hidden stays hidden, sides hold types, bad input is named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.starts import Problem
from hpo_env.tasks.reinforcement import returns
from hpo_env.tasks.reinforcement.columns import COLUMNS
from hpo_env.tasks.reinforcement.environments.exact import solved
from hpo_env.tasks.reinforcement.environments.registry import TYPES, types_of
from hpo_env.tasks.reinforcement.facts import CONTINUOUS, DISCRETE
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.features import FEATURES
from hpo_env.tasks.reinforcement.measures import MEASURES, OF_UPDATES
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.native.kernel import Kernel
from hpo_env.tasks.reinforcement.space import HYPERPARAMETERS, IN_SB3, LACKS, NAMES
from hpo_env.tasks.reinforcement.starts import LEARNED_START
from hpo_env.vector_env import HPOControlVectorEnv


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, (DISCRETE, CONTINUOUS, "a2c")),
        ({"algorithm": "ppo"}, (DISCRETE, CONTINUOUS)),
        ({"algorithm": "a2c"}, ("a2c",)),
        ({"algorithm": "ppo", "environment": "pendulum"}, (CONTINUOUS,)),
        ({"environment": "cliff"}, (DISCRETE, "a2c")),
    ],
)
def test_kinds_follow_from_the_options(options: dict[str, Any], kinds: tuple[str, ...]) -> None:
    family = ReinforcementFamily(**options)
    assert family.kinds == kinds
    rng = np.random.default_rng(0)
    assert {family.problem(family.sample(rng)).kind for _ in range(100)} == set(kinds)


def test_wide_tasks_are_the_others_with_longer_episodes_runs_and_other_rewards() -> None:
    narrow, wide = ReinforcementFamily(), ReinforcementFamily(is_wide=True)
    scale = NAMES.index("reward_scale")
    pairs = []
    for seed in range(400):
        one, other = (f.sample(np.random.default_rng(seed)) for f in (narrow, wide))
        assert other.rules.max_steps * other.stretch <= max(1000, other.rules.max_steps)
        assert other.num_decisions in (one.num_decisions, 100)
        assert 0.1 <= other.initial[scale] <= 30.0 or other.initial[scale] == one.initial[scale]
        initial = tuple(one.initial[k] if k == scale else v for k, v in enumerate(other.initial))
        count = one.num_decisions
        assert replace(other, stretch=1, num_decisions=count, initial=initial) == one
        pairs.append((other.stretch > 1, other.initial[scale] != 1.0, other.num_decisions == 100))
    shares = np.mean(pairs, axis=0)
    assert np.all(np.abs(shares - (0.45, 0.5, 0.2)) < 0.1), shares
    assert wide.sample(np.random.default_rng(1)) == wide.sample(np.random.default_rng(1))
    short = ReinforcementFamily(is_wide=True, num_decisions=7)
    assert {short.sample(np.random.default_rng(k)).num_decisions for k in range(30)} == {7}


@pytest.mark.parametrize("name", ["catch", "crossing", "pendulum"])
def test_stretched_episodes_are_longer_and_pay_as_much(name: str) -> None:
    """Of actions that are drawn by the same odds one is as good as the other."""
    kernel, found = Kernel(), {}
    for stretch in (1, 4):
        family = ReinforcementFamily(
            split="validation" if name == "crossing" else "train",
            environment=name,
            physics="usual",
            algorithm="ppo",
            normalises=False,
            shape=(32, 1600, 1),
            stretch=stretch,
        )
        task = family.sample(np.random.default_rng(0))
        measured = kernel.begin([Learner(task, 5)], np.array([task.initial]))[0]
        found[stretch] = dict(zip(COLUMNS, measured, strict=True))
    plain, stretched = found[1], found[4]
    assert stretched["episode_length"] == pytest.approx(4.0 * plain["episode_length"], rel=0.1)
    errors = [f["episode_return_spread"] / np.sqrt(f["num_episodes"]) for f in found.values()]
    ahead = abs(plain["episode_return"] - stretched["episode_return"])
    assert ahead < 4.0 * float(np.hypot(*errors))
    assert stretched["reward_mean"] == pytest.approx(plain["reward_mean"] / 4.0, rel=0.2, abs=0.01)


EACH = [(kind, physics) for kind in TYPES for physics in kind.physics]


def test_every_environment_is_in_the_table_and_can_be_learned_in() -> None:
    assert set(returns.table()) == {(kind.name, physics) for kind, physics in EACH}
    for kind, physics in EACH:
        known = returns.table()[kind.name, physics]
        assert known.best > known.random, f"{kind.name} {physics}: {known}"


SOLVED = [(kind, physics) for kind, physics in EACH if solved(kind, physics)]


def test_the_table_holds_the_solutions_of_what_can_be_solved() -> None:
    assert len({kind.name for kind, _ in SOLVED}) == 7
    for kind, physics in SOLVED:
        known = returns.table()[kind.name, physics]
        assert (known.best, known.random) == pytest.approx(solved(kind, physics), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "physics", "best"),
    [
        ("deep_sea", "size 5", 0.99),  # the treasure less the steps
        ("cliff", "usual", -13.0),  # Gymnasium's own threshold
        ("catch", "usual", 1.0),
        ("frozen_lake", "firm", 1.0),
    ],
)
def test_known_answers_of_the_solutions(name: str, physics: str, best: float) -> None:
    kind = next(kind for kind in TYPES if kind.name == name)
    found = solved(kind, physics)
    assert found is not None
    assert found[0] == pytest.approx(best)
    assert found[1] < found[0]


def test_a_random_policy_gets_what_the_solution_says() -> None:
    """The model that is solved is the environment that is played."""
    from hpo_env.tasks.reinforcement.environments.base import Random

    for kind, physics in SOLVED[:: len(SOLVED) // 8]:
        rng, totals = np.random.default_rng(4), []
        env = kind.rules(kind.physics[physics], Random(7))
        for _ in range(60):
            env.reset()
            total = 0.0
            for _ in range(env.max_steps):
                reward, is_end = env.step(np.array([rng.integers(env.num_outputs)]))
                total += reward
                if is_end:
                    break
            totals.append(total)
        error = np.std(totals, ddof=1) / np.sqrt(len(totals))
        found = solved(kind, physics)
        assert found is not None
        assert abs(np.mean(totals) - found[1]) < 4.0 * error + 0.05, kind.name


def test_regret_ends_at_its_floor_and_is_bounded_above() -> None:
    known = returns.table()["cart_pole", "usual"]
    ask = [known.best, known.random, known.best + 99.0, -1e9]
    told = [returns.regret("cart_pole", "usual", value) for value in ask]
    assert told == pytest.approx([0.05, 1.05, 0.05, 1.25])


def test_the_best_return_changes_the_reward_and_no_observation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A user's run has no table, so nothing that is seen may come from one."""

    def course() -> Any:
        env = HPOControlVectorEnv(2, family="reinforcement", shape=(2, 64, 1), num_decisions=4)
        observations, rewards = [env.reset(seed=3)[0]], []
        for _ in range(3):
            seen, reward, *_ = env.step(np.full((2, 6), 0.5, dtype=np.float32))
            observations.append(seen)
            rewards.append(reward)
        return np.array(observations), np.array(rewards)

    observations, rewards = course()
    real = returns.table()
    other = {key: returns.Known(k.best + 10.0, k.random - 5.0) for key, k in real.items()}
    monkeypatch.setattr(returns, "table", lambda: other)
    again, otherwise = course()
    assert np.array_equal(observations, again)
    assert not np.allclose(rewards, otherwise)


def test_every_type_is_drawn_and_none_of_another_side() -> None:
    for split in ("train", "validation", "test"):
        family = ReinforcementFamily(split=split)
        names = {family.sample(np.random.default_rng(k)).name for k in range(400)}
        assert names == {kind.name for kind in types_of(split)}


def test_a2c_has_no_clip_range_and_what_it_lacks_is_masked() -> None:
    env = HPOControlVectorEnv(2, family="reinforcement", shape=(2, 16, 1), algorithm="a2c")
    env.reset(seed=0)
    assert {task.labels["algorithm"] for task in env.tasks} == {"a2c"}
    masks = dict(zip(env.controlled.names, env.steering.available[0].tolist(), strict=True))
    assert {name for name, can_be in masks.items() if not can_be} == {"clip_range", "epochs"}
    drawn = [ReinforcementFamily().sample(np.random.default_rng(k)).algorithm for k in range(80)]
    assert 5 < drawn.count("a2c") < 20


def test_a_default_start_is_that_of_stable_baselines() -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    kinds: dict[Any, Any] = {"ppo": sb3.PPO, "a2c": sb3.A2C, "dqn": sb3.DQN}
    for algorithm, kind in kinds.items():
        family = ReinforcementFamily(algorithm=algorithm, start="default")
        task = family.sample(np.random.default_rng(0))
        model = kind("MlpPolicy", "CartPole-v1", device="cpu")
        for name, value in zip(NAMES, task.initial, strict=True):
            if name in ("reward_scale", *LACKS[algorithm]):
                continue
            theirs = getattr(model, IN_SB3[name])
            theirs = theirs(1.0) if callable(theirs) else theirs
            known = HYPERPARAMETERS[NAMES.index(name)]
            assert value == pytest.approx(np.clip(theirs, known.low, known.high)), name


def test_starts_are_of_the_kind_that_is_asked_for() -> None:
    drawn = {}
    for start in ("default", "tuned", "random", "mixed"):
        family = ReinforcementFamily(start=start, algorithm="ppo", environment="cart_pole")
        tasks = [family.sample(np.random.default_rng(k)) for k in range(40)]
        drawn[start] = np.array([task.initial for task in tasks])
    assert {len(np.unique(drawn[start], axis=0)) for start in ("default", "tuned")} == {1}
    tuned = dict(zip(NAMES, drawn["tuned"][0], strict=True))
    learned = LEARNED_START.values_for(Problem(kind=DISCRETE))
    assert {name: tuned[name] for name in learned} == learned
    rates = drawn["random"][:, 0]
    assert rates.min() < 1e-4 < 1e-2 < rates.max()
    kinds = [
        (drawn["mixed"] == drawn[start][0]).all(axis=1).sum() for start in ("default", "tuned")
    ]
    assert min(kinds) >= 1
    assert sum(kinds) < 40


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"algorithm": "ppo", "environment": "cart_pole"}, DISCRETE),
        ({"algorithm": "ppo", "environment": "pendulum"}, CONTINUOUS),
        ({"algorithm": "a2c", "environment": "cart_pole"}, "a2c"),
        ({"algorithm": "a2c", "environment": "pendulum"}, "a2c"),
    ],
)
def test_a_tuned_start_is_the_learned_one_of_its_kind(options: dict[str, Any], kind: str) -> None:
    family = ReinforcementFamily(start="tuned", **options)
    task = family.sample(np.random.default_rng(0))
    assert family.problem(task) == Problem(kind=kind)
    assert family.at_learned_start(task) == task
    first = dict(zip(NAMES, task.initial, strict=True))
    assert first["learning_rate"] == LEARNED_START.values_for(Problem(kind=kind))["learning_rate"]


def test_what_is_measured_and_what_is_seen_have_names_of_their_own() -> None:
    assert len(FEATURES) > 30
    assert all(doc.strip() for doc in (*FEATURES.values(), *MEASURES.values()))
    assert "num_episodes" not in OF_UPDATES
    assert "value_loss" in OF_UPDATES


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"environment": "cartpole"}, UnknownNameError, "cart_pole"),
        ({"environment": "acrobot"}, ConfigurationError, "test side"),
        ({"physics": "usual"}, ConfigurationError, "environment must be given"),
        ({"environment": "cart_pole", "physics": "heavy"}, UnknownNameError, "heavy pole"),
        ({"algorithm": "sac"}, UnknownNameError, "sac"),
        ({"hidden": 48}, ConfigurationError, "32 or 64"),
        ({"shape": (8, 128)}, ConfigurationError, "three"),
        ({"shape": (64, 128, 1)}, ConfigurationError, "32 environments"),
        ({"start": "best"}, UnknownNameError, "best"),
    ],
)
def test_bad_options_are_named(options: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        ReinforcementFamily(**options)
