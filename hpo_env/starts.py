"""A learned start: the values to begin from, tuned on the training tasks of a family.

A policy corrects what a run begins with; much of what can be known before a run is that beginning.
So a family may carry the setting that was best on its training tasks, in a few cases by the kind of
the problem and its size, and a policy that was trained on the family takes it along. A run then
begins there (`start="learned"`) or at the user's own values (`start="user"`).

Needs numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hpo_env.arguments import is_number
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace

Start = Literal["user", "learned"]
"""Where a run begins: at the user's own values, or at those that were learned."""

_CUT = 1.0 / 6.0
"""Share of a range, on its own axis, that the usual one leaves out at either end: a learning rate
that may be moved between 1e-6 and 1 is started between 1e-5 and 1e-1."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is known of a problem before anything is trained.

    Args:
        kind: Such as "regression" or "binary", in the family's own words; None: not known.
        size: How much data trains, in the family's own unit (rows, observations), from 0 on; None:
            not known.

    Raises:
        ConfigurationError: The size is negative or no number, or the kind no text.
    """

    kind: str | None = None
    size: float | None = None

    def __post_init__(self) -> None:
        """Check both."""
        if self.size is not None and not (is_number(self.size) and self.size >= 0.0):
            raise ConfigurationError(f"size must be a number from 0 on; got {self.size!r}")
        if self.kind is not None and not isinstance(self.kind, str):
            raise ConfigurationError(f"kind must be a text or None; got {self.kind!r}")


def check_kinds(kinds: tuple[str, ...] | None) -> None:
    """Check what a policy says of the kinds of problem that it knows; None: nothing.

    Raises:
        ConfigurationError: There is none, one is no text or empty, or one is there twice.
    """
    if kinds is None:
        return
    are_names = isinstance(kinds, tuple) and all(isinstance(k, str) and k for k in kinds)
    if not (are_names and kinds and len(set(kinds)) == len(kinds)):
        raise ConfigurationError(
            "kinds must be a tuple of distinct names, at least one, or None where it is not said; "
            f"got {kinds!r}"
        )


@dataclass(frozen=True, kw_only=True)
class StartCase:
    """Values for some of the problems.

    Args:
        values: By hyperparameter, at least one.
        kind: The kind of problem that they are for; None: any.
        min_size: The smallest size, included.
        max_size: The largest size, not included; None: there is none.

    Raises:
        ConfigurationError: There is no value, one is not finite, or no size lies between the two.

    Example:
        >>> case = StartCase(kind="binary", max_size=2000, values={"learning_rate": 0.05})
        >>> case.fits(Problem(kind="binary", size=500)), case.fits(Problem(kind="binary"))
        (True, False)
    """

    values: Mapping[str, float]
    kind: str | None = None
    min_size: float = 0.0
    max_size: float | None = None

    def __post_init__(self) -> None:
        """Check names and numbers."""
        if not isinstance(self.values, Mapping) or not self.values:
            raise ConfigurationError(
                f"a case of a learned start must have at least one value; got {self.values!r}"
            )
        for name, value in self.values.items():
            if not (isinstance(name, str) and is_number(value) and math.isfinite(value)):
                raise ConfigurationError(
                    f"values of a start must be finite numbers by name; got {name!r}: {value!r}"
                )
        if self.kind is not None and not isinstance(self.kind, str):
            raise ConfigurationError(f"kind must be a text or None; got {self.kind!r}")
        largest = math.inf if self.max_size is None else self.max_size
        numbers = is_number(self.min_size) and is_number(largest)
        if not (numbers and 0.0 <= self.min_size < largest):
            raise ConfigurationError(
                "0 <= min_size < max_size must hold in a case of a learned start; got "
                f"min_size={self.min_size!r}, max_size={self.max_size!r}"
            )

    @property
    def is_general(self) -> bool:
        """Whether it fits every problem."""
        return self.kind is None and self._has_every_size

    def fits(self, problem: Problem) -> bool:
        """Say whether the values are for a problem; where a fact is not known, only for any."""
        if self.kind is not None and self.kind != problem.kind:
            return False
        if problem.size is None:
            return self._has_every_size
        return self.min_size <= problem.size < (self.max_size or math.inf)

    @property
    def _has_every_size(self) -> bool:
        return self.min_size == 0.0 and self.max_size is None


