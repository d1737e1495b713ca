"""The parts of `benchmarks/real_loops.py`: plain-PyTorch workloads, and who sets their rates.

`workloads` names them, `models` and `data` hold what they are made of, `opponents` the schedules,
`running` trains one, `tables` shows what came out.
"""
