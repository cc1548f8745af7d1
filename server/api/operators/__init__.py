"""Routes for those who run the service, and for pages that show it."""
