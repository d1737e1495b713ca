"""`hpo-control doctor`: what this machine has, what is missing, and what to do about it.

It needs nothing but the standard library and what it looks at, so that it also answers where a
dependency is missing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import hpo_env
from hpo_env.errors import HPOControlError

DISTRIBUTION = "hpo-control"
State = Literal["ok", "note", "fault"]
_SIGNS: dict[State, str] = {"ok": "ok   ", "note": "note ", "fault": "FAULT"}
_EXIT_FAULT = 1
_DEVELOPERS_EXTRA = "dev"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look found.

    Args:
        what: What was looked at.
        state: "ok"; "note", where all works without it; or "fault", where something will not work.
        said: What was found.
        do: What mends it; empty where there is nothing to mend.
    """

    what: str
    state: State = "ok"
    said: str
    do: str = ""


def main(args: Sequence[str]) -> None:
    """Look at everything, print what was found, and exit with 1 if anything will not work.

    Raises:
        SystemExit: Something will not work.
    """
    parser = argparse.ArgumentParser(
        prog="hpo-control doctor",
        description="Say what this machine has and lacks, and what mends it. Kernels that were "
        "never built are built. Exit code 0: all works, perhaps with less than everything "
        "installed; 1: something will not work.",
    )
    parser.parse_args(args)
    faults = 0
    for look in LOOKS:
        for finding in look():
            print(line(finding), flush=True)
            faults += finding.state == "fault"
    print(f"{faults} {'fault' if faults == 1 else 'faults'}")
    if faults:
        sys.exit(_EXIT_FAULT)


def line(finding: Finding) -> str:
    """Write a finding as the lines that are printed.

    Example:
        >>> print(line(Finding(what="compiler", state="fault", said="none", do="install g++")))
        FAULT  compiler     none
                            -> install g++
    """
    first = f"{_SIGNS[finding.state]}  {finding.what:<11}  {finding.said}"
    return f"{first}\n{'':<20}-> {finding.do}" if finding.do else first


