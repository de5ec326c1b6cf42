from pathlib import Path

from omegaconf import OmegaConf

from oaa_pl.stages import build

CONF = Path(__file__).parents[2] / "conf" / "net"


def test_a_trained_network_does_not_need_the_file_that_it_once_started_from() -> None:
    cfg = OmegaConf.create({"net": OmegaConf.load(CONF / "small.yaml")})
    cfg.net.weights = "gone.safetensors"
    # As a stage records it: every part of it names the file.
    recorded = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    for role in (build.attention_net, build.segmenter_net):
        role(build.without_weights(recorded), 3)
        role(build.without_weights(cfg), 3)
    assert recorded.net.weights == "gone.safetensors"
