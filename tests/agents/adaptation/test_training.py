"""Meta-training, the model that it leaves, and what both refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.adaptation import FewShotModel, MetaTraining, TrainingSettings, algorithm_class
from agents.adaptation.episodes import Episodes, Examples
from agents.adaptation.networks import ConvolutionalNet, Parameters, Perceptron
from agents.adaptation.problems import Problem, problem_of
from agents.commands.few_shot import main
from hpo_env.errors import ConfigurationError, RunFolderError, UnknownNameError
from hpo_env.few_shot import make_source

SHORT = TrainingSettings(num_steps=6, tasks_per_step=4, validate_every=3, num_validation_tasks=8)
SINUSOIDS = make_source("sinusoids", num_shots=5)


def short(algorithm: str = "maml", **settings: object) -> MetaTraining:
    return MetaTraining.of(algorithm, SINUSOIDS, SHORT, seed=0, algorithm_settings=settings)


def test_the_best_by_validation_is_kept() -> None:
    training, seen = short(inner_rate=1e-3), []
    training.run(lambda progress: seen.append(progress.score))
    looked = [score for score in seen if score is not None]
    assert len(looked) == 2
    assert training.best_score == min(looked)


def test_a_loss_that_is_no_number_ends_training_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"maml: the loss is .* lower learning_rate"):
        short(inner_rate=1e6).run()


class OnceDifferentiable(Perceptron):
    """A network with a distance in it whose second derivative torch does not have."""

    def embed(self, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        embedded = super().embed(parameters, inputs)
        return embedded + torch.cdist(embedded, embedded).mean()


@pytest.mark.parametrize("algorithm", ["maml", "meta_sgd", "imaml", "proto_maml"])
def test_a_network_without_second_derivatives_is_named_with_who_can_do_it(algorithm: str) -> None:
    network = OnceDifferentiable(problem_of(SINUSOIDS))
    kinds = {name: algorithm_class(name) for name in (algorithm, "first_order_maml", "reptile")}
    refused, *able = (
        MetaTraining(kind(network, kind.settings()), SINUSOIDS, SHORT, seed=0)
        for kind in kinds.values()
    )
    with pytest.raises(
        ConfigurationError, match=rf"OnceDifferentiable .* '{algorithm}' .* Take first_order_maml"
    ):
        refused.run()
    for training in able:
        training.advance()


@pytest.mark.parametrize(
    ("algorithm", "settings", "message"),
    [
        ("maml", {"inner_steps": 0}, "inner_steps must be at least 1; got 0"),
        ("maml", {"inner_rate": 0.0}, "inner_rate must be positive"),
        ("maml", {"rate": 1.0}, "has the settings inner_rate, inner_steps; got rate"),
        ("reptile", {"inner_steps": 1}, "inner_steps must be at least 2"),
        ("meta_sgd", {"lowest_rate": 1.0}, "lowest_rate must not be above inner_rate"),
        ("leo", {"code_size": 0}, "code_size must be at least 1"),
        ("prototypical", {}, "can do classification; source 'sinusoids' asks for regression"),
        ("json:dumps", {}, "must be a subclass of hpo_agents.adaptation.base.Algorithm"),
    ],
)
def test_what_cannot_be_is_refused_by_name(algorithm: str, settings: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        short(algorithm, **settings)


def test_the_nearest_algorithm_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="reptile"):
        algorithm_class("reptil")


def test_a_network_of_another_shape_is_refused() -> None:
    found = algorithm_class("maml")
    other = Problem(kind="regression", input_shape=(2,), num_outputs=1)
    with pytest.raises(ConfigurationError, match="problem_of"):
        MetaTraining(found(Perceptron(other), found.settings()), SINUSOIDS, SHORT, seed=0)


def test_a_state_of_another_network_is_refused() -> None:
    state = short().state()
    state["meta.0.weight"] = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match=r"meta\.0\.weight has shape"):
        short().load(state)


def test_support_and_query_hold_the_same_tasks() -> None:
    import torch

    few, more = (Examples(torch.zeros(n, 2, 1), torch.zeros(n, 2, 1)) for n in (1, 2))
    with pytest.raises(ConfigurationError, match="the same tasks; got 1 and 2"):
        Episodes(few, more)


def test_images_are_for_convolutions() -> None:
    with pytest.raises(ConfigurationError, match="channels, height, width"):
        ConvolutionalNet(problem_of(SINUSOIDS))


class TestModel:
    @pytest.fixture
    def model(self) -> FewShotModel:
        return short().model()

    def test_no_steps_of_adaptation_are_the_initialisation(self, model: FewShotModel) -> None:
        inputs = np.zeros((3, 1))
        one, two = (
            model.predict(inputs, np.full((3, 1), value), inputs, num_steps=0)
            for value in (-1.0, 1.0)
        )
        np.testing.assert_array_equal(one, two)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((1, 1))), "support_inputs must be"),
            ((np.zeros((0, 1)), np.zeros((0, 1)), np.zeros((1, 1))), "support_inputs must be"),
            ((np.zeros((3, 1)), np.zeros(3), np.zeros((1, 1))), "support_targets must be"),
            ((np.zeros((3, 1)), np.zeros((3, 1)), np.full((1, 1), np.nan)), "inputs must be fin"),
        ],
    )
    def test_other_shapes_are_refused(
        self, model: FewShotModel, arguments: Any, message: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=message):
            model.predict(*arguments)

    def test_classes_out_of_range_are_refused(self) -> None:
        from agents.testing.adaptation import Clusters

        source = Clusters(num_shots=1, num_queries=1)
        model = MetaTraining.of("prototypical", source, SHORT, seed=0).model()
        with pytest.raises(ConfigurationError, match="whole numbers from 0 to 2"):
            model.predict(np.zeros((2, 8)), np.array([0, 3]), np.zeros((1, 8)))
        probabilities = model.predict(np.zeros((2, 8)), np.array([0, 1]), np.zeros((4, 8)))
        np.testing.assert_allclose(probabilities.sum(-1), 1.0, rtol=1e-6)

    @pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 64])
    def test_other_files_are_refused(self, tmp_path: Path, content: Any) -> None:
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="is no few-shot model"):
            FewShotModel.load(path)


class TestCommand:
    WORDS = (
        "prototypical",
        "agents.testing.adaptation:Clusters",
        *("--shots", "2", "--queries", "2", "--num-test-tasks", "20"),
        *("--training.num-steps", "6", "--training.validate-every", "3"),
        *("--training.num-validation-tasks", "8", "--training.tasks-per-step", "4"),
    )

    def test_it_leaves_a_model_and_a_result(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main([*self.WORDS, "--out", str(tmp_path)])
        printed = capsys.readouterr().out
        assert "step       6 of 6" in printed
        assert "accuracy on test tasks" in printed
        model = FewShotModel.load(tmp_path / "model.safetensors")
        assert model.algorithm.name == "prototypical"
        assert (tmp_path / "result.json").is_file()

    def test_the_same_command_goes_on(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main([*self.WORDS, "--out", str(tmp_path)])
        main([*self.WORDS, "--out", str(tmp_path)])
        assert "goes on after step 6" in capsys.readouterr().out

    def test_a_folder_of_other_settings_is_refused(self, tmp_path: Path) -> None:
        main([*self.WORDS, "--out", str(tmp_path)])
        with pytest.raises(RunFolderError, match="of other settings"):
            main([*self.WORDS, "--seed", "1", "--out", str(tmp_path)])
