"""Answers of models that are kept for a while, for who asks the same once more."""