@dataclass(frozen=True, kw_only=True)
class LearnedStart:
    """The values to begin from, in a few cases.

    Args:
        cases: Looked through in order; the first that fits a problem holds for it. The last fits
            every problem. All have values for the same hyperparameters.
        is_default: Whether runs begin here when nobody says where: what was measured to be better.

    Raises:
        ConfigurationError: There is no case, the last does not fit every problem, or another has
            values for other hyperparameters.

    Example:
        >>> start = LearnedStart(
        ...     cases=(
        ...         StartCase(kind="binary", values={"learning_rate": 0.05}),
        ...         StartCase(values={"learning_rate": 0.1}),
        ...     )
        ... )
        >>> start.values_for(Problem(kind="binary")), start.values_for(Problem())
        ({'learning_rate': 0.05}, {'learning_rate': 0.1})
    """

    cases: tuple[StartCase, ...]
    is_default: bool = field(default=True)

    def __post_init__(self) -> None:
        """Check that there is a case for every problem."""
        if not self.cases or not self.cases[-1].is_general:
            raise ConfigurationError(
                "the last case of a learned start must fit every problem: give one without kind, "
                f"min_size and max_size; got {self.cases[-1:]}"
            )
        for case in self.cases:
            if set(case.values) != set(self.names):
                raise ConfigurationError(
                    "all cases of a learned start must have values for the same hyperparameters; "
                    f"got {sorted(case.values)} and {sorted(self.names)}"
                )
        if not isinstance(self.is_default, bool):
            raise ConfigurationError(f"is_default must be True or False; got {self.is_default!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters that have values."""
        return tuple(self.cases[-1].values)

    def values_for(self, problem: Problem) -> dict[str, float]:
        """Return the values to begin from, by hyperparameter."""
        case = next(case for case in self.cases if case.fits(problem))
        return {name: float(value) for name, value in case.values.items()}

    def subset(self, names: Collection[str]) -> LearnedStart | None:
        """Return the same start of some hyperparameters; None where it has values for none."""
        if not set(names) & set(self.names):
            return None
        cases = (
            StartCase(
                values={n: v for n, v in case.values.items() if n in names},
                kind=case.kind,
                min_size=case.min_size,
                max_size=case.max_size,
            )
            for case in self.cases
        )
        return LearnedStart(cases=tuple(cases), is_default=self.is_default)

    def check(self, space: HyperparameterSpace) -> None:
        """Check that a space has all of the hyperparameters, and the values in their ranges.

        Raises:
            UnknownNameError: There is a value for another hyperparameter.
            ConfigurationError: A value lies outside of its range.
        """
        for case in self.cases:
            for name, value in case.values.items():
                known = space.hyperparameters[space.index(name)]
                if not known.low <= value <= known.high:
                    raise ConfigurationError(
                        f"a learned start must lie in the range of {name}, [{known.low:g}, "
                        f"{known.high:g}]; got {value!r}"
                    )

    def to_json(self) -> dict[str, Any]:
        """Describe the start in plain data, for policy files; `from_json` is the inverse."""
        cases = [
            {
                "kind": case.kind,
                "min_size": float(case.min_size),
                "max_size": None if case.max_size is None else float(case.max_size),
                "values": {name: float(value) for name, value in case.values.items()},
            }
            for case in self.cases
        ]
        return {"is_default": self.is_default, "cases": cases}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LearnedStart:
        """Build the start that `to_json` described.

        Raises:
            ConfigurationError: An entry is missing, unknown, or breaks a rule.
        """
        try:
            cases: Iterable[Mapping[str, Any]] = data["cases"]
            made = tuple(StartCase(**case) for case in cases)
            return cls(cases=made, **{k: v for k, v in data.items() if k != "cases"})
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"not a learned start: {error!r}") from error


def chosen_start(
    learned: LearnedStart | None, start: str | Mapping[str, float] | None, problem: Problem
) -> dict[str, float]:
    """Return the values that take the place of the user's own; none where those stay.

    Args:
        learned: That of the policy or else of the host; None where there is none.
        start: "user", "learned", None for what was measured to be better, or the values.
        problem: What is known of the run.

    Raises:
        UnknownNameError: There is no start of that name.
        ConfigurationError: The learned start was asked for, and there is none; or a value is no
            finite number.
    """
    if isinstance(start, Mapping):
        return dict(StartCase(values=start).values) if start else {}
    if start is not None and not (isinstance(start, str) and start in ("user", "learned")):
        raise unknown_name("start", start, ("user", "learned"))
    if start == "learned" and learned is None:
        raise ConfigurationError(
            "start='learned' needs a policy with a learned start or an optimiser of a known kind, "
            "and there is neither: leave start out, or take another policy"
        )
    if learned is None or start == "user" or (start is None and not learned.is_default):
        return {}
    return learned.values_for(problem)


def unbearable(initial: Mapping[str, float], highest: Mapping[str, float]) -> dict[str, float]:
    """Return those of some values that a training would not survive.

    Args:
        initial: The values at the start, by name.
        highest: The highest that break nothing, where known.

    Example:
        >>> unbearable({"learning_rate": 0.1, "momentum": 0.9}, {"learning_rate": 0.006})
        {'learning_rate': 0.1}
    """
    return {n: v for n, v in initial.items() if v > highest.get(n, math.inf)}


def usual_ranges(
    space: HyperparameterSpace, own: Mapping[str, float] | None = None
) -> dict[str, tuple[float, float]]:
    """Return where runs are begun when several are tried, by hyperparameter.

    Args:
        space: Of the policy.
        own: The user's values, which the ranges are widened to hold where the space does.

    Returns:
        The middle two thirds of each range, on its own axis, and the default; the whole range on a
        linear scale, whose low end is where such a thing is not used.
    """
    ranges = {h.name: _usual_range(h) for h in space.hyperparameters}
    for h in space.hyperparameters:
        value = (own or {}).get(h.name, h.default)
        if h.low <= value <= h.high:
            low, high = ranges[h.name]
            ranges[h.name] = min(low, float(value)), max(high, float(value))
    return ranges


def _usual_range(hyperparameter: Hyperparameter) -> tuple[float, float]:
    if hyperparameter.scale == "linear":
        return hyperparameter.low, hyperparameter.high
    space = HyperparameterSpace([hyperparameter])
    width = (space.to_axis(space.high) - space.to_axis(space.low))[None]
    ends = (space.values(space.low[None], width * s).item() for s in (_CUT, 1.0 - _CUT))
    low, high = (float(f"{end:.3g}") for end in ends)  # 1e-05, and not 1.0000000000000003e-05
    return min(low, hyperparameter.default), max(high, hyperparameter.default)
