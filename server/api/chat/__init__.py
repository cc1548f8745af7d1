"""The chat routes: a message in a session, answered at once or as a stream."""
