"""Every objective: the batched form is torch's own, and each says what follows from its targets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.networks.objectives import OBJECTIVES, Objective, Tokens, objective
from hpo_env.tasks.supervised.step import objective_code

NUM_LANES, NUM_ROWS, NUM_TOKENS, PADDED = 3, 11, 6, 16
REAL_OUTPUTS = (4, 7, 16)
SMOOTHING = (0.0, 0.2, 0.3)


@pytest.fixture(params=sorted(OBJECTIVES))
def wanted(request: pytest.FixtureRequest) -> Objective:
    return OBJECTIVES[request.param]


def outputs_and_targets(name: str) -> tuple[Tensor, Tensor]:
    """Padded outputs, the padding full of garbage, and targets of three lanes."""
    generator = torch.Generator().manual_seed(0)
    axes = (NUM_ROWS, NUM_TOKENS) if name == "tokens" else (NUM_ROWS,)
    outputs = 3.0 * torch.randn(NUM_LANES, *axes, PADDED, generator=generator)
    if name == "regression":
        return outputs, torch.randn(NUM_LANES, *axes, generator=generator)
    labels = [torch.randint(0, k, axes, generator=generator) for k in REAL_OUTPUTS]
    return outputs, torch.stack(labels).float()


def test_lanes_at_once_have_the_losses_and_scores_that_torch_gives_each(wanted: Objective) -> None:
    outputs, y = outputs_and_targets(wanted.name)
    num_outputs = torch.tensor(REAL_OUTPUTS).float()
    losses = wanted.row_losses(outputs, y, num_outputs, torch.tensor(SMOOTHING))
    scores = wanted.row_scores(outputs, y, num_outputs)
    assert losses.shape == scores.shape == (NUM_LANES, NUM_ROWS)
    for lane, (k, smoothing) in enumerate(zip(REAL_OUTPUTS, SMOOTHING, strict=True)):
        real = outputs[lane, ..., :k]
        expected = wanted.reference_loss(real, y[lane], smoothing)
        torch.testing.assert_close(losses[lane].mean(), expected)
        score = wanted.reference_score(real, y[lane])
        assert scores[lane].mean().item() == pytest.approx(score, rel=1e-6)


def test_a_row_s_loss_is_a_function_of_that_row_alone(wanted: Objective) -> None:
    outputs, y = outputs_and_targets(wanted.name)
    num_outputs, smoothing = torch.tensor(REAL_OUTPUTS).float(), torch.tensor(SMOOTHING)
    whole = wanted.row_losses(outputs, y, num_outputs, smoothing)
    some = wanted.row_losses(outputs[:, 2:4], y[:, 2:4], num_outputs, smoothing)
    torch.testing.assert_close(some, whole[:, 2:4])


def test_tokens_are_told_by_the_outputs_before_them() -> None:
    # Two rows of three tokens. In row 0 each output is sure of the token after it, in row 1 of the
    # token that it stands at.
    y = torch.tensor([[[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]])
    sure = 50.0 * torch.eye(3)
    outputs = torch.stack([sure[[1, 2, 0]], sure[[0, 1, 2]]])[None]
    tokens, three, none = objective("tokens"), torch.tensor([3.0]), torch.tensor([0.0])
    assert tokens.row_losses(outputs, y, three, none).tolist() == [[0.0, 50.0]]
    assert tokens.row_scores(outputs, y, three).tolist() == [[1.0, 0.0]]
    told = outputs[:, :, :2]  # without those at the last token, which are about nothing
    assert tokens.row_losses(told, y, three, none).tolist() == [[0.0, 50.0]]
    assert tokens.row_scores(told, y, three).tolist() == [[1.0, 0.0]]
    assert tokens.reference_loss(told[0], y[0], 0.0).item() == 25.0
    assert tokens.reference_score(told[0], y[0]) == 0.5
    even = torch.zeros_like(outputs)
    loss = tokens.row_losses(even, y, three, none)
    torch.testing.assert_close(loss, torch.full((1, 2), math.log(3.0)))


def test_metrics_are_r2_of_numbers_and_shares_of_right_guesses() -> None:
    loss, score, variance = np.array([0.5]), np.array([0.7]), np.array([2.0])
    assert objective("regression").metric(loss, score, variance).tolist() == [0.75]
    assert objective("classification").metric(loss, score, variance).tolist() == [0.7]
    assert objective("tokens").metric(loss, score, variance).tolist() == [0.7]


def prepared(
    wanted: Objective, y: np.ndarray, *, label_noise: float = 0.0, target_noise: float = 0.0
) -> list[np.ndarray]:
    """The targets, and the same ones plus 1, as they are trained on."""
    return wanted.prepared(
        [y, y + 1.0],
        num_classes=5,
        label_noise=label_noise,
        target_noise=target_noise,
        rng=np.random.default_rng(0),
    )


def test_numbers_are_standardised_by_the_training_rows_and_labels_left_alone() -> None:
    y = np.array([1.0, 3.0, 5.0, 7.0])
    train, other = prepared(objective("regression"), y)
    np.testing.assert_allclose([train.mean(), train.std()], [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(other - train, 1.0 / y.std())
    constant, _ = prepared(objective("regression"), np.full(4, 3.0))
    assert constant.tolist() == [0.0] * 4
    assert prepared(objective("classification"), y)[0].tolist() == y.tolist()


@pytest.mark.parametrize("name", ["classification", "tokens"])
def test_label_noise_replaces_its_share_of_labels_by_any_of_them(name: str) -> None:
    y = np.zeros((500, 4)) if name == "tokens" else np.zeros(2000)
    noisy, _ = prepared(objective(name), y, label_noise=0.5, target_noise=9.0)
    assert noisy.shape == y.shape
    assert set(np.unique(noisy)) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert (noisy != 0.0).mean() == pytest.approx(0.5 * 4 / 5, abs=0.05)


def test_target_noise_is_added_to_numbers_alone() -> None:
    y = np.random.default_rng(1).normal(size=2000)
    noisy, _ = prepared(objective("regression"), y, label_noise=0.9, target_noise=2.0)
    assert noisy.var() == pytest.approx(1.0 + 4.0, rel=0.1)


class Ranking(Tokens):
    """An objective that the step does not know."""

    name = "ranking"


def test_lanes_are_not_trained_by_what_the_step_does_not_compute() -> None:
    assert objective_code(objective("classification")) == 0
    assert objective_code(objective("regression")) == 1
    assert objective_code(objective("tokens")) == 2
    with pytest.raises(ConfigurationError, match="'tokens'; got objective 'ranking'"):
        objective_code(Ranking())


def test_an_unknown_objective_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'token': did you mean 'tokens'"):
        objective("token")
