"""GET: one object, a list (paged, selected) and the events that a watch is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hotconfig.testing.kubernetes import selectors
from hotconfig.testing.kubernetes.requests import Request
from hotconfig.testing.kubernetes.resources import Resource, Target
from hotconfig.testing.kubernetes.statuses import ApiError, not_found
from hotconfig.testing.kubernetes.store import Event, Store
from hotconfig.testing.kubernetes.trees import Json, part


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a request is about."""

    target: Target
    labels: selectors.Test
    fields: str

    @classmethod
    def of(cls, request: Request, target: Target) -> Selection:
        labels = selectors.labels(request.query.get("labelSelector", ""))
        fields = request.query.get("fieldSelector", "")
        if target.name:
            fields = ",".join(filter(None, (fields, f"metadata.name={target.name}")))
        return cls(target, labels, fields)

    def takes(self, value: Json | None) -> bool:
        if value is None:
            return False
        metadata = value["metadata"]
        if self.target.resource.namespaced and self.target.namespace not in {"", metadata.get("namespace")}:
            return False
        return self.labels(part(metadata, "labels")) and (
            not self.fields or selectors.matches_fields(self.fields, value)
        )


class Reader:
    """Reads the store on behalf of requests."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, target: Target) -> Json:
        resource = target.resource
        found = self._store.get(resource, target.namespace if resource.namespaced else "", target.name)
        if found is None:
            raise not_found(resource, target.name)
        return found

    def page(self, request: Request, target: Target) -> Json:
        """One page. As in the server, a page may come with a token although nothing that fits comes after it."""
        resource, selection = target.resource, Selection.of(request, target)
        limit, version, after = _page(request, self._store.version)
        found: list[Json] = []
        token = ""
        last = ""
        for key, value in self._store.all(resource, target.namespace if resource.namespaced else ""):
            if after and key <= after:
                continue
            if limit and len(found) == limit:
                token = selectors.token(version, last)
                break
            if selection.takes(value):
                found.append(_bare(value))
                last = key
        metadata = {"resourceVersion": str(version)} | ({"continue": token} if token else {})
        kind = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
        return kind | {"metadata": metadata, "items": found}

    def selected(self, request: Request, target: Target) -> list[Json]:
        selection = Selection.of(request, target)
        namespace = target.namespace if target.resource.namespaced else ""
        return [value for _, value in self._store.all(target.resource, namespace) if selection.takes(value)]


def _page(request: Request, version: int) -> tuple[int, int, str]:
    limit = int(request.query.get("limit") or 0)
    token = request.query.get("continue", "")
    if not token:
        return limit, version, ""
    return (limit, *selectors.start_of(token))


def _bare(value: Json) -> Json:
    """An item of a list: without kind and version, as typed lists have them."""
    return {key: each for key, each in value.items() if key not in {"kind", "apiVersion"}}


@dataclass(slots=True)
class Watch:
    """One watch: what it is about, and how far it has read."""

    store: Store
    selection: Selection
    resource: Resource
    version: int
    first: list[Json]
    """What it is told before any event: all there is, when it names no version."""
    bookmarks: bool

    @classmethod
    def opened(cls, store: Store, request: Request, target: Target) -> Watch:
        selection = Selection.of(request, target)
        asked = request.query.get("resourceVersion", "")
        namespace = target.namespace if target.resource.namespaced else ""
        if asked and not asked.isdigit():
            raise ApiError(400, f'resourceVersion: Invalid value: "{asked}": strconv.ParseUint: invalid syntax')
        first = [] if asked not in {"", "0"} else [value for _, value in store.all(target.resource, namespace)]
        version = store.version if asked in {"", "0"} else int(asked)
        bookmarks = request.query.get("allowWatchBookmarks", "") in {"1", "true", "True"}
        return cls(store, selection, target.resource, version, first, bookmarks)

    def news(self) -> Iterator[Json]:
        """What happened since the last call."""
        for value in self.first:
            if self.selection.takes(value):
                yield {"type": "ADDED", "object": value}
        self.first = []
        events = self.store.since(self.version)
        if events is None:
            message = f"too old resource version: {self.version} ({self.store.version})"
            yield {"type": "ERROR", "object": ApiError(410, message).body}
            events = []
        self.version = self.store.version
        for event in events:
            if event.resource == self.resource and (kind := self._kind(event)):
                yield {"type": kind, "object": event.value}

    def _kind(self, event: Event) -> str:
        """A change into the selection is an addition to it, one out of it a deletion."""
        was, fits = self.selection.takes(event.before), self.selection.takes(event.value)
        if event.kind == "DELETED":
            return "DELETED" if was else ""
        if fits:
            return "MODIFIED" if was else "ADDED"
        return "DELETED" if was else ""

    def bookmark(self) -> Json:
        resource = self.resource
        metadata = {"resourceVersion": str(self.version), "creationTimestamp": None}
        value = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return {"type": "BOOKMARK", "object": value}
