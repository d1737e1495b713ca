"""The controller: a meta-trained policy, attached to anybody's training loop.

    controller = Controller.from_pretrained("supervised")
    run = controller.attach(optimizer, total_steps=10_000, model=model, validate=validate)
    for x, y in loader:
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        run.step(loss)

`attach` is for loops of torch, `drive` for anything that is written by functions, and `steer` for a
host of one's own. Importing this needs numpy and safetensors; torch is imported when a torch
optimiser is attached, Gymnasium and Stable-Baselines3 never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hpo_env.arguments import functions_by_name, listed, numbers_by_name
from hpo_env.control.beginning import begin_at
from hpo_env.control.host import Host
from hpo_env.control.plain_host import PlainHost
from hpo_env.control.plan import Plan, plan_of
from hpo_env.control.run import ControllerWarning, HostT, Run, RunLogger
from hpo_env.control.run_memory import Explores, RunMemory
from hpo_env.control.schedule_file import Replay, read_schedule
from hpo_env.control.stored_tasks import StoredTasks, read_stored_tasks
from hpo_env.control.writers import FunctionWriter
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.restriction import check_together
from hpo_env.shipped import policy_folder, shipped, shipped_smaller
from hpo_env.starts import Problem, Start

if TYPE_CHECKING:
    from torch import nn

    from hpo_env.control.torch_host import TorchHost

__all__ = ["Controller", "ControllerWarning", "Host", "Run", "RunLogger", "replay_schedule"]

_DEFAULT_DECISIONS = 30


class Controller:
    """A policy that steers training runs; one controller may steer any number of them.

    Args:
        policy: What decides; see `from_pretrained` and `hpo_env.policy_file.load`. Where a loop
            cannot move all that it moves, it decides about the rest (`restriction.restrict`).
        smaller: Policies of some of its hyperparameters. In a loop that can move just those of one
            of them, that one decides; one that has a scope (`hpo_env.scope`) in intervals of it.
        memory: The file of a job's memory, see `hpo_env.control.run_memory`: each of its runs
            begins where the ones before fared best. None: runs know nothing of each other.
        stored: Tasks of the policy's meta-training, by which a memory chooses where to explore;
            None: it draws.

    Example:
        >>> import torch
        >>> controller = Controller(policy)  # doctest: +SKIP
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)  # doctest: +SKIP
        >>> run = controller.attach(optimizer, total_steps=1000)  # doctest: +SKIP
    """

    def __init__(
        self,
        policy: Policy,
        smaller: Sequence[Policy] = (),
        *,
        memory: str | Path | None = None,
        stored: StoredTasks | None = None,
    ) -> None:
        self.policies: tuple[Policy, ...] = (policy, *listed("smaller", smaller))
        check_together(self.policies)
        self.memory = None if memory is None else RunMemory(memory, policy, stored=stored)

    @property
    def policy(self) -> Policy:
        """The largest of the policies: what it moves can be bound."""
        return self.policies[0]

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        memory: str | Path | None = None,
        explores: Explores = "drawn",
    ) -> Controller:
        """Load a policy; nothing in its files is executed.

        Args:
            name_or_path: The name of a policy that we ship, or the folder of one. A name brings the
                smaller policies that we ship as well, see `hpo_env.shipped.shipped_smaller`.
            memory: The file of a job's memory, see the class.
            explores: Where a memory begins runs that try something else: at values "drawn" widely,
                or "matched" to how the first interval looked, where the policy's folder says what
                gained most on tasks of meta-training that looked so.

        Raises:
            PolicyFileError: There is none, or its files are damaged, doctored or of another
                version.
            ConfigurationError: The memory is damaged, too large, or of another policy; or the
                folder has no table of stored tasks that can be read, and one is asked for.
            UnknownNameError: `explores` is none of these.
        """
        if not isinstance(explores, str) or explores not in get_args(Explores):
            raise unknown_name("explores", explores, get_args(Explores))
        folder = policy_folder(name_or_path)
        policy = load(folder)
        is_name = isinstance(name_or_path, str) and folder == shipped().get(name_or_path)
        smaller = shipped_smaller(folder.name) if is_name else ()
        stored = read_stored_tasks(folder) if explores == "matched" else None
        others = [load(shipped()[name]) for name in smaller]
        return cls(policy, others, memory=memory, stored=stored)

    def attach(
        self,
        optimizer: Any,
        *,
        total_steps: int | None,
        model: nn.Module | None = None,
        validate: Callable[[], Any] | None = None,
        num_decisions: int | None = None,
        base_schedule: Any = None,
        bind: Mapping[str, Callable[[float], float | None]] | None = None,
        initial: Mapping[str, float] | None = None,
        loggers: Sequence[RunLogger] = (),
        state: Mapping[str, Any] | None = None,
        on_roll_back: Callable[[], object] | None = None,
        start: Start | Mapping[str, float] | None = None,
        problem: Problem | None = None,
        steers_unknown: bool = False,
    ) -> Run[TorchHost]:
        """Steer a training loop of torch.

        Learning rate, weight decay and momentum (the first beta of Adam kinds) are written into the
        param groups, which keep their ratios. What the loop does not have is not moved, nor is a
        weight decay of 0, as no factor changes it. Under `torch.distributed` every process
        attaches; they measure together, the first decides.

        Args:
            optimizer: One torch optimiser or a list of those that are stepped together, also in the
                wrappers of Lightning and Accelerate.
            total_steps: How often `run.step` will be called: once after each `optimizer.step()`, so
                not for every micro-batch of an accumulated gradient. `run.extend` raises it later.
                None: the end is not known yet; `run.cool_down(steps)` says it.
            model: Lets the controller move the rate of its dropout layers, put it back into
                training mode after `validate`, and restore its buffers after a divergence.
            validate: Returns the validation loss, a positive number, at the start and after every
                decision interval; None where there is no new one, as where the loop validates less
                often (a number that it keeps and hands over again counts as None, too). Without it
                the training loss stands in, and the policy is told.
            num_decisions: Decision intervals in the run; by default as many as in the policy's
                training.
            base_schedule: What the decisions correct: the name of a schedule; or a torch scheduler
                (or a list of them) of this optimiser, which the loop goes on stepping as ever; by
                default the schedule that the policy was trained on.
            bind: Functions that set what is in no param group: `{"batch_size": set_batch_size}`.
            initial: Values in force at the start of what is bound, where they differ from the
                hyperparameter's default. `{"gradient_clip": 1.0}` without a function has the
                controller clip gradients itself.
            loggers: Told of every decision and interval; see `hpo_env.integrations`.
            state: A saved `run.state_dict()` to go on from.
            on_roll_back: Called after an interval was rolled back, to put back what the controller
                has no copy of, such as averaged weights.
            start: "user" begins at the values that the loop has, whatever they are; "learned" at
                those that were best on the training tasks of the policy or, where it has none, at a
                learning rate that follows from the optimiser's kind and the weights' sizes; what
                the policy does not move stays. None: what was measured to be better; for a policy
                without a learned start the loop's own values, but for a learning rate whose first
                update would wreck the weights, which one warning names. Values by name: at those.
            problem: What a learned start goes by, where it tells kinds and sizes apart.
            steers_unknown: Whether to steer a run of a kind that the policy's meta-training did not
                contain, as far as both say what they are. Otherwise such a run is watched and
                guarded, its values stay, and one warning says so.

        Returns:
            The run: call `run.step(loss)` after each `optimizer.step()`.

        Raises:
            ConfigurationError: A number is out of range; another scheduler also writes to the
                optimiser; nothing that the policy moves can be written.
            UnknownNameError: A hyperparameter or a schedule of that name does not exist.
        """
        from hpo_env.control.torch_host import TorchHost

        is_name = base_schedule is None or isinstance(base_schedule, str)
        if isinstance(base_schedule, list | tuple) and not base_schedule:
            raise ConfigurationError(
                "base_schedule must be the name of a schedule, or schedulers of torch; got an "
                "empty list. Leave it out to have the schedule that the policy was trained on"
            )
        host = TorchHost(
            self.policy.space,
            _listed(optimizer),
            schedulers=[] if is_name else _listed(base_schedule),
            model=model,
            validate=validate,
            bind=bind,
            initial=initial,
        )
        return self.steer(
            host,
            total_steps=total_steps,
            num_decisions=num_decisions,
            base_schedule=base_schedule if is_name else "constant",
            loggers=loggers,
            state=state,
            on_roll_back=on_roll_back,
            start=start,
            problem=problem,
            steers_unknown=steers_unknown,
        )

    def drive(
        self,
        bind: Mapping[str, Callable[[float], float | None]],
        *,
        initial: Mapping[str, float],
        total_steps: int | None,
        validate: Callable[[], Any] | None = None,
        num_decisions: int | None = None,
        base_schedule: str | None = None,
        loggers: Sequence[RunLogger] = (),
        state: Mapping[str, Any] | None = None,
        on_roll_back: Callable[[], object] | None = None,
        start: Start | Mapping[str, float] | None = None,
        problem: Problem | None = None,
        steers_unknown: bool = False,
    ) -> Run[PlainHost]:
        """Steer a training that is not torch's: call `run.step(loss)` after every update.

        Args:
            bind: Functions that set hyperparameters, by name.
            initial: The values in force at the start, one for each function.
            total_steps: See `attach`; so are the rest.
            validate: Returns the validation loss.
            num_decisions: Decision intervals in the run.
            base_schedule: Name of the schedule that the decisions correct.
            loggers: Told of every decision and interval.
            state: A saved `run.state_dict()` to go on from.
            on_roll_back: Called after an interval was rolled back, to put back what the controller
                has no copy of, such as averaged weights.
            start: See `attach`.
            problem: See `attach`.
            steers_unknown: See `attach`.

        Raises:
            ConfigurationError: A number is out of range, or a function has no initial value.
            UnknownNameError: A hyperparameter or a schedule of that name does not exist.
        """
        bind, initial = functions_by_name("bind", bind), numbers_by_name("initial", initial)
        for name in bind:
            self.policy.space.index(name)
        if set(bind) != set(initial):
            raise ConfigurationError(
                f"bind and initial must name the same hyperparameters; got {sorted(bind)} and "
                f"{sorted(initial)}"
            )
        writers = {
            name: FunctionWriter(function=function, initial=initial[name], name=name)
            for name, function in bind.items()
        }
        return self.steer(
            PlainHost(writers, validate),
            total_steps=total_steps,
            num_decisions=num_decisions,
            base_schedule=base_schedule,
            loggers=loggers,
            state=state,
            on_roll_back=on_roll_back,
            start=start,
            problem=problem,
            steers_unknown=steers_unknown,
        )

    def steer(
        self,
        host: HostT,
        *,
        total_steps: int | None,
        num_decisions: int | None = None,
        base_schedule: str | None = None,
        loggers: Sequence[RunLogger] = (),
        state: Mapping[str, Any] | None = None,
        on_roll_back: Callable[[], object] | None = None,
        start: Start | Mapping[str, float] | None = None,
        problem: Problem | None = None,
        steers_unknown: bool = False,
    ) -> Run[HostT]:
        """Steer whatever a host knows how to measure and to write.

        Args:
            host: One of ours or one of your own; see `hpo_env.control.host`.
            total_steps: See `attach`; so are the rest.
            num_decisions: Decision intervals in the run.
            base_schedule: Name of the schedule that the decisions correct, where the host has none
                of its own.
            loggers: Told of every decision and interval.
            state: A saved `run.state_dict()` to go on from.
            on_roll_back: Called after an interval was rolled back, to put back what the controller
                has no copy of, such as averaged weights.
            start: See `attach`.
            problem: What a learned start goes by; None: what the host says of it.
            steers_unknown: See `attach`.

        Returns:
            The run: call `run.step(loss)` after each update.

        Raises:
            ConfigurationError: A number is out of range, or nothing that the policy moves can be
                written.
            UnknownNameError: There is no schedule of that name.
        """
        num_decisions = self.default_num_decisions if num_decisions is None else num_decisions
        try:
            plan = plan_of(total_steps, num_decisions)
            memory = self.memory if state is None else None  # a run that goes on began long ago
            begun = begin_at(
                self.policy,
                host,
                start,
                problem,
                memory,
                num_decisions=plan.num_intervals if isinstance(plan, Plan) else None,
                is_new=state is None,
                steers_unknown=steers_unknown,
            )
            run = Run(
                self.policies,
                host,
                total_steps=total_steps,
                num_decisions=num_decisions,
                base_schedule=self.policy.base_schedule if base_schedule is None else base_schedule,
                loggers=[*listed("loggers", loggers), *begun.recorders],
                on_roll_back=on_roll_back,
                replaced=begun.replaced,
                unknown_kind=begun.unknown_kind,
            )
            for recorder in begun.recorders:
                recorder.run = run
            run.begin(state)
        except BaseException:
            host.close()  # a training that is not steered is left as it was found
            raise
        return run

    @property
    def default_num_decisions(self) -> int:
        """Decision intervals of the runs that the policy was trained on."""
        trained = self.policy.metadata.get("num_decisions")
        return trained if isinstance(trained, int) and trained > 0 else _DEFAULT_DECISIONS


def replay_schedule(
    path: str | Path,
    optimizer: Any,
    *,
    bind: Mapping[str, Callable[[float], Any]] | None = None,
) -> Replay:
    """Train by a saved schedule, without a controller.

    Args:
        path: What `run.save_schedule` wrote.
        optimizer: The optimiser, or a list of them, built as in the run that was saved.
        bind: Functions for what is in no param group.

    Returns:
        The replay: call its `step()` after each `optimizer.step()`.

    Raises:
        ConfigurationError: The file is damaged, or has a column that cannot be written.
    """
    from hpo_env.control.finding_writers import column_writers
    from hpo_env.control.live_schedule import unwrapped

    rows = read_schedule(path)
    optimizers = [unwrapped(one) for one in _listed(optimizer)]
    names = list(dict.fromkeys(name for row in rows for name in row if name != "step"))
    later = [name for name in names if name not in rows[0]]
    return Replay(rows, column_writers(optimizers, functions_by_name("bind", bind), names, later))


def _listed(one_or_more: Any) -> list[Any]:
    return list(one_or_more) if isinstance(one_or_more, list | tuple) else [one_or_more]
