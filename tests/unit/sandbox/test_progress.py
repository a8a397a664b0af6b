"""What somebody sees who pipes the output into a file."""

from __future__ import annotations

import io

from sandbox.progress import Lines, display


def test_without_a_terminal_each_finished_step_is_one_plain_line() -> None:
    out = io.StringIO()
    with display(out) as progress:
        progress.start("etcd")
        progress.note("etcd", "not shown once it is done")
        progress.done("etcd", "ready")
        progress.start("postgres")
        progress.failed("postgres")
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "✓ etcd: ready" in lines[0]
    assert "✗ postgres: failed" in lines[1]
    assert "\x1b" not in out.getvalue()


def test_a_long_step_says_how_it_goes() -> None:
    out = io.StringIO()
    progress = Lines(out, heartbeat=0.0)
    with progress:
        progress.start("tool kube-apiserver")
        progress.note("tool kube-apiserver", "120 packages compiled")
        while "120 packages compiled" not in out.getvalue():
            pass
        progress.done("tool kube-apiserver")
    assert "s so far" in out.getvalue()
