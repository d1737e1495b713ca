"""Optimisers that need no learning rate, as opponents: each replaces the task's own optimiser.

A file each holds one, `table.py` names them, and `opponent.py` makes opponents of them.
"""
