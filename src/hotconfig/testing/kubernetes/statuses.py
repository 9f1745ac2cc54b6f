"""The error bodies of an API server, word for word: a ``Status`` with code, reason and details.

Every wording here was recorded from kube-apiserver 1.36 or is taken from its source. Pure: knows no request and no
store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from hotconfig.testing.kubernetes.resources import Resource
from hotconfig.testing.kubernetes.trees import Json

REASONS: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
    504: "Timeout",
}

MODIFIED: Final = "the object has been modified; please apply your changes to the latest version and try again"


class ApiError(Exception):
    """An answer that is a failure. ``body`` is the ``Status`` sent, ``headers`` go with it."""

    def __init__(
        self, code: int, message: str, *, reason: str | None = None, details: Json | None = None, headers: Any = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason: str = REASONS.get(code, "") if reason is None else reason
        self.details = details
        self.headers: Mapping[str, str] = headers or {}

    @property
    def body(self) -> Json:
        status: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status["message"] = self.message
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with one field. ``kind`` is the word that begins the message: Invalid value, Required value…"""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    @property
    def text(self) -> str:
        return f"{self.field}: {self.message}"


def invalid_value(field: str, shown: str, why: str) -> Cause:
    return Cause(field, f"Invalid value: {shown}: {why}")


def required(field: str, why: str) -> Cause:
    return Cause(field, f"Required value: {why}", "FieldValueRequired")


def details(resource: Resource, name: str = "", *, kind: str = "") -> Json:
    found: Json = {"name": name} if name else {}
    if resource.group:
        found["group"] = resource.group
    found["kind"] = kind or resource.plural
    return found


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, f'{resource.qualified} "{name}" not found', details=details(resource, name))


def already_exists(resource: Resource, name: str, *, deleting: bool = False) -> ApiError:
    prefix = "object is being deleted: " if deleting else ""
    message = f'{prefix}{resource.qualified} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", details=details(resource, name))


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, message, details=details(resource, name))


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    shown = f' "{name}"' if name else ""
    return ApiError(403, f"{resource.qualified}{shown} is forbidden: {why}", details=details(resource, name))


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """422. Causes that say the same appear once in the message, but as often as found in the details."""
    texts = list(dict.fromkeys(cause.text for cause in causes))
    shown = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    listed = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    return ApiError(
        422,
        f'{kind} "{name}" is invalid: {shown}',
        details=details(resource, name, kind=resource.kind) | {"causes": listed},
    )


def refused(causes: Sequence[Cause], resource: Resource, name: str) -> None:
    """Raise 422 if there is any cause."""
    if causes:
        raise invalid(resource, name, causes)


def undecodable(resource: Resource, why: str) -> ApiError:
    shown = resource.kind
    return ApiError(400, f'{shown} in version "{resource.version}" cannot be handled as a {shown}: {why}')


def plain_500(message: str) -> ApiError:
    """500 without a reason, as the server answers where an error of its own was given no kind."""
    return ApiError(500, message, reason="")


def no_such_path() -> NoReturn:
    raise ApiError(404, "the server could not find the requested resource", details={})
