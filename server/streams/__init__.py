"""Events: numbered once, kept for those who come later, handed to those who listen."""
