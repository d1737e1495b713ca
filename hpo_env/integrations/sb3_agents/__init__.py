"""Agents of Stable-Baselines3 under policies of the family `reinforcement`: host, reference and twin."""
