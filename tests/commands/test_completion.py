"""Completion as a shell asks for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.commands.tiny import oaa, require_refusal, surroundings


def completed(line: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.setenv("COMP_LINE", line)
    said = oaa("-sc", "query=bash")
    assert (said.status, said.err) == (0, "")
    return set(said.out.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("oaa ", {"fit", "data", "store"}),
        ("oaa fi", {"fit"}),
        ("oaa data ", {"check", "seed="}),
        ("oaa fit gate=", {"gate=beats_absent_classes", "gate=none", "gate=top_k"}),
        ("oaa data check seed=0 experiment=table2", {"experiment=table2_voc320"}),
        ("oaa fit classifier.optimizer.l", {"classifier.optimizer.lr="}),
    ],
)
def test_commands_groups_and_keys_are_offered(
    line: str, offered: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered <= completed(line, monkeypatch)


def test_a_store_has_no_configuration_to_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("oaa store ", monkeypatch) == set()


@pytest.mark.parametrize("words", [(), ("bash",), ("install=",), ("remove=bash",)])
def test_another_request_is_refused(words: tuple[str, ...]) -> None:
    require_refusal(oaa("-sc", *words), "needs install=, uninstall= or query=")


@pytest.mark.skipif(shutil.which("bash") is None, reason="this machine has no bash")
def test_bash_completes_after_the_line_of_the_manual(tmp_path: Path) -> None:
    program = tmp_path / "oaa"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m oaa_pl "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(oaa -sc install=bash)"
        complete -p oaa
        COMP_LINE="oaa fit fusion=m" COMP_CWORD=2
        COMP_POINT=${#COMP_LINE}
        hydra_bash_completion
        printf '%s\n' "${COMPREPLY[@]}"
    """
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script], env={**surroundings(), "PATH": path},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rule, *offered = done.stdout.splitlines()
    assert rule.endswith("-F hydra_bash_completion oaa")
    assert offered == ["fusion=maximum"], done.stderr


def test_fish_is_told_the_programs_name() -> None:
    assert "complete -c oaa " in oaa("-sc", "install=fish").out
