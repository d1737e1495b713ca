"""Optimisers that need no learning rate, as opponents: each replaces the task's own optimiser.

`batched.py` says what they are, a file each holds one, and `table.py` names them. `learners.py` is
the models that they train, `training.py` trains them, and `opponent.py` makes opponents of them.
"""
