"""The notebook's .npy and .json files."""
