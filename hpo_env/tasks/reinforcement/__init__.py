"""Agents of reinforcement learning whose hyperparameters are turned while they learn."""
