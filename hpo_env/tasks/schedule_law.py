"""Losses of language models under any course of the learning rate, by a law fitted to them.

The multi-power law (Luo et al., "A multi-power law for loss curve prediction across learning rate
schedules", ICLR 2025, arXiv:2503.12811) says what pre-training costs after the rates `η_1 … η_t`:

    L(t) = L_0 + A S_1(t)^-α - B Σ_k (η_{k-1} - η_k) G(η_k^-γ S_k(t)),
    G(x) = 1 - (C x + 1)^-β,   S_k(t) = η_k + … + η_t.

The sum of rates is how far training has come; the last term is the noise of the rate, which a lower
one takes away in time. The constants are those that its authors fitted to nets of 25, 100 and 400
million weights, all begun at a rate of 3e-4 (their repository MultiPowerLaw, `src/config.py`).

It was fitted to rates that fall from one and the same. For all others four things are ours:

- The noise of the first rate builds up as that of any other, from a rate of 0, and `L_0` is lower
  by what 3e-4 costs in the end.
- A change settles as each later rate has it, `Σ η_τ^(1-γ)` in place of `η_k^-γ S_k`. By the law
  itself a moment at a rate of nothing would take all noise away, for good. On steps, cosines and
  plateaus with a decay of 24,000 updates the two differ by at most 0.002, where the fit errs by
  0.004.
- The sum begins at what makes the first loss that of a guess among 32,000 tokens.
- There is an edge of stability. Beyond it steps go to and fro: the sum grows by `edge² / η` in
  place of `η`, and an excess of the loss grows in each update by the factor `(η / edge)^0.1`, as it
  shrinks below.

A decision costs microseconds where the nets cost days, and the best course can be computed
(`optimal_rates`): a known answer for lengths that nobody can afford to try.

Axes: `N` lanes, `K` intervals of a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import whole_number
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.reward import has_diverged
from hpo_env.seeding import stream
from hpo_env.tasks.array import ArrayTrainer, check_array_engine
from hpo_env.tasks.bands import draw_banded
from hpo_env.tasks.base import Engine, Split, Task, TaskFamily, Trainer
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]

_SIZES = np.array([25e6, 100e6, 400e6])
_FITTED = np.array(  # L_0, A, α, B, C, β, γ of each
    [
        [3.0405, 0.5247, 0.5079, 363.79, 2.0656, 0.5828, 0.6414],
        [2.6514, 0.6012, 0.4530, 437.95, 2.1325, 0.5979, 0.6552],
        [2.3747, 0.6542, 0.4288, 523.42, 2.0246, 0.5935, 0.6347],
    ]
)
_FITTED_RATE = 3e-4  # that all their runs began at
_FIRST_LOSS = float(np.log(32_000))

_MOST_DECISIONS = 150
_DECISIONS = (10, _MOST_DECISIONS)
_UPDATES = (1e3, 1e5)
_RATE_SCALE = (0.1, 10.0)
_EDGE = (3.0, 30.0)  # of the rate that the runs were fitted at
_NOISE = (1e-3, 1e-2)
_INITIAL_RATE = (1e-5, 1e-1)

_BATCH_NOISE = 0.02  # of the loss: the spread of minibatches
_LEAST_EXCESS = 1e-3
_MOST_EXCESS = 1e6
_GROWTH = 0.1


@dataclass(frozen=True, kw_only=True)
class ScheduleLawTask(Task):
    """A net that is trained for a number of updates.

    Args:
        num_weights: Between 25 and 400 million; the constants between fitted sizes are those of
            the logarithms.
        updates_per_decision: Updates in an interval.
        rate_scale: How many times larger all rates are than those of the fitted nets: another
            optimiser, another width.
        edge: The learning rate beyond which training is unstable.
        noise: Standard deviation of a measured validation loss, as a share of it.
    """

    num_weights: float
    updates_per_decision: int
    rate_scale: float
    edge: float
    noise: float

    @property
    def num_updates(self) -> int:
        """Updates in the whole run."""
        return self.num_decisions * self.updates_per_decision


def constants(num_weights: float, edge: float) -> Array:
    """Return the law's constants for a size, those between the fitted ones by its logarithm.

    Args:
        num_weights: Weights of the net.
        edge: Rate beyond which training is unstable, as a rate of the fitted nets.

    Returns:
        `L_0` less the noise of the fitted rate, `A`, `α`, `B`, `C`, `β`, `γ` and the edge, `[8]`.
    """
    where, sizes = np.log(num_weights), np.log(_SIZES)
    floor, *others = (np.interp(where, sizes, column) for column in _FITTED.T)
    return np.array([floor - others[2] * _FITTED_RATE, *others, edge])


State = dict[str, Array]


def untrained(num_runs: int, num_decisions: int) -> State:
    """Return runs before their first update, for `train`.

    Returns:
        changes: By how much the rate of each interval is above that before, `[N, K]`.
        began: What `clock` was when the interval began, `[N, K]`.
        clock: `Σ η^(1-γ)` over all updates, by which noise settles `[N]`.
        sum: `Σ η`, by which training goes on `[N]`.
        rate: In force `[N]`.
        excess: Of the loss, by instability `[N]`.
    """
    return {
        "changes": np.zeros((num_runs, num_decisions)),
        "began": np.zeros((num_runs, num_decisions)),
        "clock": np.zeros(num_runs),
        "sum": np.zeros(num_runs),
        "rate": np.zeros(num_runs),
        "excess": np.full(num_runs, _LEAST_EXCESS),
    }


def change(state: State, rate: Array, interval: NDArray[np.int64]) -> State:
    """Begin an interval.

    Args:
        state: See `untrained`; left as it is.
        rate: Its rate, as one of the fitted nets, above 0, `[N]`.
        interval: Which it is `[N]`.
    """
    runs = np.arange(len(rate))
    changes, began = state["changes"].copy(), state["began"].copy()
    changes[runs, interval], began[runs, interval] = rate - state["rate"], state["clock"]
    return state | {"changes": changes, "began": began, "rate": rate}


def train(law: Array, state: State, updates: Array) -> State:
    """Make updates at the rate in force.

    Args:
        law: See `constants`, `[N, 8]`.
        state: See `untrained`; left as it is.
        updates: How many `[N]`.
    """
    rate, slowing, edge = state["rate"], law[:, 6], law[:, 7]
    growth = np.clip(_GROWTH * updates * np.log(rate / edge), -100.0, 100.0)
    return state | {
        "clock": state["clock"] + updates * rate ** (1.0 - slowing),
        "sum": state["sum"] + updates * np.where(rate > edge, edge**2 / rate, rate),
        "excess": np.clip(state["excess"] * np.exp(growth), _LEAST_EXCESS, _MOST_EXCESS),
    }


def loss_of(law: Array, state: State) -> Array:
    """Return the losses of runs `[N]`.

    Args:
        law: See `constants`, `[N, 8]`.
        state: See `untrained`.

    Example:
        >>> law, state = constants(100e6, 1.0)[None], untrained(1, 1)
        >>> loss_of(law, state).round(2).tolist()  # ln 32,000
        [10.37]
        >>> begun = change(state, np.array([3e-4]), np.array([0]))
        >>> loss_of(law, train(law, begun, np.array([24_000.0]))).round(2).tolist()
        [2.9]
    """
    floor, scale, power, noise, speed, decay = law.T[:6]
    begun = (scale / (_FIRST_LOSS - floor)) ** (1.0 / power)
    settling = state["clock"][:, None] - state["began"]
    settled = 1.0 - (speed[:, None] * settling + 1.0) ** -decay[:, None]
    noisy = noise * np.sum(state["changes"] * settled, axis=1)
    fallen = scale * (begun + state["sum"]) ** -power
    return np.asarray(floor + fallen + noisy + state["excess"] - _LEAST_EXCESS)


def loss_after(task: ScheduleLawTask, rates: Array) -> Array:
    """Return the losses of a task after whole courses of rates.

    Args:
        task: What is trained.
        rates: Learning rate in each interval `[N, K]`.
    """
    law = np.tile(constants(task.num_weights, task.edge / task.rate_scale), (len(rates), 1))
    updates = np.full(len(rates), float(task.updates_per_decision))
    state = untrained(*rates.shape)
    for interval, rate in enumerate(rates.T / task.rate_scale):
        state = train(law, change(state, rate, np.full(len(rates), interval)), updates)
    return loss_of(law, state)


def optimal_rates(task: ScheduleLawTask) -> tuple[Array, float]:
    """Return the best learning rate of every interval that is found, and the loss it leads to.

    A pattern search over the logarithms of the rates, which begins at the best constant one: all
    moves of one interval are tried at once, in steps that are halved where none is better, down to
    half a per cent.

    Returns:
        Rates `[K]`, at most the task's edge, and the loss after the last.
    """
    count = task.num_decisions
    moves = np.concatenate([np.eye(count), -np.eye(count)])
    highest = np.log(task.edge)
    constant = np.tile(highest - np.linspace(0.0, 8.0, 81)[:, None], (1, count))
    losses = loss_after(task, np.exp(constant))
    best, least, step = constant[np.argmin(losses)], float(losses.min()), 1.0
    while step > 0.005:
        tried = np.minimum(best + step * moves, highest)
        losses = loss_after(task, np.exp(tried))
        if losses.min() < least:
            best, least = tried[np.argmin(losses)], float(losses.min())
        else:
            step /= 2.0
    return np.exp(best), least


class ScheduleLawFamily(TaskFamily):
    """Pre-training runs of any size, length and scale of rates; splits hold different scales."""

    name = "schedule_law"
    hyperparameters: ClassVar = (
        Hyperparameter(  # that of "supervised", so that its policies can be asked
            name="learning_rate",
            low=1e-6,
            high=1.0,
            default=1e-3,
            max_step=4.0,
            scheduled=True,
            retreat=-1.0,
            is_always_available=True,
        ),
    )
    default_controlled = ("learning_rate",)
    base_schedule = "cosine"
    starts = (1e-5, 1e-4, 1e-3, 1e-2)

    def __init__(
        self,
        *,
        split: Split = "train",
        num_decisions: int | None = None,
        num_updates: int | None = None,
    ) -> None:
        """Make the family.

        Args:
            split: See `TaskFamily`.
            num_decisions: Fixed number of intervals, at most 150; None draws from 10 to 150.
            num_updates: Fixed length, rounded to as many updates in each interval, at least one;
                None draws from 1,000 to 100,000.

        Raises:
            UnknownNameError: See `TaskFamily`.
            ConfigurationError: A number is out of range.
        """
        super().__init__(split=split, num_decisions=num_decisions)
        if self.num_decisions is not None and self.num_decisions > _MOST_DECISIONS:
            raise ConfigurationError(
                f"num_decisions must be at most {_MOST_DECISIONS}; got {num_decisions}"
            )
        fewest = self.num_decisions or _MOST_DECISIONS
        if num_updates is not None and whole_number("num_updates", num_updates) < fewest:
            raise ConfigurationError(
                f"num_updates must be at least {fewest}, one a decision; got {num_updates}"
            )
        self.num_updates = num_updates

    def sample(self, rng: np.random.Generator) -> ScheduleLawTask:
        """Draw size, length, intervals, scale, edge, noise and initial rate, all log-uniformly."""
        scale = draw_banded(rng, *_RATE_SCALE, self.split)
        drawn_decisions = round(_log_uniform(rng, _DECISIONS))
        num_decisions = self.num_decisions or drawn_decisions
        drawn_updates = _log_uniform(rng, _UPDATES)
        num_updates = self.num_updates or drawn_updates
        return ScheduleLawTask(
            name="schedule_law",
            num_decisions=num_decisions,
            initial=(_log_uniform(rng, _INITIAL_RATE),),
            num_weights=_log_uniform(rng, (_SIZES[0], _SIZES[-1])),
            updates_per_decision=max(round(num_updates / num_decisions), 1),
            rate_scale=scale,
            edge=_FITTED_RATE * scale * _log_uniform(rng, _EDGE),
            noise=_log_uniform(rng, _NOISE),
        )

    def interval_updates(self, task: Task) -> int:
        """See `TaskFamily.interval_updates`."""
        assert isinstance(task, ScheduleLawTask)
        return task.updates_per_decision

    def effort(self, task: Task) -> float:
        """An interval costs the same however many updates it stands for."""
        return float(task.num_decisions)

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer; engine "auto" or "eager", device "cpu"."""
        check_array_engine(self.name, engine, device)
        return ScheduleLawTrainer(num_lanes)


