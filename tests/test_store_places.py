"A run stays in the folder in which it was opened, and a file system that lacks something is borne with, or named."
import errno
import os

import pytest
from small import small_loop


def fails_with(number):
    "A call of the system that a file system does not know."
    def call(*arguments, **named): raise OSError(number, os.strerror(number))
    return call


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_modes(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "chmod", fails_with(number))
    assert small_loop(tmp_path / "run").step().number == 1


@pytest.mark.parametrize("number", [errno.EBADF, errno.EPERM, errno.EISDIR])
def test_a_file_system_that_cannot_force_folders(tmp_path, monkeypatch, number):
    force = os.fsync
    def only_files(handle): return fails_with(number)() if os.path.isdir(f"/proc/self/fd/{handle}") else force(handle)
    monkeypatch.setattr(os, "fsync", only_files)
    assert small_loop(tmp_path / "run").start().number == 0


def test_a_link_that_is_set_anew_switches_no_run(tmp_path):
    from selfloop_nb import open_run
    for name in ("one", "two"): small_loop(tmp_path / name).start()
    link = tmp_path / "current"
    link.symlink_to("one")
    loop = small_loop(link)
    loop.step()
    link.unlink()
    link.symlink_to("two")
    loop.step()
    assert [len(open_run(tmp_path / name).rounds) for name in ("one", "two")] == [3, 1]


def test_a_way_by_another_folder_is_none_for_ever(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work").mkdir()
    loop = small_loop("work/../run")
    loop.start()
    (tmp_path / "work").rmdir()
    assert loop.step().number == 1


NO_PLACES = {
    "": "it is empty",
    "a\0b": "null character",
    "~nobody-has-this-name/run": "is no path",
    "s3://bucket/run": "it is an address",
    "$NOBODY_HAS_THIS/run": "a variable of the environment",
    "runs/${PATH}": "a variable of the environment",
    "x" * 300 + "/run": "too long",
    "nowhere/run": "'.*nowhere' is a link to nothing"}


@pytest.mark.parametrize("store", NO_PLACES, ids=lambda store: store[:8] or "empty")
def test_what_is_no_place_is_named(tmp_path, monkeypatch, store):
    from selfloop_nb.backend.core import SelfloopError
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere").symlink_to("not there")
    with pytest.raises((ValueError, OSError, SelfloopError), match=NO_PLACES[store]): small_loop(store)
