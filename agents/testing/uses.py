"""A family through every use: learned, evaluated, compared, reported, shipped and deployed.

    class TestGamesThroughEveryUse(FamilyUses):
        family = "my_package.games:GameFamily"
        options = {"num_levels": 2}

It runs the commands of `hpo-control` as a person would, on so little that all of it takes a minute.
What it demands of a family is what `FamilyContract` demands, and nothing besides.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import hpo_env
from hpo_env import testing
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.policy_file import load
from hpo_env.tasks.base import Engine, Recipe, Trainer
from hpo_env.testing.under_test import NUM_DECISIONS, FamilyUnderTest

from ..cli import EXIT_INTERRUPTED, main
from ..opponents.registry import OPPONENTS

TRAINING: Mapping[str, Any] = {
    "num_envs": 4,
    "num_decisions": NUM_DECISIONS,
    "n_steps": NUM_DECISIONS,
    "batch_size": 8,
    "steps": 64,
    "segment_steps": 32,
    "validation_lanes": 4,
}
"""Two segments of two rollouts: enough to be interrupted in the second."""

_FEW = ("--tasks", "1", "--seeds", "1", "--tuning-tasks", "2")
_PRESETS = ("quick", "standard", "full")
_ANALYSIS = Path("evaluations") / "test"


class FamilyUses(FamilyUnderTest):
    """Everything that is done with a family, by the commands that do it.

    Attributes:
        training: Settings of meta-training, by name; two segments of it.
        twin_engine: The engine of which the family's twin repeats every number; None: `engine`.
    """

    training: ClassVar[Mapping[str, Any]] = TRAINING
    twin_engine: ClassVar[Engine | None] = None

    # ------------------------------------------------------------------------------------ learned

    def test_gymnasium_makes_it(self) -> None:
        """One run, and several side by side."""
        single = gym.make(hpo_env.ENV_ID, **self.env_arguments())
        lanes = gym.make_vec(hpo_env.ENV_ID, num_envs=2, **self.env_arguments())
        for env in (single, lanes):
            env.reset(seed=0)
            env.action_space.seed(0)
            for _ in range(NUM_DECISIONS):
                reward = env.step(env.action_space.sample())[1]
                assert np.isfinite(np.asarray(reward)).all(), f"rewards must be finite; {reward}"
            env.close()

    def test_meta_training_exports_a_policy(self, run: Path) -> None:
        """Of the family, moving what an agent has by default."""
        assert len((run / "progress.jsonl").read_text().splitlines()) == 2
        assert json.loads((run / "result.json").read_text())["complete"]
        policy = load(run / "policy")
        assert policy.family == self.family
        assert policy.space.names == self.family_class.default_controlled
        assert policy.base_schedule == self.family_class.base_schedule

    def test_an_interrupted_meta_training_resumes_to_the_same_policy(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Bit for bit, after Ctrl-C in the second segment."""
        with monkeypatch.context() as patch:
            _interrupt_after_a_checkpoint(patch, type(self.make_trainer(1)), tmp_path)
            cut = self.train(tmp_path, code=EXIT_INTERRUPTED)
        assert not (cut / "result.json").exists(), "interrupted too late: this shows nothing"
        hpo_control("train", "--resume", cut, "--progress", "quiet")
        resumed, expected = (
            (folder / "policy" / "policy.safetensors").read_bytes() for folder in (cut, run)
        )
        assert resumed == expected, "a run that was interrupted must end as one that was not"

    # --------------------------------------------------------------------- evaluated and compared

    def test_an_evaluation_prints_its_table_and_writes_every_run(
        self, evaluated: tuple[Path, str]
    ) -> None:
        """As JSON, and the learned schedules as a picture."""
        folder, printed = evaluated
        assert "controller" in printed
        data = json.loads((folder / "runs.json").read_text())
        assert data["summary"], "the summary must not be empty"
        assert (folder / "schedules.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize("preset", _PRESETS)
    def test_every_preset_compares_what_fits(
        self, compare: Callable[[str], tuple[Path, str]], preset: str
    ) -> None:
        """All opponents that the family offers what they need, and a line for each other."""
        folder, printed = compare(preset)
        content = json.loads((folder / "comparison.json").read_text())
        assert content["cells_lost"] == 0, f"no cell may be lost; got {content['failures']}"
        for name in content["left_out"]:
            assert f"left out: {name} needs" in " ".join(printed.split())
        frame = pd.read_parquet(folder / "records.parquet")
        assert set(frame["opponent"]) == set(content["opponents"])
        searches = {"random_search", "pbt"} if "loss" in self.family_class.offers() else set()
        assert {"controller", "default", *searches} <= set(content["opponents"])
        if preset != "quick":
            assert {*content["opponents"], *content["left_out"]} == set(OPPONENTS)
        assert set(frame["suite"]) <= {suite.name for suite in self.family_class.suites}
        labels = [*self.make_family().sample(np.random.default_rng(0)).labels]
        columns = [name for name in frame.columns if name.startswith("label.")]
        assert columns == [f"label.{name}" for name in labels], (
            f"the table must have a column for each label of the tasks; got {columns}"
        )

    # ------------------------------------------------------------------------------------ reported

    def test_a_run_is_reported(self, run: Path, evaluated: tuple[Path, str]) -> None:
        """With the evaluation in it, as one HTML file."""
        hpo_control("report", run)
        assert "</html>" in (run / "report.html").read_text()

    def test_a_comparison_is_reported(self, compare: Callable[[str], tuple[Path, str]]) -> None:
        """As HTML and Markdown, with the suites by name."""
        folder, _ = compare("quick")
        hpo_control("report", folder)
        for ending in ("html", "md"):
            text = (folder / f"report.{ending}").read_text()
            assert "controller" in text
            for suite in self.family_class.quick_suites or ():
                assert suite in text, f"report.{ending} must name the suite {suite!r}"

    def test_tensorboard_shows_training_and_analysis(
        self, run: Path, evaluated: tuple[Path, str]
    ) -> None:
        """A curve a training, and a run of TensorBoard for the controller."""
        assert EventAccumulator(str(run)).Reload().Tags()["scalars"]
        analysis = run / _ANALYSIS
        assert json.loads((analysis / "analysis.json").read_text())
        folders = {path.parent for path in analysis.rglob("events.out.*")}
        (schedule,) = [folder for folder in folders if folder.name == "controller"]
        tags = EventAccumulator(str(schedule)).Reload().Tags()["scalars"]
        leading = self.family_class.leading()
        assert any(leading in tag for tag in tags), f"no schedule of {leading!r} among {tags}"

    # ------------------------------------------------------------------------- shipped and deployed

    def test_a_policy_is_made_evaluated_and_verified(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """From a recipe, into a folder of its own."""
        recipe = Recipe(
            name="small",
            help="as small as can be",
            settings={**self.training, "family_options": dict(self.options)},
            runs="small",
            seeds=(0, 1),
            members=1,
        )
        monkeypatch.setattr(self.family_class, "recipes", (recipe,))
        out, runs = tmp_path / "policy", tmp_path / "runs"
        named = ("small", "--family", self.family)
        hpo_control("zoo", "make", *named, "--out", out, "--run-dir", runs)
        hpo_control("zoo", "evaluate", out, "--tasks", "1")
        hpo_control("zoo", "verify", out)
        assert load(out).family == self.family
        assert json.loads((out / "eval.json").read_text())["num_tasks"] == 1

    def test_a_policy_steers_a_training_that_is_told_its_losses(self, run: Path) -> None:
        """Through the controller, in a loop of its own: a lane of the family's own trainer."""
        controller = Controller.from_pretrained(run / "policy")
        names = controller.policy.space.names
        family, (small, *_) = self.make_family(), self.make_runs(1)
        if family.features:  # a loop that tells its losses alone is refused in one sentence
            with pytest.raises(ConfigurationError, match=next(iter(family.features))):
                controller.drive({names[0]: float}, initial={names[0]: 1.0}, total_steps=1)
            return
        trainer = self.make_trainer(1)
        telemetry = trainer.reset(np.array([0]), [small.task], [small.seed])
        values = dict(zip(family.space.names, small.task.initial, strict=True))
        losses = [float(telemetry.validation_loss[0])]
        updates = family.interval_updates(small.task)

        def setter(name: str) -> Callable[[float], None]:
            return partial(values.__setitem__, name)

        steered = controller.drive(
            {name: setter(name) for name in names},
            initial={name: values[name] for name in names},
            total_steps=NUM_DECISIONS * updates,
            num_decisions=NUM_DECISIONS,
            validate=lambda: losses[-1],
        )
        used = []
        for _ in range(NUM_DECISIONS):
            telemetry, row = trainer.advance(np.array([[*values.values()]]))
            losses.append(float(telemetry.validation_loss[0]))
            used.append(dict(zip(family.space.names, row[0].tolist(), strict=True)))
            for _ in range(updates):
                steered.step()
        assert len(steered.decisions) == NUM_DECISIONS
        for decision, in_force in zip(steered.decisions, used, strict=True):
            assert decision.values == {name: in_force[name] for name in names}

    def test_a_policy_sees_and_does_in_the_twin_what_it_did_in_training(self) -> None:
        """Also where intervals fail; all rules of `ParityContract`."""
        engine = self.twin_engine or self.engine
        facts = {"family": self.family, "options": self.options, "engine": engine}
        parity = type("Parity", (testing.ParityContract,), facts)()
        for head in ("squashed", "choices"):
            parity.test_a_policy_sees_and_does_in_a_host_what_it_did_in_training(head, 9)
        parity.test_intervals_that_fail_are_treated_alike()

    # ------------------------------------------------------------------------------------ fixtures

    @pytest.fixture(scope="class")
    @classmethod
    def run(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A meta-training, once for all uses."""
        return cls.train(tmp_path_factory.mktemp("runs"))

    @pytest.fixture(scope="class")
    @classmethod
    def evaluated(cls, run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
        """An evaluation of the run: the folder of what it wrote, and what it printed."""
        folder = tmp_path_factory.mktemp("evaluation")
        written = ("--json", folder / "runs.json", "--figure", folder / "schedules.png")
        printed = hpo_control("evaluate", run, *_FEW, *written, "--analysis", run / _ANALYSIS)
        return folder, printed

    @pytest.fixture(scope="class")
    @classmethod
    def compare(
        cls, run: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Callable[[str], tuple[Path, str]]:
        """Compare by a preset that its flags shrink; presets share what they have in common."""
        out = tmp_path_factory.mktemp("comparison")

        def run_preset(preset: str) -> tuple[Path, str]:
            few = (*_FEW, "--runs", "2", "--population", "2", "--num-workers", "0")
            return out, hpo_control("compare", run, "--preset", preset, "--out", out, *few)

        return run_preset

    @classmethod
    def train(cls, run_dir: Path, *, code: int = 0) -> Path:
        """Meta-train as `python meta_train.py` does; the folder of the run."""
        settings = {"family": cls.family, "engine": cls.engine, **cls.training}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        options = [f"{name}={json.dumps(value)}" for name, value in cls.options.items()]
        more = ["--family-options", *options] if options else []
        where = ("--run-dir", run_dir, "--progress", "quiet")
        hpo_control("train", *flags, *more, *where, code=code)
        (folder,) = run_dir.iterdir()
        return folder


def hpo_control(*words: object, code: int = 0) -> str:
    """Run a command as from a shell, in this process.

    Args:
        words: What stands after `hpo-control`.
        code: The exit code that is expected.

    Returns:
        What it printed.
    """
    args = [str(word) for word in words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        out, errors = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
            pytest.raises(SystemExit) as ended,
        ):
            main(args)
    assert ended.value.code == code, (
        f"`hpo-control {' '.join(args)}` must end with code {code}; got {ended.value.code}: "
        f"{errors.getvalue()[-2000:]}"
    )
    return out.getvalue()


def _interrupt_after_a_checkpoint(
    patch: pytest.MonkeyPatch, trainer: type[Trainer], run_dir: Path
) -> None:
    """Press Ctrl-C in the second interval that a kind of trainer begins after a checkpoint."""
    advance, since = trainer.advance, list[int]()

    def advance_or_stop(self: Trainer, values: Any) -> Any:
        if since or any(run_dir.glob("*/checkpoints/segment-*")):
            since.append(1)
        if len(since) == 2:
            raise KeyboardInterrupt
        return advance(self, values)

    patch.setattr(trainer, "advance", advance_or_stop)
