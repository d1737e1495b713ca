"""Optuna: a study whose trials are controlled runs.

    study = create_study(controller, initial={"learning_rate": 1e-3}, storage="sqlite:///mine.db")

    def objective(trial):
        model = make_model(width=trial.suggest_int("width", 32, 256, log=True))
        optimizer = torch.optim.AdamW(model.parameters())
        with TrialController(trial, controller) as steered:
            run = steered.attach(optimizer, total_steps=1000, model=model, validate=validate)
            train(model, optimizer, run)
            return steered.value

    study.optimize(objective, n_trials=8)

The study's sampler proposes where each run begins, the policy goes on from there, and whatever it
does not move (the width) is suggested by the objective as ever. Every interval's validation loss is
reported; a trial that the study's pruner gives up is closed and raises `optuna.TrialPruned`.

`TrialController` is a `Controller`, so the callbacks of other frameworks take it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from hpo_env.arguments import is_number
from hpo_env.control.decider import Decision, movable
from hpo_env.control.run import HostT, Run, RunLogger
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, RunStoppedError
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.integrations.callbacks import Decides, controller_of
from hpo_env.integrations.extras import require
from hpo_env.starts import Problem, Start, chosen_start, usual_ranges

optuna: Any = require("optuna", extra="search")

PREFIX = "start/"
"""Before the name of a hyperparameter, in a study: the objective may have a parameter of that name
itself."""

_NUM_STARTUP_TRIALS = 4
"""Random trials before the sampler models anything; Optuna's own 10 are meant for long studies."""

_RANGES = "hpo_control/ranges"
_STARTED_AT, _ENDED_AT = "hpo_control/start", "hpo_control/end"
Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest starting value by hyperparameter."""


class PrunedTrialError(RunStoppedError, optuna.TrialPruned):  # type: ignore[misc]
    """The study's pruner gives a trial up; an `optuna.TrialPruned`."""


class TrialController(Controller):
    """A controller for one trial of a study.

    Leaving its `with` block closes the runs that are still open, whatever has happened.

    Args:
        trial: What the objective is called with; also a `FixedTrial`, or the study's best trial.
        controller: What decides; a controller, or the name or the folder of a policy.
        prunes: Whether validation losses are reported, and the study's pruner asked. False leaves
            both to the objective, as studies need that maximise or have several objectives.

    Raises:
        ConfigurationError: The study does not minimise one value, and losses would be reported.
    """

    def __init__(self, trial: Any, controller: Decides, *, prunes: bool = True) -> None:
        controller = controller_of(controller)
        super().__init__(controller.policy, controller.policies[1:])
        self._trial = trial
        self._prunes = prunes
        self._runs: list[Run[Any]] = []
        self._reporter = _Reporter(trial, prunes=prunes)
        if prunes and isinstance(trial, optuna.Trial):
            _check_direction(trial.study)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for run in self._runs:
            run.close()

    @property
    def value(self) -> float:
        """The last validation loss: what the objective returns. Infinite after a divergence.

        Raises:
            ConfigurationError: None was measured.
        """
        loss = self._reporter.last_loss
        if loss is None:
            raise ConfigurationError(
                "the trial's run has measured no validation loss: attach with validate=, or return "
                "a value of your own"
            )
        return loss if math.isfinite(loss) else math.inf

    def steer(
        self,
        host: HostT,
        *,
        loggers: Sequence[RunLogger] = (),
        start: Start | Mapping[str, float] | None = None,
        **options: Any,
    ) -> Run[HostT]:
        """Steer a host from the values that the study proposes.

        Args:
            host: See `Controller.steer`; so are the rest.
            loggers: Told of every decision and interval, as the study is.
            start: Where to begin; None: where the study proposes.
            **options: Of `Controller.steer`.

        Raises:
            ConfigurationError: As for `Controller.steer`; or the study's ranges name what cannot be
                written here.
        """
        try:
            if start is None:
                start = proposed(self._trial, self.policy.space, host.initial)
        except BaseException:
            host.close()  # as it was found
            raise
        told = [*loggers, self._reporter]
        run = super().steer(host, loggers=told, start=start, **options)
        self._runs.append(run)
        return run


def proposed(
    trial: Any, space: HyperparameterSpace, there: Mapping[str, float]
) -> dict[str, float]:
    """Ask a trial's study where its run begins.

    Args:
        trial: Of any kind.
        space: Of the policy.
        there: What can be written, with its values at the start.

    Raises:
        ConfigurationError: The study's ranges name what cannot be written here.
    """
    ranges = _ranges_of(trial)
    if ranges is None:
        usual, movables = usual_ranges(space, there), movable(space, there)
        ranges = {name: ends for name, ends in usual.items() if name in movables}
    missing = [name for name in ranges if name not in there]
    if missing:
        raise ConfigurationError(
            f"the study searches {missing[0]!r}, and what can be written here is "
            f"{sorted(there)}: bind it, or create the study with other ranges"
        )
    values = {name: _suggested(trial, _named(space, name), ends) for name, ends in ranges.items()}
    trial.set_user_attr(_STARTED_AT, values)
    return values


