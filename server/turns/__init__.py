"""One turn of a graph on a thread: checked, run, and what it came to."""
