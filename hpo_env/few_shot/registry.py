"""The sources of few-shot tasks, by name."""

from __future__ import annotations

from typing import Any

from hpo_env.addresses import is_address, load_address
from hpo_env.errors import ConfigurationError, unknown_name
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
    if name not in SOURCES and not is_address(name):
        raise unknown_name("source", name, SOURCES)
    found = load_address("source", SOURCES.get(name, name))
    if not (isinstance(found, type) and issubclass(found, FewShotSource)):
        raise ConfigurationError(
            f"source {name!r} must be a subclass of hpo_env.few_shot.FewShotSource; got {found}"
        )
    try:
        return found(**options)
    except TypeError as error:
        raise ConfigurationError(f"source {name!r}: {error}") from error
