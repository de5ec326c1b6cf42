"""`oaa store` on the stores of a finished run."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tests.commands.tiny import METHODS, files, inside, oaa, require_refusal, words
from tests.conftest import TINY, TINY_SPLITS

from oaa_pl.commands.manual import COMMANDS, STORE
from oaa_pl.commands.store import ACTIONS
from oaa_pl.store.generation import committed, folder_of
from oaa_pl.store.layout import ORIGIN_FALLBACK
from oaa_pl.store.reader import StoreReader

SEED = Path("runs/tiny/seed-0")
ROWS = 6  # of the tiny training split


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run's models and stores to work on, in the current folder."""
    for stage in ("classifier", "integral", "attention"):
        shutil.copytree(finished / SEED / stage, tmp_path / "work" / SEED / stage)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def store_of(method: str) -> Path:
    """Where a method's maps lie in the current folder."""
    return SEED / "attention" / method / "store"


def flip(path: Path, row: int, generation: int | None = None, name: str = "state.npy") -> None:
    """Flip one bit of a row of the newest generation, or of another."""
    file = folder_of(path, generation or committed(path)[-1]) / name
    data = bytearray(file.read_bytes())
    size = np.load(file).nbytes // ROWS
    data[len(data) - size * (ROWS - row) + size // 3] ^= 8
    file.write_bytes(data)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file."""
    return {
        name: ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns)
        for name in files(folder)
    }


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    return {
        name: ((folder / name).stat().st_size, (folder / name).stat().st_mtime_ns)
        for name in files(folder)
    }


def unchanged_but_for(folder: Path, before: dict[str, tuple[bytes, int]], *new: str) -> bool:
    """Whether nothing was changed but what lies in new folders, and the writer's lock."""
    after = {
        name: content
        for name, content in snapshot(folder).items()
        if not name.startswith(new) and not name.endswith("writer.lock")
    }
    return after == {k: v for k, v in before.items() if not k.endswith("writer.lock")}


def row_name(row: int) -> str:
    """How a row of the tiny training split is named: ids and classes in the split's order."""
    named = {8: "cat", 12: "dog", 15: "person"}
    pairs = [(name, named[c]) for name in TINY_SPLITS["train"] for c in sorted(TINY[name][1])]
    return "row {}: image {!r}, class {!r}".format(row, *pairs[row])


def require_sound(path: Path, generation: int | None = None) -> None:
    """The newest generation, or another, is verified without a complaint."""
    number = generation or committed(path)[-1]
    said = oaa("store", "verify", str(path), f"generation={number}")
    assert (said.status, said.out) == (0, f"{path}, generation {number}: sound\n"), said.err


# Manual


def test_the_page_has_every_action() -> None:
    said = oaa("store", "--help")
    assert said.status == 0
    assert "usage: oaa store ACTION PATH ..." in said.out
    for action in ACTIONS:
        assert f"\n  {action} " in said.out
        assert f"\n  oaa store {action} " in said.out or action == "repair"


def test_every_example_of_the_page_is_a_known_action() -> None:
    _, _, examples = COMMANDS[STORE]
    assert examples
    for example in examples:
        program, command, action, *_ = example.split()
        assert (program, command) == ("oaa", "store")
        assert action in ACTIONS


def test_the_examples_work_one_after_another(run: Path, tiny_voc_once: Path) -> None:
    shutil.copytree("runs/tiny", "runs/synthetic")
    for part in ("first", "second", "third"):
        shutil.copytree(store_of("oaa_max"), part)
    Path("foreign_maps").mkdir()
    Image.new("L", (8, 8)).save("foreign_maps/2007_000001_7.png")
    given = " ".join(words(tiny_voc_once))
    for example in COMMANDS[STORE][2]:
        said = oaa(*example.replace("experiment=voc12 data.root=VOC", given).split()[1:])
        assert said.status == 0, said.err
    assert StoreReader(Path("store")).maps(0).categories.tolist() == [7]


# Info


def test_info_tells_rule_data_set_generations_and_how_far_the_maps_are(run: Path) -> None:
    path = store_of("oaa_max")
    said = oaa("store", "info", str(path))
    assert (said.status, said.err) == (0, "")
    store = StoreReader(path)
    assert f"{path}: 4 images, 20 classes, 6 maps\n" in said.out
    assert "fusion maximum, gate beats_absent_classes, normalisation class_attention" in said.out
    assert f"generations {committed(path)}\n" in said.out
    counts = [int((store.rows["origin"] == kind).sum()) for kind in (1, 2)]
    expected = f"accepted {counts[0]}, fallback {counts[1]}, missing 0"
    assert f"generation {store.generation}: 0.0 MiB; {expected}" in said.out
    assert f"{store.rows['updates'].sum()} updates" in said.out


def test_info_tells_of_an_older_generation(run: Path) -> None:
    path = store_of("oaa_max")
    first = committed(path)[0]
    said = oaa("store", "info", str(path), f"generation={first}")
    assert f"  generation {first}: " in said.out


def test_info_tells_of_a_store_that_nobody_committed(run: Path) -> None:
    path = store_of("cam")
    shutil.rmtree(path / "generations")
    said = oaa("store", "info", str(path))
    assert said.status == 0
    assert said.out.endswith("generations []\n")


def test_a_folder_that_a_sweep_named_is_a_path(run: Path) -> None:
    Path("runs/tiny/fusion=both").mkdir()
    SEED.rename("runs/tiny/fusion=both/seed-0")
    path = "runs/tiny/fusion=both/seed-0/attention/cam/store"
    assert oaa("store", "info", path).status == 0
    shutil.copytree(path, "fusion=both")
    assert oaa("store", "info", "./fusion=both").status == 0


# Verify


@pytest.mark.parametrize("method", METHODS)
def test_the_stores_of_a_finished_run_are_sound(run: Path, method: str) -> None:
    before = snapshot(run)
    path = store_of(method)
    said = oaa("store", "verify", str(path))
    assert (said.status, said.err) == (0, "")
    lines = [f"{path}, generation {number}: sound\n" for number in committed(path)]
    assert said.out == "".join(lines)
    assert snapshot(run) == before


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
def test_a_damaged_row_is_named_with_its_image_and_class(run: Path, name: str) -> None:
    path = store_of("cam")
    flip(path, 4, name=name)
    before = snapshot(run)
    said = oaa("store", "verify", str(path))
    require_refusal(
        said, f"{path} is damaged: generation 1 in 1 of 6 rows", f"'oaa store repair {path}'"
    )
    assert said.out.splitlines() == [
        f"{path}, generation 1: damaged",
        f"  {folder_of(path, 1) / name} is damaged: its checksum is not the sealed one",
        f"  {row_name(4)}",
    ]
    assert snapshot(run) == before


def test_damage_to_what_nothing_reads_any_more_is_told_and_is_no_error(run: Path) -> None:
    path = store_of("oaa_max")
    older, *_, newest = committed(path)
    flip(path, 2, older)
    said = oaa("store", "verify", str(path))
    assert (said.status, said.err) == (0, "")
    assert f"{path}, generation {older}: damaged\n" in said.out
    assert f"{path}, generation {newest}: sound\n" in said.out
    assert said.out.endswith(f"nothing reads it any more: the newest generation is {newest}\n")
    asked = oaa("store", "verify", str(path), f"generation={older}")
    require_refusal(asked, f"generation {older} in 1 of 6 rows\n")
    assert "repair" not in asked.err


def test_a_store_without_a_generation_is_not_called_sound(run: Path) -> None:
    path = store_of("cam")
    shutil.rmtree(path / "generations")
    for action in ("verify", "repair"):
        require_refusal(oaa("store", action, str(path)), "no committed generation")


def test_a_generation_that_a_training_drops_meanwhile_is_passed_over(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store_of("oaa_max")
    first, *others = committed(path)
    from oaa_pl.commands import store as command

    def examine_and_drop(store: Path, generation: int, *rest: object) -> object:
        if generation == first:
            (folder_of(store, first) / "state.npy").unlink()
        found = real(store, generation, *rest)  # type: ignore[arg-type]  # passed on
        shutil.rmtree(folder_of(store, first), ignore_errors=True)
        return found

    real = command.examine
    monkeypatch.setattr(command, "examine", examine_and_drop)
    said = oaa("store", "verify", str(path))
    assert said.status == 0, said.err
    assert said.out == "".join(f"{path}, generation {n}: sound\n" for n in others)


# Repair


@pytest.mark.parametrize("method", ["cam", "oaa_plus_hybrid", "oaa_plus_mce"])
def test_rows_of_a_trained_model_become_what_they_were(run: Path, method: str) -> None:
    path = store_of(method)
    sound = {name: (folder_of(path, 1) / name).read_bytes() for name in ("state.npy", "rows.npy")}
    flip(path, 1)
    flip(path, 4, name="rows.npy")
    before = snapshot(run)
    said = oaa("store", "repair", str(path))
    assert said.status == 0, said.err
    assert said.out.startswith(f"{path}, generation 1: damaged\n")
    assert f"  {row_name(1)}\n  {row_name(4)}\n" in said.out
    assert said.out.endswith(f"{path}, generation 2: 2 rows recomputed\n")
    for name, content in sound.items():
        assert (folder_of(path, 2) / name).read_bytes() == content
    assert unchanged_but_for(run, before, folder_of(path, 2).as_posix())
    assert oaa("store", "verify", str(path)).status == 0
    require_sound(path)


def test_a_run_of_an_older_package_is_repaired_with_the_defaults_of_today(run: Path) -> None:
    path = store_of("cam")
    sound = (folder_of(path, 1) / "state.npy").read_bytes()
    recorded = path.parent / "config.yaml"
    lines = recorded.read_text().splitlines(keepends=True)
    recorded.write_text("".join(line for line in lines if line != "  shuffle: true\n"))
    assert len(recorded.read_text().splitlines()) == len(lines) - 1
    flip(path, 2)
    said = oaa("store", "repair", str(path))
    assert said.status == 0, said.err
    assert (folder_of(path, 2) / "state.npy").read_bytes() == sound


@pytest.mark.parametrize("method", ["oaa_max", "oaa_mean"])
def test_what_epochs_accumulated_becomes_a_fallback_and_the_rest_keeps_every_bit(
    run: Path, method: str
) -> None:
    path = store_of(method)
    old, known = StoreReader(path), committed(path)
    state, rows = np.array(old.state), old.rows
    damaged, good = [0, 3], [1, 2, 4, 5]
    for row in damaged:
        flip(path, row)
    before = snapshot(run)
    said = oaa("store", "repair", str(path))
    assert said.status == 0, said.err
    assert committed(path) == [*known, known[-1] + 1]
    new = StoreReader(path)
    assert new.state[good].tobytes() == state[good].tobytes()
    assert new.rows[good].tobytes() == rows[good].tobytes()
    assert new.rows["origin"][damaged].tolist() == [ORIGIN_FALLBACK] * 2
    assert new.rows["updates"][damaged].tolist() == [0, 0]
    # The final classifier's own maps are those of `cam`.
    own = StoreReader(store_of("cam"))
    for row in damaged:
        image, category = new.pairs.pairs[row]
        expected = own.dense(image)[category]
        assert new.dense(image)[category] == pytest.approx(expected, abs=2.0**-11)
    assert unchanged_but_for(run, before, folder_of(path, known[-1] + 1).as_posix())
    require_sound(path)


def test_every_row_of_a_lost_file_is_recomputed(run: Path) -> None:
    path = store_of("cam")
    file = folder_of(path, 1) / "state.npy"
    sound = file.read_bytes()
    file.unlink()
    said = oaa("store", "repair", str(path))
    assert said.out.endswith("generation 2: 6 rows recomputed\n"), said.err
    assert (folder_of(path, 2) / "state.npy").read_bytes() == sound


@pytest.mark.parametrize("name", ["state.npy", "rows.npy", "seal.json"])
def test_a_damaged_frame_is_repaired_without_a_model(run: Path, name: str) -> None:
    path = store_of("oaa_mean")
    newest = committed(path)[-1]
    state = np.array(StoreReader(path).state)
    file = folder_of(path, newest) / name
    file.write_bytes(b"?" + file.read_bytes()[1:])
    shutil.rmtree(SEED / "classifier")
    said = oaa("store", "repair", str(path))
    assert said.status == 0, said.err
    assert said.out.endswith(f"generation {newest + 1}: 0 rows recomputed\n")
    assert np.array_equal(StoreReader(path).state, state)


def test_a_sound_store_is_left_as_it_is(run: Path) -> None:
    before = snapshot(run)
    said = oaa("store", "repair", str(store_of("cam")))
    assert said.status == 0
    assert said.out == f"{store_of('cam')}: generation 1 is sound, nothing was done\n"
    assert snapshot(run) == before


def test_a_store_elsewhere_is_repaired_with_the_checkpoint_that_is_named(run: Path) -> None:
    shutil.copytree(store_of("cam"), "copy")
    flip(Path("copy"), 5)
    require_refusal(oaa("store", "repair", "copy"), "is not in a finished run", "checkpoint=...")
    said = oaa("store", "repair", "copy", f"checkpoint={SEED}/integral/hybrid/last.ckpt")
    assert said.status == 0, said.err
    repaired = StoreReader(Path("copy")).state
    old, other = (StoreReader(store_of(method)).state for method in ("cam", "oaa_plus_hybrid"))
    # Only the damaged row is the other model's.
    assert repaired[:5].tobytes() == old[:5].tobytes() != other[:5].tobytes()
    assert repaired[5].tobytes() == other[5].tobytes()


def test_a_checkpoint_that_is_not_there_is_named(run: Path) -> None:
    flip(store_of("cam"), 5)
    said = oaa("store", "repair", str(store_of("cam")), "checkpoint=gone.ckpt")
    require_refusal(said, "checkpoint: gone.ckpt does not exist")


def lose_checkpoint(tiny_voc: Path) -> None:
    (SEED / "classifier/last.ckpt").unlink()


def spoil_checkpoint(tiny_voc: Path) -> None:
    (SEED / "classifier/last.ckpt").write_bytes(b"no checkpoint")


def foreign_checkpoint(tiny_voc: Path) -> None:
    torch.save({"state_dict": {"net.x": torch.zeros(1)}}, SEED / "classifier/last.ckpt")


def lose_config(tiny_voc: Path) -> None:
    (store_of("cam").parent / "config.yaml").unlink()


def spoil_config(tiny_voc: Path) -> None:
    (store_of("cam").parent / "config.yaml").write_text("net: [")


def empty_config(tiny_voc: Path) -> None:
    (store_of("cam").parent / "config.yaml").write_text("")


def list_for_config(tiny_voc: Path) -> None:
    (store_of("cam").parent / "config.yaml").write_text("- net\n")


def change_config(key: str, value: object) -> Callable[[Path], None]:
    def change(tiny_voc: Path) -> None:
        path = store_of("cam").parent / "config.yaml"
        cfg = OmegaConf.load(path)
        OmegaConf.update(cfg, key, value)
        path.write_text(OmegaConf.to_yaml(cfg))

    return change


def another_method(tiny_voc: Path) -> None:
    store_of("cam").parent.rename(store_of("mine").parent)
    store_of("cam").parent.symlink_to(Path("mine"))


OTHER = change_config("attention._target_", "oaa_pl.attention.cam.min_max_attention")
MKDIR = {"_target_": "torch.nn.parallel.distributed.os.mkdir", "path": "owned"}


@pytest.mark.parametrize(
    ("spoil", "fragments"),
    [
        (lose_checkpoint, ("classifier/last.ckpt does not exist", "checkpoint=...")),
        (spoil_checkpoint, ("classifier/last.ckpt is not a checkpoint of this network",)),
        (foreign_checkpoint, ("classifier/last.ckpt is not a checkpoint of this network",)),
        (lose_config, ("is not in a finished run", "checkpoint=...")),
        (spoil_config, ("cam/config.yaml cannot be read",)),
        (empty_config, ("cam/config.yaml is not a run's configuration: no 'net.attention'",)),
        (list_for_config, ("cam/config.yaml is not a run's configuration but a list",)),
        (change_config("data.train.split", "val"), ("cam/store belongs to another data set",)),
        (change_config("data.train.root", "gone"), ("gone",)),
        (
            change_config("net.attention", {"_target_": "this.d"}),
            ("'this.d'", "not a part of ours"),
        ),
        (change_config("net.attention", MKDIR), ("os.mkdir'", "not a part of ours")),
        (change_config("net.attention._target_", "torch.nn.Nothing"), ("'torch.nn.Nothing'",)),
        (OTHER, ("makes maps by min_max_attention", "holds maps by class_attention")),
        (another_method, ("no model of its run is known to make maps 'mine'",)),
    ],
    ids=lambda value: getattr(value, "__name__", "") or str(value)[:40],
)
def test_what_a_repair_lacks_is_named_and_nothing_changed(
    run: Path, tiny_voc_once: Path, spoil: Callable[[Path], None], fragments: tuple[str, ...]
) -> None:
    flip(store_of("cam"), 2)
    spoil(tiny_voc_once)
    before = snapshot(run)
    require_refusal(oaa("store", "repair", str(store_of("cam"))), *fragments)
    assert snapshot(run) == before
    # A stranger's configuration calls nothing, and imports nothing.
    assert not Path("owned").exists()
    assert "this" not in sys.modules


# Of a training that is not finished


@pytest.fixture
def unfinished(run: Path) -> Path:
    """The run as if it had been killed after its last checkpoint: generation 2 is named by it."""
    for stage in ("classifier", "attention/oaa_max", "attention/oaa_mean"):
        (SEED / stage / "done.json").unlink()
    content = torch.load(SEED / "classifier/last.ckpt", map_location="cpu", weights_only=True)
    assert {name: number for name, (number, _) in content["oaa_generations"].items()} == {
        "oaa_max": 2, "oaa_mean": 2,
    }  # fmt: skip
    return run


def test_a_generation_that_a_training_resumes_from_cannot_be_repaired(unfinished: Path) -> None:
    path = store_of("oaa_max")
    shutil.rmtree(folder_of(path, 3))
    flip(path, 3)
    before = snapshot(unfinished)
    for action in ("verify", "repair"):
        require_refusal(
            oaa("store", action, str(path)),
            "generation 2",
            "can only continue from generation 2: restore that from a copy, or remove",
            f"{SEED}/classifier and train again",
        )
    assert snapshot(unfinished) == before


def test_an_older_generation_that_a_training_resumes_from_is_not_passed_over(
    unfinished: Path,
) -> None:
    flip(store_of("oaa_max"), 3, 2)
    said = oaa("store", "verify", str(store_of("oaa_max")))
    require_refusal(said, "generation 2 in 1 of 6 rows", "can only continue from generation 2")


def test_damage_that_a_resumed_training_drops_is_said_to_be_so(
    unfinished: Path, tiny_voc_once: Path
) -> None:
    path = store_of("oaa_max")
    state = np.array(StoreReader(path).state)
    flip(path, 3)
    for action in ("verify", "repair"):
        said = oaa("store", action, str(path))
        require_refusal(said, "resume its training, which continues from generation 2")
    said = oaa("fit", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert np.array_equal(StoreReader(path).state, state)
    require_sound(path)


def test_a_training_does_not_go_on_from_a_damaged_generation(
    unfinished: Path, tiny_voc_once: Path
) -> None:
    flip(store_of("oaa_max"), 3, 2)
    said = oaa("fit", *words(tiny_voc_once))
    assert said.status == 2
    assert "000002/state.npy is damaged" in said.last


@pytest.mark.slow
def test_a_training_whose_generation_is_damaged_can_be_done_anew_as_advised(
    unfinished: Path, tiny_voc_once: Path
) -> None:
    flip(store_of("oaa_max"), 3, 2)
    shutil.rmtree(SEED / "classifier")
    said = oaa("fit", *words(tiny_voc_once))
    assert said.status == 0, said.err
    require_sound(store_of("oaa_max"))


def test_an_unreadable_checkpoint_of_a_training_is_named_where_it_matters(
    unfinished: Path,
) -> None:
    (SEED / "classifier/last.ckpt").write_bytes(b"")
    require_sound(store_of("oaa_max"))
    flip(store_of("oaa_max"), 3)
    said = oaa("store", "verify", str(store_of("oaa_max")))
    require_refusal(said, "classifier/last.ckpt is not a readable checkpoint", "copy it again")


# Merge


def test_stores_are_merged_into_a_new_one(run: Path) -> None:
    parts = [str(store_of(method)) for method in ("cam", "oaa_plus_hybrid")]
    said = oaa("store", "merge", "all", *parts)
    assert (said.status, said.out) == (0, "all: merged from 2 stores\n"), said.err
    merged, (first, second) = StoreReader(Path("all")), (StoreReader(Path(p)) for p in parts)
    assert np.array_equal(merged.state, np.maximum(first.state, second.state))
    require_sound(Path("all"))


# Export and import


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_an_export_is_imported_without_a_configuration(run: Path, kind: str) -> None:
    path = store_of("oaa_mean")
    said = oaa("store", "export", str(path), "maps", f"format={kind}")
    newest = committed(path)[-1]
    assert said.status == 0, said.err
    assert said.out == f"maps: 6 maps of generation {newest}; 0 missing\n"
    said = oaa("store", "import", "maps", "again")
    assert (said.status, said.out) == (0, "again: 6 maps; 0 pairs have none\n"), said.err
    old, new = StoreReader(path), StoreReader(Path("again"))
    off = 2.0**-12 + (0.5 / 255 if kind == "png" else 0)
    assert all(np.abs(old.dense(n) - new.dense(n)).max() <= off for n in range(4))
    require_sound(Path("again"))


def test_an_older_generation_is_exported(run: Path) -> None:
    path = store_of("oaa_max")
    said = oaa("store", "export", str(path), "maps", "generation=1")
    assert said.status == 0, said.err
    made = int((StoreReader(path, 1).rows["origin"] > 0).sum())
    assert said.out == f"maps: {made} maps of generation 1; {ROWS - made} missing\n"


def test_maps_of_other_code_are_imported_with_the_data_set_of_the_configuration(
    run: Path, tiny_voc_once: Path
) -> None:
    path = store_of("cam")
    oaa("store", "export", str(path), "maps")
    for name in ("header.json", "images.txt", "2007_000002_11.png"):
        Path("maps", name).unlink()
    said = oaa("store", "import", "maps", "foreign", *words(tiny_voc_once))
    assert (said.status, said.out) == (0, "foreign: 5 maps; 1 pairs have none\n"), said.err
    old, new = StoreReader(path), StoreReader(Path("foreign"))
    assert new.pairs.fingerprint == old.pairs.fingerprint
    assert new.header.normalisation == "unknown"
    assert new.missing().tolist() == [[1, 11]]
    off = 2.0**-12 + 0.5 / 255
    assert all(np.abs(old.dense(n) - new.dense(n)).max() <= off for n in (0, 2, 3))


def test_a_foreign_map_that_is_none_is_named_and_nothing_made(
    run: Path, tiny_voc_once: Path
) -> None:
    Path("maps").mkdir()
    Image.new("RGB", (8, 8)).save("maps/2007_000001_7.png")
    said = oaa("store", "import", "maps", "foreign", *words(tiny_voc_once))
    assert said.status == 2
    assert said.last.startswith("oaa: maps/2007_000001_7.png must be 8-bit grey")
    assert sorted(entry.name for entry in run.iterdir()) == ["maps", "runs"]


# Bad words


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ((), ("action must be one of info, verify, repair, merge, export, import, got 'none'",)),
        (("check", "STORE"), ("got 'check'",)),
        (("info",), ("paths must be PATH, got none",)),
        (("info", "STORE", "STORE"), ("paths must be PATH, got",)),
        (("verify", "STORE", "STORE"), ("paths must be PATH, got",)),
        (("repair",), ("paths must be PATH, got none",)),
        (("merge", "all", "STORE"), ("paths must be INTO PART PART, got all",)),
        (("merge", "all", "STORE", "STORE"), ("two or more different stores",)),
        (("merge", "all", "STORE", "nowhere"), ("nowhere holds no attention store",)),
        (("merge", "all", "STORE", "OTHER"), ("cannot be merged", "fusion='running_mean'")),
        (("merge", "STORE", "STORE", "OTHER"), ("cannot be merged",)),
        (("merge", "all", "STORE", "OTHER", "keep=1"), ("'keep' is not known", "none here")),
        (("export", "STORE"), ("paths must be PATH FOLDER",)),
        (("export", "STORE", "maps", "format=jpg"), ("format must be one of png, npz, npy",)),
        (("export", "STORE", "maps", "format="), ("format must be one of", "got ''")),
        (("export", "STORE", "runs"), ("runs already holds something",)),
        (("import", "runs"), ("paths must be FOLDER PATH",)),
        (("import", "nowhere", "new"), ("nowhere is not a folder",)),
        (("import", "runs", "new"), ("runs has no header.json", "experiment=...")),
        (("import", "runs", "new", "data=nothing"), ("data must be one of",)),
        (("import", "STORE", "new", "data=voc12"), ("header.json names the data set", "data=")),
        (("info", "STORE", "generations=1"), ("'generations' is not known", "generation=...")),
        (("info", "STORE", "generation=x"), ("generation must be a whole number, got 'x'",)),
        (("info", "STORE", "generation="), ("generation must be a whole number, got ''",)),
        (("info", "STORE", "generation=-1"), ("generation must be a whole number, got '-1'",)),
        (("info", "STORE", "generation=9"), ("has no generation 9; it has [1",)),
        (("verify", "STORE", "generation=9"), ("has no generation 9; it has [1",)),
        (("verify", "STORE", "generation=0"), ("has no generation 0; it has [1",)),
        (("export", "STORE", "maps", "generation=9"), ("has no generation 9",)),
        (("verify", "STORE", "--deep"), ("unknown option '--deep'",)),
        (("info", "nowhere"), ("nowhere holds no attention store",)),
        (("verify", "runs"), ("runs holds no attention store",)),
        (("repair", "runs/tiny/results.csv"), ("results.csv holds no attention store",)),
        (("export", "runs", "maps"), ("runs holds no attention store",)),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_a_wrong_word_is_refused_and_nothing_changed(
    finished: Path, arguments: tuple[str, ...], fragments: tuple[str, ...]
) -> None:
    places = {"STORE": str(store_of("oaa_max")), "OTHER": str(store_of("oaa_mean"))}
    before = stamps(finished)
    with inside(finished):
        said = oaa("store", *(places.get(word, word) for word in arguments))
    assert said.status == 2
    assert said.last.startswith("oaa: ")
    for fragment in fragments:
        assert fragment in said.last
    assert stamps(finished) == before


def test_a_store_at_the_top_of_a_disk_is_in_no_run(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(store_of("cam"), 0)
    top = Path(Path.cwd().anchor) / "store"
    monkeypatch.setattr(Path, "resolve", lambda path, strict=False: top)
    require_refusal(oaa("store", "repair", str(store_of("cam"))), "is not in a finished run")
