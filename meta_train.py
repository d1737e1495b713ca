"""Meta-train an agent on HPOControl-v0: `python meta_train.py --help` says how.

    python meta_train.py --family supervised --agent ppo --preset quick --seed 0
    python meta_train.py --resume logs/supervised-ppo-seed0-20260101T120000Z

The same as `hpo-control train`. Exit code 0 when done, 2 on an error, 130 after Ctrl-C.
"""

from __future__ import annotations

import sys

from agents.cli import exit_with
from agents.commands.train import main

if __name__ == "__main__":
    exit_with(main, sys.argv[1:])
