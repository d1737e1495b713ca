"""Which tasks there are: classes and shots of each source, and how long runs are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Source = Literal["characters", "digits", "tables", "sinusoids"]

SHAPES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "characters": tuple((ways, shots) for ways in (3, 5, 8) for shots in (1, 2, 5)),
    "digits": tuple((ways, shots) for ways in (2, 3) for shots in (1, 2, 5)),
    "tables": tuple((ways, shots) for ways in (2, 3) for shots in (2, 5, 10)),
    "sinusoids": ((1, 5), (1, 10), (1, 20)),
}
"""Classes and shots; 1 class where values are predicted."""

MIXED: tuple[Source, ...] = ("characters", "tables", "sinusoids")
"""What is drawn from when nobody says which: the images of digits lie on the test side elsewhere,
and so no policy is trained on them."""

DECISIONS = (5, 10, 15)

STEPS_PER_DECISION = 2
