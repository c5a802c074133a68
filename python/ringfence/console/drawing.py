"""A chart on a page: ECharts, drawn as SVG, whose bars lead to the rows behind them."""

from __future__ import annotations

from typing import Any

from nicegui import ui


class Drawing(ui.echart, component="assets/drawing.js"):
    """A chart of `options` (`ringfence.console.chart` makes them). A click follows the `link` of the point."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options, renderer="svg")
        self.classes("chart")

    def redraw(self, options: dict[str, Any]) -> None:
        """Show other figures in the same drawing; the same ones are neither sent nor drawn again."""
        if options == self.options:
            return
        self.options.clear()
        self.options.update(options)
        self.update()
