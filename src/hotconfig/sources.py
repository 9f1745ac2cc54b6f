"""A settings class's other sources (environment, dotenv, secrets files, command line), read once when it is bound.

Owns where PostgreSQL stands among them. Must not know PostgreSQL: the values come to the line by another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsError,
)
from pydantic_settings.sources import DefaultSettingsSource

from hotconfig.core.candidate import Layers, merged
from hotconfig.core.errors import ConfigurationError


class HotConfigSource(PydanticBaseSettingsSource):
    """Marks PostgreSQL's place among the sources that ``settings_customise_sources`` returns.

    What stands before it wins over PostgreSQL, what stands behind it gives way. Without it PostgreSQL wins over all.
    By itself it delivers nothing: an ordinary ``AISettings()`` needs no server.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Nothing; see the class."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Nothing; see the class."""
        return {}


def capture(settings_class: type[BaseModel]) -> Layers:
    """Read the sources of a class, as creating an instance would. For a ``BaseModel`` there are none.

    Reads environment variables and files, in the calling thread.

    Raises:
        ConfigurationError: a source cannot be read, as by an environment variable that should be JSON and is not.
    """
    if not issubclass(settings_class, BaseSettings):
        return Layers()
    sources = _sources(settings_class)
    place = next((i for i, source in enumerate(sources) if isinstance(source, HotConfigSource)), 0)
    try:
        states = _read(sources)
    except SettingsError as error:  # it names field and source, not the value
        raise ConfigurationError(f"{settings_class.__name__}: {error}; mend that source, then start again") from None
    defaults = DefaultSettingsSource(settings_class)()
    low = _without(merged(defaults, _overlaid(states[place:])), defaults)
    return Layers(low=low, high=_overlaid(states[:place]))


def _sources(settings_class: type[BaseSettings]) -> tuple[PydanticBaseSettingsSource, ...]:
    """The sources in the order of precedence, as ``BaseSettings.__init__`` arranges them."""
    found = settings_class.settings_customise_sources(
        settings_class,
        init_settings=InitSettingsSource(settings_class, init_kwargs={}),
        env_settings=EnvSettingsSource(settings_class),
        dotenv_settings=DotEnvSettingsSource(settings_class),
        file_secret_settings=SecretsSettingsSource(settings_class),
    )
    arguments = settings_class.model_config.get("cli_parse_args")
    if arguments and not any(isinstance(source, CliSettingsSource) for source in found):
        return (CliSettingsSource[Any](settings_class, cli_parse_args=arguments), *found)
    return found


def _read(sources: tuple[PydanticBaseSettingsSource, ...]) -> list[dict[str, Any]]:
    """Each source's answer. A custom source may look at those before it (``current_state``)."""
    states: list[dict[str, Any]] = []
    by_name: dict[str, dict[str, Any]] = {}
    for source in sources:
        source._set_current_state(_overlaid(states))  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - drives a source as pydantic-settings does
        source._set_settings_sources_data(by_name)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        states.append(dict(source()))
        by_name[type(source).__name__] = states[-1]
    return states


def _overlaid(states: list[dict[str, Any]]) -> dict[str, Any]:
    """One dict from several, the first winning."""
    result: dict[str, Any] = {}
    for state in reversed(states):
        result = merged(result, state)
    return result


def _without(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in defaults or defaults[name] != value}
