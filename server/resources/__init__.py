"""What clients keep: assistants, threads and their states, sessions."""
