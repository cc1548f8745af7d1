"""The page: one HTML file at `/`, and its parts below `/page/`, as `server/web` builds them."""
