"""A rate whose first update would wreck the weights is no place to begin, and known beforehand."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from hpo_env import Controller
from hpo_env.control.first_step import bearable_rate, better_rate, learned_rate, relative_step
from hpo_env.errors import ConfigurationError, ControllerWarning
from tests.hpo_env.controlled_runs import Training, fixed_policy

STILL = fixed_policy(0.0, base_schedule="constant")


class Lion(torch.optim.SGD):
    """Named as the published one is, which torch does not have."""


class PagedAdamW8bit(torch.optim.AdamW):
    """A class of another package that derives from torch's."""


def matrix(rows: int, columns: int, size: float) -> nn.Parameter:
    generator = torch.Generator().manual_seed(0)
    return nn.Parameter(size * torch.randn(rows, columns, generator=generator))


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.NAdam, Lion, PagedAdamW8bit])
@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (16, 256), (300, 40)])
def test_the_step_is_that_of_largest_singular_values(kind: Any, rows: int, columns: int) -> None:
    weights = matrix(rows, columns, 0.02)
    update = 3e-3 * torch.outer(torch.ones(rows), torch.ones(columns))  # one minibatch: one rank
    largest = [float(torch.linalg.matrix_norm(m.detach(), 2)) for m in (update, weights)]
    found = relative_step([kind([weights], lr=3e-3)])
    assert found == pytest.approx(largest[0] / largest[1], rel=0.1)


def test_the_step_of_muon_is_its_orthogonal_matrix() -> None:
    weights = matrix(64, 64, 0.02)
    optimizer = torch.optim.Muon([weights], lr=0.01)
    step = relative_step([optimizer])
    before = weights.detach().clone()
    weights.grad = torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    optimizer.param_groups[0]["weight_decay"] = 0.0
    optimizer.step()
    sizes = [float(torch.linalg.matrix_norm(m, 2)) for m in (weights.detach() - before, before)]
    assert step == pytest.approx(sizes[0] / sizes[1], rel=0.25)  # its iteration stops near 1


def test_width_changes_nothing_where_rates_go_down_with_it() -> None:
    steps = [
        relative_step([torch.optim.Adam([matrix(w, w, 1 / math.sqrt(w))], lr=0.1 / w)])
        for w in (32, 128, 512)
    ]
    assert steps == pytest.approx([0.05] * 3, rel=0.05)


class Packed(nn.Parameter):
    """A weight that another package holds in its own way, as a share of it or in four bits."""


def unknown(kind: str) -> list[torch.optim.Optimizer]:
    meta = nn.Linear(4, 4, device="meta")
    weights: dict[str, list[Any]] = {
        "zeros": [nn.Parameter(torch.zeros(4, 4))],
        "vectors": [nn.Parameter(torch.ones(4))],
        "lazy": list(nn.LazyLinear(4).parameters()),
        "meta": list(meta.parameters()),
        "frozen": [nn.Parameter(torch.ones(4, 4), requires_grad=False)],
        "empty": [nn.Parameter(torch.ones(0, 4))],
        "packed": [Packed(torch.ones(4, 4))],
    }
    return [torch.optim.AdamW(weights[kind], lr=1.0)]


@pytest.mark.parametrize("kind", ["zeros", "vectors", "lazy", "meta", "frozen", "empty", "packed"])
def test_weights_without_a_size_bound_nothing(kind: str) -> None:
    optimizers = unknown(kind)
    assert relative_step(optimizers) is None
    assert bearable_rate(optimizers) is None
    assert learned_rate(optimizers) == 3e-3


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.LBFGS, torch.optim.Adadelta])
def test_an_optimiser_whose_step_is_the_gradients_bounds_nothing(kind: Any) -> None:
    assert bearable_rate([kind([matrix(4, 4, 0.01)], lr=1.0)]) is None


@pytest.mark.parametrize(("momentum", "factor"), [(0.0, 1.0), (0.9, 10.0), (1.0, 100.0)])
@pytest.mark.parametrize("loss_scale", [1.0, 1024.0])
def test_the_step_of_sgd_is_its_gradient_and_what_momentum_makes_of_it(
    momentum: float, factor: float, loss_scale: float
) -> None:
    weights = matrix(64, 40, 0.02)
    gradient = torch.outer(torch.ones(64), torch.linspace(-1.0, 1.0, 40))
    optimizer = torch.optim.SGD([weights], lr=0.05, momentum=momentum)
    weights.grad = gradient * loss_scale
    assert relative_step([optimizer]) is None  # not asked to look at gradients
    largest = [float(torch.linalg.matrix_norm(m, 2)) for m in (gradient, weights.detach())]
    found = relative_step([optimizer], loss_scale=torch.tensor(loss_scale))
    assert found == pytest.approx(0.05 * factor * largest[0] / largest[1], rel=0.1)
    highest = bearable_rate([optimizer], loss_scale=loss_scale)
    assert found is not None
    assert highest is not None
    assert highest == pytest.approx(2.0 * 0.05 / found)
    assert (better_rate([optimizer], loss_scale=loss_scale) is None) == (highest >= 0.05)


