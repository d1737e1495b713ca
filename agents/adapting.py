"""Adapting a policy to one user's own task: where its runs begin, and how it leans.

The task is trained over and over in the environment, and a cross-entropy search (Rubinstein, "The
Cross-Entropy Method for Combinatorial and Continuous Optimization", 1999) moves two numbers of each
hyperparameter: the value that runs begin with, which becomes the policy's learned start, and a
shift of the output layer's biases, by which the policy turns it up or down more than it would. Few
numbers, because a few hundred runs tell few things apart.

After every generation the middle of what is searched is judged on tasks of its own, and the best
so judged is kept: nothing, where nothing is better than the policy as it was.

Axes: `K` candidates, `N` tasks, `H` hyperparameters of the policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import whole_number
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import LEVELS
from hpo_env.policy import Policy
from hpo_env.seeding import stream
from hpo_env.starts import LearnedStart, StartCase, chosen_start
from hpo_env.tasks.base import Task, TaskFamily
from hpo_env.tasks.registry import make_family
from hpo_env.vector_env import HPOControlVectorEnv

from .opponents.base import Instance
from .opponents.in_environment import Act, InEnvironment
from .opponents.lanes import Workload

Array = NDArray[np.float64]

_NUM_CANDIDATES = 16
_NUM_TASKS = 8
_NUM_ELITE = 5
_NUM_VALIDATION_TASKS = 32
_START_SPREAD = 0.15
"""Standard deviation of a first starting value, as a share of its range on its own axis."""
_SHIFT_SPREAD = 0.4
"""Standard deviation of a first shift of the biases, in logits (or in moves, without choices)."""
_SMOOTHING = 0.7
"""Weight of the new generation in mean and spread."""


@dataclass(frozen=True, kw_only=True)
class OwnTask:
    """A user's own task: a family with options, in three parts that share nothing they must not.

    Args:
        family: Name of the family.
        options: Its options, such as `dataset` and `model`.
        seed: From which all draws follow.
    """

    family: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def part(self, name: str) -> TaskFamily:
        """Return the family of a part: "adapting", "validation" or "held_out"."""
        usual = {"adapting": "train", "validation": "validation", "held_out": "test"}[name]
        family = make_family(self.family, **{"split": usual, **self.options, **self._rows(name)})
        return family

    def _rows(self, name: str) -> Mapping[str, Any]:
        known = type(make_family(self.family))
        return known.held_out_options if name == "held_out" else known.adapting_options

    def draw(self, name: str, count: int, *, generation: int = 0) -> list[Instance]:
        """Draw runs of a part; equal arguments, equal runs."""
        family, rng = self.part(name), stream(self.seed, "own task", name, generation)
        seeds = rng.integers(2**31 - 1, size=count)
        return [Instance(task=family.sample(rng), seed=int(seed)) for seed in seeds]

    def workload(self) -> Workload:
        """Return where it trains."""
        known = type(make_family(self.family))
        options = {n: v for n, v in self.options.items() if n in known.trainer_options}
        return Workload(family=self.family, options=options)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """A policy beside the one that it was adapted from, on the same runs.

    Args:
        before: Log losses of the policy as it was `[N]`.
        after: The adapted policy's `[N]`.
    """

    before: Array
    after: Array

    @property
    def difference(self) -> float:
        """The mean fall or rise of the log loss; negative is better."""
        return float((self.after - self.before).mean())

    @property
    def standard_error(self) -> float:
        """Of the difference."""
        return float((self.after - self.before).std(ddof=1) / math.sqrt(len(self.after)))

    @property
    def probability(self) -> float:
        """How often the adapted one is better; a tie counts half."""
        gaps = self.after - self.before
        return float((gaps < 0.0).mean() + 0.5 * (gaps == 0.0).mean())

    @property
    def is_better(self) -> bool:
        """Whether the fall is larger than its standard error: more than luck, if not by much."""
        return self.difference < -self.standard_error


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an adaptation has come.

    Args:
        steps: Environment steps done, those of validation not among them.
        gained: Fall of the validation log loss that this generation has reached.
        is_best: Whether it is kept.
    """

    steps: int
    gained: float
    is_best: bool


