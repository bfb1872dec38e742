"""Export of policies to the .onnx files that Unity accepts, on every torch from 2.1.1 on."""

import inspect
import warnings
from pathlib import Path

from mlagents.torch_utils import default_device, torch
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import SerializationSettings
from mlagents.trainers.torch_entities.model_serialization import ModelSerializer, exporting_to_onnx
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.files import replacing

logger = get_logger(__name__)


class OnnxExporter(ModelSerializer):
    """ML-Agents' serializer, without its faults.

    From torch 2.9 on the exporter that torch chooses needs onnxscript, which cannot be installed beside the onnx that
    ML-Agents pins: this asks for the TorchScript exporter wherever there is a choice. The file is replaced as a whole,
    so that a killed run leaves no half model. And the actions that the exporter samples cost the run no random numbers:
    when it saves makes no difference to how it goes on.
    """

    def __init__(self, policy: TorchPolicy) -> None:
        super().__init__(policy)
        for name in self.output_names:
            if name.startswith("deterministic_") or name == "recurrent_out":
                self.dynamic_axes[name] = {0: "batch"}

    def export_policy_model(self, output_filepath: str) -> None:
        """Writes `<output_filepath>.onnx`.

        Args:
            output_filepath: path without its suffix.
        """
        # Not with_suffix: the behaviour name may hold a dot.
        path = Path(f"{output_filepath}.onnx")
        gpus = [default_device()] if default_device().type == "cuda" else []
        unchanged = torch.random.fork_rng(devices=gpus)
        with replacing(path) as temporary, exporting_to_onnx(), warnings.catch_warnings(), unchanged:
            warnings.simplefilter("ignore")  # tracing remarks on shapes, meant for authors of networks
            torch.onnx.export(
                self.policy.actor,
                self.dummy_input,
                str(temporary),
                opset_version=SerializationSettings.onnx_opset,
                input_names=self.input_names,
                output_names=self.output_names,
                dynamic_axes=self.dynamic_axes,
                **_torchscript_exporter(),
            )
        logger.info(f"Exported {path}")


def _torchscript_exporter() -> dict:
    """Arguments that choose the TorchScript exporter, where torch has another."""
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
