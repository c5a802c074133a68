"""YAML as people mean it: text in, plain values out. Nothing here knows of rules.

PyYAML reads YAML 1.1, in which `off` is false, `18:00` is 1080 and `+19005550100` a number. This reader keeps only
JSON's plain scalars (null, true, false, decimal numbers); everything else unquoted is text. Aliases are refused (a few
lines of them unfold to gigabytes), and so are repeated keys (one of the two would silently lose).
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from ringfence.errors import InvalidInputError


def read_yaml(text: bytes) -> object:
    """Plain values of YAML or JSON text. InvalidInputError names line and column."""
    try:
        return yaml.load(text, Loader=_Reader)  # noqa: S506 - derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _invalid(f"{where}{error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _invalid((str(error) or type(error).__name__).splitlines()[0]) from None


def write_yaml(value: object) -> str:
    """Text that `read_yaml` reads to the same value, keys in their order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(f"not YAML: {message}", code="invalid.policy", detail={"faults": [message]})


class _Reader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node in self.constructed_objects:
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", node.start_mark)
        return super().construct_object(node, deep)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key.start_mark)
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            keys.add(key.value)
            key.tag = "tag:yaml.org,2002:str"  # a list may be named 911
        return super().construct_mapping(node, deep)


# RFC 8259: what JSON calls null, booleans and numbers.
for _tag, _pattern, _first in (
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("bool", r"^(?:true|false)$", ["t", "f"]),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", list("-0123456789")),
    ("float", r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", list("-0123456789")),
):
    _Reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
