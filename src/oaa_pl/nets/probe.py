"""One run of any classifier on a probe image: which module was called with what.

Shapes: B images, C classes, H x W pixels.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from oaa_pl.errors import UnfitNetworkError

__all__ = [
    "Call", "compiler_is_loaded", "evaluating", "logits_of", "probe_image", "record_calls",
    "uncompiled",
]  # fmt: skip

_SIDE = 224  # pixels, where the network does not record its input size


@dataclass(frozen=True, slots=True)
class Call:
    """A module that was called with one tensor and returned one.

    Attributes:
        name: path inside the network, as `get_submodule` takes it.
        module: the module.
        input: copy of its first argument, any shape.
        output: copy of what it returned, any shape.
    """

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor


def compiler_is_loaded() -> bool:
    """Whether torch's compiler is loaded: if not, nothing is compiled. Loading it takes long."""
    return "torch._dynamo" in sys.modules


def uncompiled(model: nn.Module) -> nn.Module:
    """The network that `torch.compile` wrapped, or the network itself."""
    inner = getattr(model, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else model


def logits_of(output: Any) -> Tensor:
    """The class scores in what a classifier returned.

    Args:
        output: the tensor (B, C), or an object or dict that has it as `logits`.

    Returns:
        Scores (B, C); or a score map (B, C, h, w), of a network that ends in one.

    Raises:
        UnfitNetworkError: if there is no such tensor.
    """
    if isinstance(output, Mapping):
        output = output.get("logits", output)
    found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(found, Tensor) or found.ndim not in (2, 4):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(output).__name__
        raise UnfitNetworkError(
            f"a classifier must return scores (B, C), alone or as `logits`, got {shape}; give a "
            "module whose forward returns them"
        )
    return found


def probe_image(model: nn.Module) -> Tensor:
    """Two images of noise, of the size that the network was made for.

    Args:
        model: a classifier of images; a size is read from `pretrained_cfg` (timm) or
            `image_size` (torchvision), and is 224 where there is neither.

    Returns:
        On the network's device and of its type, (2, channels, H, W).
    """
    config = getattr(model, "pretrained_cfg", None)
    size = config.get("input_size") if isinstance(config, Mapping) else None
    side = getattr(model, "image_size", None)
    channels = next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), 3)
    shape = size or (channels, *(side if isinstance(side, tuple) else (side or _SIDE,) * 2))
    # timm keeps the size that a network is made for in its patches, if it is not the default.
    patches = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if patches is not None:
        shape = (channels, *patches)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    return noise.to(like.device, like.dtype)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while: no dropout is drawn, no running statistic is updated.

    Args:
        module: each of its modules gets its own mode back afterwards.
    """
    training = [part for part in module.modules() if part.training]
    try:
        module.eval()
        yield
    finally:
        for part in training:
            part.training = True


@torch.no_grad()
def record_calls(model: nn.Module, image: Tensor) -> tuple[list[Call], Tensor]:
    """Run a network once, in evaluation mode, and note its modules' calls in order of their end.

    The network is left as it was: its modes, its statistics, its gradients and hooks, and the
    state of the random generators.

    Args:
        model: a classifier.
        image: what it is run on, (B, channels, H, W).

    Returns:
        Calls of those modules that ran exactly once, with one tensor in and one out, and the
        scores (B, C).

    Raises:
        UnfitNetworkError: if the network cannot be run on the image, or returns no scores.
    """
    calls: dict[str, list[Call]] = {}
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and module in before:
            call = Call(names[module], module, before.pop(module), output.clone())
            calls.setdefault(names[module], []).append(call)

    def note_input(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        # Copied before the call: many activations work in place.
        if arguments and isinstance(arguments[0], Tensor):
            before[module] = arguments[0].clone()

    before: dict[nn.Module, Tensor] = {}
    handles = [m.register_forward_pre_hook(note_input) for m in names]
    handles += [m.register_forward_hook(note) for m in names]
    devices = [image.device] if image.device.type == "cuda" else []
    try:
        with (
            evaluating(model),
            torch.random.fork_rng(devices),
            torch.autocast(image.device.type, enabled=False),
            # Compiled parts may fail with these hooks.
            torch.compiler.set_stance("force_eager") if compiler_is_loaded() else nullcontext(),
        ):
            logits = logits_of(model(image)).clone()
    except UnfitNetworkError:
        raise
    except Exception as error:  # a forward of unknown code may raise anything
        raise UnfitNetworkError(
            f"{type(model).__name__} cannot be run on images {tuple(image.shape)} "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); give "
            "image=, a batch that it takes"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return [found[0] for found in calls.values() if len(found) == 1], logits
