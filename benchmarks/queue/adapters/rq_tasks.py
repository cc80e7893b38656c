"""The jobs of the rq rows, in a module that its workers can import."""


def noop():
    """Nothing."""


def blob(text):
    """The text it is given."""
    return text
