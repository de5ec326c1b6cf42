"""Text files made by people, in the encodings that spreadsheets and editors save.

UTF-8 is read with or without a byte-order mark, UTF-16 and UTF-32 with one. Any other encoding is
refused: it cannot be known from the bytes, and a wrong guess would silently give wrong names.
"""

import codecs
from pathlib import Path

from oaa_pl.errors import OaaError
from oaa_pl.files.unreadable import TEXT

__all__ = ["read_text"]

# UTF-32 first: its little-endian mark begins with that of UTF-16.
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
        what: name of the kind of file in messages, such as "tag file".
        error: class of the error to raise.

    Returns:
        The text, without a byte-order mark.

    Raises:
        FileNotFoundError: if there is no such file; the caller turns it into a named error.
        OaaError: of class `error`, with the path and the encoding, if it is not text.
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
            f"{what} {path} is not UTF-8 text (it has NUL bytes, as UTF-16 without a mark has): "
            "save it as UTF-8"
        )
    # Some programs write the mark twice.
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _undecodable(path: Path, what: str, content: bytes, encoding: str, reason: UnicodeError) -> str:
    if encoding != "utf-8-sig":
        return f"{what} {path} is not a whole {encoding.upper()} text ({reason}): save it as UTF-8"
    start = getattr(reason, "start", 0)
    line = content.count(b"\n", 0, start) + 1
    return (
        f"{what} {path} is not UTF-8 text (line {line} has the byte 0x{content[start]:02x}; "
        "perhaps it is Windows-1252, Latin-1 or GBK): save it as UTF-8, in Excel as 'CSV UTF-8', "
        "or by 'iconv -f WINDOWS-1252 -t UTF-8'"
    )
