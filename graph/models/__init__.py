"""Chat models: which there are, how to reach them, how they fail."""
