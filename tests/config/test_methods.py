"""Methods that a configuration makes beside those of the registry."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from omegaconf import OmegaConf
from tests.commands.tiny import inside, oaa, words

from oaa_pl.attention.fusion import FUSIONS
from oaa_pl.config.methods import chosen_method, method_in
from oaa_pl.errors import ConfigError
from oaa_pl.store.reader import StoreReader

CFG = OmegaConf.create(
    {
        "loss": {"name": "focal", "method": "oaa_plus_focal"},
        "fusion": {"stores": {"oaa_max": {}, "oaa_softest": {}}},
        "method": None,
        "methods": ["cam", "oaa_softest"],
    }
)

# A rule from outside: two files, as every part.
RULE = """
import numpy as np
from oaa_pl.attention.fusion import Maximum

class Softest(Maximum):
    name = "softest"
    def update(self, state, attention, inside):
        softened = (attention / 2).astype(np.float32)
        return super().update(state, softened, inside)
"""
OPTION = """
stores:
  oaa_max: {_target_: oaa_pl.attention.fusion.Maximum}
  oaa_softest: {_target_: own_fusion.Softest}
"""


def test_a_loss_and_a_fusion_make_methods_without_a_file_of_the_registry() -> None:
    loss, store = (method_in(CFG, name) for name in ("oaa_plus_focal", "oaa_softest"))
    assert (loss.source, loss.loss) == ("integral", "focal")
    assert (store.source, store.loss) == ("store", None)
    assert chosen_method(CFG).name == "oaa_softest"
    with pytest.raises(ConfigError, match=r"method must be one of cam, .* got 'oaa_hardest'"):
        method_in(CFG, "oaa_hardest")


@pytest.mark.parametrize("name", ["oaa_plus_hybrid", "cam", "oaa_max"])
def test_a_loss_that_claims_the_method_of_another_is_refused(name: str) -> None:
    # Otherwise `oaa reproduce loss=focal` would train the other loss, and nobody would know.
    cfg = OmegaConf.merge(CFG, {"loss": {"method": name}})
    with pytest.raises(ConfigError, match=f"loss=focal must make .*loss.method={name}"):
        method_in(cfg, name)  # type: ignore[arg-type]  # a DictConfig, merged
    assert method_in(cfg, "oaa_plus_mce").loss == "cross_entropy"  # type: ignore[arg-type]


@mock.patch.dict(FUSIONS)
def test_a_fusion_from_outside_feeds_a_store_that_labels_are_made_of(
    tiny_voc_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_fusion.py").write_text(RULE)
    (tmp_path / "conf/fusion").mkdir(parents=True)
    (tmp_path / "conf/fusion/softest.yaml").write_text(OPTION)
    monkeypatch.syspath_prepend(tmp_path)
    chosen = (
        *words(tiny_voc_once), "--config-dir", str(tmp_path / "conf"), "fusion=softest",
        "methods=[oaa_softest]", "gate=none",
    )  # fmt: skip
    with inside(tmp_path):
        for command in ("fit", "label"):
            done = oaa(command, *chosen)
            assert done.status == 0, done.err
    run = tmp_path / "runs/tiny/seed-0"
    own, maximum = (
        StoreReader(run / "attention" / method / "store") for method in ("oaa_softest", "oaa_max")
    )
    assert own.header.fusion == "softest"
    accepted = own.rows["updates"] > 0
    assert maximum.state[accepted].max() > 0
    # One training feeds both stores, and this rule keeps half of each map.
    np.testing.assert_allclose(own.state[accepted], maximum.state[accepted] / 2, atol=1e-4)
    assert len(list((run / "labels/oaa_softest/proxy").glob("*.png"))) == 4
