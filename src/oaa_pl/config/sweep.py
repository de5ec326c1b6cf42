"""The jobs of a sweep that failed, whatever launcher runs them."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from oaa_pl.config.failure import reason_of
from oaa_pl.errors import JobsFailedError

__all__ = ["Failures"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failures:
    """Failed jobs, in a folder rather than in memory: a launcher may use other processes.

    Attributes:
        folder: an empty one, of the sweep alone.
        fixed: keys whose value all jobs share.
    """

    folder: Path
    fixed: frozenset[str]

    def add(self, error: Exception) -> None:
        """Report that the job which runs now has failed, and remember it."""
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
        row = {"job": f"{name}: {reason or repr(error)}", "defect": reason is None}
        (self.folder / f"{job.job.num:08}.json").write_text(json.dumps(row), encoding="utf-8")

    def raise_if_any(self, cause: Exception | None = None) -> None:
        """Name all failed jobs again.

        Args:
            cause: what Hydra raised for the first of them.

        Raises:
            JobsFailedError: if there is one.
        """
        rows = [json.loads(file.read_text("utf-8")) for file in sorted(self.folder.iterdir())]
        if rows:
            jobs = "; ".join(row["job"] for row in rows)
            count = "1 job" if len(rows) == 1 else f"{len(rows)} jobs"
            raise JobsFailedError(
                f"{count} of this sweep failed: {jobs}",
                defects=any(row["defect"] for row in rows),
            ) from cause
