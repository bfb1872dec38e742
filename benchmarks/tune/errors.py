"""What a user can cause."""


class TuneError(Exception):
    """A search that cannot begin or go on; the text says why, and what to do."""
