"""From a request on a resource to what is written: decoding, the four kinds of patch, preconditions in bodies."""

from __future__ import annotations

import json
from typing import Final

from hotconfig.testing.kubernetes import fields, managed, patches, schema
from hotconfig.testing.kubernetes.access import Access, about
from hotconfig.testing.kubernetes.managed import Claim
from hotconfig.testing.kubernetes.quantities import QuantityError
from hotconfig.testing.kubernetes.rbac import User
from hotconfig.testing.kubernetes.requests import APPLY, JSON_PATCH, MERGE, STRATEGIC, Request
from hotconfig.testing.kubernetes.resources import WITH_STATUS, Resource, Target
from hotconfig.testing.kubernetes.statuses import ApiError, conflict, plain_500, undecodable
from hotconfig.testing.kubernetes.trees import Json, is_map, part
from hotconfig.testing.kubernetes.writing import Write, Writer, check_uid, misnamed

_OF_STATUS: Final = frozenset({"apiVersion", "kind", "status"})


class Verbs:
    """POST, PUT, PATCH and DELETE of one object."""

    def __init__(self, writer: Writer, access: Access) -> None:
        self._writer = writer
        self._access = access

    def create(self, request: Request, target: Target, user: User) -> Json:
        body = _checked(request.document(), target)
        _check_known(request, target.resource, body)
        if part(body, "metadata").get("resourceVersion"):
            raise plain_500("resourceVersion should not be set on objects to be created")
        return self._writer.create(_write(request, target, user), _decoded(target.resource, body))

    def replace(self, request: Request, target: Target, user: User) -> Json:
        body = _checked(request.document(), target)
        _check_known(request, target.resource, body)
        live = self._writer.existing(target)
        value = _decoded(target.resource, body)
        check_uid(target, live, value)
        return self._writer.update(_write(request, target, user), live, value)

    def patch(self, request: Request, target: Target, user: User) -> tuple[Json, bool]:
        """The object, and whether it is new."""
        if request.content_type == APPLY:
            return self._apply(request, target, user)
        if "force" in request.query:
            raise _bad_option("force: Forbidden: may not be specified for non-apply patch", "force", "Forbidden")
        live = self._writer.existing(target)
        value = self._patched(request, target.resource, live)
        if part(value, "metadata").get("name") != target.name:
            raise misnamed(part(value, "metadata").get("name", ""), target.name)
        value = _decoded_patch(request, target.resource, value)
        return self._writer.update(_write(request, target, user), live, value), False

    def _patched(self, request: Request, resource: Resource, live: Json) -> Json:
        patch, kind = request.content(), request.content_type
        if kind == JSON_PATCH:
            found: Json = patches.json_patch(live, patch)
            return found
        if not is_map(patch):
            raise ApiError(
                400, "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"
            )
        if kind == MERGE:
            merged: Json = patches.merge_patch(live, patch)
        elif kind == STRATEGIC:
            merged = patches.strategic_merge(schema.of(resource), live, patch)
        else:
            listed = ", ".join((JSON_PATCH, MERGE, STRATEGIC, APPLY))
            message = "the body of the request was in an unknown format - accepted media types include: "
            raise ApiError(415, message + listed, details={})
        return merged

    def _apply(self, request: Request, target: Target, user: User) -> tuple[Json, bool]:
        if not request.query.get("fieldManager"):
            raise _bad_option(
                "fieldManager: Required value: is required for apply patch", "fieldManager", "Required value"
            )
        stated = _stated(request, target)
        write = _write(request, target, user, operation="Apply")
        shape, now = schema.of(target.resource), self._writer.now()
        live = self._writer.live(target)
        _check_schema(target, stated)
        if live is None and not target.subresource:
            if uid := stated["metadata"].get("uid"):
                why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise conflict(target.resource, target.name, why)
            self._access.require(user, about(target, "create"))
            claims = {write.owner: Claim(fields.leaves(shape, stated), now)}
            return self._writer.create(write, _converted(target, stated), claims), True
        live = live or self._writer.existing(target)
        known = managed.read(live["metadata"].get("managedFields"))
        applied = managed.apply(shape, live, stated, known, write.owner, force=request.forces, time=now)
        return self._writer.update(write, live, _converted(target, applied.value), applied.claims), False

    def delete(self, request: Request, target: Target, user: User) -> Json | None:
        options = request.document()
        return self._writer.delete(
            Write(target, user, request.manager, request.is_dry_run or options.get("dryRun") == ["All"]),
            part(options, "preconditions"),
        )


def _write(request: Request, target: Target, user: User, *, operation: str = "Update") -> Write:
    return Write(target, user, request.manager, request.is_dry_run, operation)


