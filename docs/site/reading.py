"""How griffe reads this project: an extension, named in docs/mkdocs.yml."""

from __future__ import annotations

from typing import Any

import griffe

from docs.site.docstrings import rewritten


class Extension(griffe.Extension):
    """Rewrites every docstring before it is parsed, and shows what a signature means rather than how it is made."""

    def on_object(self, *, obj: griffe.Object, loader: Any, **_: Any) -> None:  # noqa: ARG002 - griffe's signature
        """Called by griffe for each object that it read."""
        if obj.docstring is not None:
            owner = obj if obj.is_class else obj.parent
            name = owner.name if owner is not None and owner.is_class else ""
            obj.docstring.value = rewritten(obj.docstring.value, name, obj.path)
        if isinstance(obj, griffe.Function):
            _plain_signature(obj)


def _plain_signature(function: griffe.Function) -> None:
    """Name constants by their values, and leave out a parameter that is only there to say what is wrong."""
    for parameter in list(function.parameters):
        constant = function.module.members.get(str(parameter.default))
        if isinstance(constant, griffe.Attribute) and constant.value is not None:
            parameter.default = constant.value
        if parameter.name == "misused":
            del function.parameters["misused"]
            function.parameters["service"].default = None
            function.parameters["service"].annotation = "str"
