"""Policies on the same tasks of meta-validation, with and without those that have a scope.

    python benchmarks/paired_policies.py --family-options modalities=tables clock=wide

Before a policy ships, it has to be known what it does to tasks that it was not made for. Every task
is trained once by the general policy and once more for each of the others, which decide after
intervals of their scope, as in a user's loop; the differences of the logarithms of the test losses
are shown by the length of intervals. A policy without a scope decides always. The tasks are those
of `supervised`, and the test split is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from agents.family_options import FAMILY_OPTIONS
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.scope import Turns
from hpo_env.shipped import policy_folder
from hpo_env.tasks.registry import family_class
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]

_LENGTHS = (0, 8, 12, 20, 50, 100, 1_000_000)
"""Updates in an interval, the ends of the table's rows."""
_SEED = 5000


@dataclass(frozen=True, kw_only=True)
class Ends:
    """How some tasks ended.

    Args:
        log_losses: Logarithms of the test losses `[N]`.
        updates: Updates in an interval of each `[N]`.
        share: Share of the decisions that were handed over `[N]`.
    """

    log_losses: Array
    updates: NDArray[np.int64]
    share: Array


def main(
    *,
    general: str = "supervised-optimizer",
    others: tuple[str, ...] = ("supervised-loops",),
    num_tasks: int = 192,
    num_decisions: int = 30,
    seed: int = _SEED,
    family_options: Annotated[Mapping[str, Any], FAMILY_OPTIONS],
) -> None:
    """Train all, and show the differences.

    Args:
        general: What the others are compared with: a shipped policy, or the folder of one.
        others: Those that are handed decisions, of the same hyperparameters.
        num_tasks: Runs of each.
        num_decisions: Of every run.
        seed: Of the tasks.
        family_options: Of family `supervised`, such as `modalities=tables clock=wide`.
    """
    torch.set_num_threads(1)
    family_class("supervised").set_num_threads(1)
    options = dict(family_options) | {"num_decisions": num_decisions}
    first = _loaded(general)
    before = _trained(first, None, num_tasks, seed, options)
    for name in others:
        after = _trained(first, _loaded(name), num_tasks, seed, options)
        print(f"{name}\n{table(before, after)}", flush=True)


def _loaded(name: str) -> Policy:
    return load(policy_folder(name))


def _trained(
    general: Policy, other: Policy | None, num_tasks: int, seed: int, options: Mapping[str, Any]
) -> Ends:
    env = HPOControlVectorEnv(
        num_tasks,
        family="supervised",
        split="validation",
        hyperparameters=list(general.space.names),
        action_mode="continuous",
        base_schedule=general.base_schedule,
        **options,
    )
    observations, info = env.reset(seed=seed)
    updates = np.array([env.family.interval_updates(task) for task in env.tasks])
    acts = [policy.actor(num_tasks) for policy in (general, other) if policy is not None]
    handed = np.zeros(num_tasks)
    turns = Turns(None if other is None else other.scope, num_tasks)
    for interval in range(options["num_decisions"]):
        moves, *asked = (act(observations) for act in acts)
        if other is not None:
            lengths = updates if interval else np.zeros_like(updates)
            known, changes = env.steering.telemetry, -env.steering.observer.memory.drop
            is_others = turns.after(lengths, known, changes)
            if other.scope is None:
                is_others = np.ones(num_tasks, dtype=bool)
            moves = np.where(is_others[:, None], asked[0], moves)
            handed += is_others
        observations, *_, info = env.step(moves)
    losses = np.array(info["final_info"]["test_loss"], dtype=np.float64)
    env.close()
    share = handed / options["num_decisions"]
    return Ends(log_losses=np.log(losses), updates=updates, share=share)


def table(before: Ends, after: Ends) -> str:
    """Lay the differences out in Markdown, by the length of intervals."""
    lines = ["| updates a decision | runs | difference | standard error | lower | handed over |"]
    lines.append("|" + " --- |" * 6)
    difference = after.log_losses - before.log_losses
    everything = (_LENGTHS[0], _LENGTHS[-1])
    for low, high in (everything, *pairwise(_LENGTHS)):
        rows = (before.updates >= low) & (before.updates < high)
        if not rows.any():
            continue
        found = difference[rows]
        error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
        label = "all" if (low, high) == everything else f"{low} to {high - 1}"
        lines.append(
            f"| {label} | {len(found)} | {found.mean():+.4f} | {error:.4f} | "
            f"{np.mean(found < 0.0):.0%} | {after.share[rows].mean():.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    tyro.cli(main)
