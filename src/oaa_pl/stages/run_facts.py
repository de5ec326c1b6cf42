"""Where a page's numbers come from, read from the records of a run's stages."""

import logging
from collections.abc import Mapping

from oaa_pl.data.source import Source
from oaa_pl.errors import MissingInputError, RunMismatchError
from oaa_pl.report.page import RunFacts
from oaa_pl.runs.stage_folder import read_json
from oaa_pl.stages.configured import Configured
from oaa_pl.training.precision import as_trained

__all__ = ["run_facts"]

log = logging.getLogger(__name__)


def run_facts(parts: Configured, train: Source, sizes: Mapping[str, int]) -> RunFacts:
    """Gather the facts of a run. Damaged records are named and skipped.

    Args:
        parts: of the run.
        train: the training photos.
        sizes: split -> number of images.

    Raises:
        MissingInputError: if no stage is finished.
    """
    run = parts.run
    seconds: dict[str, float] = {}
    record: dict[str, object] = {}
    commits: dict[str, None] = {}
    for done in sorted(run.root.rglob("done.json"), key=lambda path: path.stat().st_mtime):
        stage = done.parent.relative_to(run.root).as_posix()
        try:
            spent = float(read_json(done)["seconds"])
            made = read_json(done.parent / "stage.json")
            legs = [leg["commit"] for leg in (*made.get("earlier", []), made)]
            if not {"command", "versions"} <= set(made):
                raise KeyError("command, versions")
        except (RunMismatchError, KeyError, TypeError, ValueError) as error:
            log.warning("skipped: %s is not a stage of this package (%s)", done.parent, error)
            continue
        seconds[stage], record = spent, record or made
        commits |= dict.fromkeys(legs)
    if not record:
        raise MissingInputError(f"{run.root} has no finished stage; run 'oaa reproduce' first")
    slow = parts.network("attention").full_on_cpu
    return RunFacts(
        experiment=parts.value("name"),
        dataset=train.name,
        sizes=sizes,
        commit=", ".join(commits),
        command=str(record["command"]),
        versions=dict(record["versions"]),  # type: ignore[call-overload]  # a JSON mapping
        seconds=seconds,
        settings={
            "network": parts.value("net.name"),
            "input": f"{parts.value('data.input_size')} px",
            "precision": str(as_trained(parts.trainer, run.classifier, slow).precision),
            "background cue": parts.recipe("background").name,
            "gate": parts.recipe("gate").name,
            "threshold of attention/miou": f"{parts.threshold}, fixed beforehand",
        },
    )
