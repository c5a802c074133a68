"""Detections as written: what is accepted, faults that name the field, the catalogue, the published schema."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ringfence.detection.catalogue import catalogue
from ringfence.detection.definition import definition_from, parse_definition, render_definition, render_schema
from ringfence.errors import InvalidInputError

ROOT = Path(__file__).parents[2]
HEAD = "name: x\ntitle: X\ndataset: {dataset}\nkey: {key}\nmeasure: {measure}\nwindow_s: 60\nthreshold: {threshold}\n"


def written(
    more: str = "", dataset: str = "enum", key: str = "source", measure: str = "count", threshold: str = "{value: 3}"
) -> bytes:
    return (HEAD.format(dataset=dataset, key=key, measure=measure, threshold=threshold) + more).encode()


def test_every_definition_of_the_catalogue_reads_back_and_says_where_its_defaults_come_from() -> None:
    assert len(catalogue()) >= 16
    for name, one in catalogue().items():
        assert parse_definition(render_definition(one.as_source()).encode()) == one, name
        assert one.sources, name
        assert one.mode == "report", name


FAULTS = {
    b"3": "expected a mapping with name, title",
    b"[": "not YAML: line 2",
    written("name_: 1"): "name_: no such field",
    written().replace(b"name: x", b"name: X Y"): "name: must be a name of 1 to 64 lower-case letters, digits or '-'",
    written(measure="concurrency"): "measure: concurrency is of dataset sip, the dataset is enum",
    written(measure="{kind: share, of: terminated}", dataset="sip"): "measure: terminated is of dataset enum",
    written(measure="{kind: share, of: all}"): "measure.of: must be",
    written(measure="{kind: distinct}"): "measure: of: distinct is of source or destination, got None",
    written(measure="{kind: distinct, of: source}"): "measure.of: the key is source already",
    written(measure="{kind: count, of: source}"): "measure: of: count is of the calls themselves; remove it",
    written(measure="silence", key="site"): "threshold.below: must be true for silence",
    written(measure="silence", threshold="{value: 0, below: true}"): "key: silence is of a site, a device or all",
    written(threshold="{value: 3, below: true}"): "threshold.below: is for share",
    written(measure="{kind: share, of: terminated}", threshold="{value: 30}"): "threshold.value: a share is 0 to 1",
    written("condition: {results: [answered]}"): "condition.results: is of dataset sip",
    written("condition: {actions: [allow]}", dataset="sip"): "condition.actions: is of dataset enum",
    written("condition: {direction: [in]}"): "condition.direction[0]: must be 'unknown', 'inbound'",
    written("condition: {source: {patterns: [abc]}}"): "condition.source.patterns: 'abc': must start with +",
    written("outside_schedule: true"): "outside_schedule: needs a schedule",
    written("schedule: {zone: Mars}"): "schedule.zone: 'Mars' is not a time zone",
    written("mode: contain"): "contain: is missing; mode contain needs to know which list",
    written("contain: {lasts_s: 60}"): "contain: sources: is missing; name the dynamic list",
    written("contain: {destinations: a}"): "contain.destinations: the key source names no destination",
    written("contain: {sources: a, lasts_s: 1}"): "contain.lasts_s: must be greater than or equal to 30, got 1",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_names_the_field_and_what_would_be_right(text: bytes) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_definition(text)
    assert FAULTS[text] in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.code == "invalid.detection"


def test_a_measure_may_be_one_word() -> None:
    assert parse_definition(written()) == parse_definition(written(measure="{kind: count}"))
    assert definition_from(parse_definition(written()).as_source()) == parse_definition(written())


def test_the_committed_schema_is_the_models() -> None:
    file = ROOT / "docs" / "detection.schema.json"
    if os.environ.get("RINGFENCE_TEST_RENEW") == "1":
        file.write_text(render_schema(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == render_schema()
