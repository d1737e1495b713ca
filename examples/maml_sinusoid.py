"""MAML's first experiment, with its training loop in sight: sines from ten points.

Finn, Abbeel and Levine (2017), section 5.1. A network of two layers of 40 is meta-trained so that
a few gradient steps on ten points of a new sine fit all of it. About two minutes.

    python examples/maml_sinusoid.py
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from hpo_agents.adaptation import algorithm_class
from hpo_agents.adaptation.networks import usual_network
from hpo_agents.adaptation.problems import problem_of
from hpo_agents.adaptation.training import as_episodes, scores, torch_generator

from hpo_env.few_shot import make_source
from hpo_env.seeding import stream


def main(num_steps: int) -> None:
    """Meta-train, and show how the error on new sines falls with steps of adaptation.

    Args:
        num_steps: Steps on the initialisation.
    """
    torch.set_num_threads(1)  # the network is too small for more
    source = make_source("sinusoids", num_shots=10)
    found = algorithm_class("maml")
    maml = found(usual_network(problem_of(source)), found.settings(inner_rate=0.01, inner_steps=5))

    meta = maml.initial(torch_generator(0))
    for value in meta.values():
        value.requires_grad_()
    adam = torch.optim.Adam(meta.values(), lr=1e-3)
    for step in range(1, num_steps + 1):
        tasks = as_episodes(source.sample("train", 25, stream(0, step)))
        gradient, loss = maml.gradient(meta, tasks, torch_generator(0, step))
        for name, value in meta.items():
            value.grad = gradient[name]
        adam.step()
        if step % max(1, num_steps // 10) == 0:
            print(f"step {step:>5}: squared error after five steps {loss:.3f}")

    unseen = as_episodes(source.sample("test", 500, stream(1)))
    plain = maml.initial(torch_generator(1))
    print("\nsquared error on 500 new sines, by steps of adaptation:")
    for name, start in (("meta-trained", meta), ("random weights", plain)):
        errors = [scores(maml, start, unseen, num_steps=steps).mean() for steps in (0, 1, 5, 10)]
        print(f"{name:>15}: " + "  ".join(f"{error:.3f}" for error in np.array(errors)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-steps", type=int, default=3_000, help="steps of meta-training")
    main(parser.parse_args().num_steps)
