import torch
from tests.modules.tiny import CONSTANT, OPTIMIZER
from tests.nets.test_frozen_head import Trunk

from oaa_pl.modules.frozen_head import FrozenHeadSegmenter
from oaa_pl.modules.segmenter import Segmenter
from oaa_pl.nets.frozen_head import FrozenHeadNet


def test_a_step_on_features_has_the_loss_of_a_step_on_their_images() -> None:
    net = FrozenHeadNet(Trunk(), num_classes=4, dropout=0).eval()
    image, target = torch.randn(2, 3, 16, 16), torch.randint(0, 4, (2, 16, 16))
    losses = []
    for kind, seen in ((Segmenter, image), (FrozenHeadSegmenter, net.trunk(image))):
        module = kind(net, OPTIMIZER, CONSTANT, 3).eval()
        module.log_loss = lambda *_: None  # it needs a trainer
        losses.append(module.training_step({"image": seen, "target": target}))
    assert torch.equal(*losses)
