"""Policies of known behaviour, for opponents that need one."""

from __future__ import annotations

from hpo_env.testing.policies import linear_policy, steady_policy

__all__ = ["linear_policy", "steady_policy"]
