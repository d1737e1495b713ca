"""The shared library of the kernels; see `hpo_env.tasks.building`."""

from __future__ import annotations

from pathlib import Path

from hpo_env.tasks.building import built

_SOURCE = Path(__file__).with_name("kernels.cpp")
_FLAGS = (
    "-std=c++17",
    "-O3",
    "-pthread",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",  # not -ffast-math: NaN and infinity must reach the losses
)


def library() -> Path:
    """Return the path of the shared library, building it if it is not there yet.

    Raises:
        BuildError: There is no compiler, or it fails.
    """
    return built(_SOURCE, _FLAGS)
