"""Sources of few-shot tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo_env.errors import ConfigurationError, MissingExtraError, UnknownNameError
from hpo_env.few_shot import SOURCES, make_source
from hpo_env.few_shot import characters as characters_module
from hpo_env.few_shot.characters import SCRIPTS, SIDE, drawn_scripts
from hpo_env.seeding import stream


def made(name: str, **options: object) -> Any:
    try:
        return make_source(name, **options)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", SOURCES)
class TestEverySource:
    def test_tasks_are_of_the_declared_shape(self, name: str) -> None:
        source = made(name, num_shots=2, num_queries=3)
        tasks = source.sample("validation", 4, stream(0))
        each = source.num_outputs if source.kind == "classification" else 1
        assert tasks.support_inputs.shape == (4, 2 * each, *source.input_shape)
        assert tasks.query_inputs.shape == (4, 3 * each, *source.input_shape)
        assert tasks.support_inputs.dtype == np.float32
        assert np.isfinite(tasks.support_inputs).all()

    def test_the_same_stream_gives_the_same_tasks(self, name: str) -> None:
        source = made(name)
        first, second = (source.sample("train", 2, stream(5)) for _ in range(2))
        np.testing.assert_array_equal(first.support_inputs, second.support_inputs)
        np.testing.assert_array_equal(first.query_targets, second.query_targets)

    def test_no_shots_are_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="num_shots must be at least 1; got 0"):
            made(name, num_shots=0)

    def test_an_unknown_option_is_named(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="num_shoots"):
            made(name, num_shoots=1)


def test_the_nearest_source_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="sinusoids"):
        make_source("sinusoid")


def test_sinusoids_are_sines_of_one_amplitude_and_phase() -> None:
    tasks = make_source("sinusoids", num_shots=50).sample("train", 3, stream(1))
    for inputs, targets in zip(tasks.support_inputs, tasks.support_targets, strict=True):
        waves = np.concatenate([np.sin(inputs), np.cos(inputs)], axis=1)
        shares = np.linalg.lstsq(waves, targets, rcond=None)[0]
        np.testing.assert_allclose(waves @ shares, targets, atol=1e-4)


class TestCharacters:
    def test_no_character_is_on_two_sides(self) -> None:
        points = [point for script in SCRIPTS for point in script.code_points()]
        assert len(points) == len(set(points))
        assert {script.split for script in SCRIPTS} == {"train", "validation", "test"}

    def test_a_task_has_every_class_equally_often(self) -> None:
        tasks = made("characters", num_ways=4, num_shots=2).sample("test", 3, stream(2))
        assert (np.bincount(tasks.support_targets.ravel()) == 3 * 2).all()

    def test_no_font_of_a_class_is_seen_twice_in_a_task(self) -> None:
        tasks = made("characters", num_shots=3).sample("test", 20, stream(3))
        for task in range(20):
            images = np.concatenate([tasks.support_inputs[task], tasks.query_inputs[task]])
            labels = np.concatenate([tasks.support_targets[task], tasks.query_targets[task]])
            for label in range(5):
                drawn = images[labels == label].reshape(-1, SIDE * SIDE)
                assert len(np.unique(drawn, axis=0)) == len(drawn)

    def test_a_character_turned_by_a_quarter_is_another_class_in_training_alone(self) -> None:
        shares = []
        for split in ("train", "test"):
            tasks = made("characters").sample(split, 20, stream(4))
            upright = {
                (image / np.float32(255.0)).tobytes()
                for characters in drawn_scripts(split).values()
                for images in characters.values()
                for image in images
            }
            shown = tasks.query_inputs.reshape(-1, SIDE, SIDE)
            shares.append(np.mean([image.tobytes() in upright for image in shown]))
        assert 0.1 < shares[0] < 0.5
        assert shares[1] == 1.0

    def test_ink_reaches_two_edges_but_for_a_margin(self) -> None:
        made("characters")
        for images in drawn_scripts("test")["Thai"].values():
            box = images.any(axis=(1, 2)), images.any(axis=1).sum(1), images.any(axis=2).sum(1)
            assert box[0].all()
            assert (np.maximum(box[1], box[2]) >= SIDE - 4).all()

    def test_more_classes_than_a_script_has_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="ask for fewer"):
            made("characters", num_ways=500)

    def test_a_missing_package_is_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(characters_module, "_FONTS", tmp_path)
        with pytest.raises(MissingExtraError, match="apt-get install culmus"):
            characters_module._folders()

    def test_the_gate_installs_every_package(self) -> None:
        script = (Path(__file__).parents[3] / ".ci" / "run").read_text()
        assert set(characters_module.PACKAGES) <= set(script.split())
