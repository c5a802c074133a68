"""Events → what analytics asks by: call type, and country and line of the far party. Pure; after numbers are known.

The far party is who calls in, or who is called. All three are looked up once for each distinct number of a batch; the
numbers themselves stay as they are.
"""

from __future__ import annotations

import pyarrow as pa

from ringfence.mediation.ingest.calls import compute
from ringfence.numbering.classification import Classifier, call_types
from ringfence.vocabulary import Direction

_INBOUND = pa.scalar(int(Direction.INBOUND), pa.int16())


def with_classes(events: pa.RecordBatch, classifier: Classifier, country: str) -> pa.RecordBatch:
    """The events with `call_type`, `country` and `line`; `country` is the ISO code of the device's site."""
    columns = {name: events.column(name) for name in events.schema.names}
    of_source, source_line = classifier.facts(columns["source"])
    of_destination, destination_line = classifier.facts(columns["destination"])
    columns["call_type"] = call_types(
        columns["destination"], columns["destination_class"], of_destination, destination_line, country
    )
    is_inbound = compute.equal(columns["direction"], _INBOUND)
    columns["country"] = compute.if_else(is_inbound, of_source, of_destination)
    columns["line"] = compute.if_else(is_inbound, source_line, destination_line)
    return pa.RecordBatch.from_pydict(columns)