def _suggested(trial: Any, hyperparameter: Hyperparameter, ends: tuple[float, float]) -> float:
    name, (low, high) = PREFIX + hyperparameter.name, ends
    if hyperparameter.scale == "log_integer":
        return float(trial.suggest_int(name, int(low), int(high), log=True))
    return float(trial.suggest_float(name, low, high, log=hyperparameter.scale == "log"))


class _Reporter:
    """Reports a run to a trial; a `RunLogger`."""

    def __init__(self, trial: Any, *, prunes: bool) -> None:
        self._trial, self._prunes = trial, prunes
        self._num_intervals = 0
        self._last: Decision | None = None
        self.last_loss: float | None = None

    def log_decision(self, decision: Decision) -> None:
        """Keep what was decided last."""
        self._last = decision

    def log_interval(self, step: int, measured: Mapping[str, float]) -> None:
        """Report the validation loss, if there is one, and ask the pruner."""
        self._num_intervals += 1
        loss = measured.get("validation_loss")
        if loss is None:
            return
        self.last_loss = loss
        if not self._prunes:
            return
        self._trial.report(loss, self._num_intervals)
        if self._trial.should_prune():
            raise PrunedTrialError(f"pruned after decision interval {self._num_intervals}")

    def close(self) -> None:
        """Leave the values that the run ended with in the study."""
        if self._last is not None:
            self._trial.set_user_attr(_ENDED_AT, self._last.values)


def create_study(
    controller: Decides,
    *,
    initial: Mapping[str, float] | None = None,
    ranges: Ranges | None = None,
    problem: Problem | None = None,
    earlier: Iterable[tuple[Mapping[str, float], float]] = (),
    seed: int | None = None,
    **options: Any,
) -> Any:
    """Create a study of controlled runs, or open the one that a storage has of this name.

    It begins with what is known: first your own values, then the policy's learned start, if it has
    one. Runs of before count as trials that are over.

    Args:
        controller: What decides in its trials; a controller, or the name or the folder of a policy.
        initial: Your own values, by hyperparameter; the usual defaults where none is given.
        ranges: What is searched, and where; by default all that the policy can move in the loop,
            in `usual_ranges`. What is not named begins at the loop's own value.
        problem: What a learned start goes by.
        earlier: Runs of the same job that are over: where each began, by hyperparameter, and the
            validation loss that it ended with. Those that lack a value of the ranges are left out.
        seed: Of the sampler; None: another one each time. A sampler of your own has its own.
        **options: Of `optuna.create_study`: `storage`, `study_name`, `sampler`, `pruner`.
            Otherwise the pruner is `controlled_halving`, the sampler TPE after 4 trials; and a
            study of this name that is there already is gone on with.

    Returns:
        The study; its trials know the ranges.

    Raises:
        UnknownNameError: A hyperparameter of this name does not exist.
        ConfigurationError: A range is none, lies outside of the hyperparameter's own, or does not
            hold your own value; or the study that is there has other ranges.
    """
    controller = controller_of(controller)
    space = controller.policy.space
    widest = {h.name: (h.low, h.high) for h in space.hyperparameters}
    given = _checked_own(widest if ranges is None else ranges, initial or {})
    searched = _checked_ranges(space, usual_ranges(space, given) if ranges is None else ranges)
    own = {h.name: h.default for h in space.hyperparameters} | given
    study = optuna.create_study(**_usual_options(controller, seed) | options)
    stored = study.user_attrs.get(_RANGES)
    if ranges is not None and stored is not None and _as_ranges(stored) != searched:
        raise ConfigurationError(
            f"study {study.study_name!r} has the ranges {_as_ranges(stored)}, and not {searched}: "
            "give those, or another study_name"
        )
    if ranges is not None:
        study.set_user_attr(_RANGES, {name: list(ends) for name, ends in searched.items()})
    if study.trials:  # gone on with, or created by another process a moment ago
        return study
    required = () if ranges is None else tuple(searched)
    for values, loss in earlier:
        _add(study, values, loss, space, searched, required)
    learned = chosen_start(controller.policy.learned_start, None, problem or Problem())
    for values in (own, learned):
        known = {PREFIX + n: v for n, v in values.items() if _lies_in(searched, n, v)}
        if known:
            study.enqueue_trial(known, skip_if_exists=True)
    return study


