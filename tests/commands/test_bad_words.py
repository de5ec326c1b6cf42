"""A wrong word on the command line ends with status 2 and one line that names it."""

from pathlib import Path

import pytest
from tests.cases import some_quick
from tests.commands.tiny import files, oaa, require_refusal, words


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    some_quick(
        [
            (("fit", "classifier.epoch=3"), ("classifier.epoch", "oaa COMMAND --help")),
            (("fit", "classifiers.epochs=3"), ("classifiers",)),
            (("fit", "net=huge"), ("net must be one of",)),
            (("fit", "experiment=unknown"), ("experiment must be one of",)),
            (("fit", "stage=test"), ("classifier, integral, segmenter", "'test'")),
            (("fit", "seed="), ("seed",)),
            (("fit", "seed=-1"), ("seed", "-1")),
            (("fit", "seed"), ("seed",)),
            (("fit", "seed=[0"), ("cannot read 'seed=[0'",)),
            (("fit", "classifier.epochs=0"), ("epochs", "1 or more")),
            (("fit", "classifier.batch_size=0"), ("batch_size", "1 or more")),
            (("fit", "classifier.first_epoch=-1"), ("first_epoch", "-1")),
            (("fit", "store.grid=[0,8]"), ("grid", "1 to 4096")),
            (("fit", "trainer.precision=nine"), ("trainer", "'nine'")),
            (("fit", "trainer.accelerator=abacus"), ("trainer", "abacus")),
            (("fit", "+trainer.pace=slow"), ("trainer", "pace")),
            (("fit", "net.attention.trunk.module.stride=3"), ("stride must be 2, 4 or 8",)),
            (("fit", "data.tags=guess"), ("tags must be one of", "'guess'")),
            (("fit", "data.fraction=2"), ("fraction", "2")),
            (("attend", "method=oaa_max"), ("method=oaa_max has no model", "say method=cam")),
            (("attend", "method=oaa_plus_mce"), ("oaa fit stage=integral loss=cross_entropy",)),
            (("fit", "stage=integral"), ("attention/oaa_max", "oaa fit stage=classifier")),
            (("fit", "stage=segmenter"), ("labels/oaa_plus_hybrid", "oaa label method=")),
            (("attend", "method=cam"), ("classifier", "oaa fit stage=classifier")),
            (("attend",), ("integral/hybrid", "oaa fit stage=integral loss=hybrid")),
            (("label", "method=oaa_max"), ("attention/oaa_max", "oaa fit stage=classifier")),
            (("label", "method=cam"), ("attention/cam", "oaa attend method=cam")),
            (("evaluate",), ("runs/tiny/seed-0", "oaa fit")),
            (("report",), ("runs/tiny", "oaa ")),
            (("predict",), ("predict.photos",)),
            (("predict", "predict.photos=nowhere"), ("nowhere", "not a folder")),
            (("predict", "predict.photos=."), ("segmenter/oaa_plus_hybrid/last.ckpt",)),
        ]
    ),
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
def test_a_wrong_word_is_refused_before_anything_is_written(
    empty: Path, tiny_voc_once: Path, arguments: tuple[str, ...], fragments: tuple[str, ...]
) -> None:
    name, *overrides = arguments
    require_refusal(oaa(name, *words(tiny_voc_once), *overrides), *fragments)
    assert not files(empty)


def test_a_value_that_must_be_given_is_asked_for(empty: Path) -> None:
    require_refusal(oaa("fit", "data=voc12"), "data.root")
    assert not files(empty)


def test_an_unknown_command_is_refused_with_those_that_exist(empty: Path) -> None:
    require_refusal(oaa("tarin"), "'tarin'", "reproduce, data, data check, fit, attend")


def test_an_unknown_option_is_refused(empty: Path) -> None:
    require_refusal(oaa("fit", "--epochs", "3"), "'--epochs'", "KEY=VALUE")
