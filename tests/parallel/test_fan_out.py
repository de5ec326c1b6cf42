"""Every backend gives the same results in the same order; killed workers cost their own items.

`python -m tests.parallel.test_fan_out BACKEND WORK FOLDER MORE` does the work in a process of its
own: the backends' libraries leave threads and warnings behind.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.commands.tiny import surroundings

from oaa_pl.errors import BadImageError, ConfigError, OutputError
from oaa_pl.parallel import fan_out
from oaa_pl.parallel.fan_out import BACKENDS, FanOut, require_visible

ITEMS = range(40)


@dataclass(frozen=True)
class Double:
    """Doubles a number, and writes it to a file in the current folder."""

    folder: str

    def __call__(self, item: int) -> tuple[int, list[str | None]]:
        Path(f"{item}.txt").write_text(str(2 * item))
        return 2 * item, [os.environ.get("OMP_NUM_THREADS")]


class KillsOnce(Double):
    """And kills its worker, once."""

    def __call__(self, item: int) -> tuple[int, list[str | None]]:
        killed = Path(self.folder, "killed")
        if item == 5 and not killed.exists():
            killed.touch()
            os._exit(1)
        return super().__call__(item)


class KillsAlways(Double):
    """And kills its worker, every time."""

    def __call__(self, item: int) -> tuple[int, list[str | None]]:
        if item == 5:
            os._exit(1)
        return super().__call__(item)


class Refuses(Double):
    """And refuses an item."""

    def __call__(self, item: int) -> tuple[int, list[str | None]]:
        if item == 5:
            raise BadImageError("5.jpg is not a photo")
        return super().__call__(item)


class TellsWhenLoaded(Double):
    """And leaves a file whenever it is loaded from its pickle."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        Path(self.folder, f"{uuid4()}.loaded").touch()


class CannotBeSent(Double):
    """And cannot be pickled, as a class with an open file."""

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("cannot pickle 'TextIOWrapper' instances")


