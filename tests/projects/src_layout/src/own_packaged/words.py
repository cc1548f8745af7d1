"""What another module of the package imports."""

WORD = "packaged"
