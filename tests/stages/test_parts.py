from pathlib import Path

from omegaconf import OmegaConf

from oaa_pl.config.recipe import Recipe
from oaa_pl.stages.parts import Network

CONF = Path(__file__).parents[2] / "conf" / "net"


def test_a_trained_network_does_not_need_the_file_that_it_once_started_from() -> None:
    cfg = OmegaConf.create({"net": OmegaConf.load(CONF / "small.yaml")})
    cfg.net.weights = "gone.safetensors"
    # As a stage records it: every part of it names the file.
    recorded = OmegaConf.to_container(cfg, resolve=True)["net"]  # type: ignore[index,call-overload]  # a mapping
    for role in ("attention", "segmenter"):
        net = Network(Recipe(recorded[role]), (0, 0, 0), (1, 1, 1), role, recorded["weights"])
        net.unweighted.make(3)
        assert net.recipe.key["trunk"]["weights"] == "gone.safetensors"
