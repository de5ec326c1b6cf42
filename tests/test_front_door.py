"""`import oaa_pl` is light, and each of its names imports no more than it needs."""

import json
import subprocess
import sys

import pytest

import oaa_pl

UNWANTED = {"wandb", "albumentations", "cv2", "matplotlib"}
HEAVY = {"torch", "pytorch_lightning", "lightning", "hydra", "PIL", "scipy", "skimage", *UNWANTED}

PROGRAM = """
import sys, json
def packages():
    return {{name.partition(".")[0] for name in sys.modules}}
{first}
before = packages()
{then}
print(json.dumps(sorted(packages() - before)))
"""


def newly_loaded(then: str, first: str = "") -> set[str]:
    """The packages that a new process imports for one statement, after another one."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first, then=then)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_package_itself_imports_the_standard_library_alone() -> None:
    assert newly_loaded("import oaa_pl") - sys.stdlib_module_names == {"oaa_pl"}


@pytest.mark.parametrize("name", ["AttentionStore", "Predictor"])
def test_a_name_imports_numpy_and_nothing_heavier(name: str) -> None:
    loaded = newly_loaded(f"from oaa_pl import {name}")
    assert "numpy" in loaded
    assert loaded & HEAVY == set()


def test_plain_functions_import_torch_and_nothing_heavier() -> None:
    loaded = newly_loaded("from oaa_pl import accumulate, score_map_of", "import torch")
    assert loaded & {*HEAVY, "timm", "torchvision"} == set()


# Lightning itself imports torchmetrics, and with it matplotlib if that is installed.
@pytest.mark.parametrize(
    "package", ["pytorch_lightning", pytest.param("lightning.pytorch", marks=pytest.mark.slow)]
)
def test_the_callback_is_one_of_the_lightning_in_use_and_imports_nothing_beside_it(
    package: str,
) -> None:
    pytest.importorskip(package, reason="pip install lightning, the other package of Lightning")
    loaded = newly_loaded(
        "from oaa_pl import AttentionAccumulation\n"
        f"assert issubclass(AttentionAccumulation, {package}.Callback)",
        f"import {package}",
    )
    assert loaded & HEAVY == set()


@pytest.mark.slow
def test_the_callback_works_where_only_the_other_lightning_is_installed() -> None:
    pytest.importorskip("lightning", reason="pip install lightning, the other package of Lightning")
    hidden = (
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'pytorch_lightning' else "
        "find(name, *more)"
    )
    loaded = newly_loaded("from oaa_pl import AttentionAccumulation", hidden)
    assert "lightning" in loaded
    assert "pytorch_lightning" not in loaded


def test_every_name_is_there_and_listed() -> None:
    assert set(oaa_pl.__all__) <= set(dir(oaa_pl))
    for name in oaa_pl.__all__:
        assert getattr(oaa_pl, name) is getattr(oaa_pl, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'oaa_pl' has no attribute 'attention_store'"):
        getattr(oaa_pl, "attention_store")  # noqa: B009  # the look-up is the test