class LARS(torch.optim.SGD):
    """Derives from SGD, and scales its steps."""


def without_a_step(kind: str) -> torch.optim.Optimizer:
    weights = matrix(8, 8, 0.02)
    optimizer: torch.optim.Optimizer = torch.optim.SGD([weights], lr=10.0)
    weights.grad = torch.ones(8, 8)
    if kind == "no gradient":
        weights.grad = None
    elif kind == "gradient of 0":
        weights.grad.zero_()
    elif kind == "not finite":
        weights.grad[0, 0] = math.inf
    elif kind == "scaled by its own":
        optimizer = LARS([weights], lr=10.0)
    elif kind == "made already":
        optimizer = torch.optim.SGD([weights], lr=10.0, momentum=0.9)
        optimizer.step()
    elif kind == "sparse":
        embedding = nn.Embedding(8, 8, sparse=True)
        embedding(torch.tensor([1])).sum().backward()
        optimizer = torch.optim.SGD(embedding.parameters(), lr=10.0)
    return optimizer


@pytest.mark.parametrize(
    "kind",
    ["no gradient", "gradient of 0", "not finite", "scaled by its own", "made already", "sparse"],
)
def test_a_first_step_that_gradients_do_not_tell_bounds_nothing(kind: str) -> None:
    optimizer = without_a_step(kind)
    assert bearable_rate([optimizer], loss_scale=1.0) is None
    assert better_rate([optimizer], loss_scale=1.0) is None


def test_a_frozen_base_does_not_count() -> None:
    base, adapter = matrix(64, 64, 1e-6).requires_grad_(False), matrix(4, 64, 0.1)
    alone, beside = ([adapter], [base, adapter])
    steps = [relative_step([torch.optim.AdamW(w, lr=1e-3)]) for w in (alone, beside)]
    assert steps[0] == steps[1] is not None


@pytest.mark.parametrize(
    ("kind", "rate"),
    [
        (torch.optim.AdamW, 3e-3),
        (torch.optim.NAdam, 3e-3),
        (Lion, 1e-3),
        (torch.optim.RMSprop, 3e-4),
        (torch.optim.SGD, 1e-2),
        (torch.optim.LBFGS, None),
    ],
)
def test_the_learned_rate_goes_by_the_kind(kind: Any, rate: float | None) -> None:
    assert learned_rate([kind([matrix(16, 16, 0.2)], lr=0.5)]) == rate


def test_the_learned_rate_goes_down_where_weights_are_small() -> None:
    optimizers = [torch.optim.AdamW([matrix(512, 512, 0.01)], lr=0.5)]
    rate = learned_rate(optimizers)
    assert rate is not None
    assert rate < 3e-3
    optimizers[0].param_groups[0]["lr"] = rate
    assert relative_step(optimizers) == pytest.approx(1.0)


# ------------------------------------------------------------------------------------- user's runs


def started(rate: float, start: Any = None, **options: Any) -> tuple[Any, Training, Any]:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=rate)
    run = Controller(STILL).attach(optimizer, total_steps=16, start=start, **options)
    return run, training, optimizer


def test_an_unbearable_rate_gives_way_to_the_learned_one_and_one_warning_says_so() -> None:
    with pytest.warns(ControllerWarning, match="learning_rate was 5, at which the first") as said:
        run, _, optimizer = started(5.0)
    assert len(said) == 1
    assert "begins at 0.003" in str(said[0].message)
    assert run.values["learning_rate"] == optimizer.param_groups[0]["lr"] == 3e-3
    assert "did not begin at the loop's own learning_rate, 5" in str(run.explain())
    run.close()
    assert optimizer.param_groups[0]["lr"] == 5.0  # what was found


