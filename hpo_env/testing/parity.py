"""The contract of a family's hosts: a policy sees and does there what it saw and did in training.

    class TestParityOfGames(ParityContract):
        family = "my_package.games:GameFamily"
        options = {"num_levels": 2}

The same task is trained twice from the same episode seed, once in the environment and once by the
family's twin (`TaskFamily.twin`) with a controller attached.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from hpo_env.addresses import load_address
from hpo_env.control.run import ControllerWarning, Run
from hpo_env.controller import Controller
from hpo_env.observation import field_names
from hpo_env.policy import Head, Policy, num_outputs
from hpo_env.seeding import draw_episode_seed, lane_seeds, stream
from hpo_env.tasks.base import Engine, Task, TaskFamily
from hpo_env.tasks.registry import make_family
from hpo_env.vector_env import HPOControlVectorEnv

_HIDDEN = 16
_SEED = 3


class ParityContract:
    """What a subclass says, and the rules.

    Attributes:
        family: A name of the registry, or `module:Class`.
        options: Options of the family under which its tasks are small.
        engine: How the trainer computes: where there are several ways, the most exact.
        controlled: What the policies move; empty: the family's own choice.
        tolerance: How far values may be apart, relative; observations by a thousand times that, as
            they are differences of losses that are nearly equal.
    """

    family: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    engine: ClassVar[Engine] = "auto"
    controlled: ClassVar[tuple[str, ...]] = ()
    tolerance: ClassVar[float] = 1e-6

    @pytest.mark.parametrize("num_decisions", [1, 9])
    @pytest.mark.parametrize("head", ["squashed", "choices"])
    def test_a_policy_sees_and_does_in_a_host_what_it_did_in_training(
        self, head: Head, num_decisions: int
    ) -> None:
        """Whatever is decided in training is decided in the host."""
        policy = self.random_policy(head)
        run = self.check_parity(policy, num_decisions)
        if num_decisions > 1:  # a policy that does nothing would prove nothing
            assert len({str(decision.moves) for decision in run.decisions}) > 1

    def test_intervals_that_fail_are_treated_alike(self) -> None:
        """What is rolled back here is there too, and the guard moves alike."""
        self.check_parity(self.reckless_policy(), 12)

    def check_parity(self, policy: Policy, num_decisions: int) -> Run[Any]:
        """Train one task twice, compare what was seen and done, and return the host's run."""
        family = make_family(self.family, **{**self.options, "num_decisions": num_decisions})
        task = family.sample(stream(_SEED, "task"))
        env = self._environment(policy, task, num_decisions)
        run = _train_twin(family, task, policy)
        assert len(run.decisions) == num_decisions, "the twin must decide once an interval"
        observation, _ = env.reset(seed=_SEED)
        for decision in run.decisions:
            where = f"interval {decision.interval} ({decision.reason})"
            seen = np.array(list(decision.observation.values()))
            np.testing.assert_allclose(
                seen, observation[0], rtol=0, atol=1e3 * self.tolerance, err_msg=where
            )
            observation, *_, info = env.step(policy.act(observation))
            moved = dict(zip(policy.space.names, env.steering.moves[0].tolist(), strict=True))
            assert decision.moves == pytest.approx(moved, rel=0, abs=1e3 * self.tolerance), where
            used = {n: float(info["hyperparameters"][n][0]) for n in policy.space.names}
            assert decision.values == pytest.approx(used, rel=self.tolerance, abs=0), where
        env.close()
        return run

    def random_policy(self, head: Head) -> Policy:
        """Make a policy of random weights, whose moves depend on all that it sees."""
        return self._policy(head, scale=0.4, bias=None)

    def reckless_policy(self) -> Policy:
        """Make a policy that moves against the guard, or up where it does nothing."""
        retreat = self._space().retreat
        return self._policy("clipped", scale=0.0, bias=np.where(retreat != 0.0, -retreat, 1.0))

    def _space(self) -> Any:
        family = make_family(self.family, **self.options)
        return family.space.subset(self.controlled or family.default_controlled)

    def _policy(self, head: Head, *, scale: float, bias: Any) -> Policy:
        family, space = make_family(self.family, **self.options), self._space()
        features = tuple(family.features)
        sizes = (
            len(field_names(space.names)) + len(features),
            _HIDDEN,
            num_outputs(head, len(space)),
        )
        rng = stream(4, "policy")
        shapes = [(sizes[1], sizes[0]), (sizes[2], sizes[1])]
        last = np.zeros(sizes[2]) if bias is None else bias
        return Policy(
            family=self.family,
            space=space,
            base_schedule=family.base_schedule,
            head=head,
            activation="tanh",
            weights=tuple(rng.normal(0.0, scale, s).astype(np.float32) for s in shapes),
            biases=(np.zeros(_HIDDEN, np.float32), last.astype(np.float32)),
            loss_floor=family.loss_floor,
            features=features,
        )

    def _environment(self, policy: Policy, task: Task, num_decisions: int) -> HPOControlVectorEnv:
        return HPOControlVectorEnv(
            1,
            family=self.family,
            engine=self.engine,
            hyperparameters=policy.space.names,
            base_schedule=policy.base_schedule,
            autoreset_mode="Disabled",
            tasks=[task],
            **{**self.options, "num_decisions": num_decisions},
        )


def _train_twin(family: TaskFamily, task: Task, policy: Policy) -> Run[Any]:
    """Train the task that the only lane of an environment with `_SEED` trains."""
    address = family.twin or "hpo_env.testing.trainer_host:train"
    seed = draw_episode_seed(np.random.default_rng(lane_seeds(_SEED, 1)[0]))
    with warnings.catch_warnings():  # one for each interval that fails
        warnings.simplefilter("ignore", ControllerWarning)
        run: Run[Any] = load_address("twin", address)(family, task, seed, Controller(policy))
    return run
