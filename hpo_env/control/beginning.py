"""Where a run begins: at the user's values, a learned start, values that are given, or a memory's.

What can be refused is refused here, before a training is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo_env.arguments import instance
from hpo_env.control.decider import movable
from hpo_env.control.host import Host
from hpo_env.control.run_memory import Recorder, RunMemory
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.limits import moved_in
from hpo_env.policy import Policy
from hpo_env.starts import Problem, Start, chosen_start, unbearable


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """How a run has begun.

    Args:
        replaced: The host's own values that a training would not have survived, by name.
        recorders: Note the run for the memory; none without one.
        unknown_kind: The kind of the run where the policy does not know it, and may not steer it.
    """

    replaced: Mapping[str, float]
    recorders: tuple[Recorder, ...]
    unknown_kind: str | None = None


def begin_at(
    policy: Policy,
    host: Host,
    start: Start | Mapping[str, float] | None,
    problem: Problem | None,
    memory: RunMemory | None,
    *,
    num_decisions: int | None = None,
    is_new: bool = True,
    steers_unknown: bool = False,
) -> Beginning:
    """Let a host begin where it should.

    A run of a kind that the policy does not know begins at the host's own values, unless a start
    was asked for. What a run of its length leaves alone stays as the host has it.

    Args:
        policy: What will steer.
        host: Before its run begins.
        start: See `Controller.attach`.
        problem: What a learned start goes by; None: what the host says of it.
        memory: Of the job; it chooses where `start` is None.
        num_decisions: Of the run, where its end is known; see `limits.moved_in`.
        is_new: Whether nothing was trained; a saved run brings the values that it began at.
        steers_unknown: Whether runs of a kind that the policy does not know are steered.

    Raises:
        ConfigurationError: The values cannot be, the host cannot begin elsewhere, or an argument is
            of another kind.
        UnknownNameError: There is no such start, or no hyperparameter of a name.
    """
    _check_arguments(problem, steers_unknown)
    names = [name for name in policy.space.names if name in host.initial]
    moved = moved_in(num_decisions, names, policy.most_decisions)
    there = {n: v for n, v in host.initial.items() if n in moved or n not in names}
    own = host.problem() if problem is None else problem
    learned = host.learned_start() if policy.learned_start is None else policy.learned_start
    unknown = None if steers_unknown or policy.knows(own) else own.kind
    if unknown is not None and start is None:
        learned = None
    values, replaced = chosen_start(learned, start, own), {}
    if isinstance(start, Mapping):
        _check(values, policy.space, there)
    if learned is not None and start is None and not values and is_new:
        better = learned.values_for(own)
        replaced = unbearable({n: there[n] for n in better if n in there}, host.bearable())
        values = {name: better[name] for name in replaced}
        if not replaced and memory is None:  # a memory says itself where to begin
            host.watch_first_step()
    values = {name: value for name, value in values.items() if name in there}
    if memory is None:
        if values:
            host.start_at(values)
        return Beginning(replaced=replaced, recorders=(), unknown_kind=unknown)
    usual = movable(policy.space, {**there, **values})
    if start is None:
        host.start_at({})  # a host that cannot begin elsewhere says so now, and not at run two
        asked = memory.start(policy.space, usual)
        values |= dict(zip(asked, host.agreed(list(asked.values())), strict=True))
    values = {name: value for name, value in values.items() if value != there[name]}
    if values:
        host.start_at(values)
    # Replicas of one run are one run: what they add under one identity is there once.
    identity = f"{host.agreed([memory.rng.random()])[0]:.17f}"
    recorder = Recorder(memory, movable(policy.space, {**there, **values}), identity)
    return Beginning(replaced=replaced, recorders=(recorder,), unknown_kind=unknown)


def _check_arguments(problem: Problem | None, steers_unknown: bool) -> None:
    if problem is not None:
        instance("problem", problem, Problem, hint="(kind=..., size=...)")
    if not isinstance(steers_unknown, bool):
        raise ConfigurationError(
            f"steers_unknown must be True or False; got {steers_unknown!r:.60}"
        )


def _check(
    values: Mapping[str, float], space: HyperparameterSpace, there: Mapping[str, float]
) -> None:
    """Check values to begin at, which somebody gave by name."""
    for name, value in values.items():
        known = space.hyperparameters[space.index(name)]
        if name not in there:
            raise ConfigurationError(
                "start must name what can be written here and is moved in a run of this length, "
                f"{sorted(there)}; got {name!r}"
            )
        if not known.low <= value <= known.high:
            raise ConfigurationError(
                f"start: {name} must lie in [{known.low:g}, {known.high:g}]; got {value!r}"
            )
