"""Read a W&B run back from its `.wandb` file: a LevelDB log of protobuf records.

W&B has no public reader. The format: a header of 7 bytes, then blocks of 32 KB with chunks of
CRC (4 bytes), length (2), kind (1: whole, 2: first, 3: middle, 4: last) and data.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _HEADER = 32 * 1024, 7


@dataclass
class ReadRun:
    """What a run was sent; `exit_code` is None if it never ended."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    sweep: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[tuple[str, str]] = field(default_factory=list)
    exit_code: int | None = None

    def values(self, key: str) -> list[Any]:
        return [row[key] for row in self.history if key in row]

    @property
    def summary(self) -> dict[str, Any]:
        """The last value of each key, as W&B makes the summary."""
        return {key: value for row in self.history for key, value in row.items()}


def runs_below(folder: Path) -> list[ReadRun]:
    return [read_run(path) for path in sorted(folder.rglob("*.wandb"))]


def read_run(path: Path) -> ReadRun:
    found = ReadRun()
    for data in _records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found.id, found.name, found.project = run.run_id, run.display_name, run.project
            found.group, found.job_type, found.sweep = run.run_group, run.job_type, run.sweep_id
            found.tags = tuple(run.tags)
            _update(found.config, run.config.update)
        elif kind == "config":
            _update(found.config, record.config.update)
        elif kind == "history":
            found.history.append({})
            _update(found.history[-1], record.history.item)
        elif kind == "artifact":
            found.artifacts.append((record.artifact.type, record.artifact.name))
        elif kind == "request" and record.request.HasField("log_artifact"):
            artifact = record.request.log_artifact.artifact
            found.artifacts.append((artifact.type, artifact.name))
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def _update(values: dict[str, Any], items: Any) -> None:
    for item in items:
        *outer, last = list(item.nested_key) or [item.key]
        node = values
        for name in outer:
            node = node.setdefault(name, {})
        node[last] = json.loads(item.value_json)


def _records(content: bytes) -> Iterator[bytes]:
    place, parts = _HEADER, b""
    while place + _HEADER <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:  # the rest of a block is padding
            place += left
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        parts += content[place + 7 : place + 7 + length]
        place += _HEADER + length
        if kind in (1, 4):
            yield parts
            parts = b""
