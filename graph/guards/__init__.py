"""What guards a graph: rules for what goes in and what comes out."""
