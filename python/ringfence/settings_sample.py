"""The commented sample of every setting, made from the tree itself so that the two cannot differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ringfence.settings import ENVIRONMENT_PREFIX, Settings

HEADER = """\
# Ringfence: every setting with its default. Uncomment what you change.
# Use it with `--config FILE` or RINGFENCE_CONFIG=FILE. A flag overrides the environment, the environment
# overrides this file; the variable's name stands behind each setting.
"""


def render_sample() -> str:
    """The whole sample file as TOML text; every setting is commented out."""
    lines = [HEADER, *_fields(Settings, ())]
    for path, section in _sections(Settings, ()):
        title = (section.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"# {title}", f"[{'.'.join(path)}]", *_fields(section, path)]
    return "\n".join(lines) + "\n"


def _sections(model: type[BaseModel], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], type[BaseModel]]]:
    found = []
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found.append(((*path, name), section))
            found += _sections(section, (*path, name))
    return found


def _fields(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    lines = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue
        variable = ENVIRONMENT_PREFIX + "_".join((*path, name)).upper()
        remark = " — ".join(part for part in (field.description, variable) if part)
        lines.append(f"# {name} = {_toml(field.default)}".ljust(44) + f"  # {remark}")
    return lines


def _toml(value: Any) -> str:
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, (str, Path)):
        return json.dumps(str(value), ensure_ascii=False)
    return str(value)
