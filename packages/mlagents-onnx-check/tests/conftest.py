"""The model that every change is made from."""

from pathlib import Path

import pytest

from good_model import write_good_model


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is right."""
    return write_good_model(tmp_path_factory.mktemp("models") / "good.onnx")
