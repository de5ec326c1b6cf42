"""The layer of a LightningModule that holds the cells, and its head: by name, or found.

Shapes: B images, D features, C classes, h x w cells.
"""

import difflib
from collections.abc import Iterator

from torch import Tensor, nn

from oaa_pl.errors import ConfigError, UnfitNetworkError
from oaa_pl.nets.pieces import Pieces, find_pieces
from oaa_pl.nets.probe import probe_image, record_calls, uncompiled

__all__ = [
    "find_layer", "head_layers", "layer_of", "probe_named", "require_breakable",
    "takes_channels_last",
]  # fmt: skip

_COMPILED = "_orig_mod."  # what `torch.compile` puts into the path of a module's layers


def layer_of(module: nn.Module, path: str) -> nn.Module:
    """A layer by its path, as it is written in the module; compiled parts are looked through.

    Args:
        module: where the path begins.
        path: attributes and places with dots between them, `model.layer4.0`.

    Raises:
        ConfigError: if there is no such layer; the message has the nearest paths.
    """
    layer = module
    for part in path.replace(_COMPILED, "").split("."):
        found = dict(uncompiled(layer).named_children()).get(part)
        if found is None:
            known = [name.replace(_COMPILED, "") for name, _ in module.named_modules() if name]
            near = difflib.get_close_matches(path, known, n=4, cutoff=0.3) or known[-4:]
            raise ConfigError(
                f"{type(module).__name__} has no layer {path!r}; the nearest are {', '.join(near)}"
            )
        layer = found
    return uncompiled(layer)


def require_breakable(module: nn.Module, layer: nn.Module, path: str) -> None:
    """Refuse a layer inside of what must be compiled as one graph: a hook divides the graph.

    Args:
        module: where to look for compiled parts.
        layer: that is to be hooked.
        path: its path, for the error.

    Raises:
        ConfigError: if it is.
    """
    for name, part in module.named_modules():
        whole = getattr(getattr(part, "dynamo_ctx", None), "fullgraph", False)
        if whole and any(one is layer for one in part.modules()):
            raise ConfigError(
                f"{path} is inside {name or type(module).__name__}, which is compiled with "
                "fullgraph=True, so that it cannot be read; leave fullgraph=True out, or give "
                "score_map=, a function that returns the map"
            )


def head_layers(module: nn.Module, head: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The layers of a head in order, by path and shape of one vector.

    Args:
        module: where the path begins.
        head: path of a layer, or of a `Sequential` of layers.

    Raises:
        ConfigError: if there is no such layer.
    """
    layer = layer_of(module, head)
    if isinstance(layer, nn.Sequential):
        inner = (head_layers(module, f"{head}.{name}") for name, _ in layer.named_children())
        return tuple(one for layers in inner for one in layers)
    return ((head, (-1, 1, 1) if isinstance(layer, nn.Conv2d) else (-1,)),)


def probe_named(module: nn.Module, layer: str, head: str) -> tuple[Tensor, Tensor] | None:
    """What a named layer and its head return in one run on a probe image.

    Args:
        module: where the paths begin. The smallest part that holds both is run, or, if that has no
            forward for images, the next larger one.
        layer: path of the layer that is pooled.
        head: path of what comes after the pooling.

    Returns:
        The output of the layer, (B, D, h, w) or (B, h, w, D), and of the head, (B, C) or one value
        for each cell; None if no part can be run on images, or one of the two does not run there
        exactly once.
    """
    cells, last = layer_of(module, layer), layer_of(module, head)
    paths = [path.replace(_COMPILED, "").split(".") for path in (layer, head)]
    parts = [uncompiled(module)]
    for name, other in zip(*paths, strict=False):
        if name != other:
            break
        parts.append(layer_of(parts[-1], name))
    for part in reversed(parts):
        try:
            calls, _ = record_calls(part, probe_image(part))
        except UnfitNetworkError:
            continue
        seen = {call.module: call.output for call in calls}
        if cells in seen and last in seen:
            return seen[cells], seen[last]
    return None


def takes_channels_last(head: nn.Module, output: Tensor) -> bool:
    """Whether a head's first layer takes the last axis of an output (B, h, w, D), not the second.

    Args:
        head: the layer; its width is known of PyTorch's own layers.
        output: (B, D, h, w) or (B, h, w, D).
    """
    shape = getattr(head, "normalized_shape", None)
    names = ("in_features", "num_features", "in_channels")
    widths = [shape[-1]] if shape else [getattr(head, name, None) for name in names]
    return output.shape[3] in widths and output.shape[1] not in widths


def find_layer(module: nn.Module) -> tuple[nn.Module, Pieces | None, str]:
    """The network inside a module whose forward is a classifier's, and where its cells are.

    Args:
        module: the module itself is tried first, then its parts.

    Returns:
        The network, its pieces (None: its output is a score map), and the path of the layer whose
        output has the cells.

    Raises:
        UnfitNetworkError: if no network fits, or several parts do.
    """
    fits: list[tuple[nn.Module, Pieces | None, str]] = []
    faults = []
    for name, part in [("", module), *_parts(module)]:
        network = uncompiled(part)
        if next(network.parameters(), None) is None:
            continue  # a metric, which a probe would update
        try:
            calls, logits = record_calls(network, probe_image(network))
            if logits.ndim == 4 and name:
                fits.append((module, None, name))
                continue
            pieces = find_pieces(calls, logits, type(network).__name__)
        except UnfitNetworkError as error:
            faults.append(f"{name or 'the module itself'}: {error}")
            continue
        path = ".".join(filter(None, (name, pieces.layer))).replace(_COMPILED, "")
        found = (network, pieces, path)
        if not name:
            return found
        fits.append(found)
    if len(fits) == 1:
        return fits[0]
    example = "give layer= and head=, for example layer='model.layer4' and head='model.fc'"
    if fits:
        layers = ", ".join(layer for _, _, layer in fits)
        raise UnfitNetworkError(
            f"{type(module).__name__} has several classifiers, which end their cells at {layers}, "
            f"and its own forward does not tell which one is trained; {example}"
        )
    raise UnfitNetworkError(
        f"no classifier was found in {type(module).__name__}; {example}. "
        f"What was tried: {' | '.join(faults) or 'none'}"
    )


def _parts(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """A module's parts by path; of a list or dict of modules, which has no forward, its own."""
    for name, part in module.named_children():
        if isinstance(part, nn.ModuleDict | nn.ModuleList):
            yield from _parts(part, f"{path}{name}.")
        else:
            yield f"{path}{name}", part
