"""Pages without a live connection: sign-in, change of password, notices. Plain HTML, filled by escaping.

They must work before anyone is signed in and while the database is away, and need no script to do so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

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


def sign_in(*, target: str, name: str = "", error: str = "", note: str = "", provider: str | None = None) -> str:
    """The sign-in form; `error` and `note` in words for the person; `provider`: who else signs people in."""
    fields = (
        _input("name", "Name", "text", "username", name, focus=not name)
        + _input("password", "Password", "password", "current-password", focus=bool(name))
        + _hidden("next", target)
    )
    other = ""
    if provider is not None:
        other = (
            f'<p class="or"><span>or</span></p><a class="button" href="/sign-in/oidc?next={quote(target, safe="")}">'
            f"Sign in with {escape(provider)}</a>"
        )
    return _form("Sign in", "/sign-in", fields, "Sign in", error=error, note=note, below=other)


def code(*, target: str, error: str = "") -> str:
    """The second step: the code of the authenticator application, or a recovery code."""
    fields = _input("code", "Code", "text", "one-time-code", focus=True) + _hidden("next", target)
    note = "Type the six digits that your authenticator application shows, or one of your recovery codes."
    return _form("Second factor", "/sign-in/code", fields, "Go on", error=error, note=note)


def second_factor(*, target: str, secret: str, qr: str, forced: bool, error: str = "") -> str:
    """The form that sets a second factor up: what the application scans, and a first code of it."""
    note = "Your role needs a second factor. " if forced else ""
    note += "Scan this with an authenticator application, then type the six digits that it shows."
    fields = (
        f'<p class="qr"><img src="{escape(qr)}" alt="QR code of the secret below" width="220" height="220"></p>'
        f'<p class="note">Or type this secret: <code>{escape(" ".join(_fours(secret)))}</code></p>'
        + _input("code", "Code", "text", "one-time-code", focus=True)
        + _hidden("next", target)
    )
    return _form("Second factor", "/second-factor", fields, "Set it up", error=error, note=note)


def recovery_codes(codes: Sequence[str], *, target: str) -> str:
    """The codes for who has lost the device, shown once."""
    listed = "".join(f"<li><code>{escape(one)}</code></li>" for one in codes)
    body = (
        '<h1>Recovery codes</h1><p class="note">Each signs you in once when you do not have your device. Print or '
        f'write them down now: they are not shown again.</p><ul class="codes">{listed}</ul>'
        f'<p><a class="button primary" href="{escape(target)}">I have them</a></p>'
    )
    return _document("Recovery codes", f'<section class="card">{body}</section>')


def _fours(text: str) -> list[str]:
    return [text[place : place + 4] for place in range(0, len(text), 4)]


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
        + ("" if forced else _box("tokens", "End my API tokens too"))
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


def _box(name: str, label: str) -> str:
    return f'<label class="check"><input name="{name}" type="checkbox" value="on"><span>{escape(label)}</span></label>'


def _form(title: str, action: str, fields: str, verb: str, *, error: str, note: str, below: str = "") -> str:
    said = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    said += f'<p class="note">{escape(note)}</p>' if note else ""
    return _document(
        title,
        f'<form class="card" method="post" action="{action}"><h1>{escape(title)}</h1>{said}{fields}'
        f'<button class="button primary" type="submit">{escape(verb)}</button>{below}</form>',
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
