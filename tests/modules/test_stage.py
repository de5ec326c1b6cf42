from functools import partial
from pathlib import Path

import pytest
import torch
from tests.modules.tiny import (
    CONSTANT,
    OPTIMIZER,
    SCHEDULE,
    Batches,
    TinyNet,
    loader,
    quiet_trainer,
)

from oaa_pl.errors import RunMismatchError
from oaa_pl.modules.classifier import Classifier
from oaa_pl.modules.optim import poly_schedule, sgd


def classifier(channels_last: bool = False) -> Classifier:
    return Classifier(TinyNet(dropout=0), OPTIMIZER, SCHEDULE, 3, channels_last=channels_last)


def test_the_memory_format_changes_the_layout_and_not_the_scores() -> None:
    # In double precision: the formats sum a convolution in other orders.
    image = Batches().image.double()
    plain, last = classifier().double(), classifier(channels_last=True).double()
    assert last.net.get_parameter("trunk.0.weight").is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain(image), last(image), check_stride=False)


@pytest.mark.parametrize("channels_last", [False, True])
def test_loading_weights_keeps_the_memory_format(channels_last: bool) -> None:
    module = classifier(channels_last)
    module.load_state_dict(classifier(not channels_last).state_dict())
    assert module.net.get_parameter("trunk.0.weight").is_contiguous(
        memory_format=module.memory_format
    )


def test_the_schedule_knows_the_number_of_steps_of_the_whole_training(tmp_path: Path) -> None:
    found: list[int] = []

    def schedule(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
        found.append(steps)
        return poly_schedule(optimizer, steps)

    module = Classifier(TinyNet(), OPTIMIZER, schedule, 3)
    quiet_trainer(tmp_path, max_epochs=4).fit(module, loader(), loader())
    assert found == [4 * 3]
    # It was stepped after each batch: the last step's rate is that of step 11 of 12, then 0.
    assert module.lr_schedulers().get_last_lr() == [0.0] * 4  # type: ignore[union-attr]


def test_steps_may_be_fewer_than_the_epochs_have(tmp_path: Path) -> None:
    module = Classifier(TinyNet(), OPTIMIZER, partial(poly_schedule, power=1), 3)
    trainer = quiet_trainer(tmp_path, max_epochs=9, max_steps=4)
    trainer.fit(module, loader(), loader())
    assert trainer.global_step == 4
    assert module.lr_schedulers().get_last_lr() == [0.0] * 4  # type: ignore[union-attr]


def test_training_lowers_the_loss_and_logs_it(tmp_path: Path) -> None:
    first = quiet_trainer(tmp_path, max_epochs=1)
    first.fit(classifier(), loader(), loader())
    later = quiet_trainer(tmp_path, max_epochs=25)
    later.fit(classifier(), loader(), loader())
    losses = [float(t.callback_metrics["train/loss_epoch"]) for t in (first, later)]
    assert losses[1] < losses[0] - 0.05


def test_an_optimisers_state_goes_on_only_in_the_groups_that_it_was_saved_in(
    tmp_path: Path,
) -> None:
    def trained(epochs: int, resume: Path | None = None, fast: str | None = None) -> Classifier:
        optimizer = partial(sgd, lr=0.05, fast=fast)
        module = Classifier(TinyNet(dropout=0), optimizer, CONSTANT, 3)
        trainer = quiet_trainer(tmp_path, max_epochs=epochs)
        trainer.fit(module, loader(), loader(), ckpt_path=resume, weights_only=True)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return module

    whole, last = trained(2), tmp_path / "1.ckpt"
    trained(1)
    message = r"head_bias \(1\), head_weight \(1\), trunk_bias.*expected.*middle_bias .*fast=null"
    with pytest.raises(RunMismatchError, match=message):
        trained(2, last, fast="trunk")
    state = trained(2, last).state_dict()
    assert all(torch.equal(state[name], value) for name, value in whole.state_dict().items())
    # Whoever does not go on training does not need the optimiser.
    anew = Classifier(TinyNet(dropout=0), partial(sgd, lr=0.05, fast="trunk"), CONSTANT, 3)
    quiet_trainer(tmp_path).validate(anew, loader(), ckpt_path=last, verbose=False)
