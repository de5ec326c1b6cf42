"""ONNX files of a few hundred bytes whose answer can be worked out by hand.

Written byte by byte after the format's published description (onnx.proto: numbers of the fields
below), so that tests need no library that writes them.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

FLOAT, INT64 = 1, 7  # TensorProto.DataType
INT, INTS = 2, 7  # AttributeProto.AttributeType

Side = int | str  # a name leaves the size open


def _number(value: int) -> bytes:
    """A varint of protobuf: seven bits a byte, lowest first."""
    digits = []
    while True:
        value, low = divmod(value, 128)
        digits.append(low + 128 * bool(value))
        if not value:
            return bytes(digits)


def _field(key: int, value: int | str | bytes) -> bytes:
    """One field of a message: a number, or bytes (a text, another message) with their length."""
    if isinstance(value, int):
        return _number(key << 3) + _number(value)
    content = value.encode() if isinstance(value, str) else value
    return _number(key << 3 | 2) + _number(len(content)) + content


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, INT)
    return _field(1, name) + b"".join(_field(8, one) for one in value) + _field(20, INTS)


def _node(
    kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]
) -> bytes:
    names = b"".join(_field(1, name) for name in inputs)
    said = b"".join(_field(5, _attribute(name, value)) for name, value in attributes.items())
    return names + _field(2, output) + _field(4, kind) + said


def _value(name: str, shape: Sequence[Side]) -> bytes:
    sides = [_field(1, _field(1 if isinstance(side, int) else 2, side)) for side in shape]
    tensor = _field(1, FLOAT) + _field(2, b"".join(sides))
    return _field(1, name) + _field(2, _field(1, tensor))


def save_model(
    path: Path,
    size: tuple[Side, Side] = ("h", "w"),
    *,
    channel: int | None = 0,
    then: Sequence[str] = (),
    channels: int = 3,
) -> Path:
    """Write a network that answers with one channel of its input.

    Args:
        path: where to.
        size: of the input, (h, w).
        channel: which; None leaves all of them.
        then: operators of one input that follow, such as "Abs".
        channels: of the input.
    """
    nodes, last = [], "photo"
    if channel is not None:
        nodes.append(_node("Gather", (last, "channel"), "one", axis=1))
        last = "one"
    for place, kind in enumerate(then):
        nodes.append(_node(kind, (last,), f"after{place}"))
        last = f"after{place}"
    nodes.append(_node("Identity", (last,), "saliency"))
    chosen = struct.pack("<q", channel or 0)
    index = _field(1, 1) + _field(2, INT64) + _field(8, "channel") + _field(9, chosen)
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "tiny") + _field(5, index)
    graph += _field(11, _value("photo", (1, channels, *size)))
    shape = () if "Size" in then else (1, 1 if channel is not None else channels, *size)
    graph += _field(12, _value("saliency", shape))
    opset = _field(1, "") + _field(2, 13)
    path.write_bytes(_field(1, 7) + _field(7, graph) + _field(8, opset))
    return path
