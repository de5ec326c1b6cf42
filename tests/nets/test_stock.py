"""Score maps of classifiers as they are, against plain loops over their cells."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.cases import some_quick
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from oaa_pl.attention.cam import min_max_attention
from oaa_pl.errors import UnfitNetworkError
from oaa_pl.nets.stock import score_map_of

C = 3
Head = Callable[[Tensor, Tensor], Tensor]  # one cell (D,) and the pooled vector (D,) to scores (C,)

pytestmark = [
    # GoogLeNet's advice on its initial weights; torch's on a package that timm has not left yet.
    pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning"),
]


def torchvision(name: str, **options: Any) -> nn.Module:
    return get_model(name, weights=None, num_classes=C, **options)


def timm(name: str, **options: Any) -> nn.Module:
    library = pytest.importorskip("timm", reason="needs the extra 'lite'")
    return library.create_model(name, num_classes=C, **options)


def small_convnext() -> nn.Module:
    return ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=C)


def small_vit(**options: Any) -> nn.Module:
    return VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=C, **options)


def small_swin() -> nn.Module:
    return SwinTransformer([4, 4], 16, [1, 1], [2, 2], [2, 2], num_classes=C)


def output_of(layer: str) -> Callable[[nn.Module, Tensor], Tensor]:
    """The features (B, D, h, w) by torchvision's own means."""
    return lambda net, image: create_feature_extractor(net, {layer: "f"})(image)["f"]


def tokens_on(grid: tuple[int, int], prefix: int) -> Callable[[nn.Module, Tensor], Tensor]:
    """The patch tokens of timm's transformers, (B, D, h, w)."""
    return lambda net, image: (
        net.forward_features(image)[:, prefix:].transpose(1, 2).unflatten(2, grid)
    )


def forward_features(net: nn.Module, image: Tensor) -> Tensor:
    return net.forward_features(image)


def linear(path: str) -> Callable[[nn.Module], Head]:
    def head(net: nn.Module) -> Head:
        layer = net.get_submodule(path)
        return lambda cell, pooled: layer.weight.flatten(1) @ cell + layer.bias

    return head


def normed(norm: str, path: str) -> Callable[[nn.Module], Head]:
    """A layer norm with the pooled vector's statistics, and a linear layer."""

    def head(net: nn.Module) -> Head:
        layer, last = net.get_submodule(norm), linear(path)(net)

        def score(cell: Tensor, pooled: Tensor) -> Tensor:
            deviation = (pooled.var(unbiased=False) + layer.eps).sqrt()
            return last((cell - pooled.mean()) / deviation * layer.weight + layer.bias, pooled)

        return score

    return head


def tangent(*paths: str, shape: tuple[int, ...] = (-1,)) -> Callable[[nn.Module], Head]:
    """Layers replaced by their tangent at the pooled vector, from the whole Jacobian."""

    def head(net: nn.Module) -> Head:
        layers = nn.Sequential(*(net.get_submodule(path) for path in paths))

        def whole(vector: Tensor) -> Tensor:
            return layers(vector.clone().reshape(1, *shape)).flatten()

        def score(cell: Tensor, pooled: Tensor) -> Tensor:
            jacobian = torch.autograd.functional.jacobian(whole, pooled)
            return whole(pooled) + jacobian @ (cell - pooled)

        return score

    return head


def both_heads(net: nn.Module) -> Head:
    one, other = linear("head")(net), linear("head_dist")(net)
    return lambda cell, pooled: (one(cell, pooled) + other(cell, pooled)) / 2


