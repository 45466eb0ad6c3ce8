"""The vision module: detectors, their weights and cards, and the blurring of faces."""
