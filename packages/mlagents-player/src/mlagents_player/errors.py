"""What can go wrong, as one line for the person in front of the terminal."""


class PlayerError(Exception):
    """Something a user can put right; its text is one complete line and needs no traceback."""


class TrainerGone(Exception):
    """The trainer ended the session; its text says how. This is the normal end of a run."""
