"""Learners: what meta-training trains. A learner turns steps of an environment into a policy.

`base.py` says what every learner is and `registry.py` names those that there are; `settings.py`
holds what each can be told. `sb3.py` puts the agents of Stable-Baselines3 behind the contract, with
what they alone need (`vec_env`, `actions`, `privileged`, `moves`, `sb3_state`, `extraction`), and
`ars.py` is a learner of its own. Nothing in here knows of run folders, checkpoints or segments.
"""
