"""Agents for users: a controller in a training loop of one's own.

Agents of Stable-Baselines3 have a callback, `hpo_env.integrations.sb3`.
"""

from hpo_env.tasks.reinforcement.agent_loop import AgentLoop
from hpo_env.tasks.reinforcement.facts import Facts

__all__ = ["AgentLoop", "Facts"]
