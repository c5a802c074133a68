"""The data plane's dial plan for Python: one compiled `Normaliser` for each site that is in use."""

from __future__ import annotations

import json
from functools import lru_cache

from ringfence._native import Normaliser
from ringfence.numbering.dial_plan import Site, dial_plan_of

# More sites than one mediation has probes at; a changed site is a new key.
_KEPT = 256


@lru_cache(maxsize=_KEPT)
def normaliser_of(site: Site) -> Normaliser:
    """The site's compiled dial plan, with its country's emergency numbers."""
    return Normaliser(json.dumps(site.as_document()), list(dial_plan_of(site.country).emergency))
