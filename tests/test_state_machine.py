"""Whatever is done to a run, in whatever order: no sample is lost, every committed round is as it was written, and the
same settings give the same bytes.

`python tests/test_state_machine.py N` tries N histories; `make test` a few.
"""
import shutil, sys, tempfile, warnings
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed as seeded, settings, strategies as st
from hypothesis.stateful import (RuleBasedStateMachine, initialize, invariant, precondition, rule,
                                 run_state_machine_as_test)

sys.path.append(str(Path(__file__).with_name("faults")))
from failpoints import replace_everywhere
from table import Row, show

SETTINGS = dict(deadline=None, suppress_health_check=list(HealthCheck), database=None, stateful_step_count=8,
                phases=[Phase.generate])


class Died(BaseException):
    "The kernel has died here."


@contextmanager
def dying_at_file(n, half):
    "Writing fails at the n-th file (from 0) and at all that follow, where `half` is true in its middle."
    from selfloop_nb.storage.files import write_file
    left = [n]
    def write(path, data):
        left[0] -= 1
        if left[0] >= 0: return write_file(path, data)
        if half: path.with_name(f".{path.name}.1.tmp").write_bytes(b"half")
        raise Died
    undo = replace_everywhere(write_file, write)
    try: yield
    finally: undo()


class Lives(RuleBasedStateMachine):
    "The lives of one run."
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.branches = ["main"]
        self.n_imported = 0
        self.committed = {}       # round -> hash of its weights
        self.weights = {}         # (weights before, settings) -> the same: whoever repeats a round gets them again
        self.rated = {"run": {}}  # run -> who rated -> (sample, value) of each verdict

    def teardown(self):
        self.loop = None
        shutil.rmtree(self.root)

    @initialize()
    def begin(self): self.open("run", "main")

    def open(self, name, branch):
        "What a new kernel does."
        from tiny import tiny_loop
        self.loop = None
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            self.loop = tiny_loop(self.root / name, branch=branch)
        self.name = name

    def note(self):
        "Every round that is there, and that it is what the same settings gave before."
        for record in self.loop.store.all_rounds():
            weights = record.files["model/model.safetensors"]
            before = record.parent and self.committed[record.parent]
            first = self.weights.setdefault((before, repr(record.config)), weights)
            assert first == weights, "the same settings gave other weights"
            self.committed[record.id] = weights

    @rule()
    def start(self): self.loop.start()

    @rule()
    def step(self):
        from selfloop_nb.backend.core import EmptyRoundError
        n = max(len(self.loop.rounds), 1)
        keeps_nothing = self.loop.select.theta > 100
        try: self.loop.step()
        except EmptyRoundError: assert keeps_nothing and len(self.loop.rounds) == n
        else: assert not keeps_nothing and len(self.loop.rounds) == n + 1

    @rule(after=st.integers(0, 14), half=st.booleans())
    def die_and_resume(self, after, half):
        "The process ends at its n-th file, before it is written or in the middle; a new kernel opens the run."
        from selfloop_nb.backend.core import EmptyRoundError
        with dying_at_file(after, half):
            try: self.loop.step()
            except (Died, EmptyRoundError): pass
        store = self.loop.store
        self.open(self.name, store.branch if store.branch in store.heads else "main")

    @precondition(lambda self: len(self.loop.rounds) > 1)
    @rule(data=st.data())
    def rewind(self, data):
        number = data.draw(st.integers(0, len(self.loop.rounds) - 1))
        self.loop.rewind(number)
        assert len(self.loop.rounds) == number + 1

    @precondition(lambda self: self.loop.rounds and len(self.branches) < 4)
    @rule(theta=st.sampled_from([0.0, 2.0, 1e6]))
    def branch(self, theta):
        from selfloop_nb import Threshold
        self.branches.append(f"b{len(self.branches)}")
        self.loop = self.loop.branch(self.branches[-1], select=Threshold(theta, finished=False))

    @precondition(lambda self: len(self.loop.rounds) > 1)
    @rule(data=st.data(), value=st.sampled_from([0.0, 0.5, 1.0, None]), by=st.sampled_from(["ann", "bob"]))
    def rate(self, data, value, by):
        "Somebody gives a verdict on a sample of the newest round, or takes the last one back."
        from selfloop_nb.people.scorer import run_ratings
        from selfloop_nb.storage.ratings import sample_key
        samples = self.loop.samples()
        ratings = run_ratings(self.loop.store)
        given = self.rated[self.name].setdefault(by, [])
        if given and data.draw(st.booleans()):
            ratings.undo(by)
            given.pop()
        else:
            row = samples[data.draw(st.integers(0, len(samples) - 1))]
            ratings.add(row, value, by)
            given.append((sample_key(row), value))

    @precondition(lambda self: self.loop.rounds and self.n_imported < 2)
    @rule()
    def send_and_receive(self):
        "The run leaves as a zip file and goes on elsewhere."
        from selfloop_nb import export_run, import_run, verify
        self.n_imported += 1
        new = f"copy{self.n_imported}"
        before = self.records()
        import_run(export_run(self.loop, self.root / "sent.zip"), self.root / new)
        (self.root / "sent.zip").unlink()
        self.rated[new] = {by: list(given) for by, given in self.rated[self.name].items()}
        self.open(new, self.loop.store.branch)
        assert self.records() == before
        assert verify(self.loop).is_whole

    def records(self):
        "What is written of each round."
        return {record.id: record.to_json() for record in self.loop.store.all_rounds()}

    @invariant()
    def nothing_is_lost(self):
        if not hasattr(self, "name"): return
        store = self.loop.store
        before = set(self.committed)
        self.note()
        records = list(store.all_rounds())
        assert before <= {record.id for record in records}, "a committed round is gone"
        assert set(store.heads.values()) <= set(self.committed)
        for record in records: self.is_whole(record)
        for by, given in self.rated[self.name].items(): assert self.verdicts(by) == dict(given), "a rating is gone"
        allowed = {"run", "copy1", "copy2"}
        assert {path.name for path in self.root.iterdir()} <= allowed, "something lies beside the runs"

    def is_whole(self, record):
        "Counts add up, files are as recorded, and no sample table is missing."
        store, counts = self.loop.store, record.counts
        assert counts["n_sampled"] == counts["n_kept"] + counts["n_rejected"] + counts["n_quarantined"]
        assert store.verify(record.id) == []
        if record.number: assert store.folder(record.id).joinpath("samples.parquet").is_file()

    def verdicts(self, by):
        "Sample -> what somebody said of it."
        from selfloop_nb.people.scorer import run_ratings
        return {key: line["value"] for key, line in run_ratings(self.loop.store).verdicts(by).items()}


def histories(n, seed=0):
    "Try n histories."
    run_state_machine_as_test(seeded(seed)(Lives), settings=settings(max_examples=n, **SETTINGS))


def test_lives(): histories(8)


if __name__ == "__main__":
    n = int(sys.argv[1]) if sys.argv[1:] else 300
    histories(n)
    show([Row("histories of start, step, kill, resume, rewind, branch, rate, export, import", n)])
