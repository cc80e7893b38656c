"""`jangada demo`: scanned documents go in, their legal metadata comes out."""

import click


@click.command()
def demo() -> None:
    """Show it."""
