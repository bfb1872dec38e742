"""Building blocks of ML-Agents trainer plugins: buffers, losses, targets, trainers, checkpoints and ONNX export."""

__version__ = "0.2.0"
