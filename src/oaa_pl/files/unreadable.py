"""Errors that libraries raise on a damaged file, one list for each kind of reader.

A reader catches its list around the library's call only, and raises a named error with the path.
An error in our own code must stay a traceback.
"""

import csv
import struct
import zlib
from xml.etree import ElementTree

from PIL import Image

__all__ = ["IMAGE", "TABLE", "TEXT", "XML"]

# Pillow. Which one depends on the format and on where the file is damaged: a damaged header gives
# senseless numbers and tables.
IMAGE: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# Opening and decoding; LookupError is an encoding that Python does not know, ValueError a path
# with a NUL.
TEXT: tuple[type[Exception], ...] = (OSError, UnicodeError, LookupError, ValueError)

# Expat; ValueError and LookupError are about a declared encoding.
XML: tuple[type[Exception], ...] = (*TEXT, ElementTree.ParseError, RecursionError)

# The standard library's CSV.
TABLE: tuple[type[Exception], ...] = (csv.Error,)
