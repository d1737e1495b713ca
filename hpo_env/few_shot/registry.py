"""The sources of few-shot tasks, by name."""

from __future__ import annotations

from typing import Any

from hpo_env.addresses import load_class
from hpo_env.errors import ConfigurationError
from hpo_env.few_shot.base import FewShotSource

SOURCES: dict[str, str] = {
    "sinusoids": "hpo_env.few_shot.sinusoids:Sinusoids",
    "characters": "hpo_env.few_shot.characters:Characters",
    "digits": "hpo_env.few_shot.digits:Digits",
    "tables": "hpo_env.few_shot.tables:Tables",
}


def make_source(name: str, **options: Any) -> FewShotSource:
    """Build a source of tasks.

    Args:
        name: A name of the registry, or `module:Class`.
        **options: Its arguments, such as `num_shots`.

    Raises:
        UnknownNameError: There is no source of that name; the nearest are suggested.
        ConfigurationError: An option is unknown or out of range.
        MissingExtraError: Its data are not installed.
    """
    found = load_class("source", name, SOURCES, FewShotSource, "hpo_env.few_shot.FewShotSource")
    try:
        source: FewShotSource = found(**options)
    except TypeError as error:
        raise ConfigurationError(f"source {name!r}: {error}") from error
    return source
