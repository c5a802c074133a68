"""The catalogue: detections that come with the product, each default with its source; starting points, none deployed.

A definition that an operator saves under a catalogue's name stands in its place.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from ringfence.detection.definition import Definition, definition_from
from ringfence.policy.yaml_reader import read_yaml


@cache
def catalogue() -> dict[str, Definition]:
    """All of them by name, in the order in which they are shown."""
    text = (files("ringfence.detection") / "catalogue.yaml").read_bytes()
    tree = read_yaml(text)
    assert isinstance(tree, list)  # noqa: S101 - ours, and tested
    return {one.name: one for one in map(definition_from, tree)}
