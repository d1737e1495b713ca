"""The run folder: everything that a meta-training leaves behind, in one place.

    <family>-<agent>-seed<k>-<utc>/   with -2 and so on, where several began in one second
        config.json      the resolved configuration
        command.txt      the command lines, the first and each that resumed the run
        versions.json    versions of what computed it, and the git commit
        events.out.*     TensorBoard
        progress.jsonl   a line a segment: steps, score, divergence, seconds
        checkpoints/     the newest two and the best
        policy/          the exported policy
        result.json      the outcome, once there is one

Files are written whole or not at all, and only `progress.jsonl` and `command.txt` grow.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hpo_env
from hpo_env.arguments import is_folder
from hpo_env.errors import RunFolderError
from hpo_env.tasks.registry import family_class

from .config import TrainConfig
from .whole_files import to_json_bytes, write_atomically

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNSAFE = re.compile(r"[^\w.-]")
_PACKAGES = ("torch", "numpy", "gymnasium", "stable-baselines3", "sb3-contrib", "safetensors")


def read_commands(folder: Path) -> str | None:
    """Return the command lines that a run was started by, as text that can be written anywhere.

    Args:
        folder: The run's.

    Returns:
        A line each; None where none was written down.
    """
    path = folder / "command.txt"
    if not path.is_file():
        return None
    return path.read_text(encoding="utf-8", errors="backslashreplace").strip()


def run_prefix(config: TrainConfig) -> str:
    """Return how the folder names of runs of a configuration begin: family, agent and seed.

    Example:
        >>> run_prefix(TrainConfig(family="quadratic", seed=3))
        'quadratic-ppo-seed3'
    """
    # The classes' own names: an address has characters that not every file system takes.
    family, agent = family_class(config.family).name, config.learner.name
    return f"{_UNSAFE.sub('_', family)}-{_UNSAFE.sub('_', agent)}-seed{config.seed}"


class RunFolder:
    """One meta-training's folder.

    Args:
        path: An existing folder. Use `create` for a new run and `open` for an existing one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.policy = path / "policy"

    @classmethod
    def create(cls, config: TrainConfig, *, now: datetime | None = None) -> RunFolder:
        """Make the folder of a new run, and write what is known before it starts.

        Args:
            config: The resolved configuration.
            now: The time that goes into the name; the present by default.

        Raises:
            RunFolderError: `run_dir` is itself the folder of a run, or cannot be written.
        """
        moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        if (config.run_dir / "config.json").exists():
            raise RunFolderError(
                f"--run-dir {config.run_dir} is itself the folder of a run. Go on with that run by "
                f"--resume {config.run_dir}, or choose another --run-dir; nothing was overwritten."
            )
        path = config.run_dir / f"{run_prefix(config)}-{moment}"
        try:
            path = _make_new(path)
            folder = cls(path)
            folder.checkpoints.mkdir()
            folder.write_config(config)
            write_atomically(path / "versions.json", to_json_bytes(installed_versions()))
            folder.note_command()
        except OSError as error:
            raise RunFolderError(f"the run folder {path} cannot be written: {error}") from error
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open the folder of an existing run.

        Raises:
            RunFolderError: There is no such folder, or it is not a run's.
        """
        if not is_folder(path):
            near = (
                sorted(p.name for p in path.parent.glob("*-seed*"))
                if is_folder(path.parent)
                else []
            )
            hint = f" Runs in {path.parent}: {', '.join(near[-5:])}." if near else ""
            raise RunFolderError(f"no run folder {path}.{hint}")
        if not (path / "config.json").is_file():
            raise RunFolderError(f"{path} is not a run folder: it has no config.json")
        folder = cls(path)
        folder.checkpoints.mkdir(exist_ok=True)
        return folder

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the folder to this process; when it ends, however it ends, so does this.

        Raises:
            RunFolderError: Another process trains in it.
        """
        if fcntl is None:
            yield
            return
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunFolderError(
                    f"{self.path} is in use: another process trains in it. Wait until it is done, "
                    "or end it; then resume"
                ) from None
            except OSError:  # a file system without locks
                pass
            yield
        finally:
            os.close(handle)

    def read_config(self) -> TrainConfig:
        """Return the configuration that the run was started with.

        Raises:
            RunFolderError: config.json is damaged.
        """
        try:
            data = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
            return TrainConfig.from_json(data)
        except (ValueError, TypeError) as error:
            raise RunFolderError(f"{self.path / 'config.json'} cannot be used: {error}") from error

    def write_config(self, config: TrainConfig) -> None:
        """Write down the configuration; `read_config` is the inverse."""
        write_atomically(self.path / "config.json", to_json_bytes(config.to_json()))

    def note_command(self) -> None:
        """Append the command line of this process."""
        with (self.path / "command.txt").open(
            "a",
            encoding="utf-8",
            errors="surrogateescape",  # names of files are any bytes
        ) as file:
            file.write(shlex.join(sys.argv) + "\n")

    def changed_versions(self) -> dict[str, tuple[str | None, str | None]]:
        """Return what is installed in another version than when the run began: then and now."""
        try:
            then = json.loads((self.path / "versions.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        now = installed_versions()
        return {
            name: (then.get(name), now[name])
            for name in now
            if name != "git_commit" and then.get(name) != now[name]
        }

    def append_progress(self, line: Mapping[str, Any]) -> None:
        """Append a segment's line."""
        with (self.path / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")

    def read_progress(self) -> list[dict[str, Any]]:
        """Return the lines so far; one that a crash cut off is left out."""
        path = self.path / "progress.jsonl"
        lines = []
        for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines

    def rewind_progress(self, segment: int) -> None:
        """Drop the lines after a segment: they will be written again."""
        kept = [line for line in self.read_progress() if line["segment"] <= segment]
        text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in kept)
        write_atomically(self.path / "progress.jsonl", text.encode())

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the outcome."""
        write_atomically(self.path / "result.json", to_json_bytes(result))


def _make_new(path: Path) -> Path:
    """Make a folder that was not there, under the name with a number where others have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with suppress(FileExistsError):
            candidate.mkdir()
            return candidate
    raise AssertionError("numbers do not end")


def installed_versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str | None]:
    """Return the versions of Python, this package and others, None where one is missing."""
    versions: dict[str, str | None] = {
        "python": platform.python_version(),
        "hpo-control": hpo_env.__version__,
        "git_commit": _git_commit(),
    }
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _git_commit() -> str | None:
    """Return the commit of the checkout that this code runs from; None where it is installed."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
