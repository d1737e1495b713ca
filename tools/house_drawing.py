"""Draws the rooms of the house and which of them import which, from the code's own imports.

`python tools/house_drawing.py` writes `docs/images/house.svg`; a test fails when the drawing and
the code no longer agree. An arrow that follows from others is left out.
"""

from __future__ import annotations

from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
DRAWING = ROOT / "docs" / "images" / "house.svg"
PACKAGES = ("hpo_env", "agents")
ROOMS: dict[str, tuple[str, ...]] = {
    "steering": tuple(
        f"hpo_env.{name}"
        for name in (
            *("axes", "guard", "hidden_end", "hidden_loss", "hyperparameters"),
            *("loss_summary", "measuring", "observation", "observer", "reward", "schedules"),
            *("seeding", "steering", "telemetry"),
        )
    ),
    "policies": tuple(
        f"hpo_env.{name}"
        for name in (
            "familiarity",
            "lstm",
            "policy",
            "policy_entries",
            "policy_file",
            "restriction",
        )
    ),
    "environment": tuple(
        f"hpo_env.{name}"
        for name in (
            *("env", "lane_info", "lanes_env", "rendering"),
            *("sharding", "vector_conventions", "vector_env"),
        )
    ),
    "Controller": ("hpo_env.control", "hpo_env.controller"),
    "integrations": ("hpo_env.integrations",),
    "task families": ("hpo_env.tasks",),
    "users' doors": ("hpo_env.automl", "hpo_env.forecasting", "hpo_env.reinforcement"),
    "few-shot tasks": ("hpo_env.few_shot",),
    "networks": ("hpo_env.networks",),
    "data sets": ("hpo_env.datasets",),
    "contract suites": ("hpo_env.testing", "agents.testing"),
    "learners": ("agents.learners",),
    "adaptation": ("agents.adaptation",),
    "meta-training": tuple(
        f"agents.{name}"
        for name in (
            *("checkpoints", "config", "ensemble", "export", "factory", "familiarity_fit"),
            *("initial_policies", "meta_training", "validation"),
        )
    ),
    "opponents": ("agents.opponents",),
    "comparisons": ("agents.comparing",),
    "statistics": ("agents.statistics",),
    "reports": ("agents.reporting",),
    "trackers": ("agents.mirror", "agents.tracking"),
    "shipped policies": ("agents.zoo", "hpo_env.zoo"),
    "commands": ("agents.cli", "agents.commands"),
}
"""Name of each room, and the modules and folders in it; what is in none is used everywhere."""

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 150, 34, 60, 26, 20
_SIDE = 90  # room beside the boxes for arrows that pass floors
_COLOURS = {"hpo_env": "#d6efe9", "agents": "#fdeccb"}

Arrows = dict[str, set[str]]


def arrows() -> Arrows:
    """Return which rooms each room imports, without what follows from other arrows."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    found: Arrows = {room: set() for room in ROOMS}
    for module in graph.modules:
        room = _room(module)
        for imported in graph.find_modules_directly_imported_by(module):
            other = _room(imported)
            if room and other and room != other:
                found[room].add(other)
    return _reduced(found)


def _room(module: str) -> str | None:
    for room, places in ROOMS.items():
        if any(f"{module}.".startswith(f"{place}.") for place in places):
            return room
    return None


def _reduced(found: Arrows) -> Arrows:
    """Leave out arrows from which a longer way leads to the same room."""
    return {
        room: {o for o in others if not any(o in _below(found, p) for p in others - {o})}
        for room, others in found.items()
    }


def _below(found: Arrows, room: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """Return all rooms that a room reaches; rooms may import one another."""
    below: set[str] = set()
    for other in found[room] - seen:
        below |= {other} | _below(found, other, seen | {room, other})
    return below


def _floors(found: Arrows) -> dict[str, int]:
    """Return the floor of each room: above all that it imports."""
    floors: dict[str, int] = {}

    def floor(room: str, on_the_way: frozenset[str]) -> int:
        if room not in floors:
            lower = [floor(o, on_the_way | {room}) for o in found[room] - on_the_way]
            floors[room] = 1 + max(lower, default=-1)
        return floors[room]

    for room in ROOMS:
        floor(room, frozenset({room}))
    return floors


def drawn(found: Arrows) -> str:
    """Return the drawing, an SVG on a ground of its own, which a dark page shows as well."""
    floors = _floors(found)
    top = max(floors.values())
    rows = [[r for r in ROOMS if floors[r] == top - row] for row in range(top + 1)]
    widest = max(map(len, rows))
    width = widest * (_WIDTH + _GAP_X) - _GAP_X + 2 * (_MARGIN + _SIDE)
    height = len(rows) * (_HEIGHT + _GAP_Y) + 2 * _MARGIN - _GAP_Y
    place: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        left = (width - len(row) * (_WIDTH + _GAP_X) + _GAP_X) / 2
        for index, room in enumerate(row):
            y = _MARGIN + number * (_HEIGHT + _GAP_Y)
            place[room] = (left + index * (_WIDTH + _GAP_X), y)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
        "<title>Rooms of the house; an arrow leads from a room to one that it imports</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#667"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#fff"/>',
        *(_arrow(place[a], place[b], width) for a in ROOMS for b in sorted(found[a])),
        *(_box(room, *place[room]) for room in ROOMS),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrow(start: tuple[float, float], end: tuple[float, float], width: float) -> str:
    """Draw an arrow down to the next floor, or around the floors between, on the nearer side."""
    half = _WIDTH / 2
    if end[1] - start[1] <= _HEIGHT + _GAP_Y:
        x1, y1, x2, y2 = start[0] + half, start[1] + _HEIGHT, end[0] + half, end[1]
        bend = (y2 - y1) / 2
        curve = f"{x1:g},{y1 + bend:g} {x2:g},{y2 - bend:g}"
    else:
        is_left = start[0] + end[0] + _WIDTH < width - 1
        x1, x2 = (place[0] + (0 if is_left else _WIDTH) for place in (start, end))
        y1, y2 = start[1] + _HEIGHT / 2, end[1] + _HEIGHT / 2
        side = -_SIDE if is_left else _SIDE
        curve = f"{x1 + side:g},{y1:g} {x2 + side:g},{y2:g}"
    return (
        f'<path d="M{x1:g},{y1:g} C{curve} {x2:g},{y2:g}" fill="none" stroke="#667" '
        'stroke-width="1.2" marker-end="url(#tip)"/>'
    )


def _box(room: str, x: float, y: float) -> str:
    colour = _COLOURS[ROOMS[room][0].partition(".")[0]]
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{colour}" '
        f'stroke="#667"/><text x="{x + _WIDTH / 2:g}" y="{y + _HEIGHT / 2 + 4:g}" '
        f'text-anchor="middle" fill="#223">{room}</text>'
    )


if __name__ == "__main__":
    DRAWING.write_text(drawn(arrows()), encoding="utf-8")
