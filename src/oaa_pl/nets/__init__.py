"""Networks: trunks at stride 8, the attention net and the DeepLab-LargeFOV segmenter."""
