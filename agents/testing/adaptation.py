"""The contract of a meta-learning algorithm, as a test class that its author subclasses.

    class TestMine(AlgorithmContract):
        algorithms = ("my_package.mine:Mine",)
        settings = {"my_package.mine:Mine": {"inner_steps": 2}}

It builds each algorithm for tasks of both kinds, as far as it can do them, with a small perceptron
in double precision, and trains it for a few hundred steps. A rule that is broken fails a test of
its name.

Axes: `B` tasks, `S` support examples, `Q` query examples, `K` outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from hpo_env.datasets.base import Split
from hpo_env.few_shot import FewShotSource, FewShotTasks
from hpo_env.seeding import stream

from ..adaptation.base import Algorithm, Differentiable
from ..adaptation.episodes import Episodes, Examples
from ..adaptation.model import FewShotModel
from ..adaptation.networks import Perceptron
from ..adaptation.problems import problem_of
from ..adaptation.registry import algorithm_class
from ..adaptation.training import MetaTraining, TrainingSettings, as_episodes, scores

_KINDS = ("classification", "regression")
_STEP = 1e-6  # of central differences, in double precision
_NUM_TASKS = 4


class _Drawn(FewShotSource):
    """Tasks whose inputs are two telling numbers among six that are noise."""

    num_ways = 3

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Two that tell, six that do not."""
        return (8,)

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        return rng.standard_normal((*shape, 6))


class Clusters(_Drawn):
    """Classes are points of a plane; noise in other directions is as loud as they are far apart."""

    name = "clusters"
    kind = "classification"

    @property
    def num_outputs(self) -> int:
        """Three classes."""
        return self.num_ways

    def sample(self, split: Split, num_tasks: int, rng: np.random.Generator) -> FewShotTasks:
        """See `FewShotSource.sample`."""
        centres = 2.0 * rng.standard_normal((num_tasks, self.num_ways, 2))
        parts: list[np.ndarray[Any, Any]] = []
        for num_each in (self.num_shots, self.num_queries):
            classes = np.tile(np.repeat(np.arange(self.num_ways), num_each), (num_tasks, 1))
            telling = np.take_along_axis(centres, classes[..., None], axis=1)
            telling = telling + 0.3 * rng.standard_normal(telling.shape)
            inputs = np.concatenate([telling, self._noise(rng, classes.shape)], axis=-1)
            parts += [inputs.astype(np.float32), classes]
        return FewShotTasks(
            support_inputs=parts[0],
            support_targets=parts[1],
            query_inputs=parts[2],
            query_targets=parts[3],
        )


class Planes(_Drawn):
    """The value is a linear function of the plane, another one in each task."""

    name = "planes"
    kind = "regression"

    @property
    def num_outputs(self) -> int:
        """One value."""
        return 1

    def sample(self, split: Split, num_tasks: int, rng: np.random.Generator) -> FewShotTasks:
        """See `FewShotSource.sample`."""
        slopes = rng.standard_normal((num_tasks, 2, 1))
        parts = []
        for num_each in (self.num_shots, self.num_queries):
            telling = rng.standard_normal((num_tasks, num_each, 2))
            noise = 0.3 * self._noise(rng, (num_tasks, num_each))
            parts += [np.concatenate([telling, noise], axis=-1), telling @ slopes]
        inputs_s, targets_s, inputs_q, targets_q = (part.astype(np.float32) for part in parts)
        return FewShotTasks(
            support_inputs=inputs_s,
            support_targets=targets_s,
            query_inputs=inputs_q,
            query_targets=targets_q,
        )


def make_tasks(kind: str) -> FewShotSource:
    """Return the source that the rules are tried on."""
    if kind == "classification":
        return Clusters(num_shots=3, num_queries=4)
    return Planes(num_shots=8, num_queries=8)


