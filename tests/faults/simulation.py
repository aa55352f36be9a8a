"""Whole histories of a run on a disk in memory, see simdisk.py: kernels that start, step, stop, rewind, undo, branch,
sweep and die; watchers on another machine; people who rate; an archive that is written while all of that goes on.

What is committed stays, nobody sees half a round, nobody writes without the lock, all that shows the run agrees, an
error that passes changes nothing, an archive gives back what was packed, each round is what its settings make of its
parent, and no scorer that keeps its scores is asked twice without need. What breaks is told with its seed:

    python tests/faults/simulation.py [EVENTS]            so many events on the disk, a million where it is left out
    python tests/faults/simulation.py seed SEED           that history again, with what went wrong
"""
import functools, gc, hashlib, json, os, random, sys, traceback, warnings
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from failpoints import replace_everywhere
from simdisk import SimDisk
from table import Row, show
import tiny  # noqa: F401

RUN = Path("/sim/runs/run")
PASSES = (OSError, KeyboardInterrupt) # what may come out of any call
HERE = dict(python="3", machine="simulated", system="simulated", cpus=1)


def hashed(*parts): return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


class Echo:
    "A model that is one word; what it writes is a hash of that word, the prompt and the seed."
    name, reads = "echo", "input_ids"
    context = 1000
    pretrained, is_encoder_decoder = True, False
    start_ids, eos_ids = [], [0]
    is_empty, adapter = False, None
    mentions_thoughts = False
    model = SimpleNamespace(config=SimpleNamespace(model_type="echo", is_encoder_decoder=False))
    dtype = "float32"
    def __init__(self, word="first"): self.word = word
    def identity(self): return dict(name=self.name, weights=self.word)
    def weights_hash(self): return self.word
    def emptied(self): return self
    def prompt_ids(self, text): return list(map(ord, text))
    def in_thought(self, prompts): return [False] * len(prompts)
    def ids_of_prompts(self, texts): return {text: self.prompt_ids(text) for text in texts}
    def reloaded(self, folder): return Echo(word_of(folder))

    def save(self, folder):
        from selfloop_nb.storage.files import write_file
        header = json.dumps({"__metadata__": {"word": self.word}}).encode()
        write_file(folder / "model.safetensors", len(header).to_bytes(8, "little") + header)


def word_of(folder):
    from selfloop_nb.storage.files import read_file
    return json.loads(read_file(folder, "model.safetensors")[8:])["__metadata__"]["word"]


def sample_chunk(lm, ids, chunk_seed, sampling, max_new_tokens, progress, should_stop):
    "In the place of the library's."
    texts = [hashed(lm.word, asked, chunk_seed, n) for n, asked in enumerate(ids)]
    return [dict(token_ids=list(map(ord, text)), n_tokens=8, logprob=-1.0, finished=True, completion=text)
            for text in texts]


@dataclass(frozen=True)
class Learn:
    "A tuner that changes the word."
    start: str = "previous"
    def check(self, model, task): pass
    def train(self, lm, data, seed=0, on_loss=None, should_stop=None):
        return Echo(hashed(lm.word, data.mix().to_list(), seed)), [dict(step=1, loss=1.0, lr=0.1)], {}


def rating(samples, by): return [sum(map(ord, text)) * by % 97 / 97 for text in samples["completion"]]


def scorer(by):
    "A Q that costs, of which there are several that look alike."
    score = functools.partial(rating, by=by)
    score.journal = True
    score.name = "rating"
    return score


def task_of(n):
    "Prompts, of which n are asked a round."
    from selfloop_nb import from_dataset
    return from_dataset(None, [{"prompt": f"{k}?"} for k in range(6)], n_prompts=n)


