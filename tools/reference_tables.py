"""Writes the reference tables of the documentation from the code's own registries.

`python tools/reference_tables.py` rewrites the blocks between `<!-- table: NAME -->` and
`<!-- end -->` in every page; a test fails when a block and the code no longer agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from docstring_parser import parse

from agents.commands.adapt import AdaptConfig
from agents.commands.compare import CompareConfig
from agents.commands.dashboard import DashboardConfig
from agents.commands.data import CheckFile, DescribeDataset, ListDatasets
from agents.commands.demo import DemoConfig
from agents.commands.evaluate import EvaluateConfig
from agents.commands.few_shot import FewShotConfig
from agents.commands.fit import FitConfig
from agents.commands.forecast import ForecastConfig
from agents.commands.report import ReportConfig
from agents.commands.zoo import (
    EvaluatePolicy,
    ListPolicies,
    MakePolicy,
    ShowCard,
    VerifyFigures,
)
from agents.config import TrainConfig
from agents.initial_policies.registry import ALGORITHMS, JOINT, trained_class
from agents.learners.base import Learner
from agents.learners.registry import LEARNERS, learner_class
from agents.tags import TAGS
from hpo_env.datasets import dataset_info, dataset_names, image_names, load_dataset, text_names
from hpo_env.datasets.pixels import TABLES as MISSING_PIXELS
from hpo_env.datasets.texts import TEXTS
from hpo_env.networks.registry import ARCHITECTURES
from hpo_env.observation import field_docs
from hpo_env.tasks.registry import FAMILIES, family_class
from hpo_env.tasks.reinforcement.environments.registry import types_of

_ROOT = Path(__file__).parent.parent
PAGES = (*sorted(_ROOT.glob("*.md")), *sorted((_ROOT / "docs").rglob("*.md")))
"""Every page of the documentation."""
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def hyperparameters() -> str:
    """Every family's hyperparameters."""
    rows = []
    for name in FAMILIES:
        family = family_class(name)
        for h in family.hyperparameters:
            had = "yes" if h.name in family.default_controlled else "on request"
            span = f"{h.low:g} to {h.high:g}"
            rows.append((f"`{name}`", f"`{h.name}`", span, h.scale, f"{h.max_step:g}", had))
    head = ("family", "hyperparameter", "range", "scale", "largest move", "agent has it")
    return _table(head, rows)


def observation() -> str:
    """The observation's fields for one hyperparameter."""
    rows = [(f"`{name}`", doc) for name, doc in field_docs(["learning_rate"]).items()]
    return _table(("field", "what it measures"), rows)


def datasets() -> str:
    """Every named data set with its split, source and licence."""
    rows = []
    for split in ("train", "validation", "test"):
        for name in dataset_names(split=split):
            info, data = dataset_info(name), load_dataset(name)
            classes = data.num_classes or "–"
            shape = f"{data.x.shape[0]:,} × {data.x.shape[1]}"
            rows.append((split, f"`{name}`", info.kind, shape, classes, info.source, info.licence))
    head = ("split", "data set", "kind", "rows × columns", "classes", "source", "licence")
    return _table(head, rows)


def texts() -> str:
    """Every named text with its split, source and licence."""
    rows = []
    for split in ("train", "validation", "test"):
        for name in text_names(split=split):
            info = TEXTS[name]
            rows.append(
                (split, f"`{name}`", info.description, info.num_tokens, info.source, info.licence)
            )
    head = ("split", "text", "what it is", "tokens", "source", "licence")
    return _table(head, rows)


def photographs() -> str:
    """Every set of images that networks for images alone draw from."""
    rows = []
    for split in ("train", "validation", "test"):
        for name in image_names(split=split):
            info = dataset_info(name)
            assert info.image_shape is not None
            _, height, width = info.image_shape
            shape = f"{height} × {width}"
            rows.append((split, f"`{name}`", info.description, shape, info.source, info.licence))
    return _table(("split", "images", "what is to be said", "pixels", "source", "licence"), rows)


def pixels() -> str:
    """Every table of missing pixels."""
    rows = [
        (info.split, f"`{info.name}`", info.description, info.source, info.licence)
        for info in (table.info() for table in MISSING_PIXELS)
    ]
    return _table(("split", "data set", "what is to be told", "source", "licence"), rows)


