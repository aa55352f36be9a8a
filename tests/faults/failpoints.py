"""Faults, injected into a process from within: what it does to a folder is counted, and the n-th call dies, fails, or is the last before the power goes.

A kill in the middle of a write leaves the first half. A loss of power also takes what no fsync has brought to the disk: files are cut in half,
renames and new folders of which the parent was not synced are undone. Files that compiled code writes (safetensors, the tokenizer) are seen by what lies in the folder.
"""
import builtins, errno, io, json, os, shutil, signal, sys, tempfile, traceback
from pathlib import Path


class File:
    "A file that is written to, with its writes counted."
    def __init__(self, file, path, points): self.file, self.path, self.points = file, path, points
    def __getattr__(self, name): return getattr(self.file, name)
    def __enter__(self): return self
    def __exit__(self, *error): self.file.close()
    def __iter__(self): return iter(self.file)

    def write(self, data):
        half = lambda: (self.file.write(data[:len(data) // 2]), self.file.flush())
        self.points.hit("write", self.path, half)
        return self.file.write(data)


class Failpoints:
    "Watches one folder; `at` is the number of the call (from 1) at which `fault` happens: kill, power, interrupt, or the name of an errno."
    def __init__(self, root, at=None, fault="kill"):
        self.root, self.at, self.fault, self.log, self.on = os.path.realpath(root), at, fault, [], True
        self.names, self.synced, self.renames, self.folders = {}, {str(f) for f in Path(root).rglob("*")}, [], []
        self.backups = tempfile.mkdtemp(prefix="backups-", dir=os.path.dirname(self.root))
        self.real = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "rename", "mkdir", "unlink", "remove", "rmdir")} | {"file": builtins.open}
        self.install()

    def inside(self, path, dir_fd=None):
        "The path as text where it lies in the folder, or is the one above it; else None."
        if isinstance(path, int): path = self.names.get(path)
        if path is None: return None
        if dir_fd is not None: path = os.path.join(self.names.get(dir_fd, "/"), os.fsdecode(path))
        path = os.path.abspath(os.fsdecode(path))
        return path if path in (self.root, os.path.dirname(self.root)) or path.startswith(self.root + os.sep) else None

    def hit(self, call, path, half=lambda: None):
        "One call: note it, and let happen what is to happen here."
        if not self.on or path is None: return
        self.log.append((call, os.path.relpath(path, self.root)))
        n, persistent = len(self.log), self.fault == "ENOSPC" and call in ("open", "write", "fsync", "mkdir")
        if self.at is None or not (n == self.at or persistent and n > self.at): return
        half()
        if self.fault == "power": self.lose_power()
        if self.fault in ("kill", "power"): os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "interrupt": raise KeyboardInterrupt
        number = getattr(errno, self.fault)
        raise OSError(number, os.strerror(number), *([path] if call not in ("write", "fsync") else [])) # what is done to an open file fails without its name

    def lose_power(self):
        "Undo what is not on the disk for certain."
        self.on = False
        for old, new, backup in reversed(self.renames):
            os.rename(new, old)
            if backup: shutil.copy2(backup, new)
        for folder in self.folders: shutil.rmtree(folder, ignore_errors=True)
        for file in (f for f in Path(self.root).rglob("*") if f.is_file() and str(f) not in self.synced): os.truncate(file, file.stat().st_size // 2)

    def install(self):
        "Put the counting functions in the place of the real ones."
        real = self.real
        def open_file(path, mode="r", *args, **kwargs):
            inside = self.inside(path) if set(mode) & set("wax+") else None
            self.hit("open", inside)
            file = real["file"](path, mode, *args, **kwargs)
            if inside is None: return file
            self.names[file.fileno()] = inside
            if self.on: self.synced.discard(inside) # what the loss of power itself puts back was on the disk before
            return File(file, inside, self)
        def os_open(path, flags, mode=0o777, *, dir_fd=None):
            inside = self.inside(path, dir_fd)
            if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR): self.hit("open", inside)
            handle = real["open"](path, flags, mode, dir_fd=dir_fd)
            if inside: self.names[handle] = inside
            else: self.names.pop(handle, None)
            return handle
        def write(handle, data):
            self.hit("write", self.inside(handle), lambda: real["write"](handle, data[:len(data) // 2]))
            return real["write"](handle, data)
        def fsync(handle):
            path = self.inside(handle)
            self.hit("fsync", path)
            real["fsync"](handle)
            if path and self.on: self.note_sync(path)
        def replace(old, new, **kwargs):
            inside = self.inside(new)
            self.hit("rename", inside)
            backup = shutil.copy2(new, os.path.join(self.backups, str(len(self.log)))) if inside and self.on and os.path.isfile(new) else None
            real["replace"](old, new, **kwargs)
            if inside and self.on: self.note_rename(os.path.abspath(old), inside, backup)
        def mkdir(path, mode=0o777, **kwargs):
            inside = self.inside(path)
            self.hit("mkdir", inside)
            real["mkdir"](path, mode, **kwargs)
            if inside and self.on: self.folders.append(inside)
        def forget(name, call):
            def forget(path, *, dir_fd=None):
                self.hit(call, self.inside(path, dir_fd))
                return real[name](path, dir_fd=dir_fd)
            return forget
        builtins.open = io.open = open_file
        os.open, os.write, os.fsync, os.replace, os.rename, os.mkdir = os_open, write, fsync, replace, replace, mkdir
        os.unlink, os.remove, os.rmdir = forget("unlink", "unlink"), forget("remove", "unlink"), forget("rmdir", "rmdir")

    def note_sync(self, path):
        "A file is on the disk; or a folder, and with it the names in it."
        self.synced.add(path)
        self.renames = [r for r in self.renames if os.path.dirname(r[1]) != path]
        self.folders = [f for f in self.folders if os.path.dirname(f) != path]

    def note_rename(self, old, new, backup):
        "What was synced under the old name is so under the new one."
        moved = lambda p: new + p[len(old):] if p == old or p.startswith(old + os.sep) else p
        self.synced, self.folders = {moved(p) for p in self.synced if not p.startswith(new)} if old != new else self.synced, [moved(f) for f in self.folders if f != old]
        self.renames.append((old, new, backup))


def child(work, signal_after=None):
    """Fork, and do `work(say)` there; returns the exit status (negative: the signal it died of) and what it said.

    `signal_after`: (seconds, signal) that it is sent unless it has ended before."""
    ours, theirs = os.pipe()
    sys.stdout.flush()
    if not (pid := os.fork()):
        status = 1
        try:
            os.close(ours)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            say = lambda what, write=os.write: write(theirs, (json.dumps(what) + "\n").encode())
            try: work(say); status = 0
            except BaseException: say({"error": traceback.format_exc()})
        finally: os._exit(status)
    os.close(theirs)
    if signal_after: _send_later(pid, *signal_after)
    with os.fdopen(ours) as pipe: said = [json.loads(line) for line in pipe if line.endswith("\n")]
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def _send_later(pid, seconds, which):
    "Wait until the child is to be disturbed, or has ended."
    import time
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT): return
        time.sleep(0.002)
    os.kill(pid, which)
