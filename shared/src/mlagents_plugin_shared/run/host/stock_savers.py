"""Trainers that bring no saver of their own, ML-Agents' PPO, SAC and POCA among them, save and export as ours do.

From torch 2.9 on their export ends in `No module named 'onnxscript'`, at the first checkpoint. And they write in place:
a run that is killed while it saves leaves half a file, from which it cannot resume.
"""

from typing import Any

from mlagents.trainers.trainer.rl_trainer import RLTrainer


def _create_stock_saver(trainer_settings: Any, model_path: str, load: bool) -> Any:
    # Imported with the first trainer only: it brings onnx, and the processes beside the players import this package.
    from mlagents_plugin_shared.run.checkpoints import StockSaver

    return StockSaver(trainer_settings, model_path, load)


RLTrainer.create_model_saver = staticmethod(_create_stock_saver)
