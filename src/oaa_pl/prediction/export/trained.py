"""The trained network of a stage's folder, made ready to be exported."""

from collections.abc import Sequence
from pathlib import Path

from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.files.json_text import parse_json
from oaa_pl.nets.trunk import trunk_stride
from oaa_pl.prediction.export.attention import attention_model
from oaa_pl.prediction.export.exportable import Exportable, Trained
from oaa_pl.prediction.export.padding import with_fixed_padding
from oaa_pl.prediction.export.segmenter import segmenter
from oaa_pl.runs.recorded import recorded_classes, recorded_config
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.trained import load_into

__all__ = ["exportable"]

_KINDS = ("segmenter", "integral", "classifier")


def exportable(checkpoint: Path, allow: Sequence[str] = ()) -> Exportable:
    """The network of a stage's folder.

    Args:
        checkpoint: of a segmenter, an integral model or a classifier, in its folder.
        allow: other packages or modules whose networks the record may call, such as "timm".

    Raises:
        MissingInputError: if the checkpoint or a file beside it is missing or damaged.
        ConfigError: if the folder has no such network, or asks for other code than ours.
        WeightsError: if the checkpoint is damaged, or of another network.
    """
    if not checkpoint.is_file():
        raise MissingInputError(
            f"{checkpoint} does not exist; first run 'oaa fit stage=...', or say "
            "export.checkpoint=<file>"
        )
    kind = _kind(checkpoint.parent)
    role = "segmenter" if kind == "segmenter" else "attention"
    cfg = recorded_config(checkpoint, f"net.{role}", allow=allow)
    classes = recorded_classes(checkpoint.parent)
    configured = Configured(cfg)
    network = (configured.of_segmenter if role == "segmenter" else configured).network(role)
    net = network.unweighted.make(len(classes))
    net = load_into(net, checkpoint).float().eval()
    net = with_fixed_padding(net, trunk_stride(net))
    trained = Trained(kind, checkpoint, cfg, configured, network, net, classes)
    return segmenter(trained) if role == "segmenter" else attention_model(trained)


def _kind(folder: Path) -> str:
    path = folder / "stage.json"
    try:
        made_from = parse_json(path.read_text(encoding="utf-8"))["made_from"]
        found = [kind for kind in _KINDS if kind in made_from]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingInputError(
            f"{path} does not say what was trained ({error!r}); it belongs beside the checkpoint"
        ) from error
    if not found:
        raise ConfigError(
            f"{folder} has no trained network; give the folder of a classifier, an integral model "
            "or a segmenter"
        )
    return found[0]
