"""What a comment calls the paper's is in the paper; everything else names its own source.

`Paper:` is for what the text of Jiang et al., ICCV 2019, says, with the place; `Release:`,
`DeepLab:` and `ours:` are for the rest. A new `Paper:` has to be entered below, with a few words of
the text that hold it. OAA_PAPER=<text of the paper> checks these words too.
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
    "benchmarks/throughput.py: section 4.1": ["mini-batch size (5)"],
    "conf/classifier/paper.yaml: section 4.1, for 10,582 images.": [
        "10,582 training images", "mini-batch size (5), weight decay (0.0002), and momentum (0.9)",
        "1e-3, which is divided by 10 after 20000 iterations", "30000 iterations in total",
    ],
    "conf/classifier/paper.yaml: section 3.2, the first epoch's map begins it | Release: 1": [
        "at the first epoch", "to initialize the cumulative attention map",
    ],
    "conf/fusion/maximum.yaml: Eq. (5).": ["maximum fusion strategy"],
    "conf/fusion/running_mean.yaml: Eq. (10).": ["average fusion strategy"],
    "conf/gate/beats_absent_classes.yaml: section 3.2, last paragraph: the target's score is above "
    "those of all absent classes.": ["is higher than those of all non-target categories"],
    "conf/integral/paper.yaml: section 4.1, the hyper-parameters are \"the same as that of the "
    "classification network\".": ["the same as that of the classification network"],
    "conf/integral/paper.yaml: section 4.3, the default fusion": [
        "the maximum fusion strategy as our default fusion strategy for OAA",
    ],
    "conf/loss/cross_entropy.yaml: Eq. (6), the ablation's baseline.": [
        "the standard multi-label cross-entropy loss",
    ],
    "conf/loss/hybrid.yaml: Eqs. (7)-(9), the mean per class over each region.": [
        "the total hybrid loss function",
    ],
    "conf/segmenter/paper.yaml: section 4.1, which leaves all but steps and batch to DeepLab (Chen "
    "et al., TPAMI 2017).": [
        "DeepLab-LargeFOV", "a mini-batch of 10 images and terminated at 15,000 iterations",
        "All the other hyper-parameters are the same as [5]",
    ],
    "conf/segmenter/paper.yaml: Table 1 has ResNet-101 (resnet101) as well; null: as `net` says": [
        "both VGG16 [32] and ResNet-101",
    ],
    "conf/segmenter/paper.yaml: Table 3 takes 0.2, 0.5, 0.8, 1.0 of the labelled images": [
        "different numbers of training images to train the segmentation network",
    ],
    "conf/experiment/photos.yaml: section 4.1, 15,000 iterations of 10 are 14 epochs": [
        "terminated at 15,000 iterations",
    ],
    "conf/experiment/table2_voc320.yaml: section 4, saliency maps of [12] (DSS); here below":
        ["saliency maps [12] to extract background cues", "Deeply supervised salient object"],
    "conf/experiment/table2_voc320.yaml: section 4.1, 30,000 iterations of 5 are 14": [
        "30000 iterations in total",
    ],
    "conf/experiment/table2_voc320.yaml: section 4.1, at 2/3": ["after 20000 iterations"],
    "conf/experiment/voc12.yaml: section 4, saliency maps of [12] (DSS): data.saliency=...":
        ["saliency maps [12] to extract background cues"],
}  # fmt: skip
"""Where a `Paper:` stands and what it says: words of the paper's text that hold it."""

PLACE = re.compile(r"section \d(\.\d)?|Eqs?\. \(\d+\)|Table \d")

# What the paper's text does not say, in sentences that would put it into its mouth.
FOREIGN = r"(224|321|short side|from ImageNet|ImageNet trunk|the flip|five scales|CRF)\b"
NOT_THE_PAPERS = re.compile(rf"\bpaper('s|:)?[^.;|#()\n]{{0,40}}\b{FOREIGN}", re.IGNORECASE)


def files() -> Iterator[Path]:
    yield ROOT / "README.md"
    for folder in FOLDERS:
        for kind in KINDS:
            yield from sorted((ROOT / folder).rglob(kind))


def claims() -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {line.partition('Paper:')[2].strip()}"
        for path in files()
        for line in path.read_text("utf-8").splitlines()
        if "Paper:" in line
    ]


def test_every_claim_about_the_paper_is_known_and_none_has_gone() -> None:
    assert sorted(claims()) == sorted(CLAIMS)


@pytest.mark.parametrize("claim", claims())
def test_a_claim_says_where_in_the_paper(claim: str) -> None:
    assert PLACE.search(claim), "name the section, equation or table"


@pytest.mark.parametrize("path", list(files()), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_put_into_the_papers_mouth(path: Path) -> None:
    assert [found[0] for found in NOT_THE_PAPERS.finditer(path.read_text("utf-8"))] == []


@pytest.mark.skipif("OAA_PAPER" not in os.environ, reason="OAA_PAPER=<text of the paper> not given")
@pytest.mark.parametrize("claim", CLAIMS)
def test_the_papers_text_has_the_words(claim: str) -> None:
    text = " ".join(Path(os.environ["OAA_PAPER"]).read_text("utf-8").split())
    assert [words for words in CLAIMS[claim] if words not in text] == []
