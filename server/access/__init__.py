"""Who is asking, and what they may do. Knows no HTTP and no SQL of its own."""