# Network, side of the image, its features, its head for one cell, whether the mean is the score.
FAMILIES: dict[str, tuple[Callable[[], nn.Module], int, Any, Callable[[nn.Module], Head], bool]] = {
    "resnet18": (lambda: torchvision("resnet18"), 64, output_of("layer4"), linear("fc"), True),
    "resnet50": (lambda: torchvision("resnet50"), 64, output_of("layer4"), linear("fc"), True),
    "densenet": (
        lambda: torchvision("densenet121"),
        64,
        lambda net, image: net.features(image).relu(),
        linear("classifier"),
        True,
    ),
    "mobilenet_v3": (
        lambda: torchvision("mobilenet_v3_small"),
        64,
        output_of("features"),
        tangent("classifier"),
        True,
    ),
    "efficientnet": (
        lambda: torchvision("efficientnet_b0"),
        64,
        output_of("features"),
        linear("classifier.1"),
        True,
    ),
    "convnext": (
        small_convnext,
        32,
        output_of("features"),
        normed("classifier.0", "classifier.2"),
        True,
    ),
    "regnet": (
        lambda: torchvision("regnet_y_400mf"),
        64,
        output_of("trunk_output"),
        linear("fc"),
        True,
    ),
    "swin": (small_swin, 32, output_of("permute"), linear("head"), True),
    "vit": (
        small_vit,
        32,
        lambda net, image: (
            output_of("encoder")(net, image)[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
        ),
        linear("heads.head"),
        False,
    ),
    "timm resnet18": (lambda: timm("resnet18"), 64, forward_features, linear("fc"), True),
    "timm densenet": (
        lambda: timm("densenet121"), 64, forward_features, linear("classifier"), True,
    ),
    "timm mobilenet_v3": (
        lambda: timm("mobilenetv3_small_050"),
        64,
        forward_features,
        tangent("conv_head", "act2", "flatten", "classifier", shape=(-1, 1, 1)),
        True,
    ),
    "timm mobilenet_v4": (
        lambda: timm("mobilenetv4_conv_small_050"),
        64,
        forward_features,
        tangent("conv_head", "norm_head", "flatten", "classifier", shape=(-1, 1, 1)),
        True,
    ),
    "timm efficientnet": (
        lambda: timm("tf_efficientnet_lite0"), 64, forward_features, linear("classifier"), True,
    ),
    "timm convnext": (
        lambda: timm("convnext_atto"), 64, forward_features, normed("head.norm", "head.fc"), True,
    ),
    "timm regnet": (lambda: timm("regnety_002"), 64, forward_features, linear("head.fc"), True),
    "timm swin": (
        lambda: timm("swin_tiny_patch4_window7_224", img_size=56, depths=(1, 1), num_heads=(2, 4),
                     embed_dim=16),
        56,
        lambda net, image: net.forward_features(image).movedim(3, 1),
        linear("head.fc"),
        True,
    ),
    "timm vit": (
        lambda: timm("vit_tiny_patch16_224", img_size=64, depth=2),
        64,
        tokens_on((4, 4), 1),
        linear("head"),
        False,
    ),
    "timm vit, averaged": (
        lambda: timm("vit_tiny_patch16_224", img_size=64, depth=2, global_pool="avg"),
        64,
        tokens_on((4, 4), 1),
        normed("fc_norm", "head"),
        True,
    ),
    "deit": (
        lambda: timm("deit_tiny_patch16_224", img_size=64, depth=2),
        64,
        tokens_on((4, 4), 1),
        linear("head"),
        False,
    ),
    "deit, distilled": (
        lambda: timm("deit_tiny_distilled_patch16_224", img_size=64, depth=2),
        64,
        tokens_on((4, 4), 2),
        both_heads,
        False,
    ),
    "dinov2 with registers": (
        lambda: timm("vit_small_patch14_reg4_dinov2", img_size=56, depth=2),
        56,
        tokens_on((4, 4), 5),
        linear("head"),
        False,
    ),
}  # fmt: skip


def randomised(net: nn.Module) -> nn.Module:
    """Double precision, and no weight at zero: some heads start there."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return net.double().eval()


def scored_by_loops(features: Tensor, head: Head) -> Tensor:
    maps = torch.zeros(len(features), C, *features.shape[2:], dtype=features.dtype)
    for image, grid in enumerate(features):
        pooled = grid.mean((1, 2))
        for row in range(grid.shape[1]):
            for column in range(grid.shape[2]):
                maps[image, :, row, column] = head(grid[:, row, column], pooled)
    return maps


@pytest.mark.parametrize("name", some_quick(FAMILIES))
def test_the_map_is_the_head_of_every_cell(name: str) -> None:
    torch.manual_seed(0)
    make, side, features_of, head_of, mean_is_score = FAMILIES[name]
    net = randomised(make())
    image = torch.randn(2, 3, side, side, dtype=torch.float64)
    mapped = score_map_of(net, image)
    with torch.no_grad():
        scores, score_map = mapped(image)
        torch.testing.assert_close(scores, net(image), rtol=0, atol=0)
        oracle = scored_by_loops(features_of(net, image), head_of(net))
    assert len(score_map[0, 0].unique()) > 1
    torch.testing.assert_close(score_map, oracle, rtol=1e-9, atol=1e-9)
    mean = score_map.mean((2, 3))
    assert mapped.mean_is_score == mean_is_score
    assert torch.allclose(mean, scores, rtol=1e-9, atol=1e-9) == mean_is_score


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family[-1]])
def test_in_single_precision_the_mean_is_the_score_to_five_digits(name: str) -> None:
    torch.manual_seed(0)
    make, side, *_ = FAMILIES[name]
    net = randomised(make()).float()
    image = torch.randn(2, 3, side, side)
    with torch.no_grad():
        scores, score_map = score_map_of(net, image)(image)
    error = (score_map.mean((2, 3)) - scores).abs().max()
    assert error <= 1e-5 * max(1.0, float(score_map.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("library", [torchvision, timm])
def test_vgg16_weighs_each_place_of_its_grid(library: Callable[[str], nn.Module]) -> None:
    torch.manual_seed(0)
    net = library("vgg16").eval()
    image = torch.randn(2, 3, 224, 224)
    mapped = score_map_of(net, image)
    with torch.no_grad():
        scores, score_map = mapped(image)
    assert torch.equal(scores, net(image))
    assert score_map.shape == (2, C, 7, 7)
    torch.testing.assert_close(score_map.mean((2, 3)), scores, rtol=1e-5, atol=1e-5)


class Places(nn.Module):
    """As VGG-16: a grid of places is pooled to, and a head of several layers weighs them."""

    def __init__(self, pooled: bool = True) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(3) if pooled else nn.Identity()
        self.classifier = nn.Sequential(
            nn.Linear(36, 8), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(8, C)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(image)).flatten(1))


@pytest.mark.parametrize("side", [3, 6, 7])
def test_a_head_over_places_has_its_gradient_times_the_features(side: int) -> None:
    torch.manual_seed(0)
    net = Places().double().eval()
    mapped = score_map_of(net, torch.randn(2, 3, 9, 9).double())
    image = torch.randn(2, 3, side, side).double()
    scores, score_map = mapped(image)
    features = net.features(image).detach().requires_grad_()
    again = net.classifier(net.pool(features).flatten(1))
    for b in range(2):
        for c in range(C):
            (gradient,) = torch.autograd.grad(again[b, c], features, retain_graph=True)
            parts = (gradient * features)[b].sum(0)
            expected = side * side * parts + again[b, c] - parts.sum()
            torch.testing.assert_close(score_map[b, c], expected)
    torch.testing.assert_close(score_map.mean((2, 3)), scores)


def test_a_head_that_no_pooling_precedes_takes_one_size_alone() -> None:
    # As timm's VGG: a convolution in the place of the first layer slides over larger grids.
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, C),
    )  # fmt: skip
    mapped = score_map_of(net, torch.randn(2, 3, 5, 5))
    scores, score_map = mapped(torch.randn(2, 3, 5, 5))
    assert score_map.shape == (2, C, 3, 3)
    torch.testing.assert_close(score_map.mean((2, 3)), scores)
    with pytest.raises(UnfitNetworkError, match=r"made for \(3, 3\) cells, got \(6, 6\)"):
        mapped(torch.randn(2, 3, 8, 8))


class Own(nn.Module):
    """Somebody's classifier: batch norm and dropout between pooling and head."""

    def __init__(self, dropout: float = 0.0, head: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
            nn.Conv2d(8, 6, 3),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = head or nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(6), nn.Dropout(dropout), nn.Linear(6, C)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.pool(self.body(image)))


IMAGE = torch.randn(4, 3, 24, 20, generator=torch.Generator().manual_seed(1))


def mean_of_map(mapped: nn.Module, image: Tensor = IMAGE) -> tuple[Tensor, Tensor]:
    scores, score_map = mapped(image)
    return score_map.mean((2, 3)), scores


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_norm_behind_the_pooling_uses_what_the_network_used(training: bool) -> None:
    torch.manual_seed(0)
    net = Own().train()
    net(5 * IMAGE)  # running statistics unlike the batch's
    mapped = score_map_of(net).train(training)
    before = net.head[1].running_mean.clone()
    _, score_map = mapped(IMAGE)
    momentum = 0.1 if training else 0.0
    net.body[1].eval() if not training else None
    features = net.body(IMAGE)
    norm, last = net.head[1], net.head[3]
    pooled = features.mean((2, 3))
    mean, var = (
        (pooled.mean(0), pooled.var(0, unbiased=False)) if training
        else (norm.running_mean, norm.running_var)
    )  # fmt: skip
    cells = (features - mean[:, None, None]) / (var + norm.eps).sqrt()[:, None, None]
    cells = cells * norm.weight[:, None, None] + norm.bias[:, None, None]
    oracle = torch.einsum("cd,bdhw->bchw", last.weight, cells) + last.bias[:, None, None]
    torch.testing.assert_close(score_map, oracle, rtol=1e-4, atol=1e-5)
    # Updated once, by the network itself.
    once = (1 - momentum) * before + momentum * pooled.mean(0)
    torch.testing.assert_close(norm.running_mean, once, rtol=1e-4, atol=1e-6)


def test_dropout_is_left_out_of_the_map_and_draws_nothing_for_it() -> None:
    net = Own(dropout=0.5)
    mapped = score_map_of(net).train()
    torch.manual_seed(3)
    scores, score_map = mapped(IMAGE)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    assert torch.equal(scores, net(IMAGE))
    assert torch.equal(torch.get_rng_state(), after)
    net.head[2].p = 0.0
    torch.testing.assert_close(score_map.mean((2, 3)), net(IMAGE), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "activation",
    [nn.GELU(), nn.Hardswish(inplace=True), nn.PReLU(), nn.Tanh(), nn.GroupNorm(2, 8)],
    ids=lambda layer: type(layer).__name__,
)
def test_the_tangent_of_a_head_keeps_the_mean(activation: nn.Module) -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), activation, nn.Linear(8, C))
    mapped = score_map_of(Own(head=head).eval())
    torch.testing.assert_close(*mean_of_map(mapped), rtol=1e-5, atol=1e-5)


