"""A disk in memory, shared by actors of whom one runs at a time: it does what disks do at their worst, and does it
again for the same seed.

- Every call is an event: another actor may go on there, the call may fail, its process may die, or the power may go.
- A loss of power keeps what was forced to the disk. Of what was not, any part may be there, in any order: files in
  part, names or their absence. Names in one folder change at once or not at all.
- Who looks from another machine may see a folder as it was a moment ago.
- Clocks jump, by machine; numbers of files are used again; two changes in one tick have the same time.
"""
import errno, io, os, random, stat, threading, warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath

import portalocker
from selfloop_nb.storage.disk import Disk

ROOT = "/sim"
PASSING = ("EIO", "EMFILE", "EACCES", "ESTALE", "ENOSPC")
FILLS = ("create", "write", "sync", "mkdir") # what fails on a full disk
TICK = 4_000_000 # nanoseconds: the least that two times of change differ by


class Killed(BaseException): "The process is gone."


@dataclass(eq=False)
class Node:
    "A file or a folder."
    number: int
    mode: int
    data: bytearray = field(default_factory=bytearray) # of a file
    names: dict = field(default_factory=dict)          # of a folder: name -> Node
    mtime: int = 0
    sure: object = None          # data or names that are on the disk for certain
    changes: list = field(default_factory=list) # of the names since then
    before: tuple = (0, None, {}) # the last change of the names: event, who, what they were
    locks: dict = field(default_factory=dict)   # handle -> is it shared?

    @property
    def is_dir(self): return stat.S_ISDIR(self.mode)


@dataclass(eq=False)
class Opened:
    "An open file."
    node: Node
    path: str
    actor: object
    flags: int
    place: int = 0


class Actor:
    "A process on some machine, and its thread."
    def __init__(self, disk, name, machine, work):
        self.disk, self.name = disk, name
        self.machine, self.work = machine, work
        self.number = disk.new_number()
        self.turn = threading.Semaphore(0)
        self.dead = self.ended = False
        self.may_go_on = None # where it waits: what says that it may go on
        self.n_stale = 0  # answers that were no longer true
        self.n_faults = 0 # calls that failed
        self.warnings = warnings.filters[:]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def is_ready(self): return self.dead or self.may_go_on is None or self.may_go_on()

    def run(self):
        self.turn.acquire()
        try:
            if not self.dead: self.work(self)
        except Killed: pass
        except BaseException as error: self.disk.broken(f"{self.name}: {type(error).__name__}: {error}", error)
        self.ended = True
        self.disk.release(self)
        self.disk.next_turn(self)


class File(io.RawIOBase):
    "An open file as Python's."
    def __init__(self, disk, handle, mode):
        self.disk = disk
        self.handle, self.mode = handle, mode
    def readable(self): return True
    def writable(self): return self.mode != "rb"
    def seekable(self): return True
    def fileno(self): return self.handle
    def tell(self): return self.disk.handle(self.handle).place
    def seek(self, place, whence=0):
        opened = self.disk.handle(self.handle)
        opened.place = place + (0, opened.place, len(opened.node.data))[whence]
        return opened.place
    def readinto(self, buffer):
        data = self.disk.read(self.handle, len(buffer))
        buffer[:len(data)] = data
        return len(data)
    def write(self, data): return self.disk.write(self.handle, bytes(data))
    def close(self):
        if self.closed: return
        super().close()
        self.disk.close(self.handle)