@pytest.mark.parametrize("rate", [1e-5, 1e-3, 1e-1, 5.0])
def test_the_users_own_start_is_never_touched(rate: float) -> None:
    run, _, optimizer = started(rate, "user")
    assert optimizer.param_groups[0]["lr"] == run.values["learning_rate"] == rate
    assert "did not begin" not in str(run.explain())


@pytest.mark.parametrize("rate", [1e-5, 1e-3, 0.1])
def test_a_good_start_changes_no_bit(rate: float) -> None:
    ends = []
    for start in (None, "user"):
        run, training, optimizer = started(rate, start)
        training.train(optimizer, run, range(16))
        ends.append(training.weights())
    assert torch.equal(*ends)


# --- SGD, whose first step is known when its gradients are


WILD = 1e4


def of_sgd(rate: float, start: Any = None) -> tuple[Any, Training, torch.optim.Optimizer]:
    training = Training()
    optimizer = torch.optim.SGD(training.model.parameters(), lr=rate, momentum=0.9)
    run = Controller(STILL).attach(optimizer, total_steps=16, start=start)
    return run, training, optimizer


def one_update(training: Training, optimizer: Any, run: Any, *, closure: bool) -> None:
    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        found = training.loss(0)
        found.backward()
        return found

    if closure:
        run.step(optimizer.step(loss))
        return
    found = loss()
    optimizer.step()
    run.step(found)


@pytest.mark.parametrize("closure", [False, True])
def test_a_rate_of_sgd_that_wrecks_the_weights_gives_way_before_the_update(closure: bool) -> None:
    run, training, optimizer = of_sgd(WILD)
    assert optimizer.param_groups[0]["lr"] == WILD  # nothing is known yet
    before = training.weights()
    with pytest.warns(ControllerWarning, match="learning_rate was 10000, at which the") as said:
        one_update(training, optimizer, run, closure=closure)
    assert len(said) == 1
    moved = (training.weights() - before).abs().max()
    rate = run.values["learning_rate"]
    assert 0.0 < moved <= rate * 100
    assert 0.0 < rate <= 1e-2
    assert optimizer.param_groups[0]["lr"] == run.host.initial["learning_rate"] == rate
    assert [d.values["learning_rate"] for d in run.decisions] == [rate]
    assert [row["step"] for row in run.schedule] == [0]
    assert run.schedule[0]["learning_rate"] == rate
    assert "did not begin at the loop's own learning_rate, 10000" in str(run.explain())
    run.close()
    assert optimizer.param_groups[0]["lr"] == WILD


@pytest.mark.parametrize(("rate", "start"), [(WILD, "user"), (1e-3, None), (1e-3, "user")])
def test_what_is_borne_or_the_users_own_changes_no_bit_of_a_run_of_sgd(
    rate: float, start: Any
) -> None:
    run, training, optimizer = of_sgd(rate, start)
    rates = training.train(optimizer, run, range(3))
    assert rates == [rate] * 3
    assert run.replaced == {}
    other = Training()
    plain = torch.optim.SGD(other.model.parameters(), lr=rate, momentum=0.9)
    for step in range(3):
        plain.zero_grad()
        other.loss(step).backward()
        plain.step()
    assert torch.equal(training.weights(), other.weights())


def test_a_policy_decides_anew_for_the_rate_that_it_begins_at() -> None:
    training = Training()
    optimizer = torch.optim.SGD(training.model.parameters(), lr=WILD, momentum=0.9)
    run = Controller(fixed_policy(1.0)).attach(optimizer, total_steps=16)
    with pytest.warns(ControllerWarning, match="learning_rate was"):
        one_update(training, optimizer, run, closure=False)
    better = run.host.initial["learning_rate"]
    other = Training()
    fresh = torch.optim.SGD(other.model.parameters(), lr=better, momentum=0.9)
    begun = Controller(fixed_policy(1.0)).attach(fresh, total_steps=16, start="user")
    one_update(other, fresh, begun, closure=False)
    assert [str(d) for d in run.decisions] == [str(d) for d in begun.decisions]
    rates = [training.train(o, r, range(1, 16)) for o, r in ((optimizer, run),)]
    assert rates == [other.train(fresh, begun, range(1, 16))]
    assert torch.equal(training.weights(), other.weights())


