"""A module that is called as a package of the service is."""


def double(number: int) -> int:
    return 2 * number
