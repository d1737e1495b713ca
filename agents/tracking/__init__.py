"""Runs in other people's trackers: what TensorBoard shows, with the same tags and pictures.

`base.py` says what a tracker is and finds one by name; `wandb_tracker.py` and `mlflow_tracker.py`
are two. `agents/mirror.py` follows the TensorBoard files of a run folder and hands on what was
written, so that nothing is logged twice in the code; `agents/reporting/tracked.py` does the same
with a comparison.
"""
