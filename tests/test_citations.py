"""What a comment calls the paper's is in the paper; everything else names its own source.

`Paper:` is for what the text of Jiang et al., ICCV 2019, says, with the place; `Release:`,
`DeepLab:` and `ours:` are for the rest. Enter a new `Paper:` below, with a few words of the text
that prove it. OAA_PAPER=<text of the paper> checks these words too.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("conf", "experiments", "src", "benchmarks")
KINDS = ("*.yaml", "*.py", "*.md", "*.j2")

CLAIMS = {
    "section 4.1": ["mini-batch size (5)"],
    "section 4.1, for 10,582 images.": [
        "10,582 training images", "mini-batch size (5), weight decay (0.0002), and momentum (0.9)",
        "1e-3, which is divided by 10 after 20000 iterations", "30000 iterations in total",
    ],
    "section 3.2, accumulation starts with the first epoch's map | Release: 1": [
        "at the first epoch", "to initialize the cumulative attention map",
    ],
    "Eq. (5).": ["maximum fusion strategy"],
    "Eq. (10).": ["average fusion strategy"],
    "section 3.2, last paragraph: the target's score is above "
    "those of all absent classes.": ["is higher than those of all non-target categories"],
    "section 4.1, the hyper-parameters are \"the same as that of the "
    "classification network\".": ["the same as that of the classification network"],
    "section 4.3, Table 2. The baseline: the classifier's own attention, never accumulated.": [
        "using attentions by CAM [43] without OAA gives a mIoU score of 53.9%",
    ],
    "section 4.3, Table 2. Accumulation by the maximum, Eq. (5).": [
        "MAX: OAA with the maximum fusion strategy",
    ],
    "section 4.3, Table 2. Accumulation by the running mean, Eq. (10).": [
        "AVE: OAA with the average fusion strategy",
    ],
    "section 4.3, Table 2. The integral attention model under the hybrid loss, Eqs. (7)-(9).": [
        "using the proposed hybrid loss in Eq. (9)",
    ],
    "section 4.3, Table 2. The integral attention model under the multi-label cross-entropy, "
    "Eq. (6).": ["using the multi-label cross entropy loss in Eq. (6)"],
    "section 4.3, the default fusion": [
        "the maximum fusion strategy as our default fusion strategy for OAA",
    ],
    "Eq. (6), the ablation's baseline.": [
        "the standard multi-label cross-entropy loss",
    ],
    "Eqs. (7)-(9), the mean per class over each region.": [
        "the total hybrid loss function",
    ],
    "section 4.1 gives steps and batch; all else is DeepLab's (Chen et "
    "al., TPAMI 2017).": [
        "DeepLab-LargeFOV", "a mini-batch of 10 images and terminated at 15,000 iterations",
        "All the other hyper-parameters are the same as [5]",
    ],
    "Table 1 has ResNet-101 (resnet101) too; null: same as `net`": [
        "both VGG16 [32] and ResNet-101",
    ],
    "Table 3 takes 0.2, 0.5, 0.8, 1.0 of the labelled images": [
        "different numbers of training images to train the segmentation network",
    ],
    "section 4.1, 15,000 iterations of 10 are 14 epochs": [
        "terminated at 15,000 iterations",
    ],
    "section 4, saliency maps of [12] (DSS); here below":
        ["saliency maps [12] to extract background cues", "Deeply supervised salient object"],
    "section 4.1, 30,000 iterations of 5 are 14": [
        "30000 iterations in total",
    ],
    "section 4.1, at 2/3": ["after 20000 iterations"],
    "section 4, saliency maps of [12] (DSS): data.saliency=...":
        ["saliency maps [12] to extract background cues"],
}  # fmt: skip
"""What a `Paper:` states, in whichever file: words of the paper's text that prove it."""

PLACE = re.compile(r"section \d(\.\d)?|Eqs?\. \(\d+\)|Table \d")

# What the paper's text does not have, in sentences that would attribute it to the paper.
FOREIGN = r"(224|321|short side|from ImageNet|ImageNet trunk|the flip|five scales|CRF)\b"
NOT_THE_PAPERS = re.compile(rf"\bpaper('s|:)?[^.;|#()\n]{{0,40}}\b{FOREIGN}", re.IGNORECASE)


def lines() -> Iterator[tuple[str, str]]:
    """Each line of the files that may cite the paper, after its `file:line`."""
    paths = [path for folder in FOLDERS for kind in KINDS for path in (ROOT / folder).rglob(kind)]
    for path in [ROOT / "README.md", *sorted(paths)]:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def claim(line: str) -> str | None:
    """What a line states as the paper's."""
    _, mark, text = line.partition("Paper:")
    return text.strip() if mark else None


def attributed(line: str) -> str | None:
    """Words that a line attributes to the paper and that the paper does not have."""
    found = NOT_THE_PAPERS.search(line)
    return found and found[0]


def test_every_claim_about_the_paper_is_entered_with_its_place_and_its_words() -> None:
    claims = {place: text for place, line in lines() if (text := claim(line)) is not None}
    assert [f"{p}: {text}: not in CLAIMS" for p, text in claims.items() if text not in CLAIMS] == []
    nowhere = [f"{p}: {text}" for p, text in claims.items() if not PLACE.search(text)]
    assert nowhere == [], "name the section, equation or table"
    assert set(CLAIMS) - set(claims.values()) == set(), "no file states these any more"


def test_nothing_else_is_attributed_to_the_paper() -> None:
    assert [f"{place}: {words}" for place, line in lines() if (words := attributed(line))] == []


def test_the_checks_see_a_claim_without_a_place_and_words_that_are_not_the_papers() -> None:
    assert claim("lr: 1  # Paper: somewhere") == "somewhere"
    assert claim("lr: 1  # Release: 2e-4") is None
    assert PLACE.search("Eqs. (7)-(9), the mean")
    assert not PLACE.search("somewhere")
    assert attributed("as in the paper: short side 224") == "paper: short side 224"
    assert attributed("The paper starts from ImageNet") == "paper starts from ImageNet"
    assert attributed("ours: short side 224; the paper does not tell") is None


@pytest.mark.skipif("OAA_PAPER" not in os.environ, reason="OAA_PAPER=<text of the paper> not given")
def test_the_papers_text_has_the_words() -> None:
    text = " ".join(Path(os.environ["OAA_PAPER"]).read_text("utf-8").split())
    quotes = [(claim, words) for claim, every in CLAIMS.items() for words in every]
    assert [(claim, words) for claim, words in quotes if words not in text] == []
