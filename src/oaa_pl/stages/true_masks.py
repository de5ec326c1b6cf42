"""True masks in the place of proxy labels: what perfect labels would give, an upper bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from oaa_pl.callbacks.progress import bar
from oaa_pl.data.source import fingerprint
from oaa_pl.errors import MissingMaskError
from oaa_pl.proxy.palette import save_label
from oaa_pl.runs.record import StageRecord
from oaa_pl.stages.stage import Stage

__all__ = ["TrueMasks"]


@dataclass(kw_only=True, eq=False)
class TrueMasks(Stage):
    """Copy the true mask of every training photo to where its proxy label would be.

    Attributes:
        method: the method's name.
    """

    noun: ClassVar[str] = "labels"

    method: str

    def __post_init__(self) -> None:
        self.title, self.maker = "true masks", f"oaa label method={self.method}"
        self.folder = self.run_folders.labels(self.method)

    @override
    def key(self) -> dict[str, Any]:
        return {"masks": fingerprint(self.data.train)}

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        """Copy them.

        Raises:
            MissingMaskError: if the training photos have none.
            BadMaskError: if one cannot be read.
        """
        del alone
        train = self.data.train
        if not train.has_masks:
            raise MissingMaskError(
                f"method={self.method} learns the true masks, but {train.name}/{train.split} has "
                "none; give them, or choose another method"
            )
        record.begin(self.config.text())
        with bar(len(train.ids), self.title) as progress:
            for index, image_id in enumerate(train.ids):
                save_label(self.folder / "proxy" / f"{image_id}.png", train.mask(index))
                progress.update(1)
        return {"images": len(train.ids)}
