"""A real TensorBoard shows all that the runs wrote: read back through its HTTP interface."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from agents import tags
from agents.reporting import hparams
from agents.reporting.layout import make_layout

_SECONDS_TO_LOAD = 60.0


def fetch(dashboard: str, path: str, body: Any = None, **query: Any) -> Any:
    address = f"{dashboard}data/{path}?{urllib.parse.urlencode(query)}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def loaded(dashboard: str, runs: Path) -> str:
    """Wait until TensorBoard has read every run."""
    expected = {str(p.parent.relative_to(runs)) for p in runs.rglob("events.out.*")}
    deadline = time.monotonic() + _SECONDS_TO_LOAD
    while time.monotonic() < deadline:
        found = set(fetch(dashboard, "runs"))
        last = fetch(dashboard, "plugin/images/tags")
        if found >= expected and any(last.values()):
            return dashboard
        time.sleep(0.3)
    raise AssertionError(f"not loaded: {sorted(expected - found)}")


def test_scalars_of_trainings_evaluations_and_controlled_runs(
    loaded: str, runs: Path, run: Path
) -> None:
    written = fetch(loaded, "plugin/scalars/tags")
    assert tags.SCORE in written[run.name]
    assert tags.RETURN_QUANTILE.format(quantile="p90") in written[run.name]
    value = tags.RUN_VALUE.format(hyperparameter="learning_rate")
    held_out = [name for name in written if "/held_out/" in name]
    assert held_out
    for name in ("mine", *held_out):  # side by side: the same tags
        assert value in written[name], name
        assert tags.RUN_MOVE.format(hyperparameter="learning_rate") in written[name]
        assert tags.RUN_MEASURED.format(measurement="validation_loss") in written[name]
    points = fetch(loaded, "plugin/scalars/scalars", run=run.name, tag=tags.SCORE)
    lines = [json.loads(line) for line in (run / "progress.jsonl").read_text().splitlines()]
    assert [p[1] for p in points] == [line["steps"] for line in lines]
    assert [p[2] for p in points] == pytest.approx([line["score"] for line in lines], rel=1e-6)


def test_controller_lies_beside_the_tuned_cosine(loaded: str, run: Path) -> None:
    tag = tags.SCHEDULE_QUANTILE.format(hyperparameter="learning_rate", quantile="median")
    for method in ("controller", "cosine_tuned"):
        name = f"{run.name}/evaluations/test/methods/{method}"
        points = fetch(loaded, "plugin/scalars/scalars", run=name, tag=tag)
        steps = [point[1] for point in points]
        assert steps == sorted(set(steps))
        assert (steps[0], steps[-1]) == (1, 99)


def test_layout_is_ours(loaded: str) -> None:
    layout = fetch(loaded, "plugin/custom_scalars/layout")
    expected = make_layout(["learning_rate"])
    assert [c["title"] for c in layout["category"]] == list(expected)
    first = layout["category"][0]
    assert [chart["title"] for chart in first["chart"]] == list(next(iter(expected.values())))
    band = first["chart"][0]["margin"]["series"][0]
    assert band["lower"] == tags.RETURN_QUANTILE.format(quantile="p10")


def test_every_chart_of_the_layout_has_a_curve(loaded: str) -> None:
    written = fetch(loaded, "plugin/scalars/tags")
    present = {tag for names in written.values() for tag in names}
    for category, charts in make_layout(["learning_rate"]).items():
        for chart, (kind, patterns) in charts.items():
            found = [any(re.search(p, tag) for tag in present) for p in patterns]
            assert (all if kind == "Margin" else any)(found), (category, chart)


def test_table_has_all_runs_and_all_columns(loaded: str, runs: Path) -> None:
    schema = fetch(loaded, "plugin/hparams/experiment", body={"experimentName": ""})
    assert {info["name"] for info in schema["hparamInfos"]} == {*hparams.NAMES, *hparams.NUMBERS}
    assert [info["name"]["tag"] for info in schema["metricInfos"]] == list(hparams.METRICS)
    body = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"],
        "colParams": [{"metric": {"tag": tag, "group": ""}} for tag in hparams.METRICS],
        "startIndex": 0,
        "sliceSize": 100,
    }
    groups = fetch(loaded, "plugin/hparams/session_groups", body=body)["sessionGroups"]
    rows = {group["name"]: group for group in groups}
    trainings = [r for r in rows.values() if r["hparams"]["Kind"] == "meta-training"]
    assert sorted(r["hparams"]["Agent"] for r in trainings) == ["a2c", "ppo"]
    for row in rows.values():
        assert set(hparams.NAMES) <= set(row["hparams"]), row["name"]
    for row in trainings:
        measured = {m["name"]["tag"] for m in row["metricValues"]}
        assert {tags.SCORE, tags.BEST_SCORE, tags.RETURN} <= measured
        assert row["sessions"][0]["status"] == "STATUS_SUCCESS"
    kinds = [row["hparams"]["Kind"] for row in rows.values()]
    assert kinds.count("held-out task") >= 2
    assert kinds.count("evaluation") >= 3


@pytest.mark.parametrize("column", ["n_epochs", "learning_rate", "Kind"])
def test_table_can_be_sorted_by_columns_that_do_not_apply_to_all(loaded: str, column: str) -> None:
    body = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"],
        "colParams": [{"hparam": column, "order": "ORDER_ASC", "missingValuesFirst": False}],
        "startIndex": 0,
        "sliceSize": 100,
    }
    groups = fetch(loaded, "plugin/hparams/session_groups", body=body)["sessionGroups"]
    values = [g["hparams"][column] for g in groups if column in g["hparams"]]
    assert values == sorted(values)


def test_pictures_texts_and_histograms_are_there(loaded: str, run: Path) -> None:
    images = fetch(loaded, "plugin/images/tags")
    names = ("schedules_learning_rate", "regret", "importance", "dependence", "task_map")
    for folder in (run.name, f"{run.name}/evaluations/test"):
        assert set(images[folder]) == {tags.FIGURE.format(figure=name) for name in names}
    tag = tags.FIGURE.format(figure="regret")
    (sample,) = fetch(loaded, "plugin/images/images", run=run.name, tag=tag, sample=0)
    address = f"{loaded}data/plugin/images/individualImage?{sample['query']}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.read().startswith(b"\x89PNG")
    texts = fetch(loaded, "plugin/text/tags")[run.name]
    assert {f"run/{n}/text_summary" for n in ("configuration", "command", "card")} <= set(texts)
    histograms = fetch(loaded, "plugin/histograms/tags")[run.name]
    assert set(histograms) == {
        tags.ACTION_HISTOGRAM.format(hyperparameter="learning_rate", third=third)
        for third in tags.THIRDS
    }


def test_projector_has_every_task_with_its_colours(loaded: str, run: Path) -> None:
    assert run.name in fetch(loaded, "plugin/projector/runs")
    info = fetch(loaded, "plugin/projector/info", run=run.name)
    name = info["embeddings"][0]["tensorName"]
    query = urllib.parse.urlencode({"run": run.name, "name": name})
    with urllib.request.urlopen(
        f"{loaded}data/plugin/projector/metadata?{query}", timeout=30
    ) as answer:
        head, *rows = answer.read().decode().strip().split("\n")
    assert head.split("\t")[:3] == ["family", "task", "gain"]
    assert len(rows) == 12
    assert {row.split("\t")[2] for row in rows} <= {
        *("1 much worse", "2 worse", "3 a tie", "4 better", "5 much better")
    }
    with urllib.request.urlopen(
        f"{loaded}data/plugin/projector/tensor?{query}", timeout=30
    ) as answer:
        assert len(answer.read()) == 4 * 12 * info["embeddings"][0]["tensorShape"][1]


def test_an_option_of_a_family_is_no_column_though_it_is_called_like_one() -> None:
    """Which start a family draws is a word there, and the column of starts holds numbers."""
    row = hparams.training_row({"seed": 3, "family_options": {"start": "default", "seed": "any"}})
    assert row["start"] is None
    assert row["seed"] == 3
