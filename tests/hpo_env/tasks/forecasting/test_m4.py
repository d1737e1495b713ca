"""The files of M4, read from a folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo_env.errors import DatasetError
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.series import load_source

TRAIN = """"V1","V2","V3","V4","V5","V6","V7","V8","V9","V10","V11","V12","V13"
"Y1",5172.1,5133.5,5186.9,5084.6,5182,5414.3,5576.2,5752.9,5955.2,6087.8,6238.9,6317.2
"Y2",2070,2104,2394,1651,1492,1348,1198,1192,1105,1008,,
"""
TEST = """"V1","V2","V3","V4","V5","V6","V7"
"Y1",7172.1,7133.5,7186.9,7084.6,7182,7414.3
"Y2",900,800,700,600,500,400
"""


def put(
    folder: Any,
    train: Any = TRAIN,
    test: Any = TEST,
    frequency: str = "Yearly",
    inside: bool = False,
) -> str:
    for part, text in (("Train", train), ("Test", test)):
        place = folder / part if inside else folder
        place.mkdir(exist_ok=True)
        (place / f"{frequency}-{part.lower()}.csv").write_text(text)
    load_source.cache_clear()
    return str(folder)


@pytest.mark.parametrize("inside", [False, True])
def test_series_have_their_observations_and_horizons(tmp_path: Path, inside: bool) -> None:
    found = load_source(put(tmp_path, inside=inside))
    assert list(found) == ["Y1", "Y2"]
    assert found["Y1"].values[:2].tolist() == [5172.1, 5133.5]
    assert found["Y2"].values.tolist()[8:] == [1105, 1008, 900, 800, 700, 600, 500, 400]
    assert {(s.frequency, s.period, s.horizon) for s in found.values()} == {("yearly", 1, 6)}
    assert found["Y2"].origin == 10


def test_hours_are_forecast_two_days_ahead(tmp_path: Path) -> None:
    cells = ",".join(f"{v:g}" for v in 50.0 + np.arange(100) % 24)
    ahead = ",".join(["60"] * 48)
    folder = put(tmp_path, f"V1,V2\nH1,{cells}\n", f"V1,V2\nH1,{ahead}\n", "Hourly")
    (one,) = load_source(folder).values()
    assert (one.period, one.horizon, one.origin) == (24, 48, 100)


def test_the_family_takes_the_folder_with_the_horizons_of_the_competition(tmp_path: Path) -> None:
    family = ForecastingFamily(split="test", data=put(tmp_path))
    assert [(t.series, t.horizon, t.origin) for t in family.tasks()] == [
        ("Y1", 6, 12),
        ("Y2", 6, 10),
    ]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"test": TEST.replace("Y2", "Y3")}, "'Y2' is in one of them"),
        ({"test": TEST.replace(",400", "")}, "'Y2' must have 6 observations; got 5"),
        ({"train": TRAIN.replace("1008", "many")}, "cannot be read"),
        ({"train": TRAIN.replace("1008", "inf")}, "finite"),
        ({"frequency": "Fortnightly"}, "holds no files of M4"),
    ],
)
def test_files_that_cannot_be_used_are_refused(tmp_path: Path, changes: Any, match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        load_source(put(tmp_path, **changes))
