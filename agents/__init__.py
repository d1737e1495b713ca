"""Agents that learn on HPOControl-v0: meta-training, evaluation, export and the command line."""
