import pytest

from jangada.cli.output import seconds, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.254, "0.25 s"),
        (9.99, "9.99 s"),
        (12.34, "12.3 s"),
        (240, "4 min"),
        (10_800, "3 h"),
        (200_000, "2 d"),
    ],
)
def test_durations_read_well(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (3 * 2**20, "3.0 MiB"), (5 * 2**30, "5.0 GiB")]
)
def test_sizes_read_well(value, text):
    assert size(value) == text
