"""The thin HTTP layer: a route turns a request into one call of the engine, and its result back."""
