"""What an optimizer is made of: batches as tensors, networks, reward streams and the base class of optimizers."""
