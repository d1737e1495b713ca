"""Two rounds of every algorithm beside references in plain torch, with weights written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from agents.config import TrainConfig
from agents.initial_policies.base import InitialPolicy, Visit
from agents.initial_policies.rollouts import Rollout
from agents.testing.learners import Onlooker, build

Weights = dict[str, torch.Tensor]
CLIP, ENTROPY, INNER_RATE, OUTER_RATE, NUM_ROUNDS = 0.2, 0.002, 0.05, 0.01, 2
SETTINGS: dict[str, dict[str, Any]] = {
    "maml": {"inner_rollouts": 2},
    "first_order_maml": {"inner_rollouts": 2},
    "meta_sgd": {},
    "imaml": {"strength": 20.0, "solver_steps": 60, "inner_steps": 3, "inner_rollouts": 2},
    "reptile": {"inner_epochs": 2, "inner_batch": 10_000, "learning_rate": 0.5},
}


def config(algorithm: str, **rest: Any) -> TrainConfig:
    usual = {} if algorithm == "reptile" else {"n_epochs": 1, "data_sets_per_step": 2}
    told = {"learning_rate": OUTER_RATE} | usual | SETTINGS[algorithm] | rest
    return TrainConfig.of(
        family="quadratic",
        algorithm=algorithm,
        critic="observation",
        num_envs=8,
        lanes_per_data_set=4,
        num_decisions=5,
        n_steps=6,
        net_arch=(3,),
        inner_rate=INNER_RATE,
        segment_steps=10_000,
        steps=10_000,
        **told,
    ).resolved()


# ------------------------------------------------------------------------------- the same by hand


def judged(weights: Weights, rollout: Rollout) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values, log probabilities and entropies `[R]` of a network with one layer."""

    def layer(name: str, inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    hidden = layer("mlp_extractor.policy_net.0", rollout.observations).tanh()
    logits = layer("action_net", hidden).unflatten(1, (-1, 5))
    log_shares = logits - logits.exp().sum(-1, keepdim=True).log()
    chosen = log_shares.gather(-1, rollout.actions.long()[..., None])[..., 0].sum(-1)
    entropy = -(log_shares.exp() * log_shares).sum((-2, -1))
    critic = layer("mlp_extractor.value_net.0", rollout.observations).tanh()
    return layer("value_net", critic)[:, 0], chosen, entropy


def loss_on(weights: Weights, rollout: Rollout) -> torch.Tensor:
    values, log_probs, entropy = judged(weights, rollout)
    ratio = torch.exp(log_probs - rollout.log_probs)
    gains = torch.stack([ratio, ratio.clip(1 - CLIP, 1 + CLIP)]) * rollout.advantages
    error = ((values - rollout.returns) ** 2).mean()
    return 0.5 * error - gains.min(0).values.mean() - ENTROPY * entropy.mean()


def slopes(loss: torch.Tensor, weights: Weights, *, again: bool = False) -> Weights:
    found = torch.autograd.grad(loss, list(weights.values()), create_graph=again)
    return dict(zip(weights, found, strict=True))


def leaves(weights: Weights) -> Weights:
    return {name: value.detach().clone().requires_grad_() for name, value in weights.items()}


def through_steps(learned: Weights, visit: Visit, *, second: bool, own_rates: bool) -> Weights:
    """MAML, first order or second, and Meta-SGD."""
    network = {name: value for name, value in learned.items() if not name.startswith("rate.")}
    weights = dict(network)
    for rollout in visit.rollouts:
        found = slopes(loss_on(weights, rollout), weights, again=True)
        for name, slope in found.items():
            rate = learned[f"rate.{name}"] if own_rates else INNER_RATE
            weights[name] = weights[name] - rate * (slope if second else slope.detach())
    assert visit.query is not None
    return slopes(loss_on(weights, visit.query), learned)


def implicit(learned: Weights, visit: Visit) -> Weights:
    """Solve with the whole Hessian."""
    strength = SETTINGS["imaml"]["strength"]
    weights = leaves(learned)
    for count in range(1, len(visit.rollouts) + 1):
        for _ in range(SETTINGS["imaml"]["inner_steps"]):
            fit = sum(loss_on(weights, rollout) for rollout in visit.rollouts[:count]) / count
            pull = sum(((weights[n] - learned[n].detach()) ** 2).sum() for n in weights)
            found = slopes(fit + strength / 2 * pull, weights)
            weights = leaves({n: weights[n] - INNER_RATE * found[n] for n in weights})
    assert visit.query is not None
    direct = torch.cat(
        [g.flatten() for g in slopes(loss_on(weights, visit.query), weights).values()]
    )
    shapes = {name: value.shape for name, value in weights.items()}

    def of_vector(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([shape.numel() for shape in shapes.values()])
        named = {n: p.reshape(shapes[n]) for n, p in zip(shapes, parts, strict=True)}
        losses = [loss_on(named, rollout) for rollout in visit.rollouts]
        return torch.stack(losses).mean()

    flat = torch.cat([value.detach().flatten() for value in weights.values()])
    hessian = torch.autograd.functional.hessian(of_vector, flat)
    solved = torch.linalg.solve(torch.eye(len(flat)) + hessian / strength, direct)
    parts = solved.split([shape.numel() for shape in shapes.values()])
    return {n: p.reshape(shapes[n]) for n, p in zip(shapes, parts, strict=True)}


class AdamByHand:
    """Kingma and Ba (2015), behind a gradient of norm .5 at most."""

    def __init__(self, rate: float, first: float, epsilon: float) -> None:
        self.rate, self.first, self.epsilon, self.count = rate, first, epsilon, 0
        self.mean: Weights = {}
        self.square: Weights = {}

    def step(self, weights: Weights, found: Weights) -> Weights:
        self.count += 1
        norm = torch.stack([slope.square().sum() for slope in found.values()]).sum().sqrt()
        moved = {}
        for name, value in weights.items():
            slope = found[name] * min(1.0, 0.5 / (float(norm) + 1e-6))
            zero = torch.zeros_like(slope)
            self.mean[name] = self.first * self.mean.get(name, zero) + (1 - self.first) * slope
            self.square[name] = 0.999 * self.square.get(name, zero) + 0.001 * slope**2
            spread = (self.square[name] / (1 - 0.999**self.count)).sqrt() + self.epsilon
            mean = self.mean[name] / (1 - self.first**self.count)
            moved[name] = value.detach() - self.rate * mean / spread
        return moved


GRADIENTS: dict[str, Callable[[Weights, Visit], Weights]] = {
    "maml": lambda w, v: through_steps(w, v, second=True, own_rates=False),
    "first_order_maml": lambda w, v: through_steps(w, v, second=False, own_rates=False),
    "meta_sgd": lambda w, v: through_steps(w, v, second=True, own_rates=True),
    "imaml": implicit,
}


def by_query(algorithm: str, weights: Weights, rounds: Sequence[Sequence[Visit]]) -> Weights:
    adam = AdamByHand(OUTER_RATE, 0.9, 1e-5)
    for visits in rounds:
        weights = leaves(weights)
        each = [GRADIENTS[algorithm](weights, visit) for visit in visits]
        mean = {n: torch.stack([e[n] for e in each]).mean(0).detach() for n in weights}
        weights = adam.step(weights, mean)
    return weights


def by_reptile(weights: Weights, rounds: Sequence[Sequence[Visit]]) -> Weights:
    for visits in rounds:
        arrived = []
        for visit in visits:
            own = weights
            for rollout in visit.rollouts:
                adam = AdamByHand(INNER_RATE, 0.0, 1e-8)
                for _ in range(SETTINGS["reptile"]["inner_epochs"]):
                    own = leaves(own)
                    own = adam.step(own, slopes(loss_on(own, rollout), own))
            arrived.append(own)
        rate = SETTINGS["reptile"]["learning_rate"]
        weights = {
            n: value + rate * (torch.stack([own[n] for own in arrived]).mean(0) - value)
            for n, value in weights.items()
        }
    return weights


# ---------------------------------------------------------------------------------------- the test


def rounds_of(learner: InitialPolicy, monkeypatch: pytest.MonkeyPatch) -> list[list[Visit]]:
    """Let a learner go through two rounds at full rates, and return what it went through."""
    seen: list[list[Visit]] = []
    usual = type(learner).improve

    def improve(visits: list[Visit]) -> Any:
        seen.append(visits)
        learner.share = 1.0
        return usual(learner, visits)

    monkeypatch.setattr(learner, "improve", improve)
    monkeypatch.setattr(learner, "_total_steps", 10**12)
    learner.seed(1)
    learner.learn(NUM_ROUNDS * learner.round_steps, Onlooker())
    return seen


def learned_of(learner: InitialPolicy) -> Weights:
    every = learner.network | learner.extra
    return {name: value.detach().clone() for name, value in every.items()}


@pytest.mark.parametrize("algorithm", SETTINGS)
def test_weights_after_two_rounds_are_those_of_the_reference(
    algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = build(config(algorithm))
    assert isinstance(learner, InitialPolicy)
    before = learned_of(learner)
    rounds = rounds_of(learner, monkeypatch)
    assert [len(visits) for visits in rounds] == [2, 2]
    reference = (
        by_reptile(before, rounds)
        if algorithm == "reptile"
        else by_query(algorithm, before, rounds)
    )
    after = learned_of(learner)
    assert set(after) == set(reference)
    for name, value in reference.items():
        assert not torch.equal(after[name], before[name]), name
        torch.testing.assert_close(after[name], value, atol=2e-4, rtol=1e-3, msg=name)


def test_second_derivatives_are_taken_unless_asked_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = build(config("maml"))
    assert isinstance(learner, InitialPolicy)
    (visit, _), _ = rounds_of(learner, monkeypatch)
    weights = leaves(learned_of(learner))
    second, first = (GRADIENTS[name](weights, visit) for name in ("maml", "first_order_maml"))
    found = learner.gradient(visit).gradient  # type: ignore[attr-defined] # MAML has one
    name = "action_net.weight"
    torch.testing.assert_close(found[name], second[name], atol=1e-5, rtol=1e-3)
    assert not torch.allclose(first[name], second[name], atol=1e-4, rtol=1e-2)


def test_a_rollout_holds_what_the_policy_that_acted_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log probabilities of its actions, and the critic's error as advantage and return."""
    learner = build(config("maml"))
    assert isinstance(learner, InitialPolicy)
    before = learned_of(learner)
    rounds = rounds_of(learner, monkeypatch)
    for visit in rounds[0]:
        rollout = visit.rollouts[0]
        _, log_probs, _ = judged(before, rollout)
        torch.testing.assert_close(rollout.log_probs, log_probs, atol=1e-5, rtol=1e-4)
        assert rollout.advantages.mean().abs() < 1e-5
        query = visit.query
        assert query is not None
        _, log_probs, _ = judged(visit.adapted, query)
        torch.testing.assert_close(query.log_probs, log_probs, atol=1e-5, rtol=1e-4)


def advantages_by_hand(
    rewards: Any, values: Any, ended: Any, gamma: float, decay: float
) -> Iterator[float]:
    """A sum of surprises up to the end of the episode, lane by lane."""
    for start in range(len(rewards)):
        total, weight = 0.0, 1.0
        for step in range(start, len(rewards)):
            following = 0.0 if ended[step] else values[step + 1]
            total += weight * (rewards[step] + gamma * following - values[step])
            weight *= gamma * decay
            if ended[step]:
                break
        yield total


def test_advantages_are_sums_of_surprises_within_an_episode() -> None:
    from agents.initial_policies.rollouts import advantages_of

    rng = np.random.default_rng(0)
    rewards, values = rng.standard_normal((7, 3)), rng.standard_normal((8, 3))
    ended = rng.random((7, 3)) < 0.3
    found = advantages_of(
        torch.tensor(rewards), torch.tensor(values), torch.tensor(ended), 0.9, 0.8
    )
    for lane in range(3):
        expected = [
            *advantages_by_hand(rewards[:, lane], values[:, lane], ended[:, lane], 0.9, 0.8)
        ]
        np.testing.assert_allclose(found[:, lane], expected, atol=1e-12)
