"""Learns what the runs of family `few_shot` start from, and writes it into the package.

    OMP_NUM_THREADS=1 python tools/few_shot_initialisations.py      # some minutes of one core

Proto-MAML over the training side of characters and of tables, and of sinusoids: a step is a batch
of tasks of one number of classes and shots, prepared as the family prepares them. What a run starts
from there is learned here, and by the same arithmetic; the last step's weights are kept, so nothing
is chosen by any other task. Everything follows from the seed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import tyro

from agents.adaptation.episodes import Episodes, Examples
from agents.adaptation.networks import Parameters, Perceptron
from agents.adaptation.problems import Problem
from agents.adaptation.proto_maml import ProtoMAML
from agents.adaptation.training import torch_generator
from hpo_env.seeding import stream
from hpo_env.tasks.few_shot.distribution import SHAPES
from hpo_env.tasks.few_shot.initialisations import FILE
from hpo_env.tasks.few_shot.preparation import Rows, prepare
from hpo_env.tasks.few_shot.task import FewShotTask

_RATE = 2e-3  # of Adam at the start; it falls to a tenth along a cosine


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one kind of inputs is learned.

    Args:
        source: Where tasks come from.
        widths: Units of each hidden layer.
        input_size: Numbers in one input.
        steps: Of Adam.
        tasks: Of a step.
        inner_steps: That are differentiated through.
        inner_rate: At the start.
    """

    source: str
    widths: tuple[int, ...]
    input_size: int
    steps: int
    tasks: int
    inner_steps: int
    inner_rate: float


RECIPES: Mapping[str, Recipe] = {
    "images": Recipe(
        source="characters",
        widths=(64, 64),
        input_size=400,
        steps=700,
        tasks=8,
        inner_steps=3,
        inner_rate=0.1,
    ),
    "tables": Recipe(
        source="tables",
        widths=(48, 32),
        input_size=16,
        steps=300,
        tasks=8,
        inner_steps=3,
        inner_rate=0.05,
    ),
    "sinusoids": Recipe(
        source="sinusoids",
        widths=(40, 40),
        input_size=1,
        steps=1000,
        tasks=16,
        inner_steps=5,
        inner_rate=0.01,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Learn all of them.

    Args:
        seed: Everything follows from it.
        share: Of the steps; below 1 to try it out.
        out: The file that is written.
    """

    seed: int = 0
    share: float = 1.0
    out: Path = FILE


def main(config: Config) -> None:
    """Learn and write."""
    torch.set_num_threads(1)
    tensors: dict[str, Any] = {}
    facts = {}
    for kind, recipe in RECIPES.items():
        learned = learn(recipe, max(1, round(config.share * recipe.steps)), config.seed)
        for name, value in learned.items():
            if not name.startswith("log_"):
                # Half precision: the file is a fourth of a megabyte, and steps follow anyway.
                matrix = value.detach().numpy().reshape(1, -1) if value.ndim == 1 else value.T
                tensors[f"{kind}.{name}"] = np.ascontiguousarray(matrix, dtype=np.float16)
        facts[kind] = {
            "rates": {
                name.removeprefix("log_rate."): math.exp(float(value))
                for name, value in learned.items()
                if name.startswith("log_rate.")
            },
            "scale": math.exp(float(learned.get("log_scale", torch.zeros(())))),
        }
    content = safetensors.numpy.save(tensors, {"facts": json.dumps(facts)})
    config.out.write_bytes(content)
    print(f"{config.out}: {len(content):,} bytes")


def learn(recipe: Recipe, num_steps: int, seed: int) -> Parameters:
    """Learn one initialisation."""
    algorithms = {ways: _algorithm(recipe, ways) for ways, _ in SHAPES[recipe.source]}
    start = next(iter(algorithms.values())).initial(torch_generator(seed, recipe.source))
    meta = {name: value.requires_grad_() for name, value in start.items()}
    adam = torch.optim.Adam(list(meta.values()), lr=_RATE)
    began, losses = time.process_time(), []
    for step in range(num_steps):
        ways, episodes = _episodes(recipe, seed, step)
        found = algorithms[ways].gradient(meta, episodes, torch_generator(seed, step))
        for name, value in meta.items():
            value.grad = found.gradient[name]
        torch.nn.utils.clip_grad_norm_(list(meta.values()), 10.0)
        adam.param_groups[0]["lr"] = _RATE * (0.55 + 0.45 * math.cos(math.pi * step / num_steps))
        adam.step()
        losses.append(found.loss)
        if (step + 1) % max(1, num_steps // 10) == 0:
            mean = float(np.mean(losses[-num_steps // 10 :]))
            print(
                f"{recipe.source} {step + 1}: {mean:.4f}, {time.process_time() - began:.0f} s",
                flush=True,
            )
    return {name: value.detach() for name, value in meta.items()}


def _algorithm(recipe: Recipe, ways: int) -> ProtoMAML:
    problem = Problem(
        kind="regression" if ways == 1 else "classification",
        input_shape=(recipe.input_size,),
        num_outputs=ways,
    )
    told = ProtoMAML.settings(inner_rate=recipe.inner_rate, inner_steps=recipe.inner_steps)
    return ProtoMAML(Perceptron(problem, recipe.widths), told)


def _episodes(recipe: Recipe, seed: int, step: int) -> tuple[int, Episodes]:
    """Draw a batch of tasks that are alike."""
    rng = stream(seed, recipe.source, step)
    shapes = SHAPES[recipe.source]
    ways, shots = shapes[int(rng.integers(len(shapes)))]
    prepared = [
        prepare(
            FewShotTask(
                name=recipe.source,
                num_decisions=1,
                initial=(),
                source=recipe.source,
                side="train",
                ways=ways,
                shots=shots,
                draw=int(rng.integers(2**31)),
                steps_per_decision=1,
            ),
            int(rng.integers(2**31)),
        )
        for _ in range(recipe.tasks)
    ]
    support, query = (
        _examples([getattr(rows, part) for rows in prepared], is_classification=ways > 1)
        for part in ("adapted", "query")
    )
    return ways, Episodes(support, query)


def _examples(parts: list[Rows], *, is_classification: bool) -> Examples:
    inputs = torch.from_numpy(np.stack([rows.inputs for rows in parts]))
    targets = torch.from_numpy(np.stack([rows.targets for rows in parts]))
    return Examples(inputs, targets.argmax(-1) if is_classification else targets)


if __name__ == "__main__":
    main(tyro.cli(Config))