def test_a_relu_of_the_forward_itself_is_seen() -> None:
    class Functional(Own):
        def forward(self, image: Tensor) -> Tensor:
            pooled = self.body(image).mean((2, 3))
            return self.head[2](self.head[1](pooled).relu())

    head = nn.Sequential(nn.Identity(), nn.Linear(6, 8), nn.Linear(8, C))
    mapped = score_map_of(Functional(head=head).eval())
    assert [name for name, _ in mapped.pieces.heads[0]] == ["head.1", None, "head.2"]
    torch.testing.assert_close(*mean_of_map(mapped), rtol=1e-5, atol=1e-5)


def test_a_network_that_ends_in_a_score_map_is_taken_as_it_is() -> None:
    net = nn.Conv2d(3, C, 3)
    scores, score_map = score_map_of(net)(IMAGE)
    assert torch.equal(score_map, net(IMAGE))
    assert torch.equal(scores, score_map.mean((2, 3)))


def test_scores_in_a_tuple_with_auxiliary_ones_are_found() -> None:
    net = torchvision("googlenet", init_weights=False)
    mapped = score_map_of(net.eval(), torch.randn(2, 3, 64, 64)).train()
    scores, score_map = mapped(torch.randn(2, 3, 64, 64))
    assert (scores.shape, score_map.shape) == ((2, C), (2, C, 2, 2))


