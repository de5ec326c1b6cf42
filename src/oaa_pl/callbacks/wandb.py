"""Weights & Biases: one run a stage, offline unless a key is configured, so that nothing waits.

W&B's own variables are honoured: WANDB_MODE, WANDB_DISABLED, WANDB_PROJECT, WANDB_ENTITY,
WANDB_NAME, WANDB_TAGS, WANDB_RUN_GROUP and WANDB_DIR. `wandb agent` gives one id, WANDB_RUN_ID, but
a command trains several stages: only the run with the final scores has that id.
"""

import netrc
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import WandbLogger
from typing_extensions import override

from oaa_pl.callbacks.history import SCORES
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import ConfigError

__all__ = ["ARTIFACTS", "StageLogger", "has_key", "under_agent", "wandb_logger"]

ARTIFACTS = ("report", "store")
"""What can be uploaded: the report's page, and the stores of attention maps."""

_ID = "wandb-id"
_AGENT = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")
_YES = ("1", "true", "yes", "on")


class StageLogger(WandbLogger):
    """A logger whose run a resumed stage continues, and which no agent merges with others.

    Args:
        folder: the stage's; it keeps the run's id.
        agent: whether the run may have the id that `wandb agent` gave.
        artifacts: what is uploaded beside the scores, of `ARTIFACTS`.
        **settings: of Lightning's logger.
    """

    def __init__(
        self, folder: Path, agent: bool, artifacts: Sequence[str], **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.folder, self.agent, self.artifacts = folder, agent, tuple(artifacts)
        self.moved = "WANDB_DIR" in os.environ

    @property
    @rank_zero_experiment
    @override
    def experiment(self) -> Any:
        if self._experiment is not None:
            return self._experiment
        if hasattr(self, "_attach_id"):  # a spawned process joins the run
            return super().experiment
        if under_agent():
            wandb.teardown()  # or W&B would not read the environment again
            if self.agent:
                return super().experiment
        self._wandb_init["id"] = self._id = _run_id(self.folder)
        with _without_agent():
            return super().experiment


def under_agent() -> bool:
    """Whether `wandb agent` started this process."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def has_key() -> bool:
    """Whether a W&B key is configured, in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("://")[-1].strip("/")
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_logger(
    folder: str | Path,
    name: str,
    project: str | None = None,
    offline: bool | str = "auto",
    entity: str | None = None,
    tags: Sequence[str] | None = None,
    group: str | None = None,
    job_type: str | None = None,
    artifacts: Sequence[str] | None = None,
) -> StageLogger:
    """A logger of one stage's training, or of the final scores.

    Args:
        folder: the stage's folder; offline runs are in it, ready for `wandb sync`.
        name: of the run on the dashboard; WANDB_NAME comes before it.
        project: that it belongs to; None: WANDB_PROJECT, or "oaa_pl".
        offline: true, false, or "auto": WANDB_MODE, or offline unless a key is configured.
        entity: the team; None: WANDB_ENTITY, or your own account.
        tags: of the run, beside those of WANDB_TAGS.
        group: of the run; WANDB_RUN_GROUP replaces it.
        job_type: of the run: the stage.
        artifacts: what is uploaded beside the scores: of "report" and "store".

    Raises:
        ConfigError: if `offline`, WANDB_MODE or an artifact is something else.
    """
    unknown = [one for one in artifacts or () if one not in ARTIFACTS]
    if unknown:
        raise ConfigError(
            f"logger.wandb.artifacts must be some of {', '.join(ARTIFACTS)}, got {unknown[0]!r}"
        )
    env = os.environ.get
    own = [tag.strip() for tag in env("WANDB_TAGS", "").split(",")]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return StageLogger(
        folder,
        job_type == SCORES,
        artifacts or (),
        name=f"{env('WANDB_NAME')}: {name}" if env("WANDB_NAME") else name,
        # Absolute: W&B writes in a process of its own, which may have another current folder.
        save_dir=Path(env("WANDB_DIR") or folder).absolute(),
        project=project or env("WANDB_PROJECT") or "oaa_pl",
        entity=entity or env("WANDB_ENTITY"),
        tags=list(dict.fromkeys([*map(str, tags or ()), *filter(None, own)])),
        group=env("WANDB_RUN_GROUP") or group,
        job_type=job_type,
        mode=_mode(offline),
    )


def _mode(offline: bool | str) -> str:
    """How W&B runs: "online", "offline" or "disabled"."""
    mode = os.environ.get("WANDB_MODE", "")
    if os.environ.get("WANDB_DISABLED", "").lower() in _YES or mode == "disabled":
        return "disabled"
    if isinstance(offline, bool):
        return "offline" if offline else "online"
    if offline != "auto":
        raise ConfigError(f"logger.wandb.offline must be auto, true or false, got {offline!r}")
    known = {"offline": "offline", "dryrun": "offline", "online": "online", "run": "online"}
    if mode and mode not in known:
        raise ConfigError(
            f"WANDB_MODE must be one of {', '.join(known)} or disabled, got {mode!r}; unset it"
        )
    return known.get(mode) or ("online" if has_key() else "offline")


def _run_id(folder: Path) -> str:
    """The id of the run that a stage continues, or a new one if it starts from the beginning."""
    path = folder / _ID
    if path.is_file() and ((folder / LAST).is_file() or folder.name == SCORES):
        return path.read_text(encoding="utf-8").strip()
    made = secrets.token_hex(4)
    path.write_text(f"{made}\n", encoding="utf-8")
    return made


@contextmanager
def _without_agent() -> Iterator[None]:
    """Hide the agent's run: W&B would ignore any other id, and merge all stages into one run."""
    hidden = {name: os.environ.pop(name) for name in _AGENT if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
