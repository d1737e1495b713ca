"""Stable-Baselines3: the learning rate of a PPO agent on CartPole, rollout by rollout.

    python examples/stable_baselines3_agent.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own. The
shipped ones learned on supervised training, so this shows the interface and promises no gain.
"""

import sys
from typing import Any

import gymnasium as gym
from stable_baselines3 import PPO

from hpo_env import Controller
from hpo_env.integrations.sb3 import HPOControlCallback

BEST_RETURN = 500.0  # of CartPole-v1


def distance_from_best(agent: Any) -> float:
    """Return how much the mean return of the last episodes falls short; it should fall to 0."""
    returns = [episode["r"] for episode in agent.ep_info_buffer]
    mean = sum(returns) / len(returns) if returns else 0.0
    return max(BEST_RETURN - mean, 1.0)


controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
callback = HPOControlCallback(controller, validate=distance_from_best)
agent = PPO("MlpPolicy", gym.make("CartPole-v1"), n_steps=128, seed=0, device="cpu")
agent.learn(2048, callback=callback)

assert callback.run is not None
for entry in callback.run.schedule[::4]:
    print(entry)
print(f"falls short of the best return by {distance_from_best(agent):.0f}")
