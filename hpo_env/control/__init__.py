"""What a deployed controller is made of; `hpo_env.controller` is its front door.

`decider.py` is a policy with its memory, `run.py` a training run of any host that it steers,
`torch_run.py` one with torch optimisers. The rest are their parts: param groups, torch schedulers
as base schedules, replicas, schedule files, explanations.
"""