def test_a_transformer_takes_other_sizes_where_its_network_does() -> None:
    net = timm("vit_tiny_patch16_224", img_size=64, depth=1, dynamic_img_size=True).eval()
    mapped = score_map_of(net)
    assert mapped(torch.randn(2, 3, 32, 96))[1].shape == (2, C, 2, 6)


def test_a_new_last_layer_is_used_as_it_is() -> None:
    net = Own()
    mapped = score_map_of(net.eval())
    net.head[3] = nn.Linear(6, 7)
    scores, score_map = mapped(IMAGE)
    assert (scores.shape[1], score_map.shape[1]) == (7, 7)
    torch.testing.assert_close(score_map.mean((2, 3)), scores, rtol=1e-5, atol=1e-5)


def test_the_search_leaves_the_network_and_random_numbers_alone() -> None:
    net = Own(dropout=0.5).train()
    net.body[1].eval()
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    score_map_of(net)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_nothing_is_kept_between_batches() -> None:
    net = Own()
    mapped = score_map_of(net)
    kept = set(mapped.__dict__)
    mapped(IMAGE)
    assert set(mapped.__dict__) == kept
    assert not any(m._forward_hooks for m in net.modules())
    assert not [v for m in mapped.modules() for v in m.__dict__.values() if isinstance(v, Tensor)]


