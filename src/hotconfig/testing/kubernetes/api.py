"""The whole API without a wire: ``Api.answer`` takes a request and gives a response.

One lock makes every request one step, so that it may be called from any thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from hotconfig.testing.kubernetes import reading
from hotconfig.testing.kubernetes.access import Access, question
from hotconfig.testing.kubernetes.rbac import Question, User
from hotconfig.testing.kubernetes.requests import Request, Response
from hotconfig.testing.kubernetes.resources import ACCESS, RESOURCES, REVIEWS, WITH_STATUS, Target, parse
from hotconfig.testing.kubernetes.statuses import ApiError, details, no_such_path, plain_500
from hotconfig.testing.kubernetes.store import Store
from hotconfig.testing.kubernetes.trees import Json, items, part
from hotconfig.testing.kubernetes.verbs import Verbs
from hotconfig.testing.kubernetes.writing import Write, Writer

_log = logging.getLogger(__name__)

VERSION: Final = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "$Format:%H$",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26.6",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def _now() -> datetime:
    return datetime.now(UTC)


class Api:
    """Everything behind the socket."""

    def __init__(self, *, clock: Callable[[], datetime] = _now) -> None:
        self.lock: threading.RLock = threading.RLock()
        self.store: Store = Store()
        self.access: Access = Access(self.store)
        self.writer: Writer = Writer(self.store, self.access, clock=clock)
        self.on_written: list[Callable[[], None]] = []
        """Called, with the lock held, after each request that changed the store."""
        self._reader = reading.Reader(self.store)
        self._verbs = Verbs(self.writer, self.access)

    def answer(self, request: Request) -> Response:
        """Carry out one request that is no watch. Never raises for what the client did."""
        with self.lock:
            before = self.store.version
            try:
                response = self._answer(request)
            except ApiError as error:
                response = Response(error.code, error.body, error.headers)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                # A body of a shape that no schema here tells of. Said aloud: it is no word of the API's.
                _log.exception("%s %s", request.method, request.path)
                response = Response(500, plain_500(f"the double cannot handle this request: {error!r}").body)
            if self.store.version != before:
                for call in self.on_written:
                    call()
            return response

    def watch(self, request: Request) -> reading.Watch | Response:
        """Open a watch, or the answer that refuses it."""
        with self.lock:
            try:
                _, target = self._admitted(request)
                return reading.Watch.opened(self.store, request, target or no_such_path())
            except ApiError as error:
                return Response(error.code, error.body, error.headers)

    def news(self, watch: reading.Watch) -> list[Json]:
        with self.lock:
            return list(watch.news())

    def _admitted(self, request: Request) -> tuple[User, Target | None]:
        user = self.access.user(request)
        target = parse(request.path)
        self.access.require(user, question(request, target))
        return user, target

    def _answer(self, request: Request) -> Response:
        user, target = self._admitted(request)
        if target is None:
            return _without_resource(request)
        if target.resource in REVIEWS:
            return self._review(request, target, user)
        if target.subresource and not (target.subresource == "status" and target.resource in WITH_STATUS):
            no_such_path()
        if request.method == "GET":
            found = self._reader.get(target) if target.name else self._reader.page(request, target)
            return Response(200, found)
        return self._write(request, target, user)

    def _write(self, request: Request, target: Target, user: User) -> Response:
        if request.method == "POST" and not target.name:
            return Response(201, self._verbs.create(request, target, user))
        if request.method == "PUT" and target.name:
            return Response(200, self._verbs.replace(request, target, user))
        if request.method == "PATCH" and target.name:
            found, is_new = self._verbs.patch(request, target, user)
            return Response(201 if is_new else 200, found)
        if request.method == "DELETE":
            return self._delete(request, target, user) if target.name else self._delete_all(request, target, user)
        message = "the server does not allow this method on the requested resource"
        raise ApiError(405, message, details={})

    def _delete(self, request: Request, target: Target, user: User) -> Response:
        uid = self._reader.get(target)["metadata"]["uid"]
        found = self._verbs.delete(request, target, user)
        if found is not None:
            return Response(200, found)
        said = details(target.resource, target.name) | {"uid": uid}
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": said}
        return Response(200, status)

    def _delete_all(self, request: Request, target: Target, user: User) -> Response:
        listed = self._reader.page(request, target)
        for value in self._reader.selected(request, target):
            metadata = value["metadata"]
            each = Target(target.resource, metadata.get("namespace", ""), metadata["name"])
            self.writer.delete(Write(each, user, request.manager, request.is_dry_run), {})
        return Response(200, listed)

    def _review(self, request: Request, target: Target, user: User) -> Response:
        body = request.document()
        spec = part(body, "spec")
        if target.resource == ACCESS:
            user = User(spec.get("user", ""), tuple(items(spec, "groups")))
        is_allowed = self.access.allows(user, _asked(spec))
        status: dict[str, Any] = {"allowed": is_allowed} | ({} if is_allowed else {"reason": ""})
        kind = {"kind": target.resource.kind, "apiVersion": target.resource.api_version}
        return Response(201, kind | {"metadata": {}, "spec": spec, "status": status})


def _asked(spec: Json) -> Question:
    """The question in a SelfSubjectAccessReview."""
    if "nonResourceAttributes" in spec:
        asked = spec["nonResourceAttributes"]
        return Question(asked.get("verb", ""), path=asked.get("path", ""))
    asked = part(spec, "resourceAttributes")
    keys = ("verb", "group", "resource", "subresource", "name", "namespace")
    return Question(*(asked.get(key, "") for key in keys))


def _without_resource(request: Request) -> Response:
    path = request.path.rstrip("/")
    if path == "/version":
        return Response(200, VERSION)
    if path in {"/readyz", "/livez", "/healthz"}:
        return Response(200, "ok")
    return Response(200, _discovery(path) or no_such_path())


def _discovery(path: str) -> Json | None:
    """What clients read to learn which resources there are."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = sorted({(each.group, each.version) for each in RESOURCES if each.group})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*group) for group in groups]}
    version = path.removeprefix("/apis/") if path.startswith("/apis/") else path.removeprefix("/api/")
    listed = [each for each in RESOURCES if each.api_version == version]
    if not listed:
        return None
    found: list[Json] = []
    for each in listed:
        known = {"singularName": each.kind.lower(), "namespaced": each.namespaced, "kind": each.kind}
        verbs = (
            ["create"]
            if each in REVIEWS
            else ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        )
        found.append({"name": each.plural} | known | {"verbs": verbs})
        if each in WITH_STATUS:
            found.append({"name": f"{each.plural}/status"} | known | {"verbs": ["get", "patch", "update"]})
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}


def _group(group: str, version: str) -> Json:
    preferred = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [preferred], "preferredVersion": preferred}