class ScheduleLawTrainer(ArrayTrainer):
    """N runs at once, each of which keeps the rates that it has had."""

    def __init__(self, num_lanes: int) -> None:
        super().__init__(
            law=np.tile(constants(_SIZES[0], 1.0), (num_lanes, 1)),
            interval=np.zeros(num_lanes),
            updates=np.ones(num_lanes),
            rate_scale=np.ones(num_lanes),
            noise=np.zeros(num_lanes),
            **untrained(num_lanes, _MOST_DECISIONS),
        )

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start from a guess, whose loss is known without noise."""
        for lane, task, seed in zip(lanes, tasks, seeds, strict=True):
            assert isinstance(task, ScheduleLawTask)
            self.rngs[lane] = stream(seed, "noise")
            self.state["law"][lane] = constants(task.num_weights, task.edge / task.rate_scale)
            self.state["interval"][lane] = 0.0
            self.state["updates"][lane] = task.updates_per_decision
            self.state["rate_scale"][lane] = task.rate_scale
            self.state["noise"][lane] = task.noise
        for name, values in untrained(len(lanes), _MOST_DECISIONS).items():
            self.state[name][lanes] = values
        telemetry = Telemetry.missing(len(lanes))
        telemetry.train_loss[:] = telemetry.validation_loss[:] = _FIRST_LOSS
        return telemetry

    def _run_interval(self, values: Array) -> Telemetry:
        """Make an interval's updates at one rate, measured in the middle and at the end."""
        state, rate = self.state, values[:, 0] / self.state["rate_scale"]
        interval = np.minimum(state["interval"], _MOST_DECISIONS - 1).astype(np.int64)
        losses = [loss_of(state["law"], state)]
        state.update(change(state, rate, interval))
        for _ in range(2):
            state.update(train(state["law"], state, state["updates"] / 2.0))
            losses.append(loss_of(state["law"], state))
        state["interval"] = state["interval"] + 1.0
        return self._measure(np.stack(losses, axis=1))

    def _measure(self, losses: Array) -> Telemetry:
        """Fill telemetry from losses before, in the middle of and after an interval `[N, 3]`."""
        batches = np.sqrt(np.maximum(self.state["updates"] / 2.0, 1.0))  # that a half is a mean of
        noise = self.draw_normal(3)  # [N, 3], of both halves and of the validation loss
        noise *= np.stack([_BATCH_NOISE / batches, _BATCH_NOISE / batches, self.state["noise"]], 1)
        noise = np.exp(noise)
        first, second = noise[:, 0] * losses[:, :2].mean(1), noise[:, 1] * losses[:, 1:].mean(1)
        slope = (losses[:, 0] - losses[:, -1]) / np.sqrt(12.0)  # as if losses fell in a line
        telemetry = Telemetry.missing(len(losses))
        measured = {
            "train_loss": (first + second) / 2.0,
            "train_loss_first_half": first,
            "train_loss_second_half": second,
            "train_loss_spread": np.hypot(_BATCH_NOISE * losses[:, -1], slope),
            "validation_loss": noise[:, 2] * losses[:, -1],
        }
        for name, value in measured.items():
            getattr(telemetry, name)[:] = value
        telemetry.diverged[:] = has_diverged(
            telemetry.validation_loss, np.full(len(losses), _FIRST_LOSS)
        )
        return telemetry

    def test(self, lanes: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return the loss itself, without what measuring adds, and NaN for the metric."""
        loss = loss_of(self.state["law"], self.state)[lanes]
        return loss, np.full_like(loss, np.nan)


def _log_uniform(rng: np.random.Generator, between: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(between))))