class Adaptation:
    """The adaptation of a policy to a task, a generation at a time.

    Args:
        policy: The start.
        task: What to adapt to.
        steps: Environment steps; each is one decision interval of one run.

    Raises:
        ConfigurationError: There are fewer steps than one generation takes.
        DatasetError: The data is too little.

    Attributes:
        policy: The best so far, the start at first.
        judged: How the best was judged on validation tasks; None while it is the start.
    """

    def __init__(self, policy: Policy, task: OwnTask, *, steps: int) -> None:
        self.start, self.policy, self.task = policy, policy, task
        self.judged: Judgement | None = None
        self._bench = task.workload()
        self._validation = task.draw("validation", _NUM_VALIDATION_TASKS)
        self._before = losses(self._bench, policy, self._validation)
        decisions = max(run.task.num_decisions for run in task.draw("adapting", _NUM_TASKS))
        self.steps_of_generation = _NUM_CANDIDATES * _NUM_TASKS * decisions
        if whole_number("steps", steps) < self.steps_of_generation:
            raise ConfigurationError(
                f"steps must be at least {self.steps_of_generation}, {_NUM_CANDIDATES} candidates "
                f"on {_NUM_TASKS} runs of {decisions} decisions; got {steps}"
            )
        self.num_generations = steps // self.steps_of_generation
        self._mean, self._spread = self._middle(), self._first_spread()

    def run(self, on_progress: Callable[[Progress], object] = lambda progress: None) -> None:
        """Search all generations; what is best so far stays when somebody interrupts."""
        for generation in range(self.num_generations):
            self._search(generation)
            adapted = self.policy_at(self._mean)
            after = losses(self._bench, adapted, self._validation)
            judged = Judgement(before=self._before, after=after)
            best = 0.0 if self.judged is None else self.judged.difference
            is_best = judged.is_better and judged.difference < best
            if is_best:
                self.policy, self.judged = adapted, judged
            steps = (generation + 1) * self.steps_of_generation
            on_progress(Progress(steps=steps, gained=-judged.difference, is_best=is_best))

    def policy_at(self, point: Array) -> Policy:
        """Return the start with other starting values and biases.

        Args:
            point: Distances of the starting values from the low ends, on their axes, and shifts of
                the biases, `[2H]`.
        """
        space, count = self.start.space, len(self.start.space)
        low = space.low[None]
        values = np.clip(space.values(low, point[None, :count]), space.low, space.high)[0]
        start = LearnedStart(
            cases=(StartCase(values=dict(zip(space.names, values.tolist(), strict=True))),)
        )
        return replace(shifted(self.start, point[count:]), learned_start=start)

    def _search(self, generation: int) -> None:
        """Draw candidates, train them on the same runs, and move towards the best."""
        rng = stream(self.task.seed, "candidates", generation)
        half = rng.standard_normal((_NUM_CANDIDATES // 2, len(self._mean)))
        points = self._mean + self._spread * np.concatenate([half, -half])
        runs = self.task.draw("adapting", _NUM_TASKS, generation=generation + 1)
        reached = losses_of_each(self._bench, [self.policy_at(p) for p in points], runs)
        elite = points[np.argsort(reached.mean(axis=1), kind="stable")[:_NUM_ELITE]]
        self._mean = self._mean + _SMOOTHING * (elite.mean(axis=0) - self._mean)
        self._spread = self._spread + _SMOOTHING * (elite.std(axis=0) - self._spread)

    def _middle(self) -> Array:
        """Begin at the learned start, or where runs of the task begin on average; unshifted."""
        space, family = self.start.space, self.task.part("validation")
        columns = [family.space.index(name) for name in space.names]
        begun = [begun_by(self.start, family, run.task) for run in self._validation]
        initial = np.array([task.initial for task in begun])[:, columns]
        initial = np.clip(initial, space.low, space.high)
        distances = space.to_axis(initial) - space.to_axis(space.low)
        return np.concatenate([distances.mean(axis=0), np.zeros(len(space))])

    def _first_spread(self) -> Array:
        space = self.start.space
        width = space.to_axis(space.high) - space.to_axis(space.low)
        shifts = np.full(len(space), 0.0 if self.start.head == "joint_choice" else _SHIFT_SPREAD)
        return np.concatenate([_START_SPREAD * width, shifts])


def shifted(policy: Policy, shifts: Array) -> Policy:
    """Return a policy that leans: its output biases are moved.

    Args:
        policy: Any; one with joint choices, whose outputs are values and no moves, stays.
        shifts: By hyperparameter `[H]`; positive turns it up.
    """
    last = policy.biases[-1].astype(np.float64)
    count = len(policy.space)
    if policy.head in ("choices", "likeliest"):
        moved = last.reshape(-1, count, len(LEVELS)) + shifts[:, None] * LEVELS
    elif policy.head == "joint_choice":
        return policy
    else:
        moved = last.reshape(-1, count) + shifts
    return replace(policy, biases=(*policy.biases[:-1], moved.ravel().astype(np.float32)))


def begun_by(policy: Policy, family: TaskFamily, task: Task) -> Task:
    """Return the task as a controller of this policy begins it."""
    values = chosen_start(policy.learned_start, None, family.problem(task))
    pairs = zip(family.space.names, task.initial, strict=True)
    return replace(task, initial=tuple(values.get(name, own) for name, own in pairs))


def losses(
    workload: Workload, policy: Policy, runs: Sequence[Instance], *, of_test: bool = False
) -> Array:
    """Train runs under a policy, from where it begins them.

    Args:
        workload: Where.
        policy: What decides.
        runs: N of them.
        of_test: Whether the test loss counts, and not the validation loss.

    Returns:
        Log losses `[N]`.
    """
    losses: Array = losses_of_each(workload, [policy], runs, of_test=of_test)[0]
    return losses


def losses_of_each(
    workload: Workload,
    policies: Sequence[Policy],
    runs: Sequence[Instance],
    *,
    of_test: bool = False,
) -> Array:
    """Train the same runs under several policies, side by side; log losses `[K, N]`."""
    family = workload.task_family
    decides: dict[int, Policy] = {}
    begun = []
    for policy in policies:
        for run in runs:
            begun.append(replace(run, task=begun_by(policy, family, run.task)))
            decides[id(begun[-1])] = policy
    opponent = _SideBySide(name="adapting", policy=policies[0], decides=decides)
    outcomes = opponent.run(workload, begun, {})
    floor = workload.loss_floor
    reached = [o.log_test_loss(floor) if of_test else o.log_last_loss(floor) for o in outcomes]
    return np.array(reached).reshape(len(policies), len(runs))


@dataclass(frozen=True, kw_only=True)
class _SideBySide(InEnvironment):
    """Several policies in one environment.

    Args:
        decides: Who decides for a run, by the identity of its instance.
    """

    decides: Mapping[int, Policy]

    def start(self, env: HPOControlVectorEnv, instances: Sequence[Instance]) -> Act:
        """Let every policy act in its own lanes."""
        who = [self.decides[id(instance)] for instance in instances]
        policies = {id(policy): policy for policy in who}
        lanes = {key: np.array([id(p) == key for p in who]) for key in policies}
        actors = {key: p.actor(int(lanes[key].sum())) for key, p in policies.items()}

        def act(observations: NDArray[np.float32]) -> Array:
            moves = np.zeros((len(observations), len(self.policy.space)))
            for key, decide in actors.items():
                moves[lanes[key]] = decide(observations[lanes[key]])
            return moves

        return act
