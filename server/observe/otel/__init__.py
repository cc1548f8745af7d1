"""What knows OpenTelemetry; imported where traces are made."""
