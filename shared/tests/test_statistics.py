"""Terms that are noted while a gradient is computed."""

import pytest
from mlagents.torch_utils import torch

from mlagents_plugin_shared.learning.statistics import mean_terms, sum_terms


def test_terms_golden() -> None:
    """1 + 3 and 10 + 20 over two parts; no graph is kept."""
    parts = [
        {"a": torch.tensor(1.0, requires_grad=True) * 1.0, "b": torch.tensor(10.0)},
        {"a": torch.tensor(3.0), "b": torch.tensor(20.0)},
    ]
    assert sum_terms(parts) == {"a": 4.0, "b": 30.0}
    assert mean_terms(parts) == {"a": pytest.approx(2.0), "b": pytest.approx(15.0)}
