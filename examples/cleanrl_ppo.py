"""PPO in a single file, as CleanRL writes it, with a controller in the loop: CartPole.

    python examples/cleanrl_ppo.py [POLICY [TOTAL_STEPS]]

POLICY is the folder of a policy of the reinforcement family; the one that comes with hpo-control
when not given. What a controller adds to the loop is marked with `steered`.
"""

import sys
from dataclasses import dataclass

import gymnasium as gym
import torch
from torch import nn
from torch.distributions import Categorical

from hpo_env import Controller
from hpo_env.reinforcement import AgentLoop, Facts


@dataclass
class Args:
    """CleanRL's defaults, which the controller may change on the way."""

    num_envs: int = 4
    num_steps: int = 128
    gamma: float = 0.99
    gae_lambda: float = 0.95
    update_epochs: int = 4
    num_minibatches: int = 4
    clip_coef: float = 0.2
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5


class Agent(nn.Module):
    """Actor and critic."""

    def __init__(self, observation_size: int, num_actions: int) -> None:
        super().__init__()
        self.critic = self._net(observation_size, 1)
        self.actor = self._net(observation_size, num_actions)

    @staticmethod
    def _net(inputs: int, outputs: int) -> nn.Module:
        hidden = (nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        return nn.Sequential(*hidden, nn.Linear(64, outputs))


args = Args()
torch.manual_seed(1)
total_steps = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
total_updates = total_steps // (args.num_envs * args.num_steps)
envs = gym.make_vec("CartPole-v1", args.num_envs, vectorization_mode="sync")
agent = Agent(4, 2)
optimizer = torch.optim.Adam(agent.parameters(), lr=2.5e-4, eps=1e-5)

steered = AgentLoop(
    Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "reinforcement"),
    agent,
    optimizer,
    total_updates=total_updates,
    facts=Facts(
        algorithm="ppo",
        num_actions=2,
        action_size=0,
        observation_size=4,
        num_envs=args.num_envs,
        num_steps=args.num_steps,
        rollouts_per_decision=max(total_updates // 30, 1),
    ),
    bind={
        "discount": lambda value: setattr(args, "gamma", value),
        "gae_lambda": lambda value: setattr(args, "gae_lambda", value),
        "entropy": lambda value: setattr(args, "ent_coef", value),
        "clip_range": lambda value: setattr(args, "clip_coef", value),
        "epochs": lambda value: setattr(args, "update_epochs", round(value)),
    },
    initial={
        "discount": args.gamma,
        "gae_lambda": args.gae_lambda,
        "entropy": args.ent_coef,
        "clip_range": args.clip_coef,
        "epochs": args.update_epochs,
        "batch_size": args.num_envs * args.num_steps // args.num_minibatches,
    },
)

shape = (args.num_steps, args.num_envs)
obs, actions = torch.zeros(*shape, 4), torch.zeros(shape, dtype=torch.long)
logprobs, rewards, dones, values = (torch.zeros(shape) for _ in range(4))
next_obs, next_done = torch.tensor(envs.reset(seed=1)[0]), torch.zeros(args.num_envs)
for _ in range(total_updates):
    for step in range(args.num_steps):
        obs[step], dones[step] = next_obs, next_done
        with torch.no_grad():
            policy = Categorical(logits=agent.actor(next_obs))
            actions[step] = policy.sample()
            logprobs[step] = policy.log_prob(actions[step])
            values[step] = agent.critic(next_obs).flatten()
        seen, reward, ended, cut, _infos = envs.step(actions[step].numpy())
        steered.take_step(reward, ended | cut, truncated=cut)
        rewards[step] = torch.tensor(reward)
        next_obs, next_done = torch.tensor(seen), torch.tensor(ended | cut).float()
    steered.end_rollout()  # before the advantages: args.gamma may be another now

    with torch.no_grad():
        advantages, last = torch.zeros(shape), torch.zeros(args.num_envs)
        for t in reversed(range(args.num_steps)):
            is_end = t == args.num_steps - 1
            goes_on = 1.0 - (next_done if is_end else dones[t + 1])
            following = agent.critic(next_obs).flatten() if is_end else values[t + 1]
            delta = rewards[t] + args.gamma * following * goes_on - values[t]
            last = delta + args.gamma * args.gae_lambda * goes_on * last
            advantages[t] = last
        returns = advantages + values
    steered.begin_update(advantages, returns)

    flat_obs, flat_actions = obs.reshape(-1, 4), actions.reshape(-1)
    flat_logprobs, flat_advantages = logprobs.reshape(-1), advantages.reshape(-1)
    size, logged = len(flat_obs), []
    for _ in range(args.update_epochs):
        kls = []
        for rows in torch.randperm(size).chunk(args.num_minibatches):
            policy = Categorical(logits=agent.actor(flat_obs[rows]))
            log_ratio = policy.log_prob(flat_actions[rows]) - flat_logprobs[rows]
            ratio = log_ratio.exp()
            advantage = flat_advantages[rows]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
            policy_loss = -torch.min(advantage * ratio, advantage * clipped).mean()
            error = agent.critic(flat_obs[rows]).flatten() - returns.reshape(-1)[rows]
            entropy = policy.entropy().mean()
            loss = policy_loss - args.ent_coef * entropy + args.vf_coef * error.square().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
            optimizer.step()
            kls.append((ratio - 1 - log_ratio).mean().item())
            is_clipped = ((ratio - 1).abs() > args.clip_coef).float().mean().item()
            logged.append((is_clipped, entropy.item(), error.square().mean().item()))
    clip_fraction, entropy_mean, value_loss = torch.tensor(logged).mean(dim=0).tolist()
    steered.end_update(
        approx_kl=sum(kls) / len(kls),  # of the last epoch
        clip_fraction=clip_fraction,
        entropy=entropy_mean,
        value_loss=value_loss,
        explained_variance=1.0 - ((returns - values).var() / returns.var()).item(),
    )
steered.close()
envs.close()

assert steered.run is not None
for decision in steered.run.decisions[:: max(len(steered.run.decisions) // 5, 1)]:
    print({name: f"{value:.3g}" for name, value in decision.values.items()})
