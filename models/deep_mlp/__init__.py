"""Very deep fully connected networks on MNIST digits."""
