"""Opponents: every other way of choosing hyperparameters, on the same runs as the controller.

`base.py` says what an opponent is, `lanes.py` what it trains on, `registry.py` which there are.
"""
