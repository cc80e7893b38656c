"""`jangada node run`: what is wrong with its options is one line, and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = "from jangada.cli.main import main; main()"


def run(home, *options):
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "JANGADA_HOME": str(home)}
    command = [sys.executable, "-c", CODE, "node", "run", *options]
    return subprocess.run(command, capture_output=True, text=True, env=environ, cwd=home, timeout=60)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--label", "zone"), "--label zone: expected KEY=VALUE"),
        (("--cpu", "100000"), "cores"),
        (("--algorithms", "nothing"), "no algorithm nothing"),
        ((), "JANGADA_ALGORITHMS_DIR"),
        (("--engine", "docker"), "--image"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(tmp_path, options, said):
    done = run(tmp_path, *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
