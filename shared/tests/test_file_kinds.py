"""Files that are not what their name says, where a run reads them."""

from pathlib import Path

import pytest
from mlagents.torch_utils import torch
from mlagents_envs.base_env import ActionSpec, BehaviorSpec

from mlagents_plugin_shared.data.demonstrations import DemonstrationError, load_demonstrations
from mlagents_plugin_shared.run.checkpoint_files import CheckpointError, read_checkpoint

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
MODEL = b"\x08\x06\x12\x07pytorch\x1a\x032.0"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (POINTER, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
        (b"PK\x03\x04 and more", "is no .demo file but a zip archive, as checkpoints (.pt) are"),
        (MODEL, "is no .demo file but a model (.onnx)"),
        ('{"größe": 1}'.encode(), "is no .demo file but a text file"),
    ],
)
def test_demo_path_names_what_is_no_demonstration(tmp_path: Path, content: bytes, said: str) -> None:
    """The error of `demo_path`, whose caller adds the behaviour and the key."""
    file = tmp_path / "expert.demo"
    file.write_bytes(content)
    with pytest.raises(DemonstrationError) as raised:
        load_demonstrations(file, BehaviorSpec([], ActionSpec.create_continuous(1)))
    assert str(raised.value).startswith(f"{file} {said}")


def test_checkpoint_names_what_is_none(tmp_path: Path) -> None:
    """And one that is damaged stays that."""
    checkpoint, cut = tmp_path / "checkpoint.pt", tmp_path / "cut.pt"
    checkpoint.write_bytes(POINTER)
    with pytest.raises(CheckpointError, match=r"^checkpoint\.pt is a Git LFS pointer"):
        read_checkpoint(checkpoint)
    torch.save({"Policy": {}}, cut)
    cut.write_bytes(cut.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"^cut\.pt is damaged"):
        read_checkpoint(cut)
