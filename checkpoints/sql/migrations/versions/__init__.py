"""One file a step of the schema, oldest first; each names the step before it."""
