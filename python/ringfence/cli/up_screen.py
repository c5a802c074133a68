"""What `ringfence up` shows: progress while it starts, then where everything is.

On a terminal with rich; otherwise (a log, a pipe) plain lines, each complete by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

# What the printed `dig` line asks: a call that no rule of a fresh policy stops.
_SOURCE_URI = "sip:+12105550123@sbc.example"
_DESTINATION = "12105550100"


@dataclass(frozen=True)
class Welcome:
    """Where everything is, once it runs."""

    console: str
    enum: tuple[str, ...]
    apex: str
    option_code: int | None
    sign_in: str | None  # how, the first time
    data: Path
    fingerprint: str | None = None  # of the TLS certificate

    @property
    def dig(self) -> str:
        """A command that asks the ENUM server about one call."""
        host, _, port = self.enum[0].rpartition(":")
        labels = ".".join(reversed(_DESTINATION))
        option = f"+ednsopt={self.option_code}:{_SOURCE_URI.encode().hex()} " if self.option_code is not None else ""
        return f"dig @{host.strip('[]')} -p {port} +noall +answer {option}NAPTR {labels}.{self.apex}"


class Screen:
    """The terminal, or what stands in for one."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._is_stopping = False

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One part of the start: shown while it lasts, ticked when it is done."""
        if not self._console.is_terminal:
            typer.echo(f"starting: {name}")
            yield
            return
        with self._console.status(f"{name} …"):
            yield
        self._console.print(f"[green]✓[/] {name}")

    def line(self, words: str) -> None:
        """Something that happened."""
        typer.echo(words)

    def welcome(self, welcome: Welcome) -> None:
        """Everything runs."""
        rows = [("Console", welcome.console)]
        if welcome.fingerprint is not None:
            rows.append(("TLS certificate, SHA-256", welcome.fingerprint))
        if welcome.sign_in is not None:
            rows.append(("Sign in", welcome.sign_in))
        if welcome.enum:
            rows.append(("ENUM", f"{', '.join(welcome.enum)} (UDP), zone {welcome.apex}"))
        rows.append(("Data", str(welcome.data)))
        if not self._console.is_terminal:
            for name, value in [*rows, *([("Try", welcome.dig)] if welcome.enum else [])]:
                typer.echo(f"{name}: {value}")
            typer.echo("Ctrl-C stops")
            return
        table = Table.grid(padding=(0, 2))
        for name, value in rows:
            table.add_row(Text(name, style="bold"), Text(value, overflow="fold"))
        self._console.print(Panel(table, title="Ringfence runs", subtitle="Ctrl-C stops", expand=False))
        if not welcome.enum:
            return
        # Outside the frame and unwrapped, so that it can be copied whole.
        self._console.print(Text("Try it:", style="bold"))
        self._console.print(Text(welcome.dig), soft_wrap=True)

    def sign_in(self, how: str) -> None:
        """How to sign in the first time, of a start that did not succeed: it will not be shown again."""
        typer.echo(f"Sign in: {how}")

    def stopping(self) -> None:
        """The services are being stopped."""
        self._is_stopping = True
        typer.echo("stopping" if not self._console.is_terminal else "\nStopping …")

    def stopped(self) -> None:
        """Nothing runs any more."""
        if self._is_stopping:
            typer.echo("stopped" if not self._console.is_terminal else "Stopped.")
