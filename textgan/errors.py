"""The exceptions that a user is meant to read."""


class UserError(Exception):
    """One line that names what is wrong, the value, and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class SaidElsewhere(UserError):
    """What another process of the same run tells the user; this one only ends."""


class Interrupted(Exception):
    """The user stopped training; everything is saved."""