def _usual_options(controller: Controller, seed: int | None) -> dict[str, Any]:
    sampler = optuna.samplers.TPESampler(n_startup_trials=_NUM_STARTUP_TRIALS, seed=seed)
    return {
        "load_if_exists": True,
        "pruner": controlled_halving(controller),
        "sampler": sampler,
    }


def controlled_halving(controller: Decides, *, reduction_factor: int = 2) -> Any:
    """Return a pruner: asynchronous successive halving over decision intervals.

    Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020). A trial is
    judged after half of its intervals for the first time, and goes on while it is among the best
    `1 / reduction_factor` of those that have come as far. Earlier the order says little, as the
    policy is still on its way from where the run began: on meta-validation tasks the rank after a
    quarter of the run correlates by .3 with the rank at its end, after a half by .6.

    Args:
        controller: How many intervals a run has.
        reduction_factor: At least 2.
    """
    first = max(controller_of(controller).default_num_decisions // 2, 1)
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=first, reduction_factor=reduction_factor
    )


def distribution(hyperparameter: Hyperparameter, ends: tuple[float, float]) -> Any:
    """Return a range as a distribution of Optuna: logarithmic where the scale is."""
    low, high = ends
    if hyperparameter.scale == "log_integer":
        return optuna.distributions.IntDistribution(int(low), int(high), log=True)
    return optuna.distributions.FloatDistribution(low, high, log=hyperparameter.scale == "log")


def _named(space: HyperparameterSpace, name: str) -> Hyperparameter:
    return space.hyperparameters[space.index(name)]


def _checked_ranges(space: HyperparameterSpace, ranges: Ranges) -> dict[str, tuple[float, float]]:
    if not isinstance(ranges, Mapping) or not ranges:
        raise ConfigurationError(
            f"ranges must be pairs (low, high) by hyperparameter, one at least; got {ranges!r}"
        )
    for name, ends in ranges.items():
        known = _named(space, name)
        is_pair = isinstance(ends, Sequence) and len(ends) == 2 and all(map(is_number, ends))
        if not (is_pair and known.low <= ends[0] < ends[1] <= known.high):
            raise ConfigurationError(
                f"ranges: {known.low:g} <= low < high <= {known.high:g} must hold for {name}; got "
                f"{ends!r}"
            )
    return {name: (float(low), float(high)) for name, (low, high) in ranges.items()}


def _checked_own(ranges: Ranges, initial: Mapping[str, float]) -> dict[str, float]:
    for name, value in initial.items():
        if name not in ranges:
            raise ConfigurationError(
                f"initial must name what is searched, {sorted(ranges)}; got {name!r}"
            )
        if not _lies_in(ranges, name, value):
            raise ConfigurationError(
                f"initial: {name} must lie in its range, {ranges[name]}; got {value!r}. Give wider "
                "ranges"
            )
    return dict(initial)


def _lies_in(ranges: Ranges, name: str, value: Any) -> bool:
    return name in ranges and is_number(value) and ranges[name][0] <= value <= ranges[name][1]


def _as_ranges(stored: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    return {name: (ends[0], ends[1]) for name, ends in stored.items()}


def _ranges_of(trial: Any) -> dict[str, tuple[float, float]] | None:
    """Return the ranges that a trial's study was created with; None where nobody gave any."""
    if isinstance(trial, optuna.Trial):
        stored = trial.study.user_attrs.get(_RANGES)
        return None if stored is None else _as_ranges(stored)
    if isinstance(trial, optuna.trial.FrozenTrial):
        own = {n: d for n, d in trial.distributions.items() if n.startswith(PREFIX)}
        return {n.removeprefix(PREFIX): (d.low, d.high) for n, d in own.items()}
    return None


def _add(
    study: Any,
    values: Mapping[str, float],
    loss: float,
    space: HyperparameterSpace,
    ranges: Ranges,
    required: Sequence[str],
) -> None:
    """Add a run that is over, where it says what it takes and its values lie in the ranges."""
    known = {name: values[name] for name in ranges if name in values}
    lies_in = all(_lies_in(ranges, name, value) for name, value in known.items())
    if not (known and lies_in and set(required) <= set(known) and is_number(loss)):
        return
    if math.isnan(loss):
        return
    trial = optuna.trial.create_trial(
        params={PREFIX + name: value for name, value in known.items()},
        distributions={PREFIX + n: distribution(_named(space, n), ranges[n]) for n in known},
        value=float(loss),
    )
    study.add_trial(trial)


def _check_direction(study: Any) -> None:
    directions = [direction.name for direction in study.directions]
    if directions != ["MINIMIZE"]:
        raise ConfigurationError(
            "a trial's validation losses are reported to its study, which must minimise one value; "
            f"got {directions}. Take prunes=False, and return a value of your own"
        )
