"""The family of few-shot tasks: what is observed, what a run starts from, what is learned."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors
import torch

from agents.adaptation.networks import Perceptron as TorchPerceptron
from agents.adaptation.problems import Problem
from agents.adaptation.proto_maml import ProtoMAML
from hpo_env.errors import ConfigurationError, MissingExtraError, UnknownNameError
from hpo_env.few_shot import characters
from hpo_env.few_shot.classes import draw_tasks
from hpo_env.few_shot.images import jittered
from hpo_env.seeding import stream
from hpo_env.tasks.few_shot import trainer as trainer_module
from hpo_env.tasks.few_shot.distribution import SHAPES
from hpo_env.tasks.few_shot.family import FewShotFamily
from hpo_env.tasks.few_shot.initialisations import FILE, KINDS, initialisation
from hpo_env.tasks.few_shot.network import Perceptron
from hpo_env.tasks.few_shot.preparation import Prepared, prepare
from hpo_env.tasks.few_shot.space import NAMES
from hpo_env.tasks.few_shot.task import FewShotTask
from hpo_env.tasks.few_shot.trainer import begin
from hpo_env.vector_env import HPOControlVectorEnv

SOURCES = tuple(SHAPES)


def drawn(source: str, seed: int = 0, **options: Any) -> FewShotTask:
    family = FewShotFamily(source=source, start="default", **options)  # type: ignore[arg-type]
    try:
        return family.sample(stream(seed, "task"))
    except MissingExtraError as error:
        pytest.skip(str(error))


def played(source: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return observations and rewards of a few steps in which everything moves."""
    drawn(source)
    env = HPOControlVectorEnv(3, family="few_shot", source=source, num_decisions=4)
    env.action_space.seed(0)
    seen, rewards = [env.reset(seed=0)[0]], []
    for _ in range(4):
        observation, reward, *_ = env.step(env.action_space.sample())
        seen.append(observation)
        rewards.append(reward)
    return np.stack(seen), np.stack(rewards)


