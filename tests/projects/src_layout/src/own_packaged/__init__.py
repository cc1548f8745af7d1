"""A package where an installation would find it."""
