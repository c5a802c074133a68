"""The name of a file that a browser is to keep, whatever is in it: RFC 6266, RFC 8187."""

from __future__ import annotations

import re
from urllib.parse import quote

_UNSAFE = re.compile(r"[^A-Za-z0-9._ -]")


def attachment(name: str) -> dict[str, str]:
    """The header: plain for who reads only that, and in full. Nothing in `name` can end the header or its quotes."""
    plain = _UNSAFE.sub("_", name)
    full = "" if plain == name else f"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    return {"Content-Disposition": f'attachment; filename="{plain}"{full}'}
