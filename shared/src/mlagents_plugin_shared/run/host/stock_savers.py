"""Trainers that bring no saver of their own, ML-Agents' PPO, SAC and POCA among them, save and export as ours do.

From torch 2.9 on their export ends in `No module named 'onnxscript'`, at the first checkpoint. And they write in place:
a run that is killed while it saves leaves half a file, from which it cannot resume.
"""

from mlagents.trainers.trainer.rl_trainer import RLTrainer

from mlagents_plugin_shared.run.checkpoints import StockSaver

RLTrainer.create_model_saver = staticmethod(StockSaver)