class History:
    "One history: its disk, its actors, and what they know to be so."
    def __init__(self, seed, faults=None):
        self.seed, self.rng = seed, random.Random(seed)
        self.faults = self.rng.choice((0, 1, 1, 3)) if faults is None else faults
        self.disk = SimDisk(self.rng.random(), self.faults)
        self.disk.may_write = self.check_writer
        self.committed = {}  # id -> (number, parent, hash of the record)
        self.heads = {}      # branch -> where it may stand
        self.rated = {}      # who -> values of their verdicts, in order
        self.asked = Counter() # (parent, by, completion) -> how often Q was asked
        self.n_archives = 0
        self.doing = {}      # actor -> branch, what it does

    # Who may write what

    def check_writer(self, path):
        "Called before a change: in the run, only whoever holds its lock may make one."
        disk, path = self.disk, Path(path)
        if disk.calm or disk.actor is None or not path.is_relative_to(RUN) or path == RUN: return
        name = path.relative_to(RUN).parts[0]
        if name in ("lock", "ratings.jsonl"): return
        if disk.who_holds(RUN / "lock") is not disk.actor:
            disk.broken(f"{disk.actor.name} writes {path.relative_to(RUN)} without the lock")

    # Kernels

    def kernel(self, seed):
        "A kernel that opens the run, does some things, and ends."
        def work(actor):
            for _ in range(self.rng.randint(1, 2)):
                try: self.live(actor, seed)
                except PASSES: pass
        return work

    def loop(self, seed, branch="main"):
        from selfloop_nb import Loop, Sampling, Threshold
        by, n = self.rng.choice((5, 9)), self.rng.choice((2, 3))
        loop = Loop(Echo(), task_of(n), score=scorer(by), select=Threshold(0.0), tune=Learn(),
                    sampling=Sampling(max_new_tokens=4, tokens_per_batch=24), store=RUN, branch=branch, seed=seed,
                    progress=False, guards=())
        loop._by = by
        return loop

    def live(self, actor, seed):
        "What a kernel does."
        from selfloop_nb.backend.core import RunLockedError, SelfloopError
        branch = self.rng.choice(sorted(self.heads)) if self.heads else "main"
        try: loop = self.loop(seed, branch)
        except RunLockedError: return
        except SelfloopError as error:
            if "was made with seed" in str(error) and self.seed_of_run() != seed: return
            raise
        self.check_open(loop)
        for _ in range(self.rng.randint(1, 4)):
            what = self.rng.choice(("step", "step", "step", "stop", "rewind", "undo", "branch", "sweep", "look"))
            if len(loop.rounds) < 2: what = "step" if loop.rounds else "start"
            before = self.standing(loop.store.branch)
            self.doing[actor] = loop.store.branch, what, before
            try: self.do(loop, what)
            except PASSES:
                self.check_unchanged(loop.store.branch, what, before)
                self.check_unchanged(*self.doing[actor]) # in a sweep another branch is at work
            else: self.doing.pop(actor)

    def do(self, loop, what):
        "One thing, and what is certain after it."
        from selfloop_nb.backend.core import Stopped
        branch = loop.store.branch
        if what == "start": self.note(loop, loop.start())
        if what == "step": self.note(loop, loop.step())
        if what == "stop":
            try: self.note(loop, self.stopped_in(loop, self.rng.choice(("sample", "score", "tune"))))
            except Stopped: pass
        if what == "rewind": self.heads[branch] = {loop.rewind(self.rng.randrange(len(loop.rounds))).id}
        if what == "undo": self.undo(loop)
        if what == "branch": self.branch(loop)
        if what == "sweep": self.sweep(loop)
        if what == "look": self.agree(loop)

    def stopped_in(self, loop, phase):
        "A step that is asked to stop as a phase has begun or, by chance, ended."
        from selfloop_nb.backend.core import Stopped
        def listen(event):
            if event.kind == "phase" and event.phase == phase: raise Stopped("enough")
        loop.on(listen)
        try: return loop.step()
        finally: loop.control.off(listen)

    def undo(self, loop):
        from selfloop_nb.backend.core import SelfloopError
        try: self.heads[loop.store.branch] = {loop.undo().id}
        except SelfloopError as error:
            if "nothing to take back" not in str(error): raise

    def branch(self, loop):
        name = f"b{len(self.heads)}"
        if len(self.heads) > 3 or name in loop.store.heads: return
        number = self.rng.randrange(len(loop.rounds))
        at = loop.rounds[number].id
        self.heads[name] = {None, at}
        loop.branch(name, round=number)
        self.heads[name] = {at}

    def sweep(self, loop):
        "Two arms of a round each, from round 0."
        from selfloop_nb.sweeps.arms import Arm, open_arm
        for by in (5, 9):
            line = open_arm(loop, Arm(f"by{by}", {}, dict(score=scorer(by))))
            line._by = by
            name = line.store.branch
            self.heads.setdefault(name, {line.store.head})
            self.doing[self.disk.actor] = name, "step", self.standing(name)
            while len(line.rounds) < 2: self.note(line, line.step())

    def note(self, loop, record):
        "A round is committed, and what its settings make of its parent."
        with self.disk.in_calm():
            self.committed[record.id] = record.number, record.parent, hashed(record.to_json())
            self.heads[loop.store.branch] = {record.id}
            if record.seeds["run"] != self.seed_of_run(): self.disk.broken("a round of another seed")
            if not record.parent: return
            self.check_made(loop, record)
            self.check_questions(record.parent, loop.store.samples(record.number)["completion"][:])

    def check_questions(self, parent, texts):
        "Was Q asked once about each, where nothing was disturbed? From here on its answers are not kept for others."
        counts = [self.asked.pop((parent, by, text), 0) for text in texts for by in (5, 9)]
        if max(counts) > 1 and not self.faults: self.disk.broken("Q was asked twice about a sample")

    def check_made(self, loop, record):
        "Prompts, samples, scores and the model are those that the settings of the loop give."
        from selfloop_nb.sampling import generate_samples
        parent = Echo(word_of(loop.store.folder(record.parent) / "model"))
        prompts = loop.task.round_prompts(record.number)
        drawn = generate_samples(parent, prompts, loop.sampling, 4, loop.seed, (record.number, "sample"))
        samples = loop.store.samples(record.number)
        if samples["prompt"][:] != drawn["prompt"][:]: self.disk.broken(f"{record.id} asks other prompts")
        elif samples["completion"][:] != drawn["completion"][:]: self.disk.broken(f"{record.id} has other samples")
        elif samples["score"][:] != rating(samples, loop._by): self.disk.broken(f"{record.id} has another Q's scores")

    # What must be so

    @property
    def is_begun(self):
        "Is there a run?"
        return self.disk.find(RUN, fresh=True) is not None and self.disk.find(RUN / "run.json", fresh=True) is not None

    def seed_of_run(self):
        node = self.disk.find(RUN / "run.json", fresh=True)
        return json.loads(bytes(node.data))["seed"]

    def standing(self, branch):
        "Where a branch stands on the disk."
        node = self.disk.find(RUN / "heads.json", fresh=True) if self.disk.find(RUN, fresh=True) else None
        return json.loads(bytes(node.data)).get(branch) if node else None

    def may_stand(self, branch, what, before, now):
        "May a thing that was not done to its end have brought a branch here?"
        if now == before or now in self.heads.get(branch, ()): return True
        if what in ("rewind", "undo", "branch", "sweep"): return now in self.committed
        return self.parent_of(now) == before

    def parent_of(self, id):
        node = self.disk.find(RUN / "rounds" / id / "round.json", fresh=True)
        return json.loads(bytes(node.data))["parent"] if node else "nothing"

    def check_unchanged(self, branch, what, before):
        "After an error: all is as it was, or the thing is done."
        now = self.standing(branch)
        if not self.may_stand(branch, what, before, now):
            self.disk.broken(f"after an error in {what} {branch} is at {now}, it was at {before}")
        self.heads.setdefault(branch, set()).add(now)

    def check_open(self, loop):
        "A kernel stands where its branch stands."
        with self.disk.in_calm():
            allowed, head = self.heads.get(loop.store.branch, {None}), loop.store.head
            standing = self.standing(loop.store.branch)
            if head != standing: self.disk.broken(f"opened at {head}, the disk says {standing}")
            if head in allowed: self.heads[loop.store.branch] = {head}
            elif self.committed: self.disk.broken(f"opened at {head}, it was {allowed}")

    def agree(self, loop):
        "All that shows the run shows the same."
        from selfloop_nb import verify
        with self.disk.in_calm():
            verdict = verify(loop)
            ids = [record.id for record in loop.store.all_rounds()]
            if not verdict.is_whole: self.disk.broken(f"verify: {verdict.damaged}")
            if verdict.n_rounds != len(ids): self.disk.broken(f"verify counts {verdict.n_rounds}, there are {len(ids)}")
            gone = {record.id for record in loop.rounds} - set(ids)
            if gone: self.disk.broken(f"of the branch, but not of the run: {gone}")

    # Who only looks

    def watcher(self, actor):
        "Looks three times, perhaps from afar, and writes nothing."
        from selfloop_nb import open_run, verify
        from selfloop_nb.backend.core import SelfloopError
        for _ in range(3):
            n_before, is_there = actor.n_stale + actor.n_faults, bool(self.committed)
            try:
                opened = open_run(RUN)
                opened.store.rows()
                wrong = verify(opened).damaged
            except PASSES: continue
            except SelfloopError as error: wrong = error
            has_seen = actor.n_stale + actor.n_faults == n_before
            if wrong and is_there and has_seen: self.disk.broken(f"a watcher sees: {wrong}")

    def rater(self, who):
        "Gives verdicts, and takes some back."
        def work(actor):
            from selfloop_nb.storage.ratings import Ratings
            given = self.rated.setdefault(who, [])
            for n in range(self.rng.randint(1, 4)):
                if not self.is_begun: return
                try:
                    ratings = Ratings(RUN / "ratings.jsonl", of_run=True)
                    value = self.rng.random()
                    ratings.add(dict(prompt=f"{value}?", completion=who), value, who)
                    given.append(value)
                except PASSES: pass
        return work

    def exporter(self, actor):
        "Packs the run, and unpacks it."
        from selfloop_nb import export_run, import_run, verify
        from selfloop_nb.backend.core import SelfloopError
        self.n_archives += 1
        archive, copy = RUN.with_name(f"{self.n_archives}.zip"), RUN.with_name(f"copy{self.n_archives}")
        n_before, is_there = actor.n_stale + actor.n_faults, bool(self.committed)
        def blame(what, error):
            if is_there and actor.n_stale + actor.n_faults == n_before: self.disk.broken(f"{what}: {error}")
        try: export_run(RUN, archive)
        except PASSES: return
        except SelfloopError as error: return blame("no archive", error)
        try: import_run(archive, copy)
        except PASSES: return
        except SelfloopError as error: return blame("an archive is refused", error)
        with self.disk.in_calm():
            if not verify(copy).is_whole: self.disk.broken("what was unpacked is damaged")

    # The course of a history

    def night(self, first):
        "Some actors, until all of them have ended, or the power has gone."
        disk, rng = self.disk, self.rng
        seeds = rng.choice(((0, 0), (0, 1))) if first else (self.begun_with(), self.begun_with())
        disk.add("kernel a", "near", self.kernel(seeds[0]))
        disk.add("kernel b", rng.choice(("near", "other")), self.kernel(seeds[1]))
        disk.add("watcher", rng.choice(("near", "far")), self.watcher)
        disk.add("rater", "near", self.rater("ann"))
        if rng.random() < 0.5: disk.add("second rater", "other", self.rater("bob"))
        if rng.random() < 0.5: disk.add("exporter", "near", self.exporter)
        disk.run()

    def begun_with(self):
        return self.seed_of_run() if self.is_begun else 0

    def judge(self):
        "After a night, without faults: is all there?"
        from selfloop_nb.storage.store import Run
        disk = self.disk
        if not self.is_begun:
            if self.committed: disk.broken("the run is gone")
            return
        run = Run(RUN)
        self.judge_rounds(run)
        for branch, what, before in self.doing.values():
            now = self.standing(branch)
            if self.may_stand(branch, what, before, now): self.heads.setdefault(branch, set()).add(now)
        self.doing.clear()
        for branch, allowed in self.heads.items():
            now = run.heads.get(branch)
            if now not in allowed: disk.broken(f"{branch} is at {now}, it was at {allowed}")
            self.heads[branch] = {now}
        self.judge_ratings()

    def judge_rounds(self, run):
        "No round is lost, all are whole, and all that shows them agrees."
        from selfloop_nb import export_run, import_run, verify
        from selfloop_nb.charts.lineage import lines_of
        from selfloop_nb.storage.store import Run
        disk = self.disk
        ids = run.ids()
        records = {record.id: record for record in run.all_rounds()}
        for id, (_, _, written) in self.committed.items():
            if id not in records: disk.broken(f"committed and gone: {id}")
            elif hashed(records[id].to_json()) != written: disk.broken(f"committed and changed: {id}")
        for id, record in records.items():
            self.committed.setdefault(id, (record.number, record.parent, hashed(record.to_json())))
        verdict = verify(run)
        if not verdict.is_whole: disk.broken(f"verify: {verdict.damaged}")
        drawn = sorted(record.id for line in lines_of(list(records.values()), run.heads) for record in line.rounds)
        if drawn != sorted(ids): disk.broken(f"the tree has {drawn}, the run {ids}")
        if verdict.n_rounds != len(ids): disk.broken(f"verify counts {verdict.n_rounds}, there are {len(ids)}")
        for branch in run.heads:
            missing = {record.id for record in Run(RUN, branch).rounds()} - set(ids)
            if missing: disk.broken(f"on {branch}, but not of the run: {missing}")
        if run.heads and self.rng.random() < 0.3:
            copy = RUN.with_name(f"judged{disk.new_number()}")
            import_run(export_run(run, copy.with_suffix(".zip")), copy)
            if Run(copy).ids() != ids or Run(copy).heads != run.heads: disk.broken("an archive holds other rounds")

    def judge_ratings(self):
        from selfloop_nb.storage.ratings import Ratings
        ratings = Ratings(RUN / "ratings.jsonl", of_run=True)
        for who, given in self.rated.items():
            there = {line["value"] for line in ratings.verdicts(who).values()}
            if lost := set(given) - there: self.disk.broken(f"{who}'s verdicts are gone: {lost}")

    def judge_damage(self):
        "The records of the newest rounds are torn: the run goes back to the newest that is whole."
        if self.disk.find(RUN, fresh=True) is None or not self.standing("main"): return
        ancestors, id = [], self.standing("main")
        while id: id = ancestors.append(id) or self.committed[id][1]
        n = self.rng.randint(1, 2)
        if len(ancestors) < n + 2: return
        for id in ancestors[:n]:
            node = self.disk.find(RUN / "rounds" / id / "round.json")
            del node.data[20:]
        try: loop = self.loop(self.seed_of_run())
        except Exception as error: return self.disk.broken(f"{n} records are torn: {type(error).__name__}: {error}")
        if loop.rounds[-1].id in ancestors[:n]: self.disk.broken("a torn round is the head")
        if n == 1 and loop.rounds[-1].id != ancestors[1]: self.disk.broken(f"it goes back to {loop.rounds[-1].id}")

    def play(self, nights=4):
        "The whole history; returns what was broken."
        with installed(self):
            self.disk.mkdir("/sim")
            self.disk.mkdir("/sim/runs")
            for node in (self.disk.root, self.disk.root.names["sim"]): node.sure = dict(node.names)
            for n in range(nights):
                self.night(first=n == 0)
                self.in_words(self.judge)
                if self.disk.problems: break
            else: self.in_words(self.judge_damage)
        return self.disk.problems

    def in_words(self, judge):
        "What a judge finds; an error of its own is a finding."
        with self.disk.in_calm():
            try: judge()
            except Exception as error: self.disk.broken(f"{type(error).__name__}: {error}", error)