@pytest.mark.parametrize("source", SOURCES)
class TestEverySource:
    def test_observations_do_not_depend_on_query_rows(
        self, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One row of each is left, and its target is turned round: rewards change, and nothing."""
        before, rewards = played(source)
        monkeypatch.setattr(trainer_module, "prepare", _without_queries)
        after, other_rewards = played(source)
        # Of the step at which an episode ends, the observation is the next one's first.
        np.testing.assert_array_equal(after, before)
        assert not np.allclose(other_rewards, rewards)

    def test_rows_that_are_held_back_are_not_adapted_to(self, source: str) -> None:
        if source == "tables":
            pytest.skip("some rows of a table are equal")
        for seed in range(4):
            rows = prepare(drawn(source, seed), seed)
            adapted = {row.tobytes() for row in rows.adapted.inputs}
            for others in (rows.held_back, rows.query, rows.test):
                assert len(others.inputs)
                assert not adapted & {row.tobytes() for row in others.inputs}

    def test_all_classes_are_adapted_to_and_held_back_evenly(self, source: str) -> None:
        rows = prepare(drawn(source), 0)
        for part in (rows.adapted, rows.held_back, rows.query, rows.test):
            if rows.is_classification:
                assert len(set(part.targets.sum(axis=0).tolist())) == 1
            assert np.isfinite(part.inputs).all()

    def test_a_run_starts_where_the_learned_algorithm_does(self, source: str) -> None:
        """Head and first steps are those of Proto-MAML in torch."""
        task = drawn(source)
        run = begin(task, 5)
        algorithm, meta = _in_torch(task, run)
        inputs = torch.from_numpy(run.rows.adapted.inputs)
        targets = torch.from_numpy(run.rows.adapted.targets)
        read = targets.argmax(-1) if run.rows.is_classification else targets
        values = np.array([[1.0, 1.0, 1e-3, 1.0]])
        for num_steps in (0, task.steps_per_decision):
            if num_steps:
                trainer_module.adapt([run], values * [1.0, 1.0, 0.0, 1.0])
            adapted = algorithm.adapted(meta, _examples(inputs, read), num_steps)
            for name, matrix in run.network.views(run.now.weights[None]).items():
                wanted = adapted[name].numpy()
                wanted = wanted.reshape(1, -1) if wanted.ndim == 1 else wanted.T
                np.testing.assert_allclose(matrix[0], wanted, rtol=2e-3, atol=2e-4, err_msg=name)

    def test_every_hyperparameter_takes_effect(self, source: str) -> None:
        """On what is observed; on values, temperature has none."""
        task = drawn(source)
        usual = np.array([[1.0, 1.0, 1e-3, 1.0]])
        has = FewShotFamily(source=source).has(task)  # type: ignore[arg-type]
        for column, name in enumerate(NAMES):
            ends = []
            for factor in (1.0, 3.0 if name != "weight_decay" else 3000.0):
                run = begin(task, 0)
                values = usual.copy()
                values[0, column] *= factor
                for _ in range(2):
                    trainer_module.adapt([run], values)
                ends.append(run.now.held_back.judged.loss)
            assert (ends[0] != ends[1]) == has[column], name

    def test_whatever_the_rate_a_loss_is_a_number_or_the_run_has_diverged(
        self, source: str
    ) -> None:
        """The last step's weights may be finite where what they make of a row is not."""
        num_finite = 0
        for rate in np.geomspace(1e2, 1e38, 73):
            run = begin(drawn(source), 0)
            told = trainer_module.adapt([run], np.array([[rate, 1.0, 1e-3, 1.0]]))
            num_finite += int(np.isfinite(run.now.weights).all())
            assert np.isfinite(told.validation_loss[0])
            assert told.diverged[0] or np.isfinite(run.now.held_back.judged.loss)
        assert 0 < num_finite < 73

    def test_more_real_rows_help(self, source: str) -> None:
        """Over tasks: what was learned adapts, and is better than knowing nothing."""
        few, many = (
            np.mean([_adapted_loss(source, shots, seed) for seed in range(12)])
            for shots in (SHAPES[source][0][1], SHAPES[source][-1][1])
        )
        assert many < few


def _adapted_loss(source: str, shots: int, seed: int) -> float:
    """Return the query loss after one interval, over that of who knows nothing."""
    run = begin(drawn(source, seed, shots=shots), seed)
    trainer_module.adapt([run], np.array([[1.0, 1.0, 1e-3, 1.0]]))
    return run.loss(run.rows.query)[0] / run.rows.chance


def _without_queries(task: FewShotTask, seed: int) -> Prepared:
    rows = prepare(task, seed)
    query = replace(
        rows.query,
        inputs=rows.query.inputs[:1],
        targets=np.roll(rows.query.targets[:1], 1, axis=1) + (task.ways == 1),
    )
    return replace(rows, query=query, test=query)


def _examples(inputs: torch.Tensor, targets: torch.Tensor) -> Any:
    from agents.adaptation.episodes import Examples

    return Examples(inputs, targets)


def _in_torch(task: FewShotTask, run: Any) -> tuple[ProtoMAML, dict[str, torch.Tensor]]:
    problem = Problem(
        kind="classification" if task.ways > 1 else "regression",
        input_shape=(run.network.widths[0],),
        num_outputs=task.ways,
    )
    algorithm = ProtoMAML(TorchPerceptron(problem, run.network.widths[1:]), ProtoMAML.settings())
    learned = initialisation(task.source)
    meta = {
        name: torch.from_numpy(matrix[0] if name.endswith("bias") else matrix.T.copy())
        for name, matrix in learned.weights.items()
    }
    meta |= {f"log_rate.{n}": torch.tensor(rate).log() for n, rate in learned.rates.items()}
    return algorithm, meta | {"log_scale": torch.tensor(learned.scale).log()}


@pytest.mark.parametrize("is_classification", [True, False])
def test_gradients_are_those_of_the_loss(is_classification: bool) -> None:
    """Central differences in single precision, over two lanes of other temperatures."""
    network = Perceptron((5, 7, 4), 3, is_classification)
    rng = stream(0)
    size = sum(rows * columns for rows, columns in network.shapes.values())
    flat = rng.normal(0.0, 0.5, (2, size)).astype(np.float32)
    inputs = rng.standard_normal((2, 6, 5)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[rng.integers(3, size=(2, 6))]
    temperature = np.array([1.0, 2.5])
    _, found = network.gradient(flat, inputs, targets, temperature)
    for _ in range(5):
        direction = rng.standard_normal(flat.shape).astype(np.float32)
        ends = [
            network.losses(
                network.activations(flat + step * direction, inputs)[-1], targets, temperature
            ).mean(axis=1)
            for step in (1e-3, -1e-3)
        ]
        expected = (ends[0] - ends[1]) / 2e-3
        np.testing.assert_allclose((found * direction).sum(axis=1), expected, rtol=0.02, atol=2e-3)


def test_what_is_shipped_is_small_and_says_all_that_runs_need() -> None:
    assert FILE.stat().st_size <= 300_000
    with safetensors.safe_open(FILE, framework="np") as file:
        facts = json.loads(file.metadata()["facts"])
    assert set(facts) == set(KINDS.values())


def test_without_fonts_the_packages_are_named_and_other_sources_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for known in (characters.drawn_scripts, characters._readable_fonts):
        monkeypatch.setattr(characters, known.__name__, known.__wrapped__)
    monkeypatch.setattr(characters, "_FONTS", tmp_path)
    monkeypatch.setattr("hpo_env.tasks.few_shot.family.source_of", _uncached_source)
    families = FewShotFamily(source="characters"), FewShotFamily()
    for family, seed in itertools.product(families, range(5)):  # also where others would be drawn
        with pytest.raises(MissingExtraError, match="apt-get install culmus"):
            family.sample(stream(seed))
    for source in ("digits", "tables", "sinusoids"):
        FewShotFamily(source=source).sample(stream(0))


def _uncached_source(*shape: Any) -> Any:
    from hpo_env.tasks.few_shot.preparation import source_of

    return source_of.__wrapped__(*shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "characters", "ways": 7}, "got ways=7, shots=None"),
        ({"shots": 0}, "got ways=None, shots=0"),
        ({"source": "tables", "shots": 1}, "got ways=None, shots=1"),
    ],
)
def test_pairs_that_no_source_has_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FewShotFamily(**options)


@pytest.mark.parametrize("options", [{"source": "character"}, {"start": "defaults"}])
def test_the_nearest_name_is_suggested(options: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean"):
        FewShotFamily(**options)


def test_no_example_of_a_class_is_drawn_twice() -> None:
    classes = [np.arange(9, dtype=np.float32)[:, None] + 10 * k for k in range(4)]
    tasks = draw_tasks(stream(0), [classes] * 3, num_ways=3, num_shots=4, num_queries=5)
    for support, query in zip(tasks.support_inputs, tasks.query_inputs, strict=True):
        assert len({*support.ravel().tolist(), *query.ravel().tolist()}) == 27


def test_copies_of_an_image_differ_a_little() -> None:
    image = np.zeros((1, 20, 20), np.float32)
    image[0, 4:16, 9:11] = 1.0
    copies = jittered(np.repeat(image, 8, axis=0), stream(0))
    assert copies.shape == (8, 20, 20)
    assert (copies >= 0.0).all()
    assert (copies <= 1.0).all()
    same = [float(np.minimum(copy, image[0]).sum() / image.sum()) for copy in copies]
    assert min(same) > 0.3
    assert max(same) < 1.0
