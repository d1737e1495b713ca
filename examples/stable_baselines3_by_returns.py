"""Stable-Baselines3: PPO on CartPole, steered by the returns of its own episodes, and resumed.

    python examples/stable_baselines3_by_returns.py [POLICY [TOTAL_STEPS]]

POLICY is the folder of a policy of the reinforcement family; the one that comes with hpo-control
when not given. The callback needs no evaluation and no other argument.
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import StopTrainingOnMaxEpisodes
from stable_baselines3.common.env_util import make_vec_env

from hpo_env.integrations.sb3 import HPOControlCallback
from hpo_env.integrations.sb3_rewards import ScaledRewards

policy = sys.argv[1] if len(sys.argv) > 1 else "reinforcement"
total_steps = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
envs = ScaledRewards(make_vec_env("CartPole-v1", n_envs=4, seed=1))  # so that the scale can move
agent = PPO("MlpPolicy", envs, n_steps=256, seed=1, device="cpu")

# Interrupted half way, and saved with the state of the run.
callback = HPOControlCallback(policy)
stop = StopTrainingOnMaxEpisodes(max_episodes=20)
agent.learn(total_steps, callback=[callback, stop])
folder = Path(mkdtemp())
agent.save(folder / "agent.zip")
torch.save(callback.state_dict(), folder / "run.pt")

# Resumed: the run goes on where it was, and so does the number of steps.
agent = PPO.load(folder / "agent.zip", env=envs, device="cpu")
state = torch.load(folder / "run.pt", weights_only=True)
callback = HPOControlCallback(policy, state=state)
left = max(total_steps - agent.num_timesteps, 1)
agent.learn(left, callback=callback, reset_num_timesteps=False)

assert callback.run is not None
for decision in callback.run.decisions[:: max(len(callback.run.decisions) // 5, 1)]:
    print({name: f"{value:.3g}" for name, value in decision.values.items()}, decision.reason)
print(f"discount is {agent.gamma} again, as the agent was made")
