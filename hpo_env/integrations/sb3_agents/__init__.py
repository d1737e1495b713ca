"""Agents of Stable-Baselines3 under policies of `reinforcement`: host, reference and twin."""
