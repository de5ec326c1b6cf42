"""Text files that people made: the encodings that spreadsheets and editors save.

UTF-8 is read with and without its mark, UTF-16 and UTF-32 by theirs. Everything else is refused by
name: which of a dozen old encodings a file has cannot be seen from its bytes, and a wrong guess
makes wrong names without a word.
"""

import codecs
from pathlib import Path

from oaa_pl.errors import OaaError
from oaa_pl.files.unreadable import TEXT

__all__ = ["read_text"]

# The marks of UTF-32 first: that of its little-endian kind begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


def read_text(path: Path, what: str, error: type[OaaError]) -> str:
    r"""The text of a file, its line ends as `\n`.

    Args:
        path: the file.
        what: it is, for the message: "tag file".
        error: to raise.

    Returns:
        The text, without a byte-order mark.

    Raises:
        FileNotFoundError: if there is no such file; what that means is the caller's to say.
        OaaError: of the given kind, with the path and the encoding, if it is no text.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as missing:
        raise FileNotFoundError(missing.errno, missing.strerror, str(path)) from missing
    except TEXT as reason:
        cause = getattr(reason, "strerror", None) or reason
        raise error(f"{what} {path} cannot be read ({cause}): give the path of a file") from reason
    if content.startswith((_ZIP, _OLD_EXCEL)):
        raise error(
            f"{what} {path} is a workbook of a spreadsheet program, not text: save it as "
            "'CSV UTF-8' there"
        )
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeError as reason:
        raise error(_undecodable(path, what, content, encoding, reason)) from reason
    if "\0" in text:
        raise error(
            f"{what} {path} is no UTF-8 text (it has NUL bytes, as UTF-16 without a mark has): "
            "save it as UTF-8"
        )
    # Some programs mark a text twice.
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _undecodable(path: Path, what: str, content: bytes, encoding: str, reason: UnicodeError) -> str:
    if encoding != "utf-8-sig":
        return f"{what} {path} is no whole {encoding.upper()} text ({reason}): save it as UTF-8"
    start = getattr(reason, "start", 0)
    line = content.count(b"\n", 0, start) + 1
    return (
        f"{what} {path} is no UTF-8 text (line {line} has the byte 0x{content[start]:02x}; perhaps "
        "it is Windows-1252, Latin-1 or GBK): save it as UTF-8, in Excel as 'CSV UTF-8', or by "
        "'iconv -f WINDOWS-1252 -t UTF-8'"
    )
