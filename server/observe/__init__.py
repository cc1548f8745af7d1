"""What operators see: metrics, logs, and code that blocks the event loop."""