def machine() -> Iterator[Finding]:
    """This package, Python, the machine."""
    where = Path(hpo_env.__file__).parent.parent
    yield Finding(what=DISTRIBUTION, said=f"{hpo_env.__version__} in {where}")
    yield Finding(what="python", said=f"{platform.python_version()} in {sys.prefix}")
    if not _declared():
        yield Finding(
            what="installed",
            state="note",
            said="no: this is a clone on the path, and what it needs cannot be told",
            do=f"pip install --editable {where}",
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding(what="machine", said=f"{platform.platform()}, {cores} cores to use")


def threads() -> Iterator[Finding]:
    """Threads of torch: more than one a process crawls where another process is busy."""
    given = os.environ.get("OMP_NUM_THREADS")
    if given == "1":
        yield Finding(what="threads", said="OMP_NUM_THREADS=1")
        return
    yield Finding(
        what="threads",
        state="note",
        said=f"OMP_NUM_THREADS is {given or 'not set'}: torch's threads wait for one another, and "
        "slow everything down on a busy machine",
        do="export OMP_NUM_THREADS=1 (commands set torch's own threads to one)",
    )


def graphics() -> Iterator[Finding]:
    """What torch can compute on."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return  # `dependencies` says so
    if not torch.cuda.is_available():
        yield Finding(what="GPU", said="none that torch can use; none is needed")
        return
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield Finding(what="GPU", said=f"{', '.join(names)} (--device cuda)")


def dependencies() -> Iterator[Finding]:
    """What everything needs."""
    for requirement in _requirements(None):
        missing = unmet(requirement)
        name = _name(requirement)
        if missing:
            yield Finding(what=name, state="fault", said=missing, do=f"pip install '{requirement}'")
        else:
            yield Finding(what=name, said=version(name))


def extras() -> Iterator[Finding]:
    """What only some things need, extra by extra."""
    for extra, brought in _extras().items():
        missing = [said for r in brought if (said := unmet(r))]
        if not missing:
            yield Finding(what=f"[{extra}]", said="installed")
            continue
        yield Finding(
            what=f"[{extra}]",
            state="note",
            said=", ".join(missing),
            do=f"pip install '{DISTRIBUTION}[{extra}]' (in a clone: pip install '.[{extra}]')",
        )


def compiler() -> Iterator[Finding]:
    """What builds the kernels."""
    named = os.environ.get("CXX")
    found = next((c for c in ([named] if named else ["g++", "clang++"]) if shutil.which(c)), None)
    if found is None:
        yield Finding(
            what="compiler",
            state="fault",
            said=f"CXX is {named!r}, which is not there" if named else "no g++ and no clang++",
            do="install g++ (apt-get install g++); until then engine 'auto' takes slower ones",
        )
        return
    try:
        done = subprocess.run(
            [found, "--version"], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(what="compiler", state="fault", said=f"{found} cannot be run: {error}")
        return
    said = (done.stdout.splitlines() or ["it says nothing of itself"])[0]
    yield Finding(what="compiler", said=f"{shutil.which(found)}: {said}")


def kernels() -> Iterator[Finding]:
    """The kernels of every family that has some; what is not in the cache is built."""
    try:
        building = importlib.import_module("hpo_env.tasks.building")
        registry = importlib.import_module("hpo_env.tasks.registry")
    except ImportError:
        return  # `dependencies` says so
    folder: Path = building.cache_folder()
    for name in registry.FAMILIES:
        try:
            module = sys.modules[registry.family_class(name).__module__]
        except ImportError:
            continue  # an extra is missing, and `extras` says so
        if module.__file__ is None or not (Path(module.__file__).parent / "native").is_dir():
            continue
        before = set(folder.glob("*.so"))
        start = time.perf_counter()
        try:
            trainer = registry.make_family(name).make_trainer(1, engine="native", device="cpu")
        except HPOControlError as error:
            is_missing = isinstance(error, ImportError)
            yield Finding(
                what=name, state="note" if is_missing else "fault", said=f"kernel: {error}"
            )
            continue
        del trainer
        seconds = time.perf_counter() - start
        is_new = set(folder.glob("*.so")) - before
        how = "built" if is_new else "was there, loaded"
        yield Finding(what=name, said=f"kernel {how} in {seconds:.1f} s, kept in {folder}")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    machine,
    dependencies,
    threads,
    graphics,
    compiler,
    kernels,
    extras,
)


def unmet(requirement: str) -> str:
    """Say what is missing for a requirement to be met; empty when it is met.

    Args:
        requirement: As in the package's metadata, without its marker.

    Example:
        >>> unmet("numpy>=1.26,<3"), unmet("numpy>=999")[-9:], unmet("no-such-package>=1")
        ('', 'not >=999', 'no-such-package is not installed')
    """
    name = _name(requirement)
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    for bound, number in re.findall(r"(>=|<)\s*([\d.]+)", requirement):
        is_met = (_numbers(found) >= _numbers(number)) == (bound == ">=")
        if not is_met:
            return f"{name} is {found}, not {bound}{number}"
    return ""


def _requirements(extra: str | None) -> list[str]:
    """Return what the package needs, for one of its extras or for all."""
    ours = []
    for requirement in _declared():
        text, _, marker = requirement.partition(";")
        of = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if (of.group(1) if of else None) == extra:
            ours.append(text.strip())
    return ours


def _extras() -> dict[str, list[str]]:
    """Return what each extra brings, without extras that are sums of others."""
    marked = re.findall(r"extra == ['\"]([\w-]+)['\"]", "\n".join(_declared()))
    brings = {extra: _requirements(extra) for extra in sorted(set(marked))}
    return {
        extra: own
        for extra, own in brings.items()
        if extra != _DEVELOPERS_EXTRA and not _is_sum(own, brings.values())
    }


def _is_sum(own: Sequence[str], extras: Iterable[Sequence[str]]) -> bool:
    """Whether an extra brings nothing but what smaller ones bring."""
    parts = [set(other) for other in extras if set(other) < set(own)]
    return set().union(*parts) == set(own)


def _declared() -> list[str]:
    try:
        return requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # a clone on PYTHONPATH
        return []


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement.strip())
    assert found is not None
    return found.group()


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