class Known:
    "A set of its own for each process."
    def __init__(self, disk):
        self.disk = disk
        self.known = set()
    def __contains__(self, thing): return (self.disk.process(), thing) in self.known
    def add(self, thing): self.known.add((self.disk.process(), thing))


@contextmanager
def installed(history):
    "The library on this history's disk, with a small model, and without its clocks and dice."
    import selfloop_nb.charts.lineage, selfloop_nb.storage.archive, selfloop_nb.sweeps.arms  # noqa: F401
    from selfloop_nb import loop, phases, sampling, scoring
    from selfloop_nb.backend import weights
    from selfloop_nb.storage import disk, environment, files, lock, verify
    rng = random.Random(history.seed)
    dice = SimpleNamespace(token_hex=lambda n: f"{rng.getrandbits(8 * n):0{2 * n}x}")
    clock = SimpleNamespace(perf_counter=lambda: history.disk.clock / 1e9, monotonic=lambda: history.disk.clock / 1e9)
    run_scorer = scoring.run_scorer
    def counted(scorer, samples):
        _, _, parent = history.doing[history.disk.actor] # a round that is made again is another one
        history.asked.update((parent, scorer.function.keywords["by"], text) for text in samples["completion"])
        return run_scorer(scorer, samples)
    def no_check(*given, **how): pass
    def no_form(model, task): return model, task
    def no_reason(*states): return ""
    def nothing_set(model): return ""
    def no_doubts(*given): return []
    def no_threads(model): return nullcontext(SimpleNamespace(why="", n_threads=0))
    def nothing(): return {}
    def here(): return HERE
    stand_ins = {sampling.sample_chunk: sample_chunk, environment.environment: here, verify.computing: nothing,
                 loop.check_weights: no_check, phases.why_unchanged: no_reason, run_scorer: counted,
                 loop.check_given: no_form, loop.check_written: no_check, loop.doubts: no_doubts,
                 phases.fitting_threads: no_threads, phases.check_same: no_check, phases.taught_otherwise: no_reason,
                 sampling.settings_that_count: nothing_set, weights._other_form: no_reason,
                 weights.weight_marks: no_doubts}
    undo = [replace_everywhere(*pair) for pair in stand_ins.items()]
    undo.append(replace_object(disk.disk, history.disk))
    swapped = ((files, "secrets", dice), (lock, "secrets", dice), (phases, "time", clock),
               (files, "_forced", Known(history.disk)))
    for module, name, other in swapped:
        before = getattr(module, name)
        setattr(module, name, other)
        undo.append(functools.partial(setattr, module, name, before))
    gc.collect()
    gc.disable() # a lock that is let go of by chance would be no repeatable event
    try: yield
    finally:
        for again in reversed(undo): again()
        gc.enable()