class AlgorithmContract:
    """All rules. Each algorithm is tried on each kind of problem that it can do."""

    algorithms: ClassVar[tuple[str, ...]] = ()
    """Names of the registry, or addresses."""

    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What an algorithm is told so that it learns in a few hundred steps, by algorithm."""

    training_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What its meta-training is told otherwise than others', by algorithm."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every rule on each algorithm and kind."""
        cases = [
            pytest.param(name, kind, id=f"{name}-{kind}")
            for name in self.algorithms
            for kind in _KINDS
            if kind in algorithm_class(name).kinds
        ]
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize(("name", "kind"), cases)

    @pytest.fixture(autouse=True)
    def double_precision(self) -> Iterator[None]:
        """Compute in double precision, in which central differences mean something."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(before)

    def build(self, name: str, kind: str) -> Algorithm:
        """Build an algorithm with a small network."""
        found = algorithm_class(name)
        network = Perceptron(problem_of(make_tasks(kind)), widths=(12,))
        return found(network, found.settings(**self.settings.get(name, {})))

    def training(self, name: str, kind: str) -> MetaTraining:
        """Begin a meta-training."""
        usual = {"num_steps": 150, "tasks_per_step": 8, "learning_rate": 0.02}
        told = TrainingSettings(
            **(usual | dict(self.training_settings.get(name, {}))),
            validate_every=50,
            num_validation_tasks=64,
        )
        return MetaTraining(self.build(name, kind), make_tasks(kind), told, seed=3)

    def test_the_same_seed_draws_the_same_meta_parameters(self, name: str, kind: str) -> None:
        """Another one draws others."""
        algorithm = self.build(name, kind)
        first, second, other = (algorithm.initial(_generator(seed)) for seed in (1, 1, 2))
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert any(not torch.equal(first[key], other[key]) for key in first)
        assert all(torch.isfinite(value).all() for value in first.values())

    def test_a_gradient_has_the_shapes_of_the_meta_parameters(self, name: str, kind: str) -> None:
        """It is finite, is not zero, and leaves them as they were."""
        algorithm = self.build(name, kind)
        meta = algorithm.initial(_generator(1))
        before = {key: value.clone() for key, value in meta.items()}
        found = algorithm.gradient(meta, _episodes(kind), _generator(5))
        assert {key: value.shape for key, value in found.gradient.items()} == {
            key: value.shape for key, value in meta.items()
        }
        assert all(torch.isfinite(value).all() for value in found.gradient.values())
        assert any(value.abs().max() > 0.0 for value in found.gradient.values())
        assert np.isfinite(found.loss)
        assert all(torch.equal(meta[key], before[key]) for key in meta)

    def test_every_meta_parameter_is_learned(self, name: str, kind: str) -> None:
        """None is carried along and read by nothing."""
        algorithm = self.build(name, kind)
        meta = algorithm.initial(_generator(1))
        found = algorithm.gradient(meta, _episodes(kind), _generator(5)).gradient
        idle = [key for key, value in found.items() if not value.abs().max() > 0.0]
        assert not idle, f"these meta-parameters change nothing: {idle}"

    def test_a_gradient_follows_from_the_generator(self, name: str, kind: str) -> None:
        """The same draws give the same gradient, bit for bit."""
        algorithm = self.build(name, kind)
        meta = algorithm.initial(_generator(1))
        first, second = (
            algorithm.gradient(meta, _episodes(kind), _generator(5)).gradient for _ in range(2)
        )
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_a_gradient_is_the_mean_over_tasks(self, name: str, kind: str) -> None:
        """Where nothing is drawn, a batch says what its tasks say one by one."""
        algorithm = self.build(name, kind)
        meta = algorithm.initial(_generator(1))
        episodes = _episodes(kind)
        twice = algorithm.gradient(meta, episodes, _generator(5)).gradient
        if any(
            not torch.equal(
                algorithm.gradient(meta, episodes, _generator(6)).gradient[key], twice[key]
            )
            for key in twice
        ):
            pytest.skip("it draws")
        each = [
            algorithm.gradient(meta, _task(episodes, task), _generator(5)).gradient
            for task in range(_NUM_TASKS)
        ]
        for key, value in twice.items():
            mean = torch.stack([one[key] for one in each]).mean(0)
            torch.testing.assert_close(value, mean, rtol=1e-7, atol=1e-9)

    def test_a_gradient_is_that_of_its_loss(self, name: str, kind: str) -> None:
        """Central differences along a random direction agree, second derivatives included."""
        algorithm = self.build(name, kind)
        if not isinstance(algorithm, Differentiable) or getattr(algorithm, "is_first_order", False):
            pytest.skip("its direction is not the gradient of a loss")
        meta = algorithm.initial(_generator(1))
        direction = {
            key: torch.randn(value.shape, generator=_generator(9)) for key, value in meta.items()
        }

        def loss(step: float) -> float:
            moved = {key: value + step * direction[key] for key, value in meta.items()}
            return float(algorithm.loss(moved, _episodes(kind), _generator(5))[0].detach())

        numerical = (loss(_STEP) - loss(-_STEP)) / (2.0 * _STEP)
        found = algorithm.gradient(meta, _episodes(kind), _generator(5)).gradient
        analytic = float(sum((found[key] * direction[key]).sum() for key in meta))
        assert analytic == pytest.approx(numerical, rel=1e-4, abs=1e-7)

    def test_predictions_have_no_graph_and_the_right_shape(self, name: str, kind: str) -> None:
        """They are logits or values, `[B, Q, K]`."""
        algorithm = self.build(name, kind)
        meta = {k: v.requires_grad_() for k, v in algorithm.initial(_generator(1)).items()}
        episodes = _episodes(kind)
        outputs = algorithm.predict(meta, episodes.support, episodes.query.inputs)
        num_queries = episodes.query.inputs.shape[1]
        assert outputs.shape == (_NUM_TASKS, num_queries, algorithm.problem.num_outputs)
        assert not outputs.requires_grad
        assert torch.isfinite(outputs).all()

    def test_a_task_is_predicted_alone_as_among_others(self, name: str, kind: str) -> None:
        """Nothing of one task reaches another."""
        algorithm = self.build(name, kind)
        meta = algorithm.initial(_generator(1))
        episodes = _episodes(kind)
        together = algorithm.predict(meta, episodes.support, episodes.query.inputs)
        for task in range(_NUM_TASKS):
            one = _task(episodes, task)
            alone = algorithm.predict(meta, one.support, one.query.inputs)
            torch.testing.assert_close(alone[0], together[task], rtol=1e-9, atol=1e-9)

    def test_a_query_is_predicted_alone_as_among_others(self, name: str, kind: str) -> None:
        """The network has no batch normalisation here, so queries do not see each other."""
        algorithm = self.build(name, kind)
        meta = algorithm.initial(_generator(1))
        episodes = _episodes(kind)
        together = algorithm.predict(meta, episodes.support, episodes.query.inputs)
        alone = algorithm.predict(meta, episodes.support, episodes.query.inputs[:, :1])
        torch.testing.assert_close(alone[:, 0], together[:, 0], rtol=1e-9, atol=1e-9)

    def test_the_support_set_is_read(self, name: str, kind: str) -> None:
        """Other targets give other predictions."""
        algorithm = self.build(name, kind)
        meta = algorithm.initial(_generator(1))
        episodes = _episodes(kind)
        inputs, targets = episodes.support
        other = targets.roll(1, dims=1) if kind == "regression" else (targets + 1) % 3
        one, two = (
            algorithm.predict(meta, Examples(inputs, read), episodes.query.inputs)
            for read in (targets, other)
        )
        assert not torch.equal(one, two)

    def test_steps_of_adaptation_are_those_asked_for(self, name: str, kind: str) -> None:
        """More of them change the prediction, unless the algorithm says that it takes none."""
        algorithm = self.build(name, kind)
        meta = algorithm.initial(_generator(1))
        episodes = _episodes(kind)
        none, many = (
            algorithm.predict(meta, episodes.support, episodes.query.inputs, num_steps=number)
            for number in (0, 7)
        )
        assert torch.equal(none, many) is not algorithm.is_adapted_by_steps

    def test_it_learns(self, name: str, kind: str) -> None:
        """After meta-training, tasks never seen are predicted better than before.

        In whatever order their examples come: training tasks list theirs class by class, and what
        counts in place of reading targets would be found out.
        """
        torch.set_default_dtype(torch.float32)
        training = self.training(name, kind)
        unseen = as_episodes(training.source.sample("test", 128, stream(11)))
        before = float(scores(training.algorithm, training.meta, unseen).mean())
        training.run()
        for known in (unseen, _reordered(unseen)):
            after = float(scores(training.algorithm, training.best, known).mean())
            if kind == "classification":
                assert after > before + 0.3 * (1.0 - before)
            else:
                assert after < 0.8 * before

    def test_a_stopped_training_goes_on_as_if_it_had_not_been(self, name: str, kind: str) -> None:
        """Bit for bit, best and validation included."""
        torch.set_default_dtype(torch.float32)
        whole, first = self.training(name, kind), self.training(name, kind)
        for _ in range(55):
            whole.advance()
        for _ in range(51):
            first.advance()
        resumed = self.training(name, kind)
        resumed.load(first.state())
        for _ in range(4):
            resumed.advance()
        expected = whole.state()
        assert resumed.state().keys() == expected.keys()
        for key, value in resumed.state().items():
            np.testing.assert_array_equal(value, expected[key], err_msg=key)

    def test_a_model_is_what_was_saved(self, name: str, kind: str, tmp_path: Path) -> None:
        """Read back, its numbers are the same, and so are its predictions up to rounding."""
        torch.set_default_dtype(torch.float32)
        training = self.training(name, kind)
        model = training.model()
        model.save(tmp_path / "model.safetensors")
        tasks = training.source.sample("test", 1, stream(2))
        asked = (tasks.support_inputs[0], tasks.support_targets[0], tasks.query_inputs[0])
        loaded = FewShotModel.load(tmp_path / "model.safetensors")
        assert all(torch.equal(loaded.meta[key], value) for key, value in model.meta.items())
        assert loaded.algorithm.told == model.algorithm.told
        # Where a tensor lies in memory decides the order in which its elements are added.
        np.testing.assert_allclose(
            loaded.predict(*asked), model.predict(*asked), rtol=1e-4, atol=1e-6
        )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _episodes(kind: str) -> Episodes:
    tasks = as_episodes(make_tasks(kind).sample("train", _NUM_TASKS, stream(7)))
    return Episodes(_doubled(tasks.support), _doubled(tasks.query))


def _doubled(examples: Examples) -> Examples:
    inputs, targets = examples
    return Examples(inputs.double(), targets.double() if targets.is_floating_point() else targets)


def _reordered(episodes: Episodes) -> Episodes:
    """Return the same tasks, the examples of each in an order of its own."""
    num_tasks, num_examples = episodes.support.targets.shape[:2]
    order = torch.rand(num_tasks, num_examples, generator=_generator(4)).argsort(dim=1)
    tasks = torch.arange(num_tasks)[:, None]
    support = Examples(*(part[tasks, order] for part in episodes.support))
    return Episodes(support, episodes.query)


def _task(episodes: Episodes, task: int) -> Episodes:
    """Return one of the tasks."""
    parts = (episodes.support, episodes.query)
    support, query = (Examples(*(axis[task : task + 1] for axis in part)) for part in parts)
    return Episodes(support, query)
