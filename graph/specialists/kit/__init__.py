"""What specialists stand on: what one is, those of the settings, and those that live elsewhere."""
