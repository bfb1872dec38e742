"""The mathematics: pure functions of tensors, on torch alone; nothing of ML-Agents."""