def replace_object(thing, other):
    "Put another object in the place of one, in all modules of the library; returns what undoes it."
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "selfloop_nb"]
    places = [(module, name) for module in modules for name, value in vars(module).items() if value is thing]
    for module, name in places: setattr(module, name, other)
    def undo():
        for module, name in places: setattr(module, name, thing)
    return undo


def simulate(events, first=0):
    "Histories until there were so many events: their number, the events, and what was broken, by seed."
    warnings.simplefilter("ignore")
    n_events = n = 0
    broken = {}
    while n_events < events and len(broken) < 5:
        history = History(first + n)
        if problems := history.play(): broken[history.seed] = problems[0]
        n_events += history.disk.n_events
        n += 1
    return n, n_events, broken


def by_type_name():
    "What a partial function holds is not looked at: finding 1."
    from selfloop_nb.storage import identity
    return another_look(identity._partial, lambda look, thing: {"kind": "function", "name": type(thing).__name__})


def by_chance():
    "The same Q is another one in each kernel, as the order of a set is: finding 2."
    from selfloop_nb.storage import disk, identity
    known = identity._partial
    return another_look(known, lambda look, thing: {**known(look, thing), "order": disk.disk.process()})


def another_look(known, other):
    "Describe a kind of thing in another way; returns what undoes it."
    from selfloop_nb.storage import identity
    at = [how for _, how in identity._HOW].index(known)
    before = identity._HOW[at]
    identity._HOW[at] = (before[0], other)
    return lambda: identity._HOW.__setitem__(at, before)