def _checked(body: Json, target: Target) -> Json:
    """The body, if it is of the kind, name and namespace that the path says."""
    resource = target.resource
    found = (body.get("apiVersion", resource.api_version), body.get("kind", resource.kind))
    if not all(isinstance(each, str) for each in found):
        raise ApiError(400, "couldn't get version/kind; json parse error: cannot unmarshal into Go struct field")
    if found != (resource.api_version, resource.kind):
        group, _, version = str(found[0]).rpartition("/")
        why = f'no kind "{found[1]}" is registered for version "{group}/{version}"' if group else "unknown conversion"
        raise undecodable(resource, why)
    metadata = _checked_metadata(body, resource)
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if target.name and name != target.name:
        raise misnamed(name or "", target.name)
    if resource.namespaced and namespace and namespace != target.namespace:
        message = "the namespace of the provided object does not match the namespace sent on the request"
        raise ApiError(400, message)
    return body


def _checked_metadata(body: Json, resource: Resource) -> Json:
    """The metadata, if they are of the types that Go would read."""
    metadata: object = body.get("metadata")
    if metadata is None:
        return {}
    if not is_map(metadata):
        raise undecodable(resource, "json: cannot unmarshal into Go struct field .metadata of type v1.ObjectMeta")
    texts = {key: metadata.get(key) for key in ("name", "generateName", "namespace", "uid", "resourceVersion")}
    for field in ("labels", "annotations"):
        texts |= {f"{field}.{key}": each for key, each in part(metadata, field).items()}
    for key, text in texts.items():
        if text is not None and not isinstance(text, str):
            where = f"ObjectMeta.metadata.{key.partition('.')[0]} of type string"
            raise undecodable(resource, f"json: cannot unmarshal into Go struct field {where}")
    return metadata


def _check_known(request: Request, resource: Resource, body: Json) -> None:
    unknown = list(schema.unknown_fields(schema.of(resource), body)) if request.is_strict else []
    if unknown:
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise undecodable(resource, f"strict decoding error: {listed}")


def _decoded(resource: Resource, body: Json) -> Json:
    try:
        value: Json = schema.normal(schema.of(resource), body)
    except QuantityError as error:
        raise undecodable(resource, str(error)) from error
    return value | {"metadata": part(value, "metadata")}


def _decoded_patch(request: Request, resource: Resource, value: Json) -> Json:
    unknown = list(schema.unknown_fields(schema.of(resource), value)) if request.is_strict else []
    if unknown:
        raise _bad_patch(request, "strict decoding error: " + ", ".join(f'unknown field "{path}"' for path in unknown))
    try:
        found: Json = schema.normal(schema.of(resource), value)
    except QuantityError as error:
        raise _bad_patch(request, str(error)) from error
    return found


def _bad_patch(request: Request, why: str) -> ApiError:
    message = f"Invalid value: {json.dumps(request.body.decode(errors='replace'))}: {why}"
    cause = {"reason": "FieldValueInvalid", "message": message, "field": "patch"}
    return ApiError(422, f' "" is invalid: patch: {message}', details={"causes": [cause]})


def _stated(request: Request, target: Target) -> Json:
    """The body of an apply, checked as far as it can be without the schema."""
    body = request.document()
    resource, metadata = target.resource, part(body, "metadata")
    if not body.get("apiVersion") or not body.get("kind"):
        raise ApiError(400, f"{'apiVersion' if not body.get('apiVersion') else 'kind'} must be specified")
    stated = _checked(body | {"metadata": metadata | {"name": metadata.get("name") or target.name}}, target)
    if metadata.get("managedFields"):
        raise ApiError(400, "metadata.managedFields must be nil")
    if resource.namespaced:
        stated["metadata"]["namespace"] = target.namespace
    if target.subresource:
        metadata = {key: each for key, each in stated["metadata"].items() if key not in {"labels", "annotations"}}
        return {key: each for key, each in stated.items() if key in _OF_STATUS} | {"metadata": metadata}
    return {key: each for key, each in stated.items() if key != "status" or resource not in WITH_STATUS}


def _shown(target: Target) -> str:
    return f"({target.namespace if target.resource.namespaced else ''}/{target.name}; {target.resource.gvk})"


def _check_schema(target: Target, stated: Json) -> None:
    unknown = next(schema.unknown_fields(schema.of(target.resource), stated), None)
    if unknown is not None:
        message = f"failed to create typed patch object {_shown(target)}: .{unknown}: field not declared in schema"
        raise plain_500(message)


def _converted(target: Target, value: Json) -> Json:
    try:
        found: Json = schema.normal(schema.of(target.resource), value)
    except QuantityError as error:
        kind = target.resource.gvk
        message = f"failed to convert new object {_shown(target)} to proper version"
        raise plain_500(f"{message}: unable to convert unstructured object to {kind}: {error}") from error
    return found


def _bad_option(text: str, field: str, kind: str) -> ApiError:
    message = text.removeprefix(f"{field}: ")
    reason = "FieldValueRequired" if kind == "Required value" else "FieldValueForbidden"
    cause = {"reason": reason, "message": message, "field": field}
    found = {"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [cause]}
    return ApiError(422, f'PatchOptions.meta.k8s.io "" is invalid: {text}', details=found)
