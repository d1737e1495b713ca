"""What all tests run under."""

from __future__ import annotations

import signal

import hypothesis
import torch

# Sums depend on the number of threads; and two are no faster on models this small, and many times
# slower once another process is busy.
torch.set_num_threads(1)

# The same examples in every run: a run that fails must fail again.
hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None)
hypothesis.settings.load_profile("deterministic")

# A shell starts what it runs in the background with SIGINT ignored, which child processes inherit:
# those that tests send it to would not notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
