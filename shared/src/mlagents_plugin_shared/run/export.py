"""Export of policies to the .onnx files that Unity accepts, on every torch from 2.1.1 on."""

import inspect
import tempfile
import warnings
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path

from mlagents.torch_utils import default_device, torch
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import SerializationSettings
from mlagents.trainers.torch_entities.model_serialization import ModelSerializer, exporting_to_onnx
from mlagents_envs.logging_util import get_logger

import mlagents_onnx_check  # what it brings onnx for is asked for where a model is checked, not at each start
from mlagents_onnx_check import Behavior, Report
from mlagents_plugin_shared.run.files import replacing

logger = get_logger(__name__)

_KNOWN_TO_WORK = "torch 2.1.1 to 2.13 with onnx 1.15.0"


class ExportError(Exception):
    """A policy cannot be exported here, or Unity would not accept its model."""


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
        """Writes `<output_filepath>.onnx`, and warns of what Unity would not accept in it.

        Args:
            output_filepath: path without its suffix.
        """
        # Not with_suffix: the behaviour name may hold a dot.
        path = Path(f"{output_filepath}.onnx")
        with replacing(path) as temporary:
            self._write(temporary)
        logger.info(f"Exported {path}")
        faults = _faults(self.check(path))
        if faults:
            logger.warning(f"Unity would not accept {path}. {faults}")

    def rehearse(self) -> None:
        """Exports once to a temporary folder, and checks the model: what cannot be exported should not be trained.

        Raises:
            ExportError: the network itself fails, the export fails here, or Unity would not accept the model.
        """
        try:
            self._run()
        except Exception as error:  # whatever a network may raise: no other torch would help
            raise ExportError(
                f"the policy's network does not work for these agents, so nothing was trained: {_first_line(error)}."
            ) from error
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "rehearsal.onnx"
            try:
                self._write(path)
            except Exception as error:  # whatever torch, onnx or a network may raise
                raise ExportError(
                    "the policy cannot be exported for Unity on this machine, so nothing was trained: "
                    f"{_first_line(error)}. Installed are torch {torch.__version__} and onnx {version('onnx')}; "
                    f"{_KNOWN_TO_WORK} are known to work: install those."
                ) from error
            faults = _faults(self.check(path))
        if faults:
            raise ExportError(
                f"Unity would not accept the policy's model, so nothing was trained. {faults} "
                "Change the network, or report it to the authors of the trainer."
            )

    def _run(self) -> None:
        with exporting_to_onnx(), warnings.catch_warnings(), _same_random_numbers(), torch.no_grad():
            warnings.simplefilter("ignore")
            self.policy.actor(*self.dummy_input)

    def _write(self, path: Path) -> None:
        with exporting_to_onnx(), warnings.catch_warnings(), _same_random_numbers():
            warnings.simplefilter("ignore")  # tracing remarks on shapes, meant for authors of networks
            torch.onnx.export(
                self.policy.actor,
                self.dummy_input,
                str(path),
                opset_version=SerializationSettings.onnx_opset,
                input_names=self.input_names,
                output_names=self.output_names,
                dynamic_axes=self.dynamic_axes,
                **_torchscript_exporter(),
            )

    def check(self, path: Path) -> Report:
        """What Unity would not accept in a model of the policy.

        Args:
            path: the .onnx file.
        """
        return mlagents_onnx_check.check_model(path, Behavior.of(self.policy.behavior_spec), deterministic=True)


def _same_random_numbers() -> AbstractContextManager:
    """What is drawn inside costs the run no random numbers."""
    return torch.random.fork_rng(devices=[default_device()] if default_device().type == "cuda" else [])


def _faults(report: Report) -> str:
    """The errors of a report in one line, empty without."""
    return " ".join(f"{finding.rule}: {' '.join(finding.message.split())}" for finding in report.errors)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".removesuffix(".").removesuffix(": ")


def _torchscript_exporter() -> dict:
    """Arguments that choose the TorchScript exporter, where torch has another."""
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
