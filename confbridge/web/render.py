"""Pages and fragments: what every web module needs to answer."""

from __future__ import annotations

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue


def page(name: str, **view: object) -> str:
    """Render templates/`name`, or only its `_part` when htmx asks for that.

    `meetings/show.html` draws the whole page around `meetings/_show.html`.
    """
    if is_fragment():
        folder, _, file = name.rpartition("/")
        name = f"{folder}/_{file}"
    return render_template(name, **view)


def after_change(*, go_to: str) -> ResponseReturnValue:
    """Answer a change that was made: the browser goes on with a page that can be reloaded."""
    return redirect(go_to, code=303)


def is_fragment() -> bool:
    """Say whether htmx asks, for a part of the page alone."""
    return "HX-Request" in request.headers and "HX-Boosted" not in request.headers
