"""Small options under which every registered family runs in a contract test within a second."""

from __future__ import annotations

from typing import Any

from hpo_env.tasks.registry import FAMILIES

SMALL: dict[str, dict[str, Any]] = {name: {"num_decisions": 4} for name in FAMILIES}
SMALL["supervised"] |= {"engine": "eager", "updates_per_decision": 3, "model": "mlp_32x2_relu"}