@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_resumed_run_of_sgd_is_the_uninterrupted_one(at: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ControllerWarning)
        run, training, optimizer = of_sgd(WILD)
        rates = training.train(optimizer, run, range(16))
        run, resumed, optimizer = of_sgd(WILD)
        first = resumed.train(optimizer, run, range(at))
        state, held = run.state_dict(), optimizer.state_dict()
        optimizer = torch.optim.SGD(resumed.model.parameters(), lr=WILD, momentum=0.9)
        optimizer.load_state_dict(held)
        run = Controller(STILL).attach(optimizer, total_steps=16, state=state)
        assert first + resumed.train(optimizer, run, range(at, 16)) == rates
    assert run.replaced == {"learning_rate": WILD}
    assert torch.equal(training.weights(), resumed.weights())


def test_groups_keep_their_ratios() -> None:
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    groups = [{"params": first.parameters(), "lr": 8.0}, {"params": second.parameters(), "lr": 2.0}]
    optimizer = torch.optim.AdamW(groups)
    with pytest.warns(ControllerWarning, match="learning_rate was 8"):
        Controller(STILL).attach(optimizer, total_steps=4)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([3e-3, 7.5e-4])


def test_a_resumed_run_goes_on_from_where_the_first_began() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ControllerWarning)
        run, training, optimizer = started(5.0)
        rates = training.train(optimizer, run, range(16))
        run, resumed, optimizer = started(5.0)
    assert rates[:7] == resumed.train(optimizer, run, range(7))
    state, held = run.state_dict(), optimizer.state_dict()
    optimizer = torch.optim.AdamW(resumed.model.parameters(), lr=5.0)
    optimizer.load_state_dict(held)
    run = Controller(STILL).attach(optimizer, total_steps=16, state=state)  # and says nothing
    assert run.replaced == {"learning_rate": 5.0}
    assert rates[7:] == resumed.train(optimizer, run, range(7, 16))
    assert torch.equal(training.weights(), resumed.weights())


def test_a_training_under_way_keeps_its_rate() -> None:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=5.0)
    training.loss(0).backward()
    optimizer.step()
    run = Controller(STILL).attach(optimizer, total_steps=4)
    assert run.values["learning_rate"] == 5.0


def test_a_torch_scheduler_goes_its_own_way() -> None:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=5.0)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    run = Controller(STILL).attach(optimizer, total_steps=4, base_schedule=scheduler)
    assert run.values["learning_rate"] == 5.0


def test_a_learned_start_needs_an_optimiser_of_known_kind() -> None:
    run, _, optimizer = started(1e-5, "learned")
    assert optimizer.param_groups[0]["lr"] == run.values["learning_rate"] == 3e-3
    unknown_kind = torch.optim.Adadelta(Training().model.parameters())
    with pytest.raises(ConfigurationError, match="an optimiser of a known kind"):
        Controller(STILL).attach(unknown_kind, total_steps=4, start="learned")


def test_all_kinds_of_one_list_count() -> None:
    weights, vector = matrix(64, 64, 0.02), nn.Parameter(torch.ones(64))
    both = [torch.optim.Muon([weights], lr=0.02), torch.optim.AdamW([vector], lr=1e-3)]
    alone = relative_step(both[:1])
    assert alone is not None
    assert all(relative_step(list(order)) == alone for order in itertools.permutations(both))


def low_rank() -> nn.Module:
    """A frozen base with an adapter beside it, whose second matrix begins at 0."""
    base, down, up = nn.Linear(8, 8), nn.Linear(8, 2), nn.Linear(2, 8)
    base.requires_grad_(False)
    nn.init.zeros_(up.weight)
    return nn.Sequential(base, down, up)


def tied() -> nn.Module:
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second)


@pytest.mark.parametrize("build", [low_rank, tied])
@pytest.mark.parametrize("start", [None, "user", "learned"])
def test_adapters_and_tied_weights_are_steered(build: Any, start: Any) -> None:
    model = build()
    optimizer = torch.optim.AdamW([{"params": []}, {"params": model.parameters()}], lr=1e-2)
    run = Controller(fixed_policy(0.5)).attach(optimizer, total_steps=8, model=model, start=start)
    for _ in range(8):
        optimizer.zero_grad()
        loss = model(torch.ones(4, 8)).square().mean()
        loss.backward()
        optimizer.step()
        run.step(loss)
    assert run.is_over
    assert len({decision.values["learning_rate"] for decision in run.decisions}) > 1


def test_weights_on_the_meta_device_are_refused() -> None:
    optimizer = torch.optim.AdamW(nn.Linear(4, 4, device="meta").parameters())
    with pytest.raises(ConfigurationError, match="some weights are on the meta device"):
        Controller(STILL).attach(optimizer, total_steps=4)
    assert not optimizer._optimizer_step_pre_hooks