class CannotBeLoaded(Double):
    """And cannot be loaded from its pickle."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise AttributeError("no attribute 'NoSuchClass'")


WORK: dict[str, Callable[[str], Double]] = {
    work.__name__: work
    for work in (
        Double,
        KillsOnce,
        KillsAlways,
        Refuses,
        TellsWhenLoaded,
        CannotBeSent,
        CannotBeLoaded,
    )
}


def require_installed(backend: str) -> None:
    if lacking := [name for name in BACKENDS[backend] if find_spec(name) is None]:
        pytest.skip(f"{', '.join(lacking)} not installed: the extra parallel-{backend}")


def run(backend: str, work: type[Double], folder: Path, **more: str) -> dict[str, Any]:
    """What the results are, or the error, in a process of its own."""
    require_installed(backend)
    arguments = (backend, work.__name__, str(folder), json.dumps(more))
    done = subprocess.run(
        [sys.executable, "-m", "tests.parallel.test_fan_out", *arguments], check=False,
        cwd=folder, env=surroundings() | {"OMP_NUM_THREADS": "7"}, text=True, capture_output=True,
        timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


# Ray takes ten seconds to start, and as long to notice a death.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("dask", "ray")]


@pytest.mark.parametrize("backend", ["loky", *SLOW])
def test_a_killed_worker_costs_its_own_items(tmp_path: Path, backend: str) -> None:
    found = run(backend, KillsOnce, tmp_path)
    assert (tmp_path / "killed").is_file()
    assert found["results"] == [[2 * item, ["1"]] for item in ITEMS]  # one thread each
    # A worker works in the folder of the command, to which paths may be relative.
    assert {path.name for path in tmp_path.glob("*.txt")} == {f"{item}.txt" for item in ITEMS}


@pytest.mark.parametrize("backend", ["loky", *SLOW])
def test_an_item_that_kills_every_worker_is_a_named_error(tmp_path: Path, backend: str) -> None:
    found = run(backend, KillsAlways, tmp_path)
    assert found["error"] == "OutputError"
    assert "killed again and again" in found["message"]
    assert "run the same command again" in found["message"]


@pytest.mark.parametrize("backend", ["processes", "loky", *SLOW])
def test_the_error_of_an_item_arrives_as_it_was_raised(tmp_path: Path, backend: str) -> None:
    found = run(backend, Refuses, tmp_path)
    assert found == {"error": "BadImageError", "message": "5.jpg is not a photo"}


@pytest.mark.parametrize("backend", ["processes", "loky", *SLOW])
def test_a_worker_loads_the_work_once_however_many_items_there_are(
    tmp_path: Path, backend: str
) -> None:
    found = run(backend, TellsWhenLoaded, tmp_path)
    assert found["results"] == [[2 * item, ["1"]] for item in ITEMS]
    assert 1 <= len(list(tmp_path.glob("*.loaded"))) <= 2


@pytest.mark.parametrize("backend", ["processes", "loky"])
@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (CannotBeLoaded, "cannot load its work (AttributeError: no attribute 'NoSuchClass')"),
        (CannotBeSent, "cannot be sent its work (TypeError: cannot pickle 'TextIOWrapper' inst"),
    ],
)
def test_work_that_cannot_reach_a_worker_is_a_named_error(
    tmp_path: Path, backend: str, work: type[Double], reason: str
) -> None:
    found = run(backend, work, tmp_path)
    assert found["error"] == "ConfigError"
    assert reason in found["message"]
    assert "parallel.workers=1" in found["message"]


@pytest.mark.parametrize("backend", SLOW)
def test_a_cluster_that_does_not_answer_is_a_named_error(tmp_path: Path, backend: str) -> None:
    address = {"dask": "tcp://127.0.0.1:9", "ray": "127.0.0.1:9"}[backend]
    found = run(backend, Double, tmp_path, address=address)
    assert found["error"] == "ConfigError", found
    assert f"parallel.address={address}: no " in found["message"]


def test_processes_give_the_results_in_order(tmp_path: Path) -> None:
    found = run("processes", Double, tmp_path)
    assert found["results"] == [[2 * item, ["1"]] for item in ITEMS]


def test_one_worker_of_this_machine_is_this_process() -> None:
    here = os.getpid()
    for chosen, usual in ((FanOut(workers=1), None), (FanOut(), 1)):
        assert chosen.alone(usual)
        with chosen.results(lambda _: os.getpid(), [0, 1], usual) as results:  # not picklable
            assert list(results) == [here, here]
    assert not FanOut(workers=2).alone(usual=1)


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_one_worker_of_a_cluster_is_not_this_process(backend: str) -> None:
    require_installed(backend)
    assert not FanOut(backend, workers=1).alone(usual=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backend": "spark"}, "must be one of processes, loky, dask, ray, got 'spark'"),
        ({"workers": 0}, "parallel.workers must be a whole number of 1 or more, or null, got 0"),
        ({"workers": "two"}, "parallel.workers must be a whole number .* got 'two'"),
        ({"workers": True}, "parallel.workers must be a whole number .* got True"),
        ({"address": "tcp://one:8786"}, "parallel.backend=processes uses this machine; say paral"),
    ],
)
def test_a_value_that_does_not_fit_is_a_named_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FanOut(**values)


@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr(fan_out, "find_spec", lambda _: None)
    with pytest.raises(
        ConfigError, match=rf"needs joblib.*: pip install 'oaa_pl\[parallel-{backend}"
    ):
        FanOut(backend)
    assert FanOut() == FanOut("processes")


@pytest.mark.slow
def test_the_workers_import_neither_torch_nor_lightning_but_to_count() -> None:
    makers = "parallel.fan_out, proxy.produce, proxy.saliency_maker, store.exchange, data.images"
    for modules, absent in ((makers, "torch"), ("stages.counters", "pytorch_lightning")):
        imports = "; ".join(f"import oaa_pl.{name}" for name in modules.split(", "))
        program = f"{imports}; import sys; sys.exit({absent!r} in sys.modules)"
        done = subprocess.run([sys.executable, "-c", program], check=False, env=surroundings())
        assert done.returncode == 0, (modules, absent)


def test_what_this_machine_does_not_see_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    paths = [tmp_path / f"{number}.png" for number in (1, 2, 3)]
    require_visible(paths[:1], "labels")
    with pytest.raises(OutputError, match=r"^2 labels were .*/2.png, .*/3.png; all machines must"):
        require_visible(paths, "labels")


def main(backend: str, work: str, folder: str, more: str) -> None:
    found: dict[str, Any] = {}
    try:
        chosen = FanOut(backend, 2, **json.loads(more))
        with chosen.results(WORK[work](folder), ITEMS) as results:
            found["results"] = list(results)
    except (OutputError, ConfigError, BadImageError) as error:
        found = {"error": type(error).__name__, "message": str(error)}
    Path("found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
