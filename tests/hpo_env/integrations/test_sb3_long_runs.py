"""In a long run of an agent, what a policy moves in short ones alone stays as the agent has it."""

from __future__ import annotations

from typing import Any

import pytest

sb3 = pytest.importorskip("stable_baselines3")

from hpo_env.errors import ConfigurationError  # noqa: E402
from hpo_env.integrations.sb3 import HPOControlCallback  # noqa: E402

ROLLOUT = 16
IN_SHORT_RUNS = ("gae_lambda", "epochs")
IN_LONG_RUNS = ["learning_rate", "discount", "entropy", "clip_range"]


class Notes(sb3.common.callbacks.BaseCallback):  # type: ignore[name-defined]
    """Keeps λ, of agent and buffer, and epochs as they are in each rollout."""

    def _on_training_start(self) -> None:
        self.seen: set[tuple[float, float, int]] = set()

    def _on_step(self) -> bool:
        agent = self.model
        self.seen.add((agent.gae_lambda, agent.rollout_buffer.gae_lambda, agent.n_epochs))
        return True


def trained(num_decisions: int, **options: Any) -> tuple[HPOControlCallback, Notes, Any]:
    agent = sb3.PPO(
        "MlpPolicy", "CartPole-v1", n_steps=ROLLOUT, batch_size=16, n_epochs=2, seed=0, device="cpu"
    )
    callback = HPOControlCallback("reinforcement", num_decisions=num_decisions, **options)
    notes = Notes()
    agent.learn(num_decisions * ROLLOUT, callback=[callback, notes])
    return callback, notes, agent


def test_a_long_run_leaves_them_to_the_agent_and_says_so() -> None:
    callback, notes, agent = trained(51)
    assert notes.seen == {(0.95, 0.95, 2)}
    assert all(list(decision.values) == IN_LONG_RUNS for decision in callback.run.decisions)
    told = str(callback.run.explain())
    for name in IN_SHORT_RUNS:
        assert f"leaves {name} alone, which it moves in runs of at most 50 decisions" in told
    assert "cannot write" not in told
    assert (agent.gae_lambda, agent.n_epochs) == (0.95, 2)


def test_it_is_the_run_in_which_somebody_names_the_others() -> None:
    ours, theirs = (
        trained(51, **options)[0].run.decisions
        for options in ({}, {"hyperparameters": IN_LONG_RUNS})
    )
    assert len(ours) == 51
    assert repr(ours) == repr(theirs)


def test_a_shorter_run_moves_all() -> None:
    callback, notes, _ = trained(50)
    assert len(notes.seen) > 1
    assert set(IN_SHORT_RUNS) <= set(callback.run.decisions[0].values)


def test_what_it_leaves_alone_does_not_begin_at_the_learned_start_either() -> None:
    callback, notes, _ = trained(51, start="learned")
    assert notes.seen == {(0.95, 0.95, 2)}
    assert callback.run is not None
    assert callback.run.host.initial["learning_rate"] == pytest.approx(1.74e-3)
    told = callback.run.host._in_force  # what observations are made of
    assert (told["gae_lambda"], told["epochs"]) == (0.95, 2)
    with pytest.raises(ConfigurationError, match=r"moved in a run of this length.*got 'epochs'"):
        trained(51, start={"epochs": 5.0})