def test_gradients_flow_as_in_the_network_and_through_the_map() -> None:
    net = Own()
    mapped = score_map_of(net)
    mapped(IMAGE)[0].square().sum().backward()
    of_map = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    net(IMAGE).square().sum().backward()
    for parameter, grad in zip(net.parameters(), of_map, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-4, atol=1e-6)
    net.zero_grad()
    mapped(IMAGE)[1].square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.head.parameters())
    assert net.body[0].weight.grad.abs().sum() > 0


def test_a_frozen_trunk_stays_frozen() -> None:
    net = Own()
    net.body.requires_grad_(False)
    scores, score_map = score_map_of(net)(IMAGE)
    (scores.sum() + score_map.square().sum()).backward()
    assert all(parameter.grad is None for parameter in net.body.parameters())
    assert all(parameter.grad is not None for parameter in net.head.parameters())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_no_gradient_is_needed(context: Callable[[], Any]) -> None:
    mapped = score_map_of(Own(head=nn.Sequential(nn.Flatten(), nn.Linear(6, C), nn.SiLU())).eval())
    with context():
        torch.testing.assert_close(*mean_of_map(mapped), rtol=1e-5, atol=1e-5)


def test_autocast_makes_scores_and_map_of_one_kind() -> None:
    mapped = score_map_of(Own().eval())
    with torch.autocast("cpu", torch.bfloat16):
        scores, score_map = mapped(IMAGE)
    assert score_map.dtype == scores.dtype == torch.bfloat16
    # bfloat16 has eight binary digits; the mean of a map is rounded twice as often.
    mean = score_map.float().mean((2, 3))
    torch.testing.assert_close(mean, scores.float(), rtol=0.05, atol=0.05)


def test_copies_and_pickles_work() -> None:
    mapped = score_map_of(Own().eval())
    for twin in (copy.deepcopy(mapped), pickle.loads(pickle.dumps(mapped))):
        assert torch.equal(twin(IMAGE)[1], mapped(IMAGE)[1])
    assert set(mapped.state_dict()) == {f"model.{name}" for name in mapped.model.state_dict()}


def test_compiling_is_no_error() -> None:
    net = Own().eval()
    expected = score_map_of(net)(IMAGE)[1]
    for mapped in (
        torch.compile(score_map_of(net), backend="eager"),
        score_map_of(torch.compile(net, backend="eager")),
    ):
        torch.testing.assert_close(mapped(IMAGE)[1], expected)


class MaxPooled(Own):
    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.body(image).amax((2, 3)))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (MaxPooled(), r"last outputs with cells are .*body\.3 .*, body .*These fit: global"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 224 * 224, C)), "last outputs .* are none"),
        (
            nn.Sequential(nn.Linear(7, C)),
            r"cannot be run on images \(2, 3, 224, 224\).*give image=",
        ),
        (nn.LSTM(224, 2), "give image=|must return scores"),
    ],
    ids=["maximum pooling", "no cells", "no images", "no scores"],
)
def test_what_does_not_fit_is_refused_with_what_would(net: nn.Module, message: str) -> None:
    with pytest.raises(UnfitNetworkError, match=message):
        score_map_of(net)


def test_an_attention_pooling_is_refused() -> None:
    net = timm("vit_base_patch16_siglip_224", img_size=32, depth=1, embed_dim=24, num_heads=2)
    with pytest.raises(UnfitNetworkError, match="attention pooling"):
        score_map_of(net)


def test_maps_are_those_of_torchcam() -> None:
    methods = pytest.importorskip("torchcam.methods", reason="pip install torchcam, to compare")
    net = torchvision("resnet18").eval()
    image = torch.randn(1, 3, 64, 64)
    with methods.CAM(net, target_layer="layer4", fc_layer="fc") as cam, torch.no_grad():
        scores = net(image)
        theirs = [cam(c, scores, normalized=False)[0][0] for c in range(C)]
        # Theirs has no bias, which the normalisation takes away.
        ours = min_max_attention(score_map_of(net, image.repeat(2, 1, 1, 1))(image)[1])
    expected = min_max_attention(torch.stack(theirs)[None])
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
