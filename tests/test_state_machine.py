"""Whatever is done to a run, in whatever order: no sample is lost, every committed round is as it was written, and the same settings give the same bytes.

`python tests/test_state_machine.py N` tries N histories; `make test` a few.
"""
import shutil, sys, tempfile, warnings
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

sys.path.append(str(Path(__file__).with_name("faults")))
SETTINGS = dict(deadline=None, suppress_health_check=list(HealthCheck), database=None, stateful_step_count=8, phases=[Phase.generate])


class Died(BaseException):
    "The kernel has died here."


class Lives(RuleBasedStateMachine):
    "The lives of one run."
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.names, self.imported, self.committed, self.made, self.rated = ["main"], 0, {}, {}, {"run": {}}

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
            assert self.made.setdefault((before, repr(record.config)), weights) == weights, "the same settings gave other weights"
            self.committed[record.id] = weights

    @rule()
    def start(self): self.loop.start()

    @rule()
    def step(self):
        from selfloop_nb.core import EmptyRoundError
        n, empty = len(self.loop.rounds), self.loop.select.theta > 100
        try: self.loop.step()
        except EmptyRoundError: assert empty and len(self.loop.rounds) == max(n, 1)
        else: assert not empty and len(self.loop.rounds) == max(n, 1) + 1

    @rule(after=st.integers(0, 14), half=st.booleans())
    def die_and_resume(self, after, half):
        "The process ends at its n-th file, before it is written or in the middle; a new kernel opens the run."
        import selfloop_nb.storage.files, selfloop_nb.phases, selfloop_nb.storage.store
        from selfloop_nb.core import EmptyRoundError
        modules, whole, left = (selfloop_nb.phases, selfloop_nb.storage.store), selfloop_nb.storage.files.write_file, [after]
        def dying(path, data):
            left[0] -= 1
            if left[0] >= 0: return whole(path, data)
            if half: path.with_name(f".{path.name}.1.tmp").write_bytes(b"half")
            raise Died
        for module in modules: module.write_file = dying
        try: self.loop.step()
        except (Died, EmptyRoundError): pass
        finally:
            for module in modules: module.write_file = whole
        self.open(self.name, self.loop.store.branch if self.loop.store.branch in self.loop.store.heads else "main")

    @precondition(lambda self: len(self.loop.rounds) > 1)
    @rule(data=st.data())
    def rewind(self, data):
        number = data.draw(st.integers(0, len(self.loop.rounds) - 1))
        self.loop.rewind(number)
        assert len(self.loop.rounds) == number + 1

    @precondition(lambda self: self.loop.rounds and len(self.names) < 4)
    @rule(theta=st.sampled_from([0.0, 2.0, 1e6]))
    def branch(self, theta):
        from selfloop_nb import Threshold
        self.names.append(f"b{len(self.names)}")
        self.loop = self.loop.branch(self.names[-1], select=Threshold(theta, finished=False))

    @precondition(lambda self: len(self.loop.rounds) > 1)
    @rule(data=st.data(), value=st.sampled_from([0.0, 0.5, 1.0, None]), by=st.sampled_from(["ann", "bob"]))
    def rate(self, data, value, by):
        "Somebody gives a verdict on a sample of the newest round, or takes the last one back."
        from selfloop_nb.people.scorer import run_ratings
        from selfloop_nb.storage.ratings import sample_key
        samples, ratings, given = self.loop.samples(), run_ratings(self.loop.store), self.rated[self.name].setdefault(by, [])
        if given and data.draw(st.booleans()):
            ratings.undo(by)
            given.pop()
        else:
            row = samples[data.draw(st.integers(0, len(samples) - 1))]
            ratings.add(row, value, by)
            given.append((sample_key(row), value))

    @precondition(lambda self: self.loop.rounds and self.imported < 2)
    @rule()
    def send_and_receive(self):
        "The run leaves as a zip file and goes on elsewhere."
        from selfloop_nb import export_run, import_run, verify
        self.imported += 1
        new, before = f"copy{self.imported}", {id: r.to_json() for id, r in ((r.id, r) for r in self.loop.store.all_rounds())}
        import_run(export_run(self.loop, self.root / "sent.zip"), self.root / new)
        (self.root / "sent.zip").unlink()
        self.rated[new] = {by: list(given) for by, given in self.rated[self.name].items()}
        self.open(new, self.loop.store.branch)
        assert {r.id: r.to_json() for r in self.loop.store.all_rounds()} == before and verify(self.loop).is_whole

    @invariant()
    def nothing_is_lost(self):
        if not hasattr(self, "name"): return
        from selfloop_nb.people.scorer import run_ratings
        before = set(self.committed)
        self.note()
        for record in self.loop.store.all_rounds():
            counts = record.counts
            assert counts["n_sampled"] == counts["n_kept"] + counts["n_rejected"] + counts["n_quarantined"]
            assert self.loop.store.verify(record.id) == []
            if record.number: assert self.loop.store.folder(record.id).joinpath("samples.parquet").is_file()
        assert before <= {r.id for r in self.loop.store.all_rounds()}, "a committed round is gone"
        assert set(self.loop.store.heads.values()) <= set(self.committed)
        for by, given in self.rated[self.name].items():
            assert {key: line["value"] for key, line in run_ratings(self.loop.store).verdicts(by).items()} == dict(given), "a rating is gone"
        assert {p.name for p in self.root.iterdir()} <= {"run", *(f"copy{n}" for n in range(1, 3))}, "something lies beside the runs"


def histories(n, seed=0):
    "Try n histories."
    from hypothesis import seed as seeded
    run_state_machine_as_test(seeded(seed)(Lives), settings=settings(max_examples=n, **SETTINGS))


def test_lives(): histories(8)


if __name__ == "__main__":
    from table import Row, show
    n = int(sys.argv[1]) if sys.argv[1:] else 300
    histories(n)
    show([Row("histories of start, step, kill, resume, rewind, branch, rate, export, import", n)])
