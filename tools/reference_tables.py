"""Writes the reference tables of the documentation from the code's own registries.

`python tools/reference_tables.py` rewrites the blocks between `<!-- table: NAME -->` and
`<!-- end -->` in every page; a test fails when a block and the code no longer agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from agents.tags import TAGS
from hpo_env.datasets import dataset_info, dataset_names, load_dataset
from hpo_env.networks.registry import ARCHITECTURES
from hpo_env.observation import field_docs
from hpo_env.tasks.registry import FAMILIES, family_class

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


def architectures() -> str:
    """Every inner model with its split."""
    order = ("train", "validation", "test")
    models = sorted(ARCHITECTURES.items(), key=lambda item: order.index(item[1].split))
    return _table(("split", "model"), [(model.split, f"`{name}`") for name, model in models])


def tags() -> str:
    """The glossary of TensorBoard tags."""
    rows = [(f"`{tag.name}`", tag.meaning, tag.unit, tag.agents or "all") for tag in TAGS]
    return _table(("tag", "meaning", "unit", "written by"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "hyperparameters": hyperparameters,
    "observation": observation,
    "datasets": datasets,
    "architectures": architectures,
    "tags": tags,
}


def fill(text: str) -> str:
    """Return the text with every block made anew."""
    return _BLOCK.sub(lambda m: m[1] + TABLES[m[2]]() + m[3], text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
