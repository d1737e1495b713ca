"""What all tests run under."""

from __future__ import annotations

import torch

# Sums depend on the number of threads; and two are no faster on models this small, and many times
# slower once another process is busy.
torch.set_num_threads(1)
