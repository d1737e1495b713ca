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

MOST_BYTES = 300_000


def loaded_bytes(folder: Path) -> int:
    return sum((folder / file).stat().st_size for file in ("policy.safetensors", "controller.json"))


@pytest.mark.parametrize("name", zoo.names())
def test_a_shipped_policy_is_small_and_has_a_card_and_a_recipe(name: str) -> None:
    folder = zoo.folder_of(name)
    policy = load(folder)
    size = loaded_bytes(folder)
    assert size < MOST_BYTES
    assert "Loses" in zoo.read_card(name)
    assert policy.space.names == zoo.recipe(name).hyperparameters


@pytest.mark.parametrize("name", zoo.names())
def test_the_figures_of_a_shipped_policy_cover_every_scene(name: str) -> None:
    data = zoo.read_evaluation(zoo.folder_of(name))
    assert set(data["scenes"]) == set(zoo.plans(load(zoo.folder_of(name)), num_tasks=1))
    for scene in data["scenes"].values():
        losses = scene["controller_log_test_losses"]
        mine = next(row for row in scene["summary"] if row["method"] == "controller")
        assert len(losses) == mine["num_runs"] == 5 * data["num_tasks"]
        assert sum(losses) / len(losses) == pytest.approx(mine["mean_log_test_loss"], abs=1e-5)


def test_an_unknown_policy_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="supervised"):
        zoo.folder_of("supervisd")
    with pytest.raises(UnknownNameError, match="supervised-lr"):
        zoo.recipe("supervised-rl")


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
    monkeypatch.setattr(zoo, "_METHODS", ("constant",))
    monkeypatch.setattr(zoo, "_SCENES", {"new": {"options": {"dataset": "leaves"}}})
    policy = load(zoo.folder_of("supervised"))
    first, second = (zoo.evaluate(policy, num_tasks=2) for _ in range(2))
    assert first == second
    assert len(first["scenes"]["new"]["controller_log_test_losses"]) == 10


def test_making_a_policy_trains_every_seed_once_and_keeps_the_best_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(family="quadratic")
    recipe = zoo.Recipe(help="", config=config, runs="small", seeds=(0, 1, 2), members=2)
    monkeypatch.setitem(zoo.RECIPES, "small", recipe)
    trained = []

    def meta_train(config: TrainConfig) -> Path:
        trained.append(config.seed)
        folder = config.run_dir / f"quadratic-ppo-seed{config.seed}-20260101T000000Z"
        folder.mkdir(parents=True)
        result = {"score": [0.5, 0.9, 0.7][config.seed], "complete": True}
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    monkeypatch.setitem(zoo.RECIPES, "smaller", replace(recipe, keeps=("learning_rate",)))
    for name in ("small", "small", "smaller"):  # the last keeps less of the same seeds
        best, second = zoo.train(name, tmp_path, meta_train)
        assert "seed1" in best.name
        assert "seed2" in second.name
    assert trained == [0, 1, 2]


def test_a_shipped_policy_is_its_members_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unchanged(policy: Policy, **kwargs: Any) -> Policy:
        assert kwargs["availability"] == zoo.RECIPES["supervised"].config.availability
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
    shipped = load(zoo.ship("supervised", folders, tmp_path / "out"))
    assert shipped.metadata == {
        "agent": "PPO",
        "config": {"steps": 9},
        "members": [
            {"seed": 3, "env_steps": 30, "meta_validation_score": 0.75, "created": "2026-01-03"},
            {"seed": 1, "env_steps": 10, "meta_validation_score": 0.25, "created": "2026-01-01"},
        ],
    }
    assert shipped.layer_sizes[1] == 2 * member.layer_sizes[1]
    part = load(zoo.ship("supervised-lr", folders, tmp_path / "part"))
    assert part.space.names == ("learning_rate",)
    assert part.metadata == shipped.metadata


def test_a_recipe_that_keeps_less_is_the_same_policy_restricted() -> None:
    whole, part = (load(zoo.folder_of(name)) for name in ("supervised", "supervised-lr"))
    expected = restrict(whole, ["learning_rate"])
    assert zoo.recipe("supervised-lr").hyperparameters == part.space.names == expected.space.names
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
