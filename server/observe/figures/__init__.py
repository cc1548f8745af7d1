"""The figures that Prometheus scrapes, one file a subject; `server.observe.metrics` joins them."""
