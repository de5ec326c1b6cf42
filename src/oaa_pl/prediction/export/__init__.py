"""A trained network as a file for other software: ONNX, or PyTorch's exported program."""
