"""Words that make our English hard to skim, and what to write instead; see docs/glossary.md."""

import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "oaa_pl"

# Pattern, not case-sensitive -> what to write instead.
WORDS = {
    r"rooms?": "package; or space, on a disk",
    r"ladder|rungs?": "layers, layer",
    r"house": "package",
    r"mend(s|ed|ing)?": "repair, fix",
    r"anew": "again, from the start",
    r"whoever|whosoever": "the user, the caller",
    r"(some|any|no)body('s)?": "a user, other code, no one",
    r"(those|these|that) that": "the ones that; or name them again",
    r"(is|are) (?-i:none)": "is not a ...; there are no ...",
    r"(?<!there )(is|are) no (?!longer|one)": "is not a ...",
    r"take[sn]? in(?! (turns?|place|order))|take[sn]? up": "import, read, continue with",
    r"said|told": "reported, logged, given",
    r"says? so": "reports it",
    r"(go|goes|going|went) on": "continue",
    r"for ever": "forever",
    r"at hand": "available",
    r"in little": "small",
    r"hand(s|ed)? over": "pass",
    r"(?<!look )alike": "equally, in the same way",
    r"lies|lie|lying": "is in, is at",
    r"likewise": "also; or repeat the text",
    r"asked for": "requested, configured; or name the argument",
    r"hence|thereby|wherein": "so, by this, in which",
}
PATTERNS = {re.compile(rf"\b(?:{word})\b", re.IGNORECASE): good for word, good in WORDS.items()}

# Packages and folders that are not rewritten yet. Remove a line when its package is clean.
NOT_YET: set[str] = set()


def texts() -> Iterator[tuple[str, Path, str]]:
    """Package or folder, path and text of every file that we check."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).parts[0].removesuffix(".py"), path, prose_of(path)
    for pattern in ("conf/**/*.yaml", "experiments/**/*.yaml", "experiments/**/*.md"):
        for path in sorted(ROOT.glob(pattern)):
            yield pattern.partition("/")[0], path, path.read_text("utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile"]:
        yield path.name, path, path.read_text("utf-8")
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.suffix in (".md", ".py"):
            # The glossary ends with a list of these very words.
            text = path.read_text("utf-8").partition("## Words that we do not use")[0]
            yield "docs", path, text


def prose_of(path: Path) -> str:
    """Comments and strings of a Python file on their own lines, without code in f-strings."""
    lines: dict[int, str] = defaultdict(str)
    for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            for number, line in enumerate(token.string.split("\n"), token.start[0]):
                lines[number] += re.sub(r"\{[^{}]*\}", "{}", line) + " "
    return "\n".join(lines[number] for number in range(1, max(lines, default=0) + 1))


def hard_words(text: str) -> list[str]:
    """Line, word and advice for each word of a text that we do not use."""
    return [
        f"{number}: {found[0]!r}: write {good}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, good in PATTERNS.items()
        for found in pattern.finditer(line)
    ]


def test_texts_use_plain_words() -> None:
    found = defaultdict(list)
    for package, path, text in texts():
        found[package] += [f"{path.relative_to(ROOT)}:{line}" for line in hard_words(text)]
    assert [line for package in found if package not in NOT_YET for line in found[package]] == []
    clean = [package for package in NOT_YET if not found[package]]
    assert clean == [], "clean now: remove these from NOT_YET"


@pytest.mark.parametrize(
    "text",
    ["Begin anew.", "the room above", "A mask that is none.", "what was told", "Take up the run."],
)
def test_a_hard_word_is_found(text: str) -> None:
    assert len(hard_words(text)) == 1


@pytest.mark.parametrize(
    "text",
    ["There is no mask.", "It is no longer needed.", "None is left.", "a bathroom", "told_by"],
)
def test_plain_words_pass(text: str) -> None:
    assert hard_words(text) == []