def architectures() -> str:
    """Every inner model with what it is for and its split."""
    works, order = ("tables", "images", "tokens"), ("train", "validation", "test")
    models = sorted(
        ARCHITECTURES.items(),
        key=lambda item: (works.index(item[1].modality), order.index(item[1].split)),
    )
    rows = [(model.modality, model.split, f"`{name}`") for name, model in models]
    return _table(("modality", "split", "model"), rows)


def environments() -> str:
    """Every type of environment that agents learn in, with its split."""
    rows = []
    for split in ("train", "validation", "test"):
        for kind in types_of(split):
            rules = kind.rules
            actions = f"{rules.num_outputs}{'' if rules.is_discrete else ' continuous'}"
            sizes = (rules.observation_size, actions, rules.max_steps, len(kind.physics))
            rows.append((split, f"`{kind.name}`", kind.help, *sizes))
    head = ("split", "type", "what is to be done", "observed", "actions", "steps", "physics")
    return _table(head, rows)


def tags() -> str:
    """The glossary of TensorBoard tags."""
    rows = [(f"`{tag.name}`", tag.meaning, tag.unit, tag.agents or "all") for tag in TAGS]
    return _table(("tag", "meaning", "unit", "written by"), rows)


def commands() -> str:
    """Every command, with its options and their defaults."""
    parts = []
    for title, config in COMMAND_LINES.items():
        text = parse(config.__doc__ or "")
        parts.append(f"## `hpo-control {title}`\n\n{text.short_description}\n\n")
        if fields(config):
            parts.append(_options(config, [p for p in text.params if p.arg_name != "settings"]))
            parts.append("\n")
    for name in LEARNERS:
        parts.append(f"### Settings of `--agent {name}`\n\n")
        parts.append(_options(learner_class(name).settings, _inherited(learner_class(name))))
        parts.append("\n")
    for name in ALGORITHMS:
        if name != JOINT:
            learner = trained_class(name, "ppo")
            parts.append(f"### Settings of `--algorithm {name}`\n\n")
            parts.append(_options(learner.settings, _inherited(learner)))
            parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def _options(config: type[Any], params: Sequence[Any]) -> str:
    return _table(("option", "meaning", "default"), _option_rows(config, params))


def _option_rows(
    config: type[Any], params: Sequence[Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Return option, meaning and default; those of a group have its name before theirs."""
    known = {field.name: field for field in fields(config)}
    for param in params:
        field = known[param.arg_name]
        word = field.name.replace("_", "-")
        if is_dataclass(field.default_factory):
            group = cast("type[Any]", field.default_factory)
            yield from _option_rows(group, parse(group.__doc__ or "").params, f"{word}.")
            continue
        flag = field.name.upper() if "Positional" in str(field.type) else f"--{prefix}{word}"
        yield f"`{flag}`", " ".join((param.description or "").split()), _default(field.default)


def _default(value: object) -> str:
    """Write a default as it is typed."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "" if value is MISSING or value is None else str(value)


def _inherited(learner: type[Learner]) -> list[Any]:
    """Return what is said of a learner's settings, by itself or by what it derives from."""
    found: dict[str, Any] = {}
    for kind in reversed(learner.settings.__mro__):
        found |= {param.arg_name: param for param in parse(kind.__doc__ or "").params}
    return [found[name] for name in learner.settings.names() if name in found]


COMMAND_LINES: dict[str, type[Any]] = {
    "demo": DemoConfig,
    "train": TrainConfig,
    "adapt": AdaptConfig,
    "evaluate": EvaluateConfig,
    "compare": CompareConfig,
    "fit": FitConfig,
    "forecast": ForecastConfig,
    "few-shot": FewShotConfig,
    "dashboard": DashboardConfig,
    "report": ReportConfig,
    "zoo list": ListPolicies,
    "zoo card": ShowCard,
    "zoo verify": VerifyFigures,
    "zoo make": MakePolicy,
    "zoo evaluate": EvaluatePolicy,
    "data list": ListDatasets,
    "data describe": DescribeDataset,
    "data check": CheckFile,
}
"""What is typed, and the dataclass that says which options there are; `doctor` has none."""


TABLES: dict[str, Callable[[], str]] = {
    "hyperparameters": hyperparameters,
    "observation": observation,
    "datasets": datasets,
    "photographs": photographs,
    "pixels": pixels,
    "texts": texts,
    "architectures": architectures,
    "environments": environments,
    "tags": tags,
    "commands": commands,
}


def fill(text: str) -> str:
    """Return the text with every block made anew."""
    return _BLOCK.sub(lambda m: m[1] + TABLES[m[2]]() + m[3], text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
