from pathlib import Path

import pytest
from tests.commands.tiny import oaa, require_refusal

from oaa_pl.config.flags import split
from oaa_pl.errors import ConfigError


def test_flags_and_their_values_are_told_apart_from_overrides() -> None:
    words = ["seed=0,1", "--cfg=job", "~data.saliency", "-p", "data", "name=x", "--resolve"]
    flags = ["--cfg", "job", "-p", "data", "--resolve"]
    assert split(words) == (flags, ["seed=0,1", "~data.saliency", "name=x"])


def test_information_without_a_kind_is_all_of_it() -> None:
    assert split(["--info", "seed=0"]) == (["--info", "all"], ["seed=0"])
    assert split(["-i", "defaults", "seed=0"]) == (["-i", "defaults"], ["seed=0"])


def test_a_folder_may_have_an_equals_sign_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "a=b"
    folder.mkdir()
    assert split(["--config-dir", str(folder)]) == (["--config-dir", str(folder)], [])
    assert split([f"-cd={folder}"]) == (["-cd", str(folder)], [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nonsense"], "unknown option '--nonsense'"),
        (["--cfg", "nonsense"], "--cfg needs one of job, hydra, all, got 'nonsense'"),
        (["--cfg"], "--cfg needs one of job, hydra, all, got 'nothing'"),
        (["-p", "-m"], "-p needs a value, got 'nothing'"),
        (["--multirun=1"], "--multirun takes no value, got '1'"),
        (["--config-dir", "no/such"], "no/such is not a folder"),
        (["--config-path", "x"], "--config-path is not supported; add a folder of your own"),
        (["--experimental-rerun", "x"], "--experimental-rerun is not supported; run the same"),
        (["-m", "--cfg", "job"], "-m and --cfg exclude each other"),
        (["--resolve"], "--resolve belongs to --cfg"),
    ],
)
def test_what_hydra_would_refuse_with_its_own_usage_is_a_named_error(
    words: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        split(words)


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (("--cfg", "job", "--package", "crf"), "# @package crf\n_target_: "),
        (("--cfg", "job", "--resolve", "-p", "loader"), "num_workers: null"),
        (("--cfg", "hydra", "-p", "hydra.job"), "override_dirname"),
        (("--hydra-help",), "--shell-completion"),
        (("--config-name", "gate/top_k", "--cfg", "job"), "oaa_pl.attention.gate.top_k"),
    ],
)
def test_hydras_own_flags_work(empty: Path, flags: tuple[str, ...], shown: str) -> None:
    said = oaa("fit", *flags)
    assert said.status == 0, said.err
    assert shown in said.out


@pytest.mark.parametrize("kind", ["defaults", "defaults-tree", "searchpath", "config", "plugins"])
def test_hydra_tells_where_the_configuration_comes_from(
    empty: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert oaa("fit", "--info", kind).status == 0


def test_a_flag_of_shell_completion_behind_a_command_is_refused(empty: Path) -> None:
    require_refusal(oaa("fit", "-sc", "install=bash"), "--shell-completion is a command of its own")


def test_a_file_that_hydra_would_never_read_is_refused(empty: Path) -> None:
    (empty / "own/gate").mkdir(parents=True)
    (empty / "own/gate/top_k.yaml").write_text("_target_: mine.gate\n")
    said = oaa("fit", "--config-dir", "own", "gate=top_k", "--cfg", "job")
    require_refusal(said, "own/gate/top_k.yaml would never be read", "give it another name")
