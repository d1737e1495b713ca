"""The command, from its arguments to its files; killed, damaged and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agents.cli import exit_with
from agents.commands import compare, load_command
from agents.commands.compare import CompareConfig
from agents.comparing.presets import PRESETS
from agents.comparing.records import COLUMNS, read_records
from agents.opponents.registry import OPPONENTS
from hpo_env.errors import (
    ConfigurationError,
    HPOControlError,
    PolicyFileError,
    UnknownNameError,
)
from hpo_env.policy_file import save
from hpo_env.tasks.quadratic import QuadraticFamily
from hpo_env.tasks.registry import family_class
from tests.agents.commands import slow_opponents
from tests.agents.opponents.policies import linear_policy, steady_policy

main = load_command("compare")
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    suites = (*QuadraticFamily.suites, slow_opponents.TINY)
    monkeypatch.setattr(QuadraticFamily, "suites", suites)
    for name in ("slow", "fused"):
        monkeypatch.setitem(OPPONENTS, name, f"{slow_opponents.__name__}:{name}")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return save(steady_policy("quadratic", ("learning_rate",), level=0.5), tmp_path / "policy")


def words(
    policy: Path, *opponents: str, num_workers: int = 0, starts: tuple[str, ...] = ("0.01",)
) -> list[str]:
    """Two tasks, two seeds."""
    return [
        str(policy),
        *("--out", "out", "--suites", "tiny", "--tasks", "2", "--seeds", "2"),
        *("--tuning-tasks", "2", "--runs", "4", "--population", "4"),
        *("--num-workers", str(num_workers), "--starts", *starts),
        *("--opponents", *opponents),
    ]


def cell_times(folder: Path) -> dict[str, int]:
    """When each finished cell was written, in nanoseconds."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("cells/??/*.json")}


def account(folder: Path) -> tuple[int, int, int]:
    content = json.loads((folder / "comparison.json").read_text())
    return content["cells_run"], content["cells_reused"], content["cells_lost"]


def test_results_are_written_and_each_opponent_stands_beside_the_controller(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(words(policy, "default", "fused", starts=("0.001", "0.1")))
    printed = capsys.readouterr()
    for name in ("controller", "default", "fused", "tiny: 8 runs an opponent"):
        assert name in printed.out
    assert "20 / 20 cells, 100 %" in printed.err
    frame = read_records(tmp_path / "out" / "records.parquet")
    assert frame.groupby("opponent").size().to_dict() == {
        "controller": 8,
        "default": 8,
        "fused": 8,
    }
    scalars = json.loads((tmp_path / "out" / "records.json").read_text())
    assert len(scalars["rows"]) == 24
    assert set(scalars["columns"]) < set(COLUMNS)
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["config"]["opponents"] == ["controller", "default", "fused"]
    assert content["config"]["starts"] == [0.001, 0.1]
    assert content["machine"]["cores"] >= 1
    assert content["versions"]["torch"]
    # `default` ignores the user's rate, so its four cells serve eight rows.
    assert account(tmp_path / "out") == (20, 0, 0)


def test_an_outcome_is_the_instances_alone_whatever_ran_beside_it(
    policy: Path, tmp_path: Path
) -> None:
    main(words(policy, "fused", starts=("0.01",)))
    (tmp_path / "out").rename(tmp_path / "alone")
    main(words(policy, "fused", "default", starts=("0.1", "0.01")))
    one, other = (read_records(tmp_path / n / "records.parquet") for n in ("alone", "out"))
    for name in ("controller", "fused"):
        rows = [f[(f["opponent"] == name) & (f["start"] == 0.01)] for f in (one, other)]
        assert [*rows[0]["test_loss"]] == [*rows[1]["test_loss"]]
        assert len(rows[0]) == 4


def test_a_second_start_runs_nothing(policy: Path, tmp_path: Path) -> None:
    main(words(policy, "default"))
    before = cell_times(tmp_path / "out")
    main(words(policy, "default"))
    assert account(tmp_path / "out") == (0, 8, 0)
    assert cell_times(tmp_path / "out") == before


def test_another_opponent_runs_that_opponent_only(policy: Path, tmp_path: Path) -> None:
    main(words(policy, "default"))
    before = cell_times(tmp_path / "out")
    main(words(policy, "default", "fused"))
    assert account(tmp_path / "out") == (4, 8, 0)
    after = cell_times(tmp_path / "out")
    assert {name: after[name] for name in before} == before


def test_a_damaged_cell_is_run_again_and_no_other(policy: Path, tmp_path: Path) -> None:
    main(words(policy, "default"))
    expected = read_records(tmp_path / "out" / "records.parquet")
    before = cell_times(tmp_path / "out")
    damaged = sorted((tmp_path / "out").glob("cells/??/*.json"))[3]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    main(words(policy, "default"))
    assert account(tmp_path / "out") == (1, 7, 0)
    after = cell_times(tmp_path / "out")
    assert {n for n in before if after[n] != before[n]} == {damaged.name}
    found = read_records(tmp_path / "out" / "records.parquet")
    assert [*found["test_loss"]] == [*expected["test_loss"]]


def test_an_opponent_that_raises_ends_with_its_name_and_is_tried_again(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / slow_opponents.FUSE).touch()
    with pytest.raises(SystemExit) as ended:
        exit_with(main, words(policy, "fused", "default"))
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "fused on tiny: 4 runs: ZeroDivisionError: no rate left" in message
    assert account(tmp_path / "out") == (8, 0, 4)
    assert set(read_records(tmp_path / "out" / "records.parquet")["opponent"]) == {
        "controller",
        "default",
    }
    (tmp_path / slow_opponents.FUSE).unlink()
    main(words(policy, "fused", "default"))
    assert account(tmp_path / "out") == (4, 8, 0)


_CHILD = """
import sys
from slow_opponents import register
register()
from agents.cli import main
main(["compare", *sys.argv[1:]])
"""


def start_child(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own, as a user's shell does."""
    # Not as `tests.…`: outside of pytest another package of that name may be found first.
    path = os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
    with (folder / "stderr.txt").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-c", _CHILD, *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path},
            stderr=stderr,
            start_new_session=True,
        )


def wait_for_cells(child: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    deadline = time.monotonic() + 120.0
    while len(cell_times(folder / "out")) < count:
        assert child.poll() is None, (folder / "stderr.txt").read_text()
        assert time.monotonic() < deadline, "the comparison does not get on"
        time.sleep(0.01)


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_killed_half_way_no_finished_cell_is_run_again(
    policy: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    arguments = words(policy, "default", "slow", num_workers=1, starts=("0.001", "0.1"))
    child = start_child(arguments, tmp_path)
    try:
        wait_for_cells(child, tmp_path, 3)
        if sent == signal.SIGINT:
            os.killpg(child.pid, sent)  # what a terminal's Ctrl-C does
        else:
            child.send_signal(sent)
        assert child.wait(60.0) == code
        deadline = time.monotonic() + 30.0
        while not group_is_empty(child.pid):  # its worker ends with it
            assert time.monotonic() < deadline, "a worker is left behind"
            time.sleep(0.05)
    finally:
        if not group_is_empty(child.pid):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    before = cell_times(tmp_path / "out")
    assert 3 <= len(before) < 20
    main(words(policy, "default", "slow", num_workers=0, starts=("0.001", "0.1")))
    after = cell_times(tmp_path / "out")
    assert len(after) == 20
    assert {name: after[name] for name in before} == before
    assert account(tmp_path / "out") == (20 - len(before), len(before), 0)


def test_the_report_of_a_comparison_is_written(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(words(policy, "default", starts=("0.001", "0.1")))
    capsys.readouterr()
    # The report describes the suites that it knows: under the name of one of them.
    path = tmp_path / "out" / "records.parquet"
    read_records(path).assign(suite="interpolation").to_parquet(path, index=False)
    load_command("report")(["out"])
    assert "default" in (tmp_path / "out" / "report.md").read_text()
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!")
    assert "report.html" in capsys.readouterr().out


def test_a_damaged_table_is_refused_by_the_report(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "records.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigurationError, match="no table of a comparison"):
        load_command("report")(["out"])


def test_the_list_names_every_opponent_and_suite(capsys: pytest.CaptureFixture[str]) -> None:
    for family in ("supervised", "quadratic"):
        main(["--list", *([] if family == "supervised" else ["--family", family])])
        shown = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.split()}
        assert set(OPPONENTS) | {suite.name for suite in family_class(family).suites} <= shown


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"preset": "quik"}, UnknownNameError, "did you mean 'quick'"),
        ({"opponents": ("defualt",)}, UnknownNameError, "did you mean 'default'"),
        ({"tasks": 0}, ConfigurationError, "num_tasks must be at least 1; got 0"),
        ({"seed": -1}, ConfigurationError, "seed must not be negative"),
        ({"num_workers": -1}, ConfigurationError, "num_workers must be at least 0"),
        ({"num_workers": 0, "workers": "ray"}, ConfigurationError, "num_workers must be at least"),
        ({"ray_address": "auto"}, ConfigurationError, "ray_address needs workers='ray'"),
    ],
)
def test_impossible_settings_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        CompareConfig(**settings)


def test_a_policy_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError):
        main(["nobody", "--out", "out"])
    assert not (tmp_path / "out").exists()


def test_of_a_loop_that_lacks_some_all_opponents_choose_what_is_there(tmp_path: Path) -> None:
    two = save(linear_policy("supervised", ("learning_rate", "momentum")), tmp_path / "two")
    arguments = words(two, "random_search")
    arguments[arguments.index("tiny")] = "interpolation"
    arguments[arguments.index("--tasks") + 1] = "1"
    main([*arguments, "--hyperparameters", "momentum"])
    cells = [
        json.loads(path.read_text())["inputs"] for path in tmp_path.glob("out/cells/??/*.json")
    ]
    assert {cell["opponent"]["identity"]["name"] for cell in cells} >= {
        "controller",
        "random_search",
    }
    assert all(cell["opponent"]["hyperparameters"] == ["momentum"] for cell in cells)
    comparison = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert "(momentum)" in comparison["title"]
    assert comparison["config"]["hyperparameters"] == ["momentum"]
    records = read_records(tmp_path / "out" / "records.parquet")
    moved = records[records["opponent"] == "controller"]["hyperparameters"].iloc[0]
    assert len(set(moved["momentum"])) > 1
    with pytest.raises(UnknownNameError, match="dropout"):
        main([*arguments, "--hyperparameters", "dropout"])


@pytest.mark.parametrize(
    ("words_", "message"),
    [
        (["--suites", "tinny"], "did you mean 'tiny'"),
        (["--suites"], "suites must name at least one"),
        (["--family-options", "augmented=0.5"], "option of the trainers of family 'quadratic'"),
        (["--family", "local_level"], "the policy moves 'learning_rate'"),
        (["--opponents", "no_such_module_of_mine:make"], "no module 'no_such_module_of_mine'"),
        (["--starts", "1e9"], "must lie in"),
    ],
)
def test_what_the_family_has_not_is_refused_before_anything_is_written(
    policy: Path, tmp_path: Path, words_: list[str], message: str
) -> None:
    with pytest.raises(HPOControlError, match=message):
        main([str(policy), "--out", "out", "--opponents", "default", *words_])
    assert not (tmp_path / "out").exists()


def test_who_needs_what_the_family_lacks_is_left_out_with_a_line(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(words(policy, "default", "dog", "cosine_per_optimizer"))
    lines = capsys.readouterr().out.splitlines()
    assert "left out: dog needs optimizer, which family 'quadratic' does not offer" in lines
    assert sum("cosine_per_optimizer needs label optimizer" in line for line in lines) == 1
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["left_out"] == {
        "dog": ["optimizer"],
        "cosine_per_optimizer": ["label optimizer"],
    }
    assert content["config"]["opponents"] == ["controller", "default"]
    records = read_records(tmp_path / "out" / "records.parquet")
    assert set(records["opponent"]) == {"controller", "default"}


def test_an_opponent_from_outside_is_named_by_its_address(policy: Path, tmp_path: Path) -> None:
    address = f"{slow_opponents.__name__}:fused"
    main(words(policy, address))
    records = read_records(tmp_path / "out" / "records.parquet")
    assert set(records["opponent"]) == {"controller", address}


def test_options_of_the_trainer_hold_for_every_suite_and_for_the_tuning(tmp_path: Path) -> None:
    steady = steady_policy("supervised", ("learning_rate",))
    config = CompareConfig(
        policy=str(save(steady, tmp_path / "supervised")),
        family_options={"updates_per_decision": 3},
        suites=("interpolation", "longer"),
        opponents=("cosine_tuned",),
        tasks=1,
        tuning_tasks=1,
    )
    matrix = compare._make_comparison(config, steady).matrix
    workloads = [cell.workload for cell in matrix.cells.values()]
    workloads += [preparation.workload for preparation in matrix.preparations.values()]
    assert {workload.updates_per_decision for workload in workloads} == {3}


def test_flags_win_over_the_preset_and_the_folder_is_named_after_it() -> None:
    config = CompareConfig(preset="standard", seeds=7, starts=(0.5,))
    amounts = config.amounts("supervised")
    assert (amounts.seeds, amounts.tasks) == (7, PRESETS["standard"].tasks)
    assert config.protocol("supervised").starts == (0.5,)
    assert config.folder == Path("logs/compare-standard")
    assert amounts.opponents is None  # all that fit


def test_presets_take_suites_and_starts_from_the_family() -> None:
    quick, full = (PRESETS[name].amounts(family_class("supervised")) for name in ("quick", "full"))
    assert quick.suites == ("interpolation", "architecture")
    assert quick.starts == (1e-4, 1e-1)
    assert full.starts == (1e-4, 1e-3, 1e-2, 1e-1)
    assert "validation" not in full.suites
    assert len(full.suites) == 9
    usual = PRESETS["quick"].amounts(family_class("local_level"))
    assert (usual.suites, usual.starts) == (("test",), None)


def test_the_quick_preset_is_no_smaller_than_promised() -> None:
    quick = CompareConfig(preset="quick").amounts("supervised")
    assert quick.opponents is not None
    assert len(quick.opponents) > 11  # and the controller
    assert len(quick.suites) * quick.tasks >= 6
    assert quick.seeds >= 3
