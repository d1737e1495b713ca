"""Runs in other people's trackers: what TensorBoard shows, with the same tags and pictures.

`base.py` says what a tracker is and finds one by name; `wandb_tracker.py` and `mlflow_tracker.py`
are two. What they are given comes from `agents/reporting/`: `tracked_run.py` follows TensorBoard
files of a run folder, so that nothing is logged twice in the code and nothing can be in one and
not in the other.
"""
