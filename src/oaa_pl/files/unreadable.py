"""What reading a file may raise where the file is damaged: one list for each kind of reader.

A reader catches its list around the library's call alone, and raises a named error with the path:
a defect of our own must stay a traceback.
"""

import csv
import struct
import zlib
from xml.etree import ElementTree

from PIL import Image

__all__ = ["IMAGE", "TABLE", "TEXT", "XML"]

# Pillow, by format and by where the file is damaged: a damaged header is read as numbers and tables
# that make no sense.
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
