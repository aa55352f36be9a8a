"""Several machines: what is trained on them is what one process trains, and a machine or the head that is killed is
said and costs nothing that was kept. Both machines are of this one, with a processor each."""
import os, socket, subprocess, sys, time, warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil, pytest

from selfloop_nb import FineTune
from small import small_loop
from test_processes import distance

pytestmark = pytest.mark.long
STEPS = 60


def begun(begin, tries=5):
    "What is begun; the daemons of Ray do not make it on a busy machine."
    for left in reversed(range(tries)):
        try: return begin()
        except Exception:
            if not left: raise


class Machines:
    "A cluster of two machines beside its head, and its workers."
    def __init__(self):
        from ray.cluster_utils import Cluster
        from selfloop_nb import ray_cluster
        self.cluster = begun(lambda: Cluster(initialize_head=True, head_node_args=dict(num_cpus=0)))
        self.nodes = [self.added() for _ in range(2)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "whoever can reach this cluster")
            self.workers = ray_cluster(self.cluster.address, workers=2, keep=600)

    def added(self): return begun(lambda: self.cluster.add_node(num_cpus=1))

    def kill_one(self):
        self.cluster.remove_node(self.nodes.pop(), allow_graceful=False)
        self.nodes.append(self.added())

    def places(self):
        "The machine of each worker."
        def place(worker): return __import__("ray").get_runtime_context().get_node_id()
        team = self.workers.at_hand()
        return [self.workers.ray.get(actor.__ray_call__.remote(place)) for actor in team]


@pytest.fixture(scope="module")
def machines():
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        made = Machines()
        yield made
        made.workers.rest()
        made.workers.ray.shutdown()
        made.cluster.shutdown()


def trained(folder, workers=None, processes=1, listener=None):
    "A loop after a round whose training is shared by so many processes; M_0 comes from one."
    more = dict(workers=workers) if workers else {}
    loop = small_loop(folder, tune=FineTune(steps=STEPS, batch_size=16, processes=processes), **more)
    loop.start()
    if listener: loop.on(lambda event: listener(loop, event))
    loop.run(rounds=1)
    return loop


@pytest.fixture(scope="module")
def alone(tmp_path_factory): return trained(tmp_path_factory.mktemp("alone") / "run").language_model()


def test_two_machines_train_what_one_process_trains(tmp_path, machines, alone):
    heard = []
    def hear(loop, event):
        if event.kind == "loss": heard.append(event.data["step"])
    loop = trained(tmp_path / "run", machines.workers, 2, hear)
    assert distance(loop.language_model(), alone) < 1e-6
    assert heard == list(range(1, STEPS + 1)) and len(set(machines.places())) == 2
    assert [point["step"] for point in loop.losses(1)] == heard


def test_a_machine_that_is_killed_while_it_trains_costs_what_was_not_kept(tmp_path, machines, alone, monkeypatch):
    from selfloop_nb.storage import checkpoints
    monkeypatch.setattr(checkpoints.Checkpoints, "__init__", often(checkpoints.Checkpoints.__init__))
    killed, heard = [], []
    def kill(loop, event):
        if event.kind != "loss": return
        heard.append(event.data["step"])
        if event.data["step"] > 5 and not killed: killed.append(machines.kill_one())
    with pytest.warns(UserWarning, match="process . of 2, on .*, was lost: the training goes on from what it kept"):
        loop = trained(tmp_path / "run", machines.workers, 2, kill)
    assert killed and heard == list(range(1, STEPS + 1)), "no step was told twice"
    assert distance(loop.language_model(), alone) < 1e-6


def often(init):
    "Checkpoints after every step."
    def made(self, *how, **more):
        init(self, *how, **more)
        self.is_due = partial(bool, True)
    return made


def test_a_training_on_two_machines_that_was_stopped_goes_on(tmp_path, machines, alone, monkeypatch):
    from selfloop_nb.storage import checkpoints
    monkeypatch.setattr(checkpoints.Checkpoints, "__init__", often(checkpoints.Checkpoints.__init__))
    heard = []
    def stop(loop, event):
        if event.kind != "loss": return
        heard.append(event.data["step"])
        if len(heard) == 8: loop.stop()
    loop = trained(tmp_path / "run", machines.workers, 2, stop)
    before = len(heard)
    assert len(loop.rounds) == 1 and before < STEPS
    loop.run(rounds=1)
    assert distance(loop.language_model(), alone) < 1e-6 and heard[before] > 1, "it did not begin anew"


class Head:
    "A cluster that `ray start` has begun."
    def __init__(self, log):
        with socket.create_server(("127.0.0.1", 0)) as free: self.port = free.getsockname()[1]
        how = [f"--port={self.port}", "--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000"]
        command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", *how]
        with log.open("w") as out: self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        while "Ray runtime started" not in log.read_text():
            if self.process.poll() is not None: raise ChildProcessError(log.read_text()[-300:])
            time.sleep(0.2)
        self.daemons = psutil.Process(self.process.pid).children(recursive=True)

    def kill(self, name):
        for daemon in self.daemons:
            if daemon.is_running() and name in daemon.name(): daemon.kill()

    def end(self):
        for process in [self.process, *self.daemons]:
            with suppress(psutil.NoSuchProcess): process.kill()
        self.process.wait()


def test_a_head_that_is_killed_in_the_middle_of_a_round_is_said_and_the_run_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    for name, value in dict(MODE="token", TOKEN="a token of this test" * 2).items():
        monkeypatch.setenv(f"RAY_AUTH_{name}", value)
    head = begun(lambda: Head(tmp_path / "log"))
    try: lines = headless(head, tmp_path / "run")
    finally: head.end()
    said, made = lines[-2:]
    assert said.startswith(f"said: the head of the cluster, ") and f":{head.port}, does not answer any more" in said
    loop = small_loop(tmp_path / "alone")
    loop.run(rounds=1)
    assert made.split()[1:] == list(loop.rounds[1].files.values())


def headless(head, store):
    "What a run says whose head is killed as it draws."
    command = [sys.executable, Path(__file__).parent / "helpers" / "headless.py", f"127.0.0.1:{head.port}", store]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            lines.append(line)
            if line.startswith("sample"): head.kill("gcs_server")
    return lines
