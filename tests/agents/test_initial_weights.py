"""A meta-training that begins with what an earlier one has learned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents.meta_training
from agents import zoo
from agents.checkpoints import checkpoint_path, newest_checkpoint, read_checkpoint
from agents.config import TrainConfig
from agents.ensemble import combine
from agents.factory import make_env, make_learner
from agents.initial_weights import begin_with
from agents.learners.ars import AugmentedRandomSearch
from agents.learners.base import Learner
from agents.learners.registry import LEARNERS
from agents.learners.settings import ARSSettings
from agents.meta_training import meta_train
from agents.run_folder import RunFolder
from agents.validation import validate_policy
from hpo_env.errors import ConfigurationError, PolicyFileError, RunFolderError
from hpo_env.policy_file import load, save
from hpo_env.tasks.base import Recipe
from hpo_env.tasks.quadratic import QuadraticFamily

TinyConfig = Callable[..., TrainConfig]

SMALL = {"steps": 100, "segment_steps": 50}
ROLLOUT = {"n_steps": 6}


def small(agent: str, tiny: TinyConfig, **more: Any) -> TrainConfig:
    own: dict[str, Any] = {"ppo": ROLLOUT, "a2c": ROLLOUT, "recurrent_ppo": ROLLOUT, "ars": {}}.get(
        agent, {"learning_starts": 20, "buffer_size": 500, "batch_size": 8, "gradient_steps": 1}
    )
    return tiny(agent=agent, **SMALL, **own, **more)


def killed(*_: Any, **__: Any) -> None:
    raise RuntimeError("the process is gone")


def moves(config: TrainConfig, state: Any) -> np.ndarray:
    env = make_env(config, split="train", num_envs=config.num_envs)
    learner = make_learner(config, env)
    learner.begin_with(state)
    observations = np.random.default_rng(0).uniform(-1, 1, (16, len(env.observation_docs)))
    found, _ = learner.moves(observations.astype(np.float32), None, np.ones(16, dtype=bool))
    assert learner.num_steps == 0
    env.close()
    return found


@pytest.mark.parametrize("agent", LEARNERS)
def test_every_agent_begins_with_the_weights_of_another_run_and_counts_anew(
    agent: str, tiny: TinyConfig
) -> None:
    config = small(agent, tiny).resolved()
    folder = meta_train(config)
    _, state = read_checkpoint(newest_checkpoint(folder / "checkpoints")[0])
    env = make_env(config, split="train", num_envs=config.num_envs)
    learner = make_learner(config, env)
    learner.load(state)
    observations = np.random.default_rng(0).uniform(-1, 1, (16, len(env.observation_docs)))
    expected, _ = learner.moves(observations.astype(np.float32), None, np.ones(16, dtype=bool))
    env.close()
    assert np.array_equal(moves(replace(config, seed=5), state), expected)


def test_the_best_checkpoint_is_taken_and_a_killed_run_goes_on_without_it(
    tiny: TinyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = meta_train(tiny(**ROLLOUT, **SMALL))
    best = newest_checkpoint(first / "checkpoints")[1].best_segment
    _, taken = read_checkpoint(checkpoint_path(first / "checkpoints", best))
    then = tiny(**ROLLOUT, **SMALL, initial=first, seed=3, num_decisions=9, run_dir=tmp_path / "a")

    whole = meta_train(then)
    assert RunFolder.open(whole).read_config().initial == first
    assert json.loads((whole / "config.json").read_text())["initial"] == first.as_posix()
    with monkeypatch.context() as patched:
        patched.setattr(agents.meta_training, "validate_policy", killed)
        with pytest.raises(RuntimeError, match="process is gone"):
            meta_train(replace(then, run_dir=tmp_path / "b"))
    (begun,) = (tmp_path / "b").iterdir()
    _, at_start = read_checkpoint(checkpoint_path(begun / "checkpoints", 0))
    networks = [name for name in taken if name.startswith("policy/")]
    assert networks
    assert all(np.array_equal(at_start[name], taken[name]) for name in networks)
    assert at_start["counters/num_timesteps"] == 0

    shutil.rmtree(first)
    meta_train(TrainConfig(resume=begun, progress="quiet"))
    ends = [read_checkpoint(newest_checkpoint(f / "checkpoints")[0])[1] for f in (whole, begun)]
    assert all(np.array_equal(value, ends[1][name]) for name, value in ends[0].items())
    assert any(not np.array_equal(ends[0][name], taken[name]) for name in networks)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another family": ({"family": "local_level"}, "family 'quadratic'"),
    "another agent": ({"agent": "a2c"}, "agent 'ppo'"),
    "other actions": ({"action_mode": "continuous"}, "action_mode 'discrete'"),
    "another schedule": ({"base_schedule": "constant"}, "base_schedule 'cosine'"),
    "wider networks": ({"net_arch": (32, 32)}, "other shapes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_observes_or_moves_otherwise_is_refused_before_there_is_a_folder(
    case: str, tiny: TinyConfig, tmp_path: Path
) -> None:
    changed, message = REFUSED[case]
    first = meta_train(tiny(**ROLLOUT, **SMALL))
    with pytest.raises(ConfigurationError, match=message):
        meta_train(tiny(**ROLLOUT | changed, initial=first, run_dir=tmp_path / "then"))
    assert not (tmp_path / "then").exists()


def test_a_folder_without_a_finished_segment_or_without_a_run_is_refused(
    tiny: TinyConfig, tmp_path: Path
) -> None:
    with pytest.raises(RunFolderError, match="no run folder"):
        meta_train(tiny(**ROLLOUT, initial=tmp_path / "nothing"))
    first = meta_train(tiny(**ROLLOUT, **SMALL))
    for path in (first / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(RunFolderError, match="no usable checkpoint"):
        meta_train(tiny(**ROLLOUT, initial=first))


class Silent(AugmentedRandomSearch):
    """Says nothing of weights that it could begin with."""

    name = "silent"
    begin_with = Learner.begin_with


def test_a_learner_that_says_nothing_of_it_cannot(tiny: TinyConfig, tmp_path: Path) -> None:
    first = meta_train(tiny(agent="ars", **SMALL))
    config = tiny(agent="ars", **SMALL).resolved()
    assert isinstance(config.settings, ARSSettings)
    env = make_env(config, split="train", num_envs=config.num_envs)
    learner = Silent(config.settings, env, seed=0, total_steps=100)
    with pytest.raises(ConfigurationError, match="'silent' cannot begin"):
        begin_with(first, learner, config)
    env.close()


def test_a_recipe_trains_first_what_it_begins_with_seed_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Recipe(name="first", help="", runs="first", seeds=(7,), members=1)
    then = Recipe(name="then", help="", runs="then", seeds=(0, 1), members=2, initial="first")
    monkeypatch.setattr(QuadraticFamily, "recipes", (first, then))
    trained = []

    def train(config: TrainConfig) -> Path:
        folder = config.run_dir / f"quadratic-ppo-seed{config.seed}-20260101T000000Z"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({"score": 0.5, "complete": True}))
        trained.append((config.run_dir.name, config.seed, config.initial))
        return folder

    family, recipe = zoo.find_recipe("then")
    for _ in range(2):  # the second time all is there
        zoo.train(family, recipe, tmp_path, train)
    begun = [tmp_path / "first" / f"quadratic-ppo-seed{s}-20260101T000000Z" for s in (0, 1)]
    assert trained == [
        ("first", 0, None),
        ("then", 0, begun[0]),
        ("first", 1, None),
        ("then", 1, begun[1]),
    ]


# --- Policies -------------------------------------------------------------------------------------


def begun(config: TrainConfig, path: Path | None) -> dict[str, np.ndarray]:
    """Return the weights of a learner that begins with what is there."""
    config = config.resolved()
    env = make_env(config, split="train", num_envs=config.num_envs)
    learner = make_learner(config, env)
    if path is not None:
        begin_with(path, learner, config)
    env.close()
    state = {name: np.asarray(value) for name, value in learner.state().items()}
    return {name: value for name, value in state.items() if name.startswith("policy/")}


class Nobody:
    """Looks on and notes nothing."""

    def record(self, *_: Any) -> None: ...

    def stepped(self, *_: Any) -> None: ...

    def rolled_out(self, *_: Any) -> None: ...


def is_of_actor(name: str) -> bool:
    return any(part in name for part in ("policy_net", "action_net", "lstm_actor", "log_std"))


@pytest.mark.parametrize("agent", ["ppo", "a2c"])
def test_a_policy_gives_its_actor_and_leaves_the_critic_as_it_was_drawn(
    agent: str, tiny: TinyConfig
) -> None:
    policy = meta_train(small(agent, tiny)) / "policy"
    other = small(agent, tiny, seed=5)
    drawn = begun(other, None)
    taken = {w.tobytes() for w in (*load(policy).weights, *load(policy).biases)}
    for name, weight in begun(other, policy).items():
        assert (weight.tobytes() in taken) == is_of_actor(name)
        assert np.array_equal(weight, drawn[name]) == (not is_of_actor(name))


def test_of_a_policy_of_several_seeds_the_one_of_this_seed_is_taken(
    tiny: TinyConfig, tmp_path: Path
) -> None:
    members = [load(meta_train(tiny(**ROLLOUT, **SMALL, seed=s)) / "policy") for s in (2, 6)]
    told = {"members": [{"seed": 2}, {"seed": 6}]}
    both = save(replace(combine(members), metadata=told), tmp_path / "both")
    found = begun(tiny(**ROLLOUT, seed=6), both)
    taken = {w.tobytes() for w in members[1].weights}
    actor = [w for name, w in found.items() if is_of_actor(name) and w.ndim == 2]
    assert {w.tobytes() for w in actor} == taken
    with pytest.raises(ConfigurationError, match=r"seeds \[2, 6\], and seed=3 is none"):
        meta_train(tiny(**ROLLOUT, **SMALL, initial=both, seed=3))


NOT_OF_A_POLICY: dict[str, tuple[dict[str, Any], str]] = {
    "another family": ({"family": "local_level"}, "family 'quadratic'"),
    "another schedule": ({"base_schedule": "constant"}, "base_schedule 'cosine'"),
    "other actions": ({"action_mode": "continuous"}, "does not fit into"),
    "wider networks": ({"net_arch": (32, 32)}, "does not fit into"),
}


@pytest.mark.parametrize("case", NOT_OF_A_POLICY)
def test_a_policy_that_does_not_fit_is_refused_before_there_is_a_folder(
    case: str, tiny: TinyConfig, tmp_path: Path
) -> None:
    changed, message = NOT_OF_A_POLICY[case]
    policy = meta_train(tiny(**ROLLOUT, **SMALL)) / "policy"
    with pytest.raises(ConfigurationError, match=message):
        meta_train(tiny(**ROLLOUT | changed, initial=policy, run_dir=tmp_path / "then"))
    assert not (tmp_path / "then").exists()


@pytest.mark.parametrize("agent", ["ars", "sac", "recurrent_ppo"])
def test_an_agent_whose_actor_is_no_plain_perceptron_says_that_it_needs_the_run(
    agent: str, tiny: TinyConfig, tmp_path: Path
) -> None:
    policy = meta_train(small(agent, tiny)) / "policy"
    with pytest.raises(ConfigurationError, match="cannot begin with a policy; begin with the run"):
        meta_train(small(agent, tiny, initial=policy, run_dir=tmp_path / "then"))


def test_a_damaged_policy_is_refused(tiny: TinyConfig) -> None:
    policy = meta_train(tiny(**ROLLOUT, **SMALL)) / "policy"
    (policy / "policy.safetensors").write_bytes(b"")
    with pytest.raises(PolicyFileError):
        meta_train(tiny(**ROLLOUT, initial=policy))


@pytest.mark.parametrize("agent", ["ppo", "recurrent_ppo"])
@pytest.mark.parametrize("action_mode", ["discrete", "continuous"])
def test_a_critic_that_learns_alone_leaves_the_actor_as_it_was_and_then_both_learn(
    agent: str, action_mode: str, tiny: TinyConfig
) -> None:
    asked = {**ROLLOUT, "steps": 200, "segment_steps": 48, "critic_steps": 96}
    config = tiny(agent=agent, action_mode=action_mode, **asked).resolved()
    env = make_env(config, split="train", num_envs=config.num_envs)
    learner = make_learner(config, env)
    states = [learner.state()]
    for segment, until in enumerate((48, 96, 144), start=1):
        learner.seed(segment)
        learner.learn(until, Nobody())
        states.append(learner.state())
    env.close()
    for name in (n for n in states[0] if n.startswith("policy/")):
        before, alone, longer, after = (state[name] for state in states)
        assert np.array_equal(before, alone) == np.array_equal(alone, longer) == is_of_actor(name)
        assert not np.array_equal(longer, after)
    rates = [state["policy.optimizer/group0/lr"] for state in states[1:]]
    assert rates[0] > rates[1] > 3.0 * rates[2] > 0.0


def test_the_last_checkpoint_is_exported_where_that_is_asked_for(
    tiny: TinyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([3.0, 2.0, 1.0] * 2)

    def falling(*given: Any) -> Any:
        return replace(validate_policy(*given), score=next(scores))

    monkeypatch.setattr(agents.meta_training, "validate_policy", falling)
    asked = {**ROLLOUT, "steps": 144, "segment_steps": 48}
    for exported, segment, score in (("best", 1, 3.0), ("last", 3, 1.0)):
        folder = meta_train(tiny(**asked, exported=exported, run_dir=tmp_path / exported))
        result = json.loads((folder / "result.json").read_text())
        assert (result["best_segment"], result["score"]) == (segment, score)
        _, state = read_checkpoint(checkpoint_path(folder / "checkpoints", segment))
        (last,) = [w for n, w in state.items() if n.endswith("action_net.weight")]
        assert np.array_equal(load(folder / "policy").weights[-1], last)
        first = begun(tiny(**asked), folder)  # and whoever goes on from it begins there
        assert all(np.array_equal(weights, state[name]) for name, weights in first.items())


def test_a_recipe_begins_with_a_policy_and_ships_what_lies_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: TinyConfig
) -> None:
    small_run = {**ROLLOUT, **SMALL, "num_envs": 8, "num_decisions": 6, "validation_lanes": 4}
    first = Recipe(name="first", help="", runs="first", settings=small_run)
    then = Recipe(
        name="then",
        help="",
        runs="then",
        settings={**small_run, "critic_steps": 48},
        initial="first",
        begins_with="policy",
        learned_share=0.25,
        seeds=(4,),
        members=1,
    )
    monkeypatch.setattr(QuadraticFamily, "recipes", (first, then))
    family, recipe = zoo.find_recipe("then")
    members = zoo.train(
        family, recipe, tmp_path, lambda c: meta_train(replace(c, progress="quiet"))
    )
    shipped = load(zoo.ship(family, recipe, [m / "policy" for m in members], tmp_path / "out"))
    (begun,) = (tmp_path / "first").glob("*-seed4-*/policy")
    (ended,) = (tmp_path / "then").glob("*-seed4-*/policy")
    parts = zip(load(begun).weights, load(ended).weights, shipped.weights, strict=True)
    for one, other, found in parts:
        np.testing.assert_allclose(found, 0.75 * one + 0.25 * other, rtol=1e-5, atol=1e-7)
    assert shipped.metadata["config"]["initial"] == "first"
    assert shipped.metadata["learned_share"] == 0.25
