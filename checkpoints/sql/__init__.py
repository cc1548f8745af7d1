"""What is searched and kept, in SQLite or PostgreSQL."""
