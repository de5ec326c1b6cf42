"""The model card: what a network was made from, and what it may be used for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oaa_pl.files.json_text import parse_json
from oaa_pl.prediction.export.equality import LABELS, TOLERANCE, Agreement
from oaa_pl.prediction.export.exportable import Exportable
from oaa_pl.report.results import read_results
from oaa_pl.runs.inputs import digest_of
from oaa_pl.runs.provenance import provenance

__all__ = ["model_card"]


def model_card(
    exported: Exportable, checkpoint: Path, file: str, agreement: Agreement, licence: str | None
) -> str:
    """A model card in Markdown.

    Args:
        exported: what was exported.
        checkpoint: its file, with the stage's record beside it.
        file: name of the exported file.
        agreement: how well it agreed with the checkpoint.
        licence: of the weights, if the user gave one.
    """
    record = parse_json((checkpoint.parent / "stage.json").read_text(encoding="utf-8"))
    facts = exported.facts
    return "\n".join([
        f"# {file}",
        "",
        f"A {exported.kind} of {len(facts['classes'])} classes, trained from image tags by online "
        "attention accumulation (Jiang et al., ICCV 2019) with `oaa_pl`.",
        "",
        _table({
            "network": facts["network"],
            "parameters": f"{facts['parameters']:,}",
            "precision": f"{facts['precision']} (trained in {_trained_in(record)})",
            "checkpoint, sha256": digest_of(checkpoint),
            "training data, fingerprint": _fingerprint(record),
            "trained by commit": record.get("commit", "unknown"),
            "exported by commit": provenance()["commit"],
            "exported with": _versions(),
            "licence of the weights": licence or _licence(record),
        }),
        "## Classes",
        "",
        ", ".join(facts["classes"]),
        "",
        "## Inputs and outputs",
        "",
        "The file's metadata has the same, as a JSON text for each key.",
        "",
        "```json",
        json.dumps({key: facts[key] for key in facts if key != "classes"}, indent=1),
        "```",
        "",
        "## Checked",
        "",
        f"Compared with the checkpoint on {agreement.photos} photos: equal labels on "
        f"{100 * agreement.labels:.3f} % of the pixels (required {100 * LABELS:.1f} %), largest "
        f"difference {agreement.difference:.2g} (allowed {TOLERANCE}).",
        "",
        "## Scores",
        "",
        _scores(checkpoint.parent),
        "## Limits",
        "",
        "No pixel labels were used for training: borders and objects that always appear together "
        "are where the masks are weakest. Photos unlike the training data were not measured.",
        "",
    ])  # fmt: skip


def _table(rows: Mapping[str, object]) -> str:
    cells = {key: " ".join(str(value).split()).replace("|", "\\|") for key, value in rows.items()}
    lines = [f"| {key} | {value} |" for key, value in cells.items()]
    return "\n".join(["| | |", "|---|---|", *lines, ""])


def _trained_in(record: Mapping[str, Any]) -> str:
    return str(record.get("made_from", {}).get("precision", "unknown"))


def _fingerprint(record: Mapping[str, Any]) -> str:
    return str(record.get("made_from", {}).get("data", "unknown"))


def _versions() -> str:
    versions = provenance()["versions"]
    return ", ".join(f"{name} {versions[name]}" for name in ("oaa_pl", "torch"))


def _licence(record: Mapping[str, Any]) -> str:
    """What is known of the licence: where the first weights came from, never a guess."""
    net = record.get("made_from", {}).get("net", {})
    start = net.get("weights", "unknown") if isinstance(net, Mapping) else "unknown"
    if start == "none":
        return "not given; trained from random weights, so that the training photos decide"
    return (
        f"not given; trained from the weights `{start}`, whose licence and that of the training "
        "photos decide"
    )


def _scores(folder: Path) -> str:
    path = folder / "metrics.csv"
    if not path.is_file():
        return "Not scored: there were no true masks, or `oaa evaluate` was not run.\n"
    rows = [
        f"| {row.dataset} | {row.split} | {row.metric} | {row.value:.2f} |"
        for row in read_results(path)
    ]
    return "\n".join(["| data | split | metric | value |", "|---|---|---|---|", *rows, ""])
