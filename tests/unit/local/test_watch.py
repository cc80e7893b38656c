"""Whom a changed file concerns, and that it is seen."""

from __future__ import annotations

import os
import threading

import pytest

from jangada.local.watch import Watch, Watched


@pytest.fixture
def watched(tmp_path):
    for name in ("jangada/http", "jangada/gateway", "jangada/jobs", "template/t", "functions/a", "functions/b"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("one", "two", "shared"):
        (tmp_path / "executors" / name).mkdir(parents=True)
    (tmp_path / "stack.yml").write_text("version: 1.0\n")
    executors = tmp_path / "executors"
    return Watched(
        tmp_path,
        handlers={"a": tmp_path / "functions" / "a", "b": tmp_path / "functions" / "b"},
        algorithms={"one": (executors / "one", executors / "shared"), "two": (executors / "two",)},
    )


@pytest.mark.parametrize(
    ("path", "parts", "functions"),
    [
        ("functions/a/handler.py", set(), {"a"}),
        ("functions/a/deep/x.html", set(), {"a"}),
        ("template/t/index.py", set(), {"a", "b"}),
        ("executors/one/algorithm.py", {"executor:one", "node"}, set()),
        ("executors/shared/x.py", {"executor:one", "node"}, set()),
        ("jangada/executor/loop.py", {"executor:one", "executor:two", "node"}, set()),
        ("jangada/node/agent.py", {"node"}, set()),
        ("jangada/http/app.py", set(), {"a", "b"}),
        ("jangada/gateway/proxy.py", {"gateway"}, set()),
        ("jangada/jobs/queue.py", {"gateway", "executor:one", "executor:two", "node"}, set()),
        ("jangada/errors.py", {"gateway", "executor:one", "executor:two", "node"}, set()),
        ("jangada/cli/main.py", set(), set()),
        ("stack.yml", {"gateway"}, set()),
        ("README.md", set(), set()),
    ],
)
def test_a_change_concerns_only_those_who_run_it(watched, path, parts, functions):
    found = watched.concerned(watched.root / path)
    assert (set(found.parts), set(found.functions)) == (parts, functions)


class Ears:
    def __init__(self):
        self.told, self.reloaded, self.done = [], [], threading.Event()

    def reload(self, name):
        self.reloaded.append(name)
        self.done.set()


def test_changed_new_and_removed_files_are_seen_once(watched):
    ears = Ears()
    watch = Watch(watched, ears.reload, ears.told.append)
    assert watch.look() == frozenset()
    file = watched.root / "executors" / "one" / "algorithm.py"
    file.write_text("1")
    assert watch.look() == {"executor:one", "node"}
    assert watch.look() == frozenset()
    file.write_text("2")
    # A clock that ticks slower than we write must not hide a change of the same size.
    os.utime(file, ns=(1, 1))
    assert watch.look() == {"executor:one", "node"}
    file.unlink()
    assert watch.look() == {"executor:one", "node"}
    assert len(ears.told) == 3
    assert "executors/one/algorithm.py changed: executor:one" in ears.told[0]


def test_a_handler_is_deployed_anew_through_the_gateway(watched):
    ears = Ears()
    watch = Watch(watched, ears.reload, ears.told.append)
    watch.look()
    (watched.root / "functions" / "b" / "handler.py").write_text("x")
    assert watch.look() == frozenset()
    assert ears.done.wait(5)
    assert ears.reloaded == ["b"]


def test_a_gateway_that_refuses_is_told(watched):
    told, done = [], threading.Event()

    def reload(name):
        raise ValueError("the gateway answered 400")

    def tell(text):
        told.append(text)
        if "not deployed" in text:
            done.set()

    watch = Watch(watched, reload, tell)
    watch.look()
    (watched.root / "functions" / "b" / "handler.py").write_text("x")
    watch.look()
    assert done.wait(5)
    assert told[-1] == "b is not deployed anew: the gateway answered 400"


@pytest.mark.parametrize("name", ["__pycache__/x.pyc", "x.pyc", ".x.swp", "handler.py~", ".git/index"])
def test_what_editors_and_python_leave_is_no_change(watched, name):
    ears = Ears()
    watch = Watch(watched, ears.reload, ears.told.append)
    watch.look()
    path = watched.root / "functions" / "a" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    assert watch.look() == frozenset()
    assert ears.told == []
