"""Makes the pictures of the documentation anew: `make pictures`.

    python tools/pictures.py                         # runs the demo first: some minutes
    python tools/pictures.py --run logs/supervised-ppo-seed0-<utc>
    python tools/pictures.py --only throughput.png house.svg

Each picture is made of what the code, the results or a demo's run folder say; those of pages are
taken by Debian's Chromium. Where there is none they are left as they are, and the command says so.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from PIL import Image

from agents.commands import dashboard, demo
from agents.commands.report import main as write_report
from benchmarks.repeated_runs import draw_curve, read
from benchmarks.speed.plot import save_plot
from hpo_env.errors import ConfigurationError
from tools.browser import NoBrowserError, inside, started_browser, until
from tools.house_drawing import arrows, drawn
from tools.tensorboard_pages import colour_map, open_map, open_story, open_table

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
_THROUGHPUT = ROOT / "benchmarks" / "results" / "throughput.json"
_CURVE = ROOT / "benchmarks" / "results" / "repeated_runs" / "validation.json"
_RUNS_OF_THE_CURVE = 32
_SUITE = "data"  # of the demo: data sets that meta-training has not seen
_WINDOW = (1400, 1300)
_REPORT_WINDOW = (1000, 1500)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What pictures are made of.

    Args:
        run: A run folder of `hpo-control demo`.
        address: TensorBoard's, over that run; empty where no picture needs it.
    """

    run: Path
    address: str


def _house(_: Sources) -> bytes:
    return drawn(arrows()).encode()


def _throughput(_: Sources) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "throughput.png"
        save_plot(json.loads(_THROUGHPUT.read_text(encoding="utf-8")), path)
        return path.read_bytes()


def _compute_curve(_: Sources) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "compute-curve.png"
        draw_curve(read(_CURVE), _RUNS_OF_THE_CURVE, path)
        return path.read_bytes()


def _of_run(place: str, sources: Sources) -> bytes:
    return (sources.run / place).read_bytes()


def _page(look: Callable[[Any, Sources], None], window: tuple[int, int], sources: Sources) -> bytes:
    with (
        tempfile.TemporaryDirectory() as profile,
        started_browser(Path(profile), window) as browser,
    ):
        look(browser, sources)
        shot: bytes = browser.get_screenshot_as_png()
        return shot


def _story(browser: Any, sources: Sources) -> None:
    open_story(browser, sources.address)


def _table(browser: Any, sources: Sources) -> None:
    open_table(browser, sources.address, {"ppo", "controller"})


def _map(browser: Any, sources: Sources) -> None:
    open_map(browser, sources.address)
    colour_map(browser, "gain")


def _report(browser: Any, sources: Sources) -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_report([str(sources.run), "--out", str(page)])
        browser.get(page.as_uri())
        count = page.read_text(encoding="utf-8").count("<svg")
        until(browser, lambda b: len(inside(b, "figure svg")) == count, f"all {count} figures")


_FIGURES = f"evaluations/{_SUITE}/figures"

FROM_CODE: dict[str, Callable[[Sources], bytes]] = {
    "house.svg": _house,
    "throughput.png": _throughput,
    "compute-curve.png": _compute_curve,
}
"""Pictures of the code and of `benchmarks/results`."""
FROM_RUN: dict[str, Callable[[Sources], bytes]] = {
    "demo-schedules.png": partial(_of_run, f"schedules-{_SUITE}.png"),
    "schedules.png": partial(_of_run, f"{_FIGURES}/schedules_learning_rate.png"),
    "regret.png": partial(_of_run, f"{_FIGURES}/regret.png"),
    "importance.png": partial(_of_run, f"{_FIGURES}/importance.png"),
    "dependence.png": partial(_of_run, f"{_FIGURES}/dependence.png"),
}
"""Pictures that a demo draws."""
FROM_PAGES: dict[str, Callable[[Sources], bytes]] = {
    "report.png": partial(_page, _report, _REPORT_WINDOW),
    "tensorboard-story.png": partial(_page, _story, _WINDOW),
    "tensorboard-hparams.png": partial(_page, _table, _WINDOW),
    "tensorboard-projector.png": partial(_page, _map, _WINDOW),
}
"""Pictures of pages over a demo's run, which a browser takes."""
PICTURES = FROM_CODE | FROM_RUN | FROM_PAGES
"""What makes each picture, by its file name."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Make the pictures of the documentation anew.

    Args:
        run: A run folder that `hpo-control demo` wrote; the demo is run when not given.
        out: The folder of the pictures.
        only: File names of the pictures to make; all when not given.

    Raises:
        ConfigurationError: A picture is not known.
    """

    run: Path | None = None
    out: Path = IMAGES
    only: tuple[str, ...] = tuple(PICTURES)

    def __post_init__(self) -> None:
        """Check the names."""
        unknown = sorted(set(self.only) - set(PICTURES))
        if unknown:
            raise ConfigurationError(f"pictures are {sorted(PICTURES)}; got {unknown}")


def main(args: Sequence[str]) -> int:
    """Make them; returns how many could not be made."""
    options = tyro.cli(Options, args=list(args), prog="tools/pictures.py")
    is_run_needed = not set(options.only) <= set(FROM_CODE)
    run = options.run
    if run is None and is_run_needed:
        run = demo.run(demo.DemoConfig(run_dir=ROOT / "logs" / "pictures"))
    run, out = ROOT if run is None else run.resolve(), options.out.resolve()
    with contextlib.chdir(run.parent):  # TensorBoard shows the path that it is given
        return make(options.only, Path(run.name), out)


def make(names: Sequence[str], run: Path, out: Path) -> int:
    """Write pictures, small, into a folder.

    Args:
        names: Of `PICTURES`.
        run: A run folder of the demo; pictures of the code do not look at it.
        out: The folder.

    Returns:
        How many could not be made, for want of a browser or as a page did not show in time.
    """
    is_board_needed = any(name.startswith("tensorboard") for name in names)
    sources = Sources(run=run, address=dashboard.launch(run, 0) if is_board_needed else "")
    out.mkdir(parents=True, exist_ok=True)
    num_left = 0
    for name in names:
        try:
            picture = PICTURES[name](sources)
        except (NoBrowserError, AssertionError) as error:
            print(f"{out / name}: left as it is; {error}", file=sys.stderr)
            num_left += 1
            continue
        (out / name).write_bytes(_smaller(picture) if name.endswith(".png") else picture)
        print(out / name)
    return num_left


def _smaller(png: bytes) -> bytes:
    """Reduce a picture to 256 colours, which a diagram does not miss."""
    packed = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(256).save(packed, "PNG", optimize=True)
    return packed.getvalue()


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
