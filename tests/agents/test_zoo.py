"""Shipped policies: their files load, their cards speak, their figures are checked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import zoo
from agents.cli import main
from agents.config import TrainConfig
from hpo_env.errors import PolicyFileError, UnknownNameError
from hpo_env.policy import Policy
from hpo_env.policy_file import load, save
from hpo_env.restriction import restrict
from hpo_env.tasks.base import Recipe, Suite
from hpo_env.tasks.quadratic import QuadraticFamily
from hpo_env.tasks.registry import FAMILIES, family_class
from hpo_env.tasks.supervised.family import SupervisedFamily
from tests.agents.opponents.policies import steady_policy

MOST_BYTES = 300_000


def moved_by(name: str) -> Any:
    family, recipe = zoo.find_recipe(name)
    trained_on = zoo.recipe_config(family, recipe).hyperparameters
    return recipe.keeps or trained_on or family_class(family).default_controlled


def loaded_bytes(folder: Path) -> int:
    return sum((folder / file).stat().st_size for file in ("policy.safetensors", "controller.json"))


@pytest.mark.parametrize("name", zoo.names())
def test_a_shipped_policy_is_small_and_has_a_card_and_a_recipe(name: str) -> None:
    folder = zoo.folder_of(name)
    policy = load(folder)
    size = loaded_bytes(folder)
    assert size < MOST_BYTES
    assert "Loses" in zoo.read_card(name)
    assert policy.space.names == moved_by(name)


@pytest.mark.parametrize("name", zoo.names())
def test_the_figures_of_a_shipped_policy_cover_every_scene(name: str) -> None:
    data = zoo.read_evaluation(zoo.folder_of(name))
    known = zoo.scenes(load(zoo.folder_of(name)).family)
    assert set(data["scenes"]) == {scene.name for scene in known}
    for scene in data["scenes"].values():
        losses = scene["controller_log_test_losses"]
        mine = next(row for row in scene["summary"] if row["opponent"] == "controller")
        num_starts = len(zoo.starts(load(zoo.folder_of(name)).family) or (None,))
        assert len(losses) == mine["num_runs"] == num_starts * data["num_tasks"]
        assert sum(losses) / len(losses) == pytest.approx(mine["mean_log_test_loss"], abs=1e-5)


def test_an_unknown_policy_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="supervised"):
        zoo.folder_of("supervisd")
    with pytest.raises(UnknownNameError, match="supervised-lr"):
        zoo.find_recipe("supervised-rl")


def test_a_policy_without_figures_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="no figures"):
        zoo.read_evaluation(tmp_path)


def test_a_figure_that_moved_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = zoo.read_evaluation(zoo.folder_of("supervised"))
    moved = json.loads(json.dumps(shipped))
    moved["scenes"]["interpolation"]["summary"][0]["mean_log_test_loss"] += 2 * zoo.TOLERANCE
    for data, code in ((shipped, 0), (moved, 2)):

        def measured(*args: Any, data: dict[str, Any] = data, **kwargs: Any) -> dict[str, Any]:
            return data

        monkeypatch.setattr(zoo, "evaluate", measured)
        with pytest.raises(SystemExit) as exit_:
            main(["zoo", "verify", "supervised"])
        assert exit_.value.code == code
    assert "1 of" in capsys.readouterr().err


def test_figures_are_the_same_when_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Suite(name="new", help="", options={"split": "test", "dataset": "leaves"})
    monkeypatch.setattr(SupervisedFamily, "scenes", (scene,))
    policy = load(zoo.folder_of("supervised"))
    first, second = (zoo.evaluate(policy, num_tasks=2) for _ in range(2))
    assert first == second
    assert len(first["scenes"]["new"]["controller_log_test_losses"]) == 10


def test_making_a_policy_trains_every_seed_once_and_keeps_the_best_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Recipe(name="small", help="", runs="small", seeds=(0, 1, 2), members=2)
    smaller = replace(small, name="smaller", keeps=("learning_rate",))
    monkeypatch.setattr(QuadraticFamily, "recipes", (small, smaller))
    trained = []

    def meta_train(config: TrainConfig) -> Path:
        trained.append(config.seed)
        folder = config.run_dir / f"quadratic-ppo-seed{config.seed}-20260101T000000Z"
        folder.mkdir(parents=True)
        result = {"score": [0.5, 0.9, 0.7][config.seed], "complete": True}
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    for name in ("small", "small", "smaller"):  # the last keeps less of the same seeds
        best, second = zoo.train(*zoo.find_recipe(name), tmp_path, meta_train)
        assert "seed1" in best.name
        assert "seed2" in second.name
    assert trained == [0, 1, 2]


def test_a_shipped_policy_is_its_members_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unchanged(policy: Policy, **kwargs: Any) -> Policy:
        assert kwargs["availability"] == 0.0
        return policy

    monkeypatch.setattr(zoo, "fit_familiarity", unchanged)
    member = load(zoo.folder_of("supervised"))
    folders = [
        save(
            replace(
                member,
                metadata={
                    "agent": "PPO",
                    "config": {"seed": seed, "steps": 9},
                    "env_steps": 10 * seed,
                    "meta_validation_score": seed / 4,
                    "created": f"2026-01-0{seed}",
                },
            ),
            tmp_path / str(seed),
        )
        for seed in (3, 1)
    ]
    shipped = load(zoo.ship(*zoo.find_recipe("supervised"), folders, tmp_path / "out"))
    assert shipped.metadata == {
        "agent": "PPO",
        "config": {"steps": 9},
        "members": [
            {"seed": 3, "env_steps": 30, "meta_validation_score": 0.75, "created": "2026-01-03"},
            {"seed": 1, "env_steps": 10, "meta_validation_score": 0.25, "created": "2026-01-01"},
        ],
    }
    assert shipped.layer_sizes[1] == 2 * member.layer_sizes[1]
    part = load(zoo.ship(*zoo.find_recipe("supervised-lr"), folders, tmp_path / "part"))
    assert part.space.names == ("learning_rate",)
    assert part.metadata == shipped.metadata


def test_a_recipe_that_keeps_less_is_the_same_policy_restricted() -> None:
    whole, part = (load(zoo.folder_of(name)) for name in ("supervised", "supervised-lr"))
    expected = restrict(whole, ["learning_rate"])
    assert moved_by("supervised-lr") == part.space.names == expected.space.names
    for name, tensor in part.tensors().items():
        np.testing.assert_array_equal(tensor, expected.tensors()[name])


def test_list_and_card_print_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    size = f" {loaded_bytes(zoo.folder_of('supervised-lr')) / 1000:.0f} "
    for args, expected in (
        (["list"], "weight_decay"),
        (["list"], size),
        (["card", "supervised"], "Trained on"),
    ):
        with pytest.raises(SystemExit) as exit_:
            main(["zoo", *args])
        assert exit_.value.code == 0
        assert expected in capsys.readouterr().out


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_recipe_that_is_found_by_its_name_and_by_the_familys_address(
    family: str,
) -> None:
    found, recipe = zoo.find_recipe(family)
    assert found == family
    assert recipe.name == family
    assert zoo.recipe_config(found, recipe).family == family
    address, same = zoo.find_recipe(FAMILIES[family])
    assert (address, same.name) == (FAMILIES[family], family)


def test_a_policy_folder_outside_of_the_package_is_evaluated_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(steady_policy("quadratic", ("learning_rate",)), tmp_path / "mine")
    for args in (["evaluate", str(folder), "--tasks", "1"], ["verify", str(folder)]):
        with pytest.raises(SystemExit) as exit_:
            main(["zoo", *args])
        assert exit_.value.code == 0
    data = zoo.read_evaluation(folder)
    assert set(data["scenes"]) == {"validation", "test"}
    opponents = {row["opponent"] for row in data["scenes"]["test"]["summary"]}
    assert {"controller", "frozen", "one_cycle_tuned"} <= opponents
    assert "cosine_per_optimizer" not in opponents  # quadratics have no optimisers
    assert "NO" not in capsys.readouterr().out


def test_figures_of_other_scenes_cannot_be_verified(tmp_path: Path) -> None:
    folder = save(steady_policy("quadratic", ("learning_rate",)), tmp_path / "mine")
    data = {"num_tasks": 1, "scenes": {"elsewhere": {"summary": []}}}
    (folder / zoo.EVALUATION_FILE).write_text(json.dumps(data))
    with pytest.raises(PolicyFileError, match="are not those of today"):
        zoo.verify(str(folder))
