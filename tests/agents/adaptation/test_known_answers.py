"""Algorithms against what can be computed by hand or in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.func import grad

from agents.adaptation.embedding_based import EmbeddingSettings
from agents.adaptation.episodes import Episodes, Examples
from agents.adaptation.gradient_based import InnerLoopSettings
from agents.adaptation.imaml import IMAMLSettings, ImplicitMAML
from agents.adaptation.inner_loop import support_loss
from agents.adaptation.leo import Code, LatentEmbeddingOptimization, LEOSettings
from agents.adaptation.maml import MAML, FirstOrderMAML
from agents.adaptation.matching import MatchingNetworks, MatchingSettings
from agents.adaptation.memory import Memory, reading_weights, written
from agents.adaptation.meta_sgd import MetaSGD, MetaSGDSettings
from agents.adaptation.networks import Network, Parameters, Perceptron
from agents.adaptation.problems import Problem
from agents.adaptation.prototypical import PrototypicalNetworks
from agents.adaptation.reptile import Reptile, ReptileSettings

VALUES = Problem(kind="regression", input_shape=(2,), num_outputs=1)
CLASSES = Problem(kind="classification", input_shape=(2,), num_outputs=2)


class Linear(Network):
    """The embedding is the input, so that all is in closed form."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, {}, problem.input_shape[0])

    def to_json(self) -> dict[str, object]:
        return {"kind": "linear"}

    def embed(self, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        return inputs


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def episodes() -> Episodes:
    drawn = torch.Generator().manual_seed(0)
    support, query = (
        Examples(torch.randn(3, 5, 2, generator=drawn), torch.randn(3, 5, 1, generator=drawn))
        for _ in range(2)
    )
    return Episodes(support, query)


def drawing() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def task(examples: Examples, number: int) -> Examples:
    return Examples(*(axis[number] for axis in examples))


def quadratic(examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    """Hessian `[3, 3]` and linear term `[3]` of the loss in (weight, bias)."""
    inputs = torch.cat([examples.inputs, torch.ones(len(examples.inputs), 1)], dim=1)
    return (
        2.0 * inputs.T @ inputs / len(inputs),
        2.0 * inputs.T @ examples.targets[:, 0] / len(inputs),
    )


def flat(parameters: Parameters) -> torch.Tensor:
    return torch.cat([parameters["head.weight"][0], parameters["head.bias"]])


def test_maml_of_a_linear_model_is_the_chain_rule(episodes: Episodes) -> None:
    algorithm = MAML(Linear(VALUES), InnerLoopSettings(inner_rate=0.1, inner_steps=3))
    meta = algorithm.initial(drawing())
    expected = torch.zeros(3)
    for number in range(3):
        hessian, slope = quadratic(task(episodes.support, number))
        way, adapted = torch.eye(3) - 0.1 * hessian, flat(meta)
        for _ in range(3):
            adapted = adapted - 0.1 * (hessian @ adapted - slope)
        query_hessian, query_slope = quadratic(task(episodes.query, number))
        outer = query_hessian @ adapted - query_slope
        expected += torch.linalg.matrix_power(way, 3) @ outer / 3
    found = algorithm.gradient(meta, episodes, drawing()).gradient
    torch.testing.assert_close(flat(found), expected)


def test_the_first_order_form_is_the_query_gradient_where_the_inner_loop_ended(
    episodes: Episodes,
) -> None:
    algorithm = FirstOrderMAML(Perceptron(VALUES, (6,)), InnerLoopSettings(inner_rate=0.1))
    meta = algorithm.initial(drawing())
    expected = torch.zeros(())
    for number in range(3):
        adapted = algorithm.adapted(meta, task(episodes.support, number), 5)
        ended = grad(support_loss(algorithm.network, task(episodes.query, number)))(adapted)
        expected = expected + ended["0.weight"] / 3
    found = algorithm.gradient(meta, episodes, drawing()).gradient["0.weight"]
    torch.testing.assert_close(found, expected)
    second_order = MAML(algorithm.network, algorithm.inner).gradient(meta, episodes, drawing())
    assert not torch.allclose(second_order.gradient["0.weight"], expected)


def test_implicit_maml_of_a_linear_model_solves_its_system(episodes: Episodes) -> None:
    settings = IMAMLSettings(inner_rate=0.1, inner_steps=2_000, strength=1.5, solver_steps=3)
    algorithm = ImplicitMAML(Linear(VALUES), settings)
    meta = algorithm.initial(drawing())
    expected = torch.zeros(3)
    for number in range(3):
        hessian, slope = quadratic(task(episodes.support, number))
        system = torch.eye(3) + hessian / 1.5
        adapted = torch.linalg.solve(system, flat(meta) + slope / 1.5)
        query_hessian, query_slope = quadratic(task(episodes.query, number))
        expected += torch.linalg.solve(system, query_hessian @ adapted - query_slope) / 3
    found = algorithm.gradient(meta, episodes, drawing()).gradient
    torch.testing.assert_close(flat(found), expected, rtol=1e-6, atol=1e-8)


def test_meta_sgd_with_equal_rates_is_maml(episodes: Episodes) -> None:
    network = Perceptron(VALUES, (6,))
    learned = MetaSGD(network, MetaSGDSettings(inner_steps=2))
    plain = MAML(network, InnerLoopSettings(inner_rate=0.05, inner_steps=2))
    start = plain.initial(drawing())
    rates = {f"rate.{name}": torch.full_like(value, 0.05) for name, value in start.items()}
    found = learned.gradient(start | rates, episodes, drawing()).gradient
    expected = plain.gradient(start, episodes, drawing()).gradient
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    assert any(found[f"rate.{name}"].abs().max() > 0.0 for name in start)


def test_reptile_points_from_where_training_ends_back_to_the_start(episodes: Episodes) -> None:
    settings = ReptileSettings(inner_rate=0.05, inner_steps=4, minibatch_size=10)
    algorithm = Reptile(Linear(VALUES), settings)  # a minibatch is all ten examples
    meta = algorithm.initial(drawing())
    expected = torch.zeros(3)
    joined = episodes.joined()
    for number in range(3):
        hessian, slope = quadratic(task(joined, number))
        adapted = flat(meta)
        for _ in range(4):
            adapted = adapted - 0.05 * (hessian @ adapted - slope)
        expected += (flat(meta) - adapted) / (0.05 * 4) / 3
    found = algorithm.gradient(meta, episodes, drawing()).gradient
    torch.testing.assert_close(flat(found), expected)


def test_leo_steps_on_the_code_and_then_on_the_head(episodes: Episodes) -> None:
    settings = LEOSettings(code_size=4, code_steps=2, head_steps=1, code_rate=0.3, head_rate=0.1)
    algorithm = LatentEmbeddingOptimization(Linear(VALUES), settings)
    meta = algorithm.initial(drawing())
    support, query = task(episodes.support, 0), task(episodes.query, 0)
    decoder = meta["decoder"][:3]  # the first half decodes means
    hessian, slope = quadratic(support)
    code = algorithm._encoded(meta, support).mean[0]
    for _ in range(2):
        code = code - 0.3 * decoder.T @ (hessian @ (decoder @ code) - slope)
    head = decoder @ code
    head = head - 0.1 * (hessian @ head - slope)
    expected = query.inputs @ head[:2] + head[2]
    found = algorithm.predict(meta, episodes.support, episodes.query.inputs)[0, :, 0]
    torch.testing.assert_close(found, expected)


def test_prototypes_are_means_and_logits_squared_distances() -> None:
    support = Examples(
        torch.tensor([[[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]]]), torch.tensor([[0, 0, 1]])
    )
    algorithm = PrototypicalNetworks(Linear(CLASSES), EmbeddingSettings())
    logits = algorithm.predict({}, support, torch.tensor([[[1.0, 2.0]]]))
    torch.testing.assert_close(logits, torch.tensor([[[-4.0, -25.0]]]))


def test_a_class_without_an_example_is_never_predicted() -> None:
    support = Examples(torch.tensor([[[9.0, 9.0]]]), torch.tensor([[1]]))
    algorithm = PrototypicalNetworks(Linear(CLASSES), EmbeddingSettings())
    logits = algorithm.predict({}, support, torch.zeros(1, 1, 2))
    assert logits.argmax(-1).item() == 1


def test_matching_weighs_targets_by_cosine() -> None:
    support = Examples(torch.tensor([[[1.0, 0.0], [0.0, 3.0]]]), torch.tensor([[[10.0], [20.0]]]))
    algorithm = MatchingNetworks(Linear(VALUES), MatchingSettings())
    asked = torch.tensor([[[4.0, 0.0]]])
    sharp = algorithm.predict({"log_sharpness": torch.tensor(2.0).log()}, support, asked)
    weight = math.exp(2.0) / (math.exp(2.0) + 1.0)
    assert sharp.item() == pytest.approx(10.0 * weight + 20.0 * (1.0 - weight))


def test_memory_is_read_by_cosine() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    for sharpness in (1.0, 5.0):
        weights = reading_weights(rows, torch.tensor([[3.0, 0.0]]), torch.tensor(sharpness))
        torch.testing.assert_close(weights, torch.tensor([[sharpness, 0.0]]).softmax(-1))


def test_a_row_that_was_hardly_written_to_is_hardly_read() -> None:
    rows = torch.tensor([[2.0, 0.0], [1e-5, 0.0], [0.0, 0.0]])
    weights = reading_weights(rows, torch.tensor([[1.0, 0.0]]), torch.tensor(10.0))[0]
    torch.testing.assert_close(
        weights[1:], weights[0] * math.exp(-10.0) * torch.ones(2), rtol=2e-3, atol=0.0
    )


ONE = torch.tensor(1.0)


def test_memory_is_written_to_where_it_was_used_least() -> None:
    before = Memory(
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0.9, 0.1]), torch.tensor([1.0, 0.0])
    )
    key = torch.tensor([0.5, 0.5])
    after = written(before, key, torch.tensor([0.0]), ONE, decay=0.5)
    torch.testing.assert_close(after.rows, torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    torch.testing.assert_close(
        after.usage, torch.tensor([0.45, 1.05]) + reading_weights(after.rows, key[None], ONE)[0]
    )


def test_memory_is_added_to_where_it_was_read_last() -> None:
    before = Memory(
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0.9, 0.1]), torch.tensor([1.0, 0.0])
    )
    after = written(before, torch.tensor([0.5, 0.5]), torch.tensor([1.0]), ONE, decay=0.5)
    torch.testing.assert_close(after.rows, torch.tensor([[1.5, 0.5], [0.0, 0.0]]))


def test_a_standard_normal_code_diverges_by_nothing() -> None:
    assert Code(torch.zeros(2, 3), torch.zeros(2, 3)).divergence().item() == 0.0
    one = Code(torch.ones(1, 1), torch.full((1, 1), math.log(2.0))).divergence().item()
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(1.0, 2.0), normal(0.0, 1.0))
    assert one == pytest.approx(float(expected))


def test_conjugate_gradients_make_no_step_where_a_system_curves_downwards() -> None:
    from agents.adaptation.imaml import conjugate_gradients

    solution = conjugate_gradients(lambda v: {"x": -v["x"]}, {"x": torch.ones(2)}, num_steps=3)
    np.testing.assert_array_equal(solution["x"], np.zeros(2))
