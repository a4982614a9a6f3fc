"""Records become batches of NumPy arrays: with TensorFlow, or from the wire format."""
