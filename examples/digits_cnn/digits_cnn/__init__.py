"""A small convolutional network on MNIST digits, written for one network and lifted by Seedbed."""
