"""How a conversion begins, goes on after a crash, and becomes the dataset at one moment."""
