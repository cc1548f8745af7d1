"""What the tools stand on: discovery, arithmetic, and the providers behind weather and search."""
