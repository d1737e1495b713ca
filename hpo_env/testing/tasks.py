"""Rules for what a family declares and for the tasks that it draws."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import pickle
import random
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import numpy as np

from hpo_env.errors import HPOControlError, MissingExtraError
from hpo_env.seeding import stream
from hpo_env.tasks.base import Split, Suite, Task, TaskFamily
from hpo_env.tasks.registry import make_family
from hpo_env.testing.under_test import FamilyUnderTest, check_array

NUM_TASKS = 24
"""Tasks that a rule looks at."""


class TaskRules(FamilyUnderTest):
    """What a family declares holds, and its tasks are plain data of which the split is kept."""

    # ---------------------------------------------------------------------------- declarations

    def test_declarations_do_not_contradict_each_other(self) -> None:
        """Everything is declared, within its range; see `hpo_env.tasks.base.check_declarations`."""
        assert self.family_class.name, "name must not be empty"

    def test_some_suite_is_for_results_and_quick_comparisons_ask_for_none_but_those(self) -> None:
        """A comparison needs something that is held out."""
        cls = self.family_class
        results = [suite.name for suite in cls.suites if suite.is_for_results]
        assert results, "at least one of suites must be for results; all are for decisions"
        decisions = set(cls.quick_suites or ()) - set(results)
        assert not decisions, f"quick_suites must be for results; {sorted(decisions)} are not"

    def test_every_suite_and_every_scene_draws_tasks(self) -> None:
        """Their options are options of the family."""
        cls = self.family_class
        for suite in (*cls.suites, *(cls.scenes or ())):
            try:
                family = make_family(self.family, **suite.options)
                tasks = [family.sample(stream(k, "suite")) for k in range(2)]
            except MissingExtraError:
                raise
            except HPOControlError as error:
                raise AssertionError(f"suite {suite.name!r} must draw tasks: {error}") from error
            assert all(isinstance(task, Task) for task in tasks), (
                f"suite {suite.name!r} must draw tasks; got {tasks}"
            )

    def test_suites_of_results_draw_from_the_test_side(self) -> None:
        """Decisions are never taken on what is reported."""
        for suite in self.family_class.suites:
            split = suite.options.get("split", "train")
            sides = ("test",) if suite.is_for_results else ("train", "validation")
            assert split in sides, (
                f"suite {suite.name!r} with is_for_results={suite.is_for_results} must draw from "
                f"{' or '.join(sides)}; got split={split!r}"
            )

    def test_kinds_are_those_of_its_tasks(self) -> None:
        """A policy says that it knows them, and holds still where a run is of another."""
        family = self.make_family()
        if family.kinds is None:
            return
        for k in range(NUM_TASKS):
            kind = family.problem(family.sample(stream(k, "task"))).kind
            assert kind in family.kinds, (
                f"the kind of every task must be one of kinds, {family.kinds}; got {kind!r}"
            )

    def test_options_of_the_trainer_are_options_of_the_family(self) -> None:
        """A name that nothing takes would be passed on to nobody."""
        cls = self.family_class
        taken = inspect.signature(cls).parameters
        for name in cls.trainer_options:
            assert name in taken, f"trainer_options must be options of {cls.__name__}; got {name!r}"

    def test_the_number_of_decisions_can_be_asked_for(self) -> None:
        """Suites shorten the runs by it."""
        for asked in (1, 7):
            task = self.make_family(num_decisions=asked).sample(stream(0, "task"))
            assert task.num_decisions == asked, (
                f"num_decisions={asked} must be the task's; got {task.num_decisions}"
            )

    # ----------------------------------------------------------------------------------- tasks

    def test_sampling_depends_on_the_generator_and_on_nothing_else(self) -> None:
        """Not on what was drawn before, on another instance, or on global random state."""
        family, other = self.make_family(), self.make_family()
        first = [family.sample(stream(k, "task")) for k in range(NUM_TASKS)]
        random.seed(99)
        np.random.seed(99)
        again = [other.sample(stream(k, "task")) for k in reversed(range(NUM_TASKS))][::-1]
        for one, two in zip(first, again, strict=True):
            assert one == two, (
                f"sample must depend on its generator alone: equal ones gave {one} and {two}"
            )

    def test_tasks_are_frozen_dataclasses_of_plain_values(self) -> None:
        """They are keys, travel to other processes, and stand in files."""
        for task in self._tasks():
            assert dataclasses.is_dataclass(task), f"a task must be a dataclass; got {type(task)}"
            frozen = vars(type(task))["__dataclass_params__"].frozen
            assert frozen, f"a task must be frozen, @dataclass(frozen=True); got {type(task)}"
            for field in dataclasses.fields(task):
                value = getattr(task, field.name)
                assert _is_plain(value), (
                    f"fields of a task must be numbers, strings, None or tuples of those; "
                    f"{field.name} is {value!r}, {type(value).__name__}"
                )
            hash(task)

    def test_tasks_come_back_from_json_and_from_pickle(self) -> None:
        """What is written is the task: two that differ anywhere are written differently."""
        for task in self._tasks():
            read = json.loads(json.dumps(task.to_json(), allow_nan=False))
            again = type(task)(**{name: _as_tuple(value) for name, value in read.items()})
            assert again == task, f"to_json must hold all of a task: {task} came back as {again}"
            copy = pickle.loads(pickle.dumps(task))
            assert copy == task, f"a task must survive pickle: {task} came back as {copy}"

    def test_tasks_have_a_name_and_decisions(self) -> None:
        """Results are grouped by the one and last the other."""
        for task in self._tasks():
            is_named = isinstance(task.name, str) and task.name != ""
            assert is_named, f"name must be a string, and not be empty; got {task.name!r}"
            check_count(task.num_decisions, "num_decisions")

    def test_initial_values_are_one_for_each_hyperparameter_and_within_its_range(self) -> None:
        """In the family's order."""
        space = self.make_family().space
        for task in self._tasks():
            assert len(task.initial) == len(space), (
                f"initial must hold one value for each of {list(space.names)}; got {task.initial}"
            )
            for known, value in zip(space.hyperparameters, task.initial, strict=True):
                assert known.low <= value <= known.high, (
                    f"initial {known.name} must lie in [{known.low:g}, {known.high:g}]; got {value}"
                )

    def test_defaults_are_one_for_each_hyperparameter_and_within_its_range(self) -> None:
        """And they are the caller's own array."""
        family = self.make_family()
        low, high = family.space.low, family.space.high
        for task in self._tasks():
            values = family.defaults(task)
            check_array(values, shape=low.shape, name="defaults")
            assert ((low <= values) & (values <= high)).all(), (
                f"defaults must lie in the ranges {low.tolist()} to {high.tolist()}; got {values}"
            )
            kept = values.copy()
            values += 1.0
            assert np.array_equal(family.defaults(task), kept), (
                "defaults must be a fresh array: what a caller does to it came back"
            )

    def test_labels_are_strings_with_the_same_names_in_the_same_order(self) -> None:
        """They are columns of the tables of results."""
        first: list[str] | None = None
        for task in self._tasks():
            labels = task.labels
            assert isinstance(labels, Mapping), f"labels must be a mapping; got {labels!r}"
            for name, value in labels.items():
                assert {type(name), type(value)} == {str}, (
                    f"labels must be strings; got {name!r}: {value!r} ({type(value).__name__})"
                )
            first = list(labels) if first is None else first
            assert list(labels) == first, (
                f"labels of all tasks must have the same names in the same order; got {first} "
                f"and {list(labels)}"
            )

    def test_alike_can_be_hashed_and_sorted(self) -> None:
        """Tasks are grouped by it, the groups in order."""
        keys: list[Any] = [task.alike for task in self._tasks()]
        try:
            sorted(set(keys))
        except TypeError as error:
            raise AssertionError(f"alike must be hashable and sortable: {error}") from error

    def test_effort_is_positive_and_finite(self) -> None:
        """Jobs are ordered by it."""
        family = self.make_family()
        for task in self._tasks():
            effort = family.effort(task)
            is_work = isinstance(effort, float) and 0.0 < effort < math.inf
            assert is_work, f"effort must be a positive finite float; got {effort!r}"
        check_count(family.updates_per_decision, "updates_per_decision")
        for task in self._tasks():
            check_count(family.interval_updates(task), "interval_updates(task)")

    def test_splits_share_no_task(self) -> None:
        """Not even one that starts elsewhere: what is held out is another thing to train."""
        seen: dict[Task, str] = {}
        for split, task in self._tasks_by_split():
            bare = dataclasses.replace(task, initial=())
            other = seen.setdefault(bare, split)
            assert other == split, f"splits must share no task; {other} and {split} have {bare}"

    # ------------------------------------------------------------------------------ the insides

    def _tasks_by_split(self) -> Iterator[tuple[Split, Task]]:
        for split in get_args(Split):
            family: TaskFamily = self.make_family(split=split)
            for k in range(NUM_TASKS):
                yield split, family.sample(stream(k, "task"))

    def _tasks(self) -> list[Task]:
        """Tasks of all splits and of all suites."""
        suites: tuple[Suite, ...] = self.family_class.suites
        families = [make_family(self.family, **suite.options) for suite in suites]
        held_out = [f.sample(stream(k, "task")) for f in families for k in range(2)]
        return [task for _, task in self._tasks_by_split()] + held_out


def check_count(value: object, name: str) -> None:
    """Check that a number is a whole one, from 1 on."""
    is_count = isinstance(value, int) and value >= 1
    assert is_count, f"{name} must be a positive integer; got {value!r}"


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return type(value) is float and math.isfinite(value)
    return value is None or type(value) in (bool, int, str)


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
