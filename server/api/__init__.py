"""The doors: each translates a request into a run or a look at a resource, and the result back."""
