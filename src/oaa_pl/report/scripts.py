"""Scripts that the page holds, and the hashes by which its content policy allows them."""

import base64
import hashlib
from functools import cache
from pathlib import Path

import vl_convert
from markupsafe import Markup

__all__ = ["chart_library", "content_hash", "own_script"]


@cache
def own_script(name: str) -> Markup:
    """A script of this package, to be put into the page as it is.

    Args:
        name: of a file beside this one.
    """
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))


@cache
def chart_library() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script of 900 KB."""
    return Markup(vl_convert.javascript_bundle("globalThis.vegaEmbed = vegaEmbed;"))


def content_hash(script: str) -> str:
    """The source of a content policy that allows exactly this text between `<script>` tags.

    >>> content_hash("")
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
