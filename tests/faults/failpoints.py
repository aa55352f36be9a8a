"""Faults, injected into a process from within: what it does to a folder is counted, and the n-th call dies, fails, or
is the last before the power goes.

A kill in the middle of a write leaves the first half. A loss of power also takes what no fsync has brought to the disk:
files are cut in half, renames and new folders of which the parent was not synced are undone. Files that compiled code
writes (safetensors, the tokenizer) are seen by what lies in the folder; what it reads is not seen.
"""
import builtins, errno, io, json, os, shutil, signal, sys, tempfile, time, traceback
from pathlib import Path

import portalocker.portalocker

WRITES = ("open", "write", "fsync", "rename", "mkdir", "unlink", "rmdir", "chmod") # names in the log
READS = ("open to read", "read", "stat", "list", "lock")
WITHOUT_NAME = ("write", "fsync", "read", "lock") # what is done to an open file fails without its name
FILLS = ("open", "write", "fsync", "mkdir") # what fails on a full disk
REPLACED = ("open", "read", "write", "fsync", "truncate", "ftruncate", "replace", "rename", "mkdir", "unlink", "remove",
            "rmdir", "chmod", "stat", "lstat", "fstat", "scandir", "listdir")


class File:
    "An open file, with its reads and writes counted."
    def __init__(self, file, path, points):
        self.file, self.path = file, path
        self.points = points

    def __getattr__(self, name): return getattr(self.file, name)
    def __enter__(self): return self
    def __exit__(self, *error): self.file.close()
    def __iter__(self): return iter(self.file)

    def write(self, data):
        def half():
            self.file.write(data[:len(data) // 2])
            self.file.flush()
        self.points.hit("write", self.path, half)
        return self.file.write(data)

    def read(self, *size):
        self.points.hit("read", self.path)
        return self.file.read(*size)

    def readinto(self, buffer):
        self.points.hit("read", self.path)
        return self.file.readinto(buffer)


class Failpoints:
    """Watches one folder; `at` is the number of the call (from 1) of those that are counted at which `fault` happens:
    kill, power, interrupt, or the name of an errno."""
    def __init__(self, root, at=None, fault="kill", calls=WRITES):
        self.root = os.path.realpath(root)
        self.at, self.fault = at, fault
        self.calls = calls
        self.log = []     # (call, path) of every call
        self.on = True
        self.names = {}   # open handle -> path
        self.synced = {str(path) for path in Path(root).rglob("*")}
        self.renames = [] # (old, new, copy of what was there) that are not on the disk yet
        self.folders = [] # new folders that are not
        self.backups = tempfile.mkdtemp(prefix="backups-", dir=os.path.dirname(self.root))
        self.real = {name: getattr(os, name) for name in REPLACED}
        self.real_open = builtins.open
        self.install()

    def install(self):
        "Put the counting functions in the place of the real ones."
        builtins.open = io.open = self.open_file
        os.open = self.open
        os.write = self.write
        os.fsync = self.fsync
        os.replace = os.rename = self.replace
        os.mkdir = self.mkdir
        for name in ("unlink", "remove"): setattr(os, name, self.counted(name, "unlink"))
        for name in ("rmdir", "chmod"): setattr(os, name, self.counted(name, name))
        for name in ("truncate", "ftruncate"): setattr(os, name, self.counted(name, "write"))
        os.read = self.counted("read", "read")
        for name in ("stat", "lstat", "fstat"): setattr(os, name, self.counted(name, "stat"))
        for name in ("scandir", "listdir"): setattr(os, name, self.counted(name, "list"))
        lock = portalocker.portalocker.LOCKER
        portalocker.portalocker.LOCKER = self.counted_lock(lock)

    def inside(self, path, dir_fd=None):
        "The path as text where it lies in the folder, or is the one above it; else None."
        if isinstance(path, int): path = self.names.get(path)
        if path is None: return None
        if dir_fd is not None: path = os.path.join(self.names.get(dir_fd, "/"), os.fsdecode(path))
        path = os.path.abspath(os.fsdecode(path))
        if path in (self.root, os.path.dirname(self.root)) or path.startswith(self.root + os.sep): return path

    def hit(self, call, path, half=lambda: None):
        "One call: note it, and let happen what is to happen here."
        if not self.on or path is None or call not in self.calls: return
        self.log.append((call, os.path.relpath(path, self.root)))
        if not self.is_due(call): return
        half()
        if self.fault == "power": self.lose_power()
        if self.fault in ("kill", "power"): os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "interrupt": raise KeyboardInterrupt
        number = getattr(errno, self.fault)
        raise OSError(number, os.strerror(number), *([] if call in WITHOUT_NAME else [path]))

    def is_due(self, call):
        "Is this the call at which it happens? A disk that is full stays so."
        n = len(self.log)
        return n == self.at or self.fault == "ENOSPC" and call in FILLS and self.at is not None and n > self.at

    def lose_power(self):
        "Undo what is not on the disk for certain."
        self.on = False
        for old, new, backup in reversed(self.renames):
            os.rename(new, old)
            if backup: shutil.copy2(backup, new)
        for folder in self.folders: shutil.rmtree(folder, ignore_errors=True)
        for path in list(Path(self.root).rglob("*")):
            if path.is_file() and str(path) not in self.synced: os.truncate(path, path.stat().st_size // 2)

    # What stands in the place of the real functions.

    def open_file(self, path, mode="r", *args, **kwargs):
        inside = self.inside(path)
        is_written = bool(set(mode) & set("wax+"))
        if not isinstance(path, int): self.hit("open" if is_written else "open to read", inside)
        file = self.real_open(path, mode, *args, **kwargs)
        if inside is None or not (is_written or "read" in self.calls): return file
        self.names[file.fileno()] = inside
        if is_written and self.on: self.synced.discard(inside) # what is put back after a loss of power was on the disk
        return File(file, inside, self)

    def open(self, path, flags, mode=0o777, *, dir_fd=None):
        inside = self.inside(path, dir_fd)
        is_written = flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
        self.hit("open" if is_written else "open to read", inside)
        handle = self.real["open"](path, flags, mode, dir_fd=dir_fd)
        if inside and is_written and self.on: self.synced.discard(inside)
        if inside: self.names[handle] = inside
        else: self.names.pop(handle, None)
        return handle

    def write(self, handle, data):
        self.hit("write", self.inside(handle), lambda: self.real["write"](handle, data[:len(data) // 2]))
        return self.real["write"](handle, data)

    def fsync(self, handle):
        path = self.inside(handle)
        self.hit("fsync", path)
        self.real["fsync"](handle)
        if path and self.on: self.note_sync(path)

    def replace(self, old, new, **kwargs):
        inside = self.inside(new)
        self.hit("rename", inside)
        counts = inside and self.on
        backup = os.path.join(self.backups, str(len(self.log))) if counts and os.path.isfile(new) else None
        if backup: shutil.copy2(new, backup)
        self.real["replace"](old, new, **kwargs)
        if counts: self.note_rename(os.path.abspath(old), inside, backup)

    def mkdir(self, path, mode=0o777, **kwargs):
        inside = self.inside(path)
        self.hit("mkdir", inside)
        self.real["mkdir"](path, mode, **kwargs)
        if inside and self.on: self.folders.append(inside)

    def counted(self, name, call):
        "A function of `os` whose first argument is a path or a handle."
        def function(path=".", *args, dir_fd=None, **how):
            self.hit(call, self.inside(path, dir_fd))
            if dir_fd is not None: how["dir_fd"] = dir_fd
            return self.real[name](path, *args, **how)
        return function

    def counted_lock(self, lock):
        def locked(handle, flags):
            self.hit("lock", self.inside(handle if isinstance(handle, int) else handle.fileno()))
            return lock(handle, flags)
        return locked

    # What is on the disk for certain.

    def note_sync(self, path):
        "A file is on the disk; or a folder, and with it the names in it."
        self.synced.add(path)
        self.renames = [rename for rename in self.renames if os.path.dirname(rename[1]) != path]
        self.folders = [folder for folder in self.folders if os.path.dirname(folder) != path]

    def note_rename(self, old, new, backup):
        "What was synced under the old name is so under the new one."
        def moved(path): return new + path[len(old):] if path == old or path.startswith(old + os.sep) else path
        if old != new: self.synced = {moved(path) for path in self.synced if not path.startswith(new)}
        self.folders = [moved(folder) for folder in self.folders if folder != old]
        self.renames.append((old, new, backup))


def replace_everywhere(function, other):
    "Let all modules of the library use another function in the place of one of theirs; returns what undoes it."
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "selfloop_nb"]
    users = [module for module in modules if getattr(module, function.__name__, None) is function]
    for module in users: setattr(module, function.__name__, other)
    def undo():
        for module in users: setattr(module, function.__name__, function)
    return undo


def child(work, signal_after=None):
    """Fork, and do `work(report)` there; returns the exit status (negative: the signal it died of) and the reports.

    `signal_after`: (seconds, signal) that it is sent unless it has ended before."""
    ours, theirs = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        os.close(ours)
        _work_and_end(work, theirs)
    os.close(theirs)
    if signal_after: _send_later(pid, *signal_after)
    with os.fdopen(ours) as pipe: reports = [json.loads(line) for line in pipe if line.endswith("\n")]
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), reports


def _work_and_end(work, pipe):
    "What the child does; it never returns."
    status = 1
    write = os.write # the real one
    def report(what): write(pipe, (json.dumps(what) + "\n").encode())
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        work(report)
        status = 0
    except BaseException: report({"error": traceback.format_exc()})
    finally: os._exit(status)


def values(reports, name):
    "All that was reported under a name."
    return [report[name] for report in reports if name in report]


def _send_later(pid, seconds, which):
    "Wait until the child is to be disturbed, or has ended."
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT): return
        time.sleep(0.002)
    os.kill(pid, which)
