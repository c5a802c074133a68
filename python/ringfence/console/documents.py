"""Pages without a live connection: sign-in, change of password, notices. Plain HTML, filled by escaping.

They must work before anyone is signed in and while the database is away, and need no script to do so.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

import nicegui

ASSETS = Path(__file__).parent / "assets"
ASSET_PATH = "/console-assets"


@cache
def asset(name: str) -> str:
    """Address of a file in `assets/`; its content's hash in it lets browsers keep it for good."""
    return f"{ASSET_PATH}/{name}?v={sha256((ASSETS / name).read_bytes()).hexdigest()[:12]}"


@cache
def head() -> str:
    """What every page has in its head."""
    return (
        f'<script src="{asset("theme.js")}"></script>'
        f'<link rel="stylesheet" href="{asset("console.css")}">'
        '<meta name="theme-color" content="#12181f">'
    )


def sign_in(*, target: str, name: str = "", error: str = "", note: str = "") -> str:
    """The sign-in form; `error` and `note` in words for the person."""
    fields = (
        _input("name", "Name", "text", "username", name, focus=not name)
        + _input("password", "Password", "password", "current-password", focus=bool(name))
        + _hidden("next", target)
    )
    return _form("Sign in", "/sign-in", fields, "Sign in", error=error, note=note)


def change_password(*, target: str, name: str, forced: bool, error: str = "") -> str:
    """The form for a new password; `forced` at the first sign-in with a one-time password."""
    note = (
        "The one-time password has done its work. Choose your own to go on."
        if forced
        else "Choose a new password. Other sessions of yours are signed out."
    )
    fields = (
        f'<input type="text" name="username" value="{escape(name)}" autocomplete="username" hidden>'
        + _input(
            "old", "One-time password" if forced else "Present password", "password", "current-password", focus=True
        )
        + _input("new", "New password", "password", "new-password")
        + _input("again", "New password again", "password", "new-password")
        + _hidden("next", target)
    )
    return _form("Change password", "/password", fields, "Change password", error=error, note=note)


def notice(title: str, words: str, *, retry_s: int | None = None) -> str:
    """A page that says one thing; with `retry_s` it loads itself again."""
    retry = f'<meta http-equiv="refresh" content="{retry_s}">' if retry_s else ""
    body = (
        f'<h1>{escape(title)}</h1><p class="note">{escape(words)}</p>'
        '<p><a class="button" href="/">Back to the console</a></p>'
    )
    return _document(title, f'<section class="card">{body}</section>', retry)


def again() -> str:
    """Loads the same address once more, from this origin."""
    return "<!doctype html><title>Ringfence</title><script>location.replace(location.href)</script>"


def _form(title: str, action: str, fields: str, verb: str, *, error: str, note: str) -> str:
    said = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    said += f'<p class="note">{escape(note)}</p>' if note else ""
    return _document(
        title,
        f'<form class="card" method="post" action="{action}"><h1>{escape(title)}</h1>{said}{fields}'
        f'<button class="button primary" type="submit">{escape(verb)}</button></form>',
    )


def _input(name: str, label: str, kind: str, autocomplete: str, value: str = "", *, focus: bool = False) -> str:
    return (
        f'<label class="field"><span class="field-label">{escape(label)}</span>'
        f'<input name="{name}" type="{kind}" autocomplete="{autocomplete}" value="{escape(value)}" required'
        f"{' autofocus' if focus else ''}></label>"
    )


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


def _document(title: str, body: str, more_head: str = "") -> str:
    return _PAGE.substitute(
        title=escape(title), head=_fonts() + head() + more_head, icon=asset("ringfence.svg"), body=body
    )


def _fonts() -> str:
    return f'<link rel="stylesheet" href="/_nicegui/{nicegui.__version__}/static/fonts.css">'


_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>$title · Ringfence</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="$icon" type="image/svg+xml">$head</head>
<body class="plain"><main>
<p class="brand"><img src="$icon" alt="" width="30" height="30"> Ringfence</p>
$body
</main></body></html>
"""
)
