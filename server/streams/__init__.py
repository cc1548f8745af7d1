"""Events: numbered once, kept for who comes later, told to who listens."""
