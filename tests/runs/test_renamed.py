"""Old names of parts in old records."""

import pkgutil
import tarfile
from pathlib import Path

import pytest
import yaml

from oaa_pl.runs.renamed import today

OLD_RUNS = sorted((Path(__file__).parents[1] / "old_runs").glob("*/runs.tar.gz"))


def targets(node: object) -> set[str]:
    """Every `_target_` in a record."""
    if isinstance(node, dict):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return own.union(*map(targets, node.values()))
    return set().union(*map(targets, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("archive", OLD_RUNS, ids=lambda path: path.parent.name)
def test_every_part_that_an_old_run_names_is_there_under_todays_name(archive: Path) -> None:
    named: set[str] = set()
    with tarfile.open(archive) as runs:
        for member in runs.getmembers():
            if member.name.endswith("config.yaml"):
                file = runs.extractfile(member)
                assert file is not None
                named |= targets(today(yaml.safe_load(file.read())))
    ours = {name for name in named if name.startswith("oaa_pl.")}
    assert len(ours) > 10
    for name in ours:
        assert callable(pkgutil.resolve_name(name))


def test_what_has_not_moved_is_left_alone() -> None:
    record = {"a": [{"_target_": "torch.nn.Conv2d"}], "note": "oaa_pl.labels.crf.no_crf", "n": 1}
    assert today(record) == record
