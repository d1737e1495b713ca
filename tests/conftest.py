"""What all tests run under."""

from __future__ import annotations

import signal
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest
import torch

from hpo_env.errors import MissingExtraError

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


def _skip_without_extra() -> Generator[None, Any, Any]:
    try:
        return (yield)
    except MissingExtraError as error:  # a registered family may need a package that is not here
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, Any, Any]:
    """Skip what needs an extra that is not installed."""
    return (yield from _skip_without_extra())


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, Any, Any]:
    """Skip what needs it in a fixture."""
    return (yield from _skip_without_extra())