class SimDisk(Disk):
    "See above."
    def __init__(self, seed, faults=1.0):
        self.rng = random.Random(seed)
        self.faults = faults  # how often, times the usual
        self.n_events = self.clock = self.last_number = self.last_handle = 0
        self.free_numbers = []
        self.jumps = {}       # machine -> seconds that its clock is wrong by
        self.opened = {}      # handle -> Opened
        self.actors = []
        self.actor = None     # who runs
        self.done = threading.Semaphore(0)
        self.problems = []    # what must not be, in words
        self.errors = []      # and the errors that it came with
        self.calm = False     # no faults now, and nobody else's turn
        self.full_until = 0   # event
        self.root = self.new_node(stat.S_IFDIR | 0o755)
        self.root.sure = {}

    # Who runs

    def add(self, name, machine, work):
        "An actor, who runs when its turn comes."
        self.actors.append(Actor(self, name, machine, work))

    def run(self):
        "Let all actors run to their ends."
        before = warnings.filters
        self.next_turn(None)
        self.done.acquire()
        for actor in self.actors: actor.thread.join()
        self.actor = None
        self.actors.clear()
        warnings.filters = before
        warnings._filters_mutated()

    def next_turn(self, actor):
        "Hand on to somebody, by chance."
        ready = [other for other in self.actors if not other.ended and other.is_ready()]
        if not ready:
            if any(not other.ended for other in self.actors):
                self.problems.append("all wait for ever")
                for other in self.actors: other.dead = "stuck"
                return self.next_turn(actor)
            self.done.release()
            return
        chosen = self.rng.choice(ready)
        if chosen is actor: return
        if actor: actor.warnings = warnings.filters
        self.actor = chosen
        warnings.filters = chosen.warnings
        warnings._filters_mutated()
        chosen.turn.release()
        if actor and not actor.ended: actor.turn.acquire()

    def wait(self, ready):
        "Let others run until something is so."
        actor = self.actor
        actor.may_go_on = ready
        self.next_turn(actor)
        actor.may_go_on = None
        if actor.dead: raise Killed

    def process(self): return self.actor.number if self.actor else 1
    def new_number(self):
        self.last_number += 1
        return self.last_number

    def broken(self, what, error=None):
        "Note what must not be."
        self.problems.append(what)
        if error: self.errors.append(error)

    @contextmanager
    def in_calm(self):
        "Without faults, events or other actors: for who judges."
        before, self.calm = self.calm, True
        try: yield
        finally: self.calm = before

    # What happens at an event

    def event(self, call, path):
        "A call is about to be made."
        actor = self.actor
        if actor is None or self.calm:
            if actor and actor.dead: raise Killed
            return
        if actor.dead: raise Killed
        self.n_events += 1
        self.clock += self.rng.randrange(2 * TICK // 4)
        if self.rng.random() < 0.2: self.next_turn(actor)
        if actor.dead: raise Killed
        if self.faults: self.disturb(actor, call, path)

    def disturb(self, actor, call, path):
        "What may go wrong at a call."
        chance = self.rng.random() / self.faults
        if chance < 0.0004: self.kill(actor)
        elif chance < 0.0006: self.lose_power()
        elif chance < 0.0010: raise self.interrupted()
        elif chance < 0.0012: self.jumps[actor.machine] = self.rng.choice((-3600, -1, 0, 1, 3600))
        elif chance < 0.0013: self.full_until = self.n_events + self.rng.randrange(60)
        elif chance < 0.0060: self.fail(actor, self.rng.choice(PASSING), call, path)
        if self.n_events < self.full_until and call in FILLS: self.fail(actor, "ENOSPC", call, path)

    def interrupted(self):
        self.actor.n_faults += 1
        return KeyboardInterrupt()

    def fail(self, actor, name, call, path):
        "A passing error."
        if name == "ENOSPC" and call not in FILLS: return
        if name == "EMFILE" and call not in ("open", "create", "list"): return
        actor.n_faults += 1
        number = getattr(errno, name)
        raise OSError(number, os.strerror(number), path)

    def kill(self, actor):
        "The process dies; another may sit in its middle of a write."
        actor.dead = actor.dead or "killed"
        self.release(actor)
        raise Killed

    def lose_power(self):
        "All processes die, and what was not forced to the disk may be gone."
        for actor in self.actors:
            if not actor.ended: actor.dead = "power"
            self.release(actor)
        self.crash(self.root)
        raise Killed

    def release(self, actor):
        "What the system does where a process ends."
        for handle in [handle for handle, opened in self.opened.items() if opened.actor is actor]: self.drop(handle)

    def drop(self, handle):
        opened = self.opened.pop(handle)
        opened.node.locks.pop(handle, None)

    def crash(self, node):
        "What is left of a file, or of a folder and all in it."
        if not node.is_dir:
            node.data = self.torn(node.sure, node.data)
            node.sure = bytes(node.data)
            return
        names = dict(node.sure or {})
        for change in node.changes:
            if self.rng.random() < 0.5: names.update(change)
        node.names = {name: other for name, other in names.items() if other is not None}
        node.sure, node.changes = dict(node.names), []
        node.before = (0, None, {})
        for other in node.names.values(): self.crash(other)

    def torn(self, sure, data):
        "The bytes of a file after a loss of power; what was forced to the disk and stands at the beginning, stands."
        sure = bytearray(sure or b"")
        if data == sure: return data
        cut = self.rng.randint(len(sure) if data.startswith(sure) else 0, len(data))
        return self.rng.choice([sure, data, data[:cut], data[:cut] + bytes(len(data) - cut)])

    # Paths and nodes

    def new_node(self, mode):
        reused = self.free_numbers and self.rng.random() < 0.7
        number = self.free_numbers.pop() if reused else self.new_number()
        return Node(number, mode, mtime=self.tick())

    def tick(self): return (self.clock + 10**18 + int(self.jump() * 1e9)) // TICK * TICK
    def jump(self): return self.jumps.get(self.actor.machine, 0) if self.actor else 0
    def time(self): return (self.clock + 10**18) / 1e9 + self.jump()

    def find(self, path, fresh=False):
        "The node at a path; None where there is none."
        node = self.root
        for name in PurePath(path).parts[1:]:
            if not node.is_dir: raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            node = self.looked_up(node, fresh).get(name)
            if node is None: return None
        return node

    def looked_up(self, node, fresh):
        "The names in a folder, or those of a moment ago where another machine has changed them."
        actor, (when, who, names) = self.actor, node.before
        is_sure = fresh or self.calm or actor is None or not actor.machine.startswith("far") or who is None
        if is_sure or who.machine == actor.machine or self.n_events - when > 40: return node.names
        if self.rng.random() < 0.7: return node.names
        actor.n_stale += 1
        return names

    def there(self, path, fresh=False):
        node = self.find(path, fresh)
        if node is None: raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return node

    def folder_of(self, path): return self.there(PurePath(path).parent, fresh=True), PurePath(path).name

    def change(self, folder, path, **names):
        "Other names in a folder, all at once."
        if folder.before[0] != self.n_events: folder.before = (self.n_events, self.actor, dict(folder.names))
        folder.changes.append(names)
        for name, node in names.items():
            old = folder.names.pop(name, None)
            if old is not None and old not in names.values() and not old.is_dir: self.free_numbers.append(old.number)
            if node is not None: folder.names[name] = node
        folder.mtime = self.tick()

    # The calls

    def may_write(self, path): "Replaced by who knows who may write where."

    def open(self, path, flags):
        path = str(path)
        is_new = flags & os.O_CREAT and self.find(path) is None
        self.event("create" if is_new else "open", path)
        node = self.find(path, fresh=bool(flags & os.O_CREAT))
        if node is not None and flags & os.O_TRUNC: node.data = bytearray()
        if node is not None and flags & os.O_EXCL and flags & os.O_CREAT:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if node is None:
            if not flags & os.O_CREAT: raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            folder, name = self.folder_of(path)
            self.may_write(path)
            node = self.new_node(stat.S_IFREG | 0o644)
            self.change(folder, path, **{name: node})
        self.last_handle += 1
        self.opened[self.last_handle] = Opened(node, path, self.actor, flags)
        return self.last_handle

    def close(self, handle):
        if handle in self.opened: self.drop(handle)

    def handle(self, handle):
        if handle not in self.opened:
            if self.actor and self.actor.dead: raise Killed
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self.opened[handle]

    def read(self, handle, n):
        opened = self.handle(handle)
        self.event("read", opened.path)
        data = bytes(opened.node.data[opened.place:opened.place + n])
        opened.place += len(data)
        return data

    def write(self, handle, data):
        opened = self.handle(handle)
        self.may_write(opened.path)
        try: self.event("write", opened.path)
        except (Killed, KeyboardInterrupt, OSError):
            has_power = not (self.actor and self.actor.dead == "power")
            if has_power: self.put(opened, data[:self.rng.randrange(len(data) + 1)])
            raise
        self.put(opened, data)
        return len(data)

    def put(self, opened, data):
        node = opened.node
        if opened.flags & os.O_APPEND: opened.place = len(node.data)
        if len(node.data) < opened.place: node.data += bytes(opened.place - len(node.data))
        node.data[opened.place:opened.place + len(data)] = data
        opened.place += len(data)
        node.mtime = self.tick()

    def seek(self, handle, place):
        self.handle(handle).place = place
        return place

    def truncate(self, handle, size):
        opened = self.handle(handle)
        self.event("write", opened.path)
        del opened.node.data[size:]

    def sync(self, handle):
        opened = self.handle(handle)
        self.event("sync", opened.path)
        node = opened.node
        if node.is_dir: node.sure, node.changes = dict(node.names), []
        else: node.sure = bytes(node.data)

    def about(self, handle):
        opened = self.handle(handle)
        self.event("stat", opened.path)
        return self.result(opened.node)

    def result(self, node):
        return os.stat_result((node.mode, node.number, 1, 1, 0, 0, len(node.data), node.mtime // 10**9,
                               node.mtime // 10**9, node.mtime // 10**9, 0, 0, 0, node.mtime, node.mtime, node.mtime))

    def file(self, handle, mode):
        if mode == "wb": return io.BufferedWriter(File(self, handle, mode), 2**16)
        if mode == "w+b": return io.BufferedRandom(File(self, handle, mode), 2**16)
        try: return io.BytesIO(self.read(handle, 2**40))
        finally: self.close(handle)

    def stat(self, path, follow=True):
        self.event("stat", str(path))
        return self.result(self.there(path))

    def names(self, path):
        self.event("list", str(path))
        node = self.there(path)
        if not node.is_dir: raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return sorted(self.looked_up(node, fresh=False))

    def replace(self, old, new):
        self.event("rename", str(new))
        node = self.there(old, fresh=True)
        (source, old_name), (target, new_name) = self.folder_of(old), self.folder_of(new)
        assert source is target, "this disk renames within a folder"
        there = target.names.get(new_name)
        if there is not None and there.is_dir and there.names:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(new))
        self.may_write(str(new))
        self.change(target, str(new), **{old_name: None, new_name: node})

    def unlink(self, path):
        self.event("unlink", str(path))
        folder, name = self.folder_of(path)
        if name not in folder.names: raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        self.may_write(str(path))
        self.change(folder, str(path), **{name: None})

    def mkdir(self, path):
        self.event("mkdir", str(path))
        folder, name = self.folder_of(path)
        if name in folder.names: raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self.may_write(str(path))
        node = self.new_node(stat.S_IFDIR | 0o755)
        self.change(folder, str(path), **{name: node})

    def rmtree(self, path, ignore_errors=False):
        try:
            for name in self.names(path):
                below = f"{path}/{name}"
                if self.is_dir(below): self.rmtree(below, ignore_errors)
                else: self.unlink(below)
            self.unlink(path)
        except OSError:
            if not ignore_errors: raise

    def chmod(self, path, mode):
        node = self.there(path, fresh=True)
        node.mode = stat.S_IFMT(node.mode) | mode

    def free(self, path): return 2**40

    def lock(self, handle, flags):
        opened = self.handle(handle)
        shared = bool(flags & portalocker.LOCK_SH)
        def is_free():
            others = [is_shared for other, is_shared in opened.node.locks.items() if other != handle]
            return not others or shared and all(others)
        self.event("lock", opened.path)
        if not is_free() and flags & portalocker.LOCK_NB:
            raise portalocker.AlreadyLocked(OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
        while not is_free(): self.wait(is_free)
        opened.node.locks[handle] = shared

    def who_holds(self, path):
        "The actor that has a file locked for itself; None where nobody has."
        node = self.find(path, fresh=True)
        handles = node.locks if node else {}
        return next((self.opened[handle].actor for handle in handles if handle in self.opened), None)
