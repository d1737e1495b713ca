from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from agents.cli import exit_with, main
from agents.commands import COMMANDS, load_command
from agents.missing_packages import EXTRAS
from hpo_env.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


def exit_code(call: Callable[[], None]) -> int:
    with pytest.raises(SystemExit) as info:
        call()
    assert isinstance(info.value.code, int)
    return info.value.code


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: main(["--help"])) == 0
    shown = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert name in shown
        assert command.help in shown


def test_no_command_is_an_error_that_shows_the_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code(lambda: main([])) == 2
    assert "commands:" in capsys.readouterr().out


def test_an_unknown_command_is_refused_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code(lambda: main(["trian"])) == 2
    assert "did you mean 'train'" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded(name: str) -> None:
    assert callable(load_command(name))


def test_an_error_raised_on_purpose_is_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(args: object) -> None:
        raise ConfigurationError("what, rule, fix")

    assert exit_code(lambda: exit_with(fail, [])) == 2
    assert capsys.readouterr().err == "error: what, rule, fix\n"


def test_ctrl_c_is_code_130() -> None:
    def interrupt(args: object) -> None:
        raise KeyboardInterrupt

    assert exit_code(lambda: exit_with(interrupt, [])) == 130


def test_success_is_code_0() -> None:
    assert exit_code(lambda: exit_with(lambda args: None, [])) == 0


def test_a_bug_is_shown_with_its_traceback() -> None:
    def fail(args: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        exit_with(fail, [])


def test_bad_settings_reach_the_user_as_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "meta_train.py", "--agent", "sacc", "--run-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown agent 'sacc': did you mean 'sac'")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(args: object) -> None:
        raise ModuleNotFoundError(name="stable_baselines3.common")

    assert exit_code(lambda: exit_with(fail, [])) == 2
    assert "pip install 'hpo-control[train]'" in capsys.readouterr().err


def test_a_package_that_no_extra_brings_is_shown_with_its_traceback() -> None:
    def fail(args: object) -> None:
        raise ModuleNotFoundError(name="of_a_plug_in")

    with pytest.raises(ModuleNotFoundError):
        exit_with(fail, [])


def test_the_table_of_packages_is_what_the_extras_bring() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    distributions = packages_distributions()
    for module, extra in EXTRAS.items():
        brought = {re.split(r"[<>=]", r)[0] for r in project["optional-dependencies"][extra]}
        names = {name.replace("_", "-") for name in distributions.get(module, ())}
        assert not names or names & brought, f"{module} is not brought by [{extra}]"


def test_a_reader_that_leaves_ends_a_command_without_a_word() -> None:
    program = "import agents.cli, time; time.sleep(0.5); agents.cli.main(['--help'])"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
