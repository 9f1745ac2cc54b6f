"""What is asked and what is answered, before and after any wire. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from hotconfig.testing.kubernetes.statuses import ApiError
from hotconfig.testing.kubernetes.trees import Json, is_map

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    body: bytes = b""

    @classmethod
    def read(cls, method: str, target: str, headers: Mapping[str, Sequence[str]], body: bytes) -> Request:
        split = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(split.query, keep_blank_values=True).items()}
        return cls(method, split.path, query, headers, body)

    def header(self, name: str) -> str:
        values = self.headers.get(name)
        return values[0] if values else ""

    @property
    def content_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip() or "application/json"

    @property
    def watches(self) -> bool:
        return self.query.get("watch", "") in {"1", "true", "True"}

    @property
    def is_dry_run(self) -> bool:
        return self.query.get("dryRun") == "All"

    @property
    def is_strict(self) -> bool:
        return self.query.get("fieldValidation") == "Strict"

    @property
    def forces(self) -> bool:
        return self.query.get("force", "") in {"1", "true", "True"}

    @property
    def manager(self) -> str:
        """The field manager: as stated, else the program's name as the User-Agent gives it."""
        return self.query.get("fieldManager") or self.header("user-agent").partition("/")[0][:128] or "unknown"

    def content(self) -> Any:
        """The body, decoded. Raises the server's 400 for what is neither JSON nor YAML."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            if "yaml" not in self.content_type:
                raise ApiError(400, f"couldn't get version/kind; json parse error: {error}") from error
        return _yaml(self.body)

    def document(self) -> Json:
        """The body as one object."""
        found: Any = self.content() if self.body else {}
        if not is_map(found):
            raise ApiError(400, "couldn't get version/kind; json parse error: cannot unmarshal into Go value")
        return found


def _yaml(body: bytes) -> Any:
    try:
        import yaml  # noqa: PLC0415 - needed only by who sends YAML that is not JSON
    except ImportError as error:
        raise ApiError(415, "the double reads YAML with PyYAML: pip install pyyaml, or send JSON") from error
    try:
        return yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise ApiError(400, f"error decoding YAML: {error}") from error


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. ``body`` is JSON, or text when it is a string."""

    code: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def encoded(self) -> tuple[str, bytes]:
        """Content type and bytes."""
        if isinstance(self.body, str):
            return "text/plain; charset=utf-8", self.body.encode()
        return "application/json", json.dumps(self.body, separators=(",", ":"), ensure_ascii=False).encode()
