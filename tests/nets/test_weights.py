import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from oaa_pl.errors import WeightsError
from oaa_pl.nets.weights import load_weights, read_weights, with_weights


class Published:
    """Stands for torchvision's enumeration of weights."""

    def __init__(self, state: dict[str, Tensor] | Exception) -> None:
        self.state = state

    def get_state_dict(self, progress: bool, check_hash: bool) -> dict[str, Tensor]:
        assert check_hash
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


class Bomb:
    """A pickle that writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "exploded")


@pytest.fixture
def module() -> nn.Conv2d:
    return nn.Conv2d(2, 3, 1)


@pytest.fixture
def state() -> dict[str, Tensor]:
    return {"weight": torch.rand(3, 2, 1, 1), "bias": torch.rand(3)}


def save(folder: Path, state: object, suffix: str) -> Path:
    path = folder / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_a_local_file_is_loaded(
    tmp_path: Path, module: nn.Module, state: dict[str, Tensor], suffix: str
) -> None:
    load_weights(module, save(tmp_path, state, suffix))
    assert all(torch.equal(module.state_dict()[key], state[key]) for key in state)


def test_half_precision_is_widened(
    tmp_path: Path, module: nn.Module, state: dict[str, Tensor]
) -> None:
    half = {key: value.half() for key, value in state.items()}
    load_weights(module, str(save(tmp_path, half, ".safetensors")))
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, half["weight"].float())


def test_none_leaves_the_module_as_it_is(module: nn.Module) -> None:
    before = module.weight.clone()
    load_weights(module, "none")
    assert torch.equal(module.weight, before)


def test_imagenet_drops_the_classifier_that_a_trunk_does_not_have(
    module: nn.Module, state: dict[str, Tensor]
) -> None:
    extra = {"classifier.0.weight": torch.rand(2), "fc.bias": torch.rand(2)}
    load_weights(module, "imagenet", Published(state | extra))
    assert torch.equal(module.bias, state["bias"])


def test_any_trunk_can_be_wrapped(
    tmp_path: Path, module: nn.Module, state: dict[str, Tensor]
) -> None:
    assert with_weights(module, save(tmp_path, state, ".pth")) is module
    assert torch.equal(module.bias, state["bias"])
    with pytest.raises(WeightsError, match="no ImageNet weights are published"):
        with_weights(module, "imagenet")


def test_imagenet_needs_something_published(module: nn.Module) -> None:
    with pytest.raises(WeightsError, match="no ImageNet weights are published for Conv2d"):
        load_weights(module, "imagenet")


@pytest.mark.parametrize(
    "error", [URLError("no route to host"), RuntimeError("invalid hash value")]
)
def test_a_failed_download_says_what_to_do(module: nn.Module, error: Exception) -> None:
    with pytest.raises(WeightsError, match=r"could not be downloaded .*use net.weights=none or"):
        load_weights(module, "imagenet", Published(error))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": None}, "missing: bias"),
        ({"classifier.bias": torch.ones(2)}, "unexpected: classifier.bias"),
        ({"bias": torch.ones(4)}, r"of another shape: bias \(4,\) instead of \(3,\)"),
        ({"bias": torch.tensor([1.0, torch.nan, 1.0])}, "not finite: bias"),
    ],
)
def test_weights_that_do_not_fit_are_named_key_by_key_and_not_loaded(
    tmp_path: Path,
    module: nn.Module,
    state: dict[str, Tensor],
    change: dict[str, Tensor | None],
    message: str,
    suffix: str,
) -> None:
    changed = {k: v for k, v in (state | change).items() if v is not None}
    before = module.weight.clone()
    with pytest.raises(WeightsError, match=message):
        load_weights(module, save(tmp_path, changed, suffix))
    assert torch.equal(module.weight, before)


def test_a_long_list_of_keys_is_cut(tmp_path: Path, module: nn.Module) -> None:
    many = {f"layer{i}": torch.ones(1) for i in range(10)}
    with pytest.raises(WeightsError, match="layer5 and 4 more"):
        load_weights(module, save(tmp_path, many, ".safetensors"))


@pytest.mark.parametrize("name", ["absent.safetensors", "absent.pth"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=f"{name}' does not exist"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["imagnet", "weights.h5"])
def test_an_unknown_word_or_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=f"'imagenet', 'none' or a .* file, got .*{name}"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_truncated_file_is_refused(
    tmp_path: Path, state: dict[str, Tensor], suffix: str, cut: int
) -> None:
    path = save(tmp_path, state, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: cut * len(content) // 3])
    with pytest.raises(WeightsError, match="cannot be read as named tensors"):
        read_weights(path)


def test_a_file_never_runs_code(tmp_path: Path) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Bomb(trace), protocol=2))
    with pytest.raises(WeightsError, match="cannot be read as named tensors"):
        read_weights(path)
    torch.save({"bomb": Bomb(trace)}, path)
    with pytest.raises(WeightsError, match="cannot be read as named tensors"):
        read_weights(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {0: torch.ones(1)}])
def test_a_file_of_other_things_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(WeightsError, match="must hold a dict of name to tensor"):
        read_weights(save(tmp_path, content, ".pth"))
