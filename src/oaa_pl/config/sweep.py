"""A sweep as its jobs see it: which jobs failed, which stages they made and which they shared."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from hydra.core.hydra_config import HydraConfig

from oaa_pl.config.failure import reason_of
from oaa_pl.errors import JobFailedError, JobsFailedError

__all__ = ["COPIED", "FOUND", "MADE", "Journal", "Sweep", "running", "taking_part"]

log = logging.getLogger(__name__)

MADE, COPIED, FOUND = "made", "copied", "found"


@dataclass(frozen=True)
class Journal:
    """What the jobs of a sweep report, in a folder: a launcher may use other processes.

    Attributes:
        folder: an empty one, of the sweep alone.
        fixed: keys whose value all jobs share.
    """

    folder: Path
    fixed: frozenset[str]

    def fail(self, error: Exception) -> JobFailedError:
        """Report that the job which runs now has failed, and remember it.

        Returns:
            The failure in a form that every launcher can pass between processes.
        """
        job = HydraConfig.get()
        varied = " ".join(
            word
            for word in job.overrides.task
            if word.partition("=")[0].lstrip("+~") not in self.fixed
        )
        name, reason = f"#{job.job.num} {varied}".strip(), reason_of(error)
        if reason is None:
            log.error("job %s failed", name, exc_info=error)
        else:
            log.error("job %s failed: %s", name, reason)
        text = f"{name}: {reason or repr(error)}"
        self._write(f"job-{job.job.num:08}", {"job": text, "defect": reason is None})
        return JobFailedError(f"job {text}")

    def note(self, kind: str, folder: Path, how: str) -> None:
        """Remember how the job which runs now came to a stage.

        Args:
            kind: of the stage, such as "classifier".
            folder: of the stage.
            how: `MADE`, `COPIED` from another job, or `FOUND` finished.
        """
        self._write(f"stage-{uuid4().hex}", {"kind": kind, "folder": str(folder), "how": how})

    def raise_if_any(self, cause: Exception | None = None) -> None:
        """Name all failed jobs again.

        Args:
            cause: what Hydra raised for the first of them.

        Raises:
            JobsFailedError: if there is one.
        """
        rows = list(self._rows("job"))
        if rows:
            jobs = "; ".join(row["job"] for row in rows)
            count = "1 job" if len(rows) == 1 else f"{len(rows)} jobs"
            raise JobsFailedError(
                f"{count} of this sweep failed: {jobs}",
                defects=any(row["defect"] for row in rows),
            ) from cause

    def report(self) -> None:
        """Log how many stages were made, shared by jobs, and finished before; none: nothing."""
        stages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self._rows("stage"):
            stages[row["kind"]].append(row)
        for kind, rows in stages.items():
            made = {row["folder"] for row in rows if row["how"] == MADE}
            shared = sum(
                row["how"] == COPIED or (row["how"] == FOUND and row["folder"] in made)
                for row in rows
            )
            counts = {
                "made": len(made), "shared": shared, "there before": len(rows) - len(made) - shared,
            }  # fmt: skip
            text = ", ".join(f"{number} {how}" for how, number in counts.items() if number)
            log.info("sweep: %s: %s", kind, text)

    def _rows(self, kind: str) -> Iterator[dict[str, Any]]:
        for file in sorted(self.folder.glob(f"{kind}-*.json")):
            yield json.loads(file.read_text("utf-8"))

    def _write(self, name: str, row: Mapping[str, Any]) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(row), encoding="utf-8")


@dataclass(frozen=True)
class Sweep:
    """The sweep that this process runs a job of.

    Attributes:
        journal: of all its jobs.
        variant: what the sweep varies in this job, the seed apart: the name of its folder.
    """

    journal: Journal
    variant: str


_running: list[Sweep] = []


def running() -> Sweep | None:
    """The sweep that a job of is running in this process; None: there is no sweep."""
    return _running[-1] if _running else None


@contextmanager
def taking_part(sweep: Sweep) -> Iterator[None]:
    """Run a job of a sweep in the block."""
    _running.append(sweep)
    try:
        yield
    finally:
        _running.pop()
