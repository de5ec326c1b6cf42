"""The formats: a graph to the bytes of a file, and the bytes run by the format's own software.

Opset 18 of ONNX is the one that PyTorch's exporter writes itself, so that no version converter
comes between. It is also the first whose `Resize` has all modes of ours, and onnxruntime reads it
since 1.14 (2023).
"""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from oaa_pl.errors import ConfigError, ExportError
from oaa_pl.prediction.export.exportable import Arrays, Exportable

__all__ = ["FORMATS", "Format", "metadata"]

_OPSET = 18


class Format(NamedTuple):
    """A format of files.

    Attributes:
        suffix: of a file.
        write: what is exported, and example inputs (a batch of two), to the bytes of a file.
        reader: the bytes of a file to a function that runs it: inputs to outputs, by name.
    """

    suffix: str
    write: Callable[[Exportable, Arrays], bytes]
    reader: Callable[[bytes], Callable[[Arrays], Arrays]]


def metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as a file keeps them: a JSON text for each."""
    return {key: json.dumps(value, sort_keys=True) for key, value in facts.items()}


def _program(exported: Exportable, example: Arrays) -> torch.export.ExportedProgram:
    """PyTorch's own form of a graph, with any batch and any size of photo."""
    any_size = torch.export.Dim.DYNAMIC
    side = {} if exported.side is not None else {1: any_size, 2: any_size}
    shapes = {name: {0: any_size, **side} if name == "image" else None for name in example}
    inputs = tuple(torch.from_numpy(value) for value in example.values())
    with _named_errors("PyTorch cannot trace it"), torch.no_grad():
        return torch.export.export(exported.graph, inputs, dynamic_shapes=shapes, strict=False)


def _write_torch(exported: Exportable, example: Arrays) -> bytes:
    file = io.BytesIO()
    with _named_errors("PyTorch cannot save it"):
        torch.export.save(_program(exported, example), file, extra_files=metadata(exported.facts))
    return file.getvalue()


def _read_torch(content: bytes) -> Callable[[Arrays], Arrays]:
    module = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: Arrays) -> Arrays:
        with torch.no_grad():
            found = module(*(torch.from_numpy(value) for value in inputs.values()))
        return {str(place): value.numpy() for place, value in enumerate(found)}

    return run


def _write_onnx(exported: Exportable, example: Arrays) -> bytes:
    _require_onnx()
    program = _program(exported, example)
    with _named_errors("ONNX lacks what it needs"):
        made = torch.onnx.export(
            program, dynamo=True, opset_version=_OPSET, verbose=False,
            input_names=list(example), output_names=list(exported.outputs),
        )  # fmt: skip
        if made is None:
            raise ExportError("PyTorch's ONNX exporter returned nothing")
        proto = made.model_proto
        for key, value in metadata(exported.facts).items():
            entry = proto.metadata_props.add()
            entry.key, entry.value = key, value
        content: bytes = proto.SerializeToString()
    return content


def _read_onnx(content: bytes) -> Callable[[Arrays], Arrays]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(inputs: Arrays) -> Arrays:
        found = session.run(None, inputs)
        return {str(place): np.asarray(value) for place, value in enumerate(found)}

    return run


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, _read_onnx),
    "torch_export": Format(".pt2", _write_torch, _read_torch),
}
"""Formats by their names on the command line."""


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401  # whether they are here
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"format=onnx needs the extra 'export' ({error.name} is missing): pip install "
            "'oaa_pl[export]'; or take format=torch_export, which needs no extra"
        ) from error


@contextmanager
def _named_errors(what: str) -> Iterator[None]:
    """Turn what the exporters raise, of many kinds, into one error with the operation's name."""
    # Their progress and their advice about their own internals.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"the network cannot be exported: {what} ({_reason(error)}); take the other format, or "
            "a network without that operation"
        ) from error
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _reason(error: BaseException) -> str:
    """The innermost cause in one line: the exporters wrap it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
