"""What tools ask: weather, search, pages, arithmetic, time zones."""