def by_phases_alone():
    "A round is one where no phases.json is left, whatever the heads say: finding 3."
    from selfloop_nb.storage.heads import Move
    from selfloop_nb.storage.store import Run
    def set_head(run, id, why="moved"): run._heads.write([Move.now(run.branch, run.head, id, why)])
    return replace_methods(Run, ids=Run._settled, set_head=set_head)


def locked_late():
    "The lock is taken once run.json is there: finding 4."
    from selfloop_nb.storage.lock import RunLock
    from selfloop_nb.storage.store import Run
    def open_to_write(cls, path, info, branch="main"):
        from selfloop_nb.storage.disk import disk
        run = cls(path, branch) if disk.is_file(path / "run.json") else cls.create(path, info, branch)
        run.lock = RunLock(path)
        run.tidy()
        return run
    return replace_methods(Run, open_to_write=classmethod(open_to_write))


def by_number_alone():
    "A chunk is known by its number: finding 5."
    from selfloop_nb.backend.drawing import Drawing
    def drawn_before(drawing, id): return drawing.parts[id]["rows"] if id in drawing.parts else None
    return replace_methods(Drawing, _drawn_before=drawn_before)


def one_step_back():
    "Behind a lost record, only the round with the number before is looked for: finding 6."
    from selfloop_nb.storage.store import Run
    def whole_before(run, id):
        records = [record for record in map(run._whole, run.ids()) if record and record.number == int(id[:4]) - 1]
        return next((record.id for record in records if run.is_whole(record.id)), None)
    return replace_methods(Run, whole_before=whole_before)


