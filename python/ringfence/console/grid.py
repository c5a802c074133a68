"""A table of many rows: AG Grid, in a browser that scrolls through thousands."""

from __future__ import annotations

from typing import Any

from nicegui import ui


class Grid(ui.aggrid, component="assets/grid.js"):
    """A table of `options`, as AG Grid has them. They stay as they are: other rows come by `run_grid_method`."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._update_method = None
