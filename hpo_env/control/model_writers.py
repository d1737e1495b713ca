"""Writers of what is in no param group: dropout layers, gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from hpo_env.control.originals import keep, original
from hpo_env.errors import ConfigurationError


class DropoutWriter:
    """The dropout layers of a model, which keep their ratios; layers without dropout stay so.

    Args:
        layers: Those with a rate above 0, at least one.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.layers = list(layers)
        self._found = [original(layer, "p", float(layer.p)) for layer in self.layers]  # type: ignore[arg-type]
        self._written: list[float] | None = None
        self.initial = max(self._found)
        self.ratios = [rate / self.initial for rate in self._found]

    @classmethod
    def of(cls, model: nn.Module | None) -> DropoutWriter | None:
        """Find the layers; None where there are none, or where a change would compile anew."""
        if model is None or hasattr(
            model, "_orig_mod"
        ):  # a compiled model holds rates as constants
            return None
        kind = nn.modules.dropout._DropoutNd
        layers = [m for m in model.modules() if isinstance(m, kind) and m.p > 0.0]
        return cls(layers) if layers else None

    def start_at(self, value: float) -> None:
        """See `Writer.start_at`; the layers keep their ratios."""
        self.initial = value

    def write(self, value: float) -> float:
        """Set every layer's rate."""
        self._written = [value * ratio for ratio in self.ratios]
        for layer, found, written in zip(self.layers, self._found, self._written, strict=True):
            layer.p = written  # type: ignore[assignment]
            keep(layer, "p", original=found, written=written)
        return max(float(layer.p) for layer in self.layers)  # type: ignore[arg-type]

    def give_back(self) -> None:
        """Give every layer its own rate back, unless somebody else has set another."""
        written, self._written = self._written, None
        for layer, found, ours in zip(self.layers, self._found, written or (), strict=False):
            if layer.p == ours:
                layer.p = found  # type: ignore[assignment]


@dataclass(kw_only=True)
class ClipWriter:
    """The largest norm of the gradient, enforced before each optimiser step.

    Raises:
        ConfigurationError: It is not above 0.
    """

    initial: float

    def __post_init__(self) -> None:
        """Refuse what would turn gradients round, or to nothing."""
        if not self.initial > 0.0:
            raise ConfigurationError(
                f"initial: gradient_clip must be above 0, as the largest norm; got {self.initial:g}"
            )
        self.value = self.initial

    def start_at(self, value: float) -> None:
        """See `Writer.start_at`."""
        self.initial = self.value = value

    def write(self, value: float) -> float:
        """Set the norm."""
        self.value = value
        return value

    def give_back(self) -> None:
        """Do nothing: the norm is nobody's but ours."""

    def clip(self, parameters: Iterable[Tensor], scale: Tensor | float) -> None:
        """Clip gradients, which may be scaled."""
        nn.utils.clip_grad_norm_(parameters, float(self.value * scale))
