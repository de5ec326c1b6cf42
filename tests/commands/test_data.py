"""`oaa data` on archives of six photos, without any network."""

import errno
import http.client
import logging
import shutil
import socket
import urllib.error
from pathlib import Path

import pytest
from tests.commands.tiny import Said, files, oaa, require_refusal
from tests.data.tiny_archives import IDS, SBD_FILE, VAL, VOC_FILE, publish, save_sbd, save_voc

from oaa_pl.data import voc_archives
from oaa_pl.files.lock import WriterLock

AUG = sorted(set(IDS) - set(VAL))
LIST = "ImageSets/Segmentation/train_aug.txt"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return publish(tmp_path / "made", monkeypatch)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, urllib.error.URLError(socket.gaierror(-2, "Name or service not known")))


def refuse(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(url: str, max_hops: int = 3) -> str:
        raise error

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", fail)


def data(root: Path, *more: str) -> Said:
    return oaa("data", "experiment=voc12", f"data.root={root}", "background=constant", *more)


def prepared(voc: Path) -> None:
    assert (voc / LIST).read_text().split() == AUG
    masks = {path.stem for path in (voc / "SegmentationClassAug").iterdir()}
    assert masks == set(IDS)


def test_archives_that_are_there_are_used_without_a_network(
    published: Path, offline: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = data(published)
    assert said.status == 0, said.err
    prepared(published / "VOCdevkit/VOC2012")
    assert {path.name for path in (published / "SBD").iterdir()} == {"cls", "train.txt", "val.txt"}
    assert not [n for n in files(published) if "/." in n or (n[0] == "." and "lock" not in n)]
    assert "4 photos in train_aug, 2 in val, each with a mask" in caplog.text


def test_archives_that_are_not_there_are_downloaded_and_checked(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetch(url: str, path: str) -> None:
        fetched.append(url)
        shutil.copy(published / Path(path).name, path)

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, max_hops: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", fetch)
    new = tmp_path / "a new, odd (folder)"
    said = data(f"'{new}'")
    assert said.status == 0, said.err
    prepared(new / "VOCdevkit/VOC2012")
    assert [Path(url).name for url in fetched] == [VOC_FILE, SBD_FILE]


def test_what_is_there_is_left_alone(published: Path, offline: None) -> None:
    assert data(published).status == 0
    for file in (VOC_FILE, SBD_FILE, ".preparing.lock"):
        (published / file).unlink()
    shutil.rmtree(published / "SBD")
    before = {name: (published / name).stat().st_mtime_ns for name in files(published)}
    for root in (published, published / "VOCdevkit/VOC2012"):
        said = data(root)
        assert said.status == 0, said.err
    assert before == {name: (published / name).stat().st_mtime_ns for name in files(published)}


def test_a_mask_that_was_lost_is_made_again(published: Path, offline: None) -> None:
    assert data(published).status == 0
    voc = published / "VOCdevkit/VOC2012"
    (voc / "SegmentationClassAug" / f"{IDS[5]}.png").unlink()
    (published / SBD_FILE).unlink()
    assert data(published).status == 0
    prepared(voc)


@pytest.mark.parametrize("inside", [".", "VOCdevkit/VOC2012"])
def test_voc_and_sbd_unpacked_by_hand_are_used(
    published: Path, tmp_path: Path, offline: None, inside: str
) -> None:
    root = tmp_path / "by hand"
    save_voc(root)
    save_sbd(root / inside)
    said = data(f"'{root / inside}'")
    assert said.status == 0, said.err
    prepared(root / "VOCdevkit/VOC2012")


def test_voc_without_sbd_needs_only_sbd(published: Path, tmp_path: Path, offline: None) -> None:
    voc = save_voc(tmp_path / "voc")
    shutil.copy(published / SBD_FILE, voc)
    said = data(voc)
    assert said.status == 0, said.err
    prepared(voc)
    assert (voc / "SBD/cls").is_dir()


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError(socket.gaierror(-2, "Name or service not known")),
        urllib.error.HTTPError("u", 403, "Forbidden", http.client.HTTPMessage(), None),
        TimeoutError("timed out"),
        http.client.IncompleteRead(b""),
        RuntimeError("File not found or corrupted."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_without_a_network_one_line_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    refuse(monkeypatch, error)
    said = data(tmp_path / "new")
    require_refusal(
        said,
        VOC_FILE, "md5 6cd6e144f989b92b3379bac3b3de84fd", "pascal/VOC/voc2012/",
        SBD_FILE, "md5 82b4d87ceb2ed10f6038a1cba92111cb", "SBD/download.html",
        f"put what you got into {tmp_path / 'new'}", "run the same command again",
    )  # fmt: skip
    assert "urlopen" not in said.err
    assert files(tmp_path / "new") <= {".preparing.lock"}


def test_a_damaged_archive_is_not_unpacked(published: Path, offline: None) -> None:
    path = published / SBD_FILE
    path.write_bytes(path.read_bytes()[:-100])
    require_refusal(data(published), f"the file {path} has another md5", SBD_FILE)
    assert not (published / "VOCdevkit").exists()


def test_a_full_disk_is_not_taken_for_a_missing_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    require_refusal(data(tmp_path), "cannot be written (No space left on device)", "6 GB")


def test_a_kill_while_unpacking_leaves_nothing_that_looks_finished(
    published: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(voc_archives, "_wanted", interrupt)
        assert data(published).status == 130
    assert not (published / "VOCdevkit").exists()
    leftover = published / ".VOC2012.unpacking" / "JPEGImages"
    leftover.mkdir(parents=True)  # as a SIGKILL would
    assert data(published).status == 0
    prepared(published / "VOCdevkit/VOC2012")
    assert not leftover.parent.exists()


def interrupt(*_: object) -> bool:
    raise KeyboardInterrupt


def test_a_voc_that_is_not_whole_is_refused_before_anything_is_downloaded(tmp_path: Path) -> None:
    voc = save_voc(tmp_path)
    require_refusal(
        data(tmp_path), str(voc), "photos in JPEGImages 6, expected 17,125", "move it away"
    )


def test_a_train_aug_of_another_size_is_taken_with_a_warning_if_all_masks_are_there(
    published: Path, offline: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert data(published).status == 0
    (published / "VOCdevkit/VOC2012" / LIST).write_text(f"{IDS[0]}\n{IDS[5]}\n")
    assert data(published).status == 0
    assert "train_aug has 2 ids, not the 4 of the published list" in caplog.text


def test_half_a_folder_in_the_way_is_named(published: Path, offline: None) -> None:
    (published / "SBD" / "cls").mkdir(parents=True)
    require_refusal(data(published), f"{published / 'SBD'} is there, but not whole")


@pytest.mark.parametrize(
    ("overrides", "fragment"),
    [
        ((), "prepares PASCAL VOC 2012 only"),
        (("experiment=voc12",), "data.root is not set"),
        (("experiment=table2_voc320", "data.root=x"), "but data.train_split is 'train_mini'"),
    ],
)
def test_what_is_not_voc_2012_is_refused(
    empty: Path, overrides: tuple[str, ...], fragment: str
) -> None:
    require_refusal(oaa("data", *overrides), fragment)
    assert not files(empty)


def test_missing_saliency_is_said_before_the_download(
    tmp_path: Path, offline: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert oaa("data", "experiment=voc12", f"data.root={tmp_path}").status == 2
    assert "data.saliency=<folder>, or use background=boundary" in caplog.text


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    require_refusal(data(tmp_path / "file"), "cannot be written", "choose another folder")


def test_a_root_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_to_write(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr("oaa_pl.commands.data.WriterLock", refuse_to_write)
    require_refusal(data(tmp_path), "cannot be written (Read-only file system)", "another folder")


def test_a_folder_that_another_process_prepares_is_left_to_it(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / ".preparing.lock")
    require_refusal(data(tmp_path), "is being written by this very process")
    lock.release()
