"""Long conversations: what no longer fits the window is summed up, and joins the prompt as data."""
