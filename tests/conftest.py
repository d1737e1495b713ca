"""What all tests run under."""

from __future__ import annotations

import signal

import hypothesis
import pytest
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

_NOT_YET = (
    *(f"[{name}]" for name in ("HostContract", "LearnerContract", "ParityContract")),
    *(
        f"{kind}::{use}"
        for use in (
            "test_meta_training_exports_a_policy",
            "test_an_evaluation_prints_its_table_and_writes_every_run",
            "test_every_preset_compares_what_fits[quick]",
            "test_every_preset_compares_what_fits[standard]",
            "test_every_preset_compares_what_fits[full]",
            "test_a_run_is_reported",
            "test_a_comparison_is_reported",
            "test_tensorboard_shows_training_and_analysis",
            "test_a_policy_is_made_evaluated_and_verified",
            "test_a_policy_sees_and_does_in_the_twin_what_it_did_in_training",
        )
        for kind in ("TestRegistered", "TestFromOutside")
    ),
    "TestFromOutside::test_an_interrupted_meta_training_resumes_to_the_same_policy",
    "TestFromOutside::test_a_policy_steers_a_training_that_is_told_its_losses",
)
"""Ends of the ids of tests that what they are about does not pass yet; one that does must leave."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.endswith(_NOT_YET):
            item.add_marker(pytest.mark.xfail(strict=True, reason="not there yet"))