def never_forced():
    "Nothing is forced to the disk."
    return replace_methods(SimDisk, sync=lambda disk, handle: None)


def in_place():
    "Files are written in their place."
    from selfloop_nb.storage import disk, files
    def write(path, data):
        handle = files.open_file(path.parent, path.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with disk.disk.file(handle, "wb") as file: file.write(data.encode() if isinstance(data, str) else data)
    return replace_everywhere(files.write_file, write)


def replace_methods(kind, **others):
    "Put other methods into a class; returns what undoes it."
    before = {name: vars(kind)[name] for name in others}
    for name, other in others.items(): setattr(kind, name, other)
    def undo():
        for name, method in before.items(): setattr(kind, name, method)
    return undo


CONTROLS = { # what was wrong once, or is wrong elsewhere, put back
    "identity by type name": by_type_name, "another Q in each kernel": by_chance,
    "committed by phases.json alone": by_phases_alone, "lock after run.json": locked_late,
    "chunks by number alone": by_number_alone, "one step back": one_step_back,
    "nothing forced": never_forced, "files in their place": in_place}
UNDISTURBED = {by_chance} # paid work is counted only where no fault makes it be done again


def found_by(put_back, most=200):
    "The seed of the first history that breaks with what was put back, and only then, and how; None where none does."
    faults = 0 if put_back in UNDISTURBED else None
    for seed in range(most):
        undo = put_back()
        try: problems = History(seed, faults).play()
        finally: undo()
        if problems and not History(seed, faults).play(): return seed, problems[0]


def controls(n):
    "The harness itself is tried: it must find what was put back, the last n."
    warnings.simplefilter("ignore")
    found = {name: found_by(put_back) for name, put_back in list(CONTROLS.items())[-n:]}
    unnoticed = [f"{name} was not noticed" for name, how in found.items() if not how]
    told = "; ".join(f"{name}: {how[1][:60]}" for name, how in found.items() if how)
    return Row("findings put back, each found by the simulation", len(found), unnoticed, told)


def again(seed):
    "A history once more, told."
    warnings.simplefilter("ignore")
    history = History(seed)
    for problem in history.play(): print(problem)
    for error in history.disk.errors: traceback.print_exception(error)
    print(f"{history.disk.n_events} events, {len(history.committed)} rounds, faults {history.faults}")


def main(events=1_000_000, n_controls=len(CONTROLS)):
    "The rows of the table."
    n, n_events, broken = simulate(events)
    losses = [f"seed {seed}: {problem}" for seed, problem in broken.items()]
    what = "events on a simulated disk: kernels, watchers, raters, sweeps, archives; faults, crashes, stale reads"
    return [Row(what, n_events, losses, f"in {n:,} histories"), controls(n_controls)]


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0": # the order of a set is a die, too
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    if sys.argv[1:2] == ["seed"]: again(int(sys.argv[2]))
    else: show(main(*map(int, sys.argv[1:])))
