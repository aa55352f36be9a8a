"""A click is heard while the loop samples and while it tunes, in real kernels of three versions; Stop ends the phase,
and what was committed stays.

Each version of ipykernel goes into a folder of its own, before the environment's; nothing is installed. Times are
printed, order is asserted.
"""
import statistics, subprocess, sys, time

import pytest
from browser import library_path
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

VERSIONS = ["6.31.0", "7.3.0", "7.4.0"]
INSTALL = ["-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--target"]
LAUNCH = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
SETUP = """
import torch; torch.set_num_threads(1)
from small import small_loop, small_task
from selfloop_nb import FineTune, Sampling, Threshold, dashboard
task = small_task(n_prompts=4000)
tune = FineTune(steps=100_000, batch_size=32)
loop = small_loop("run", task=task, sampling=Sampling(tokens_per_batch=400), tune=tune)
loop.start()
room = dashboard(loop)
room.box
"""
FEW_PROMPTS = "loop.task.n_prompts = 20; loop.change(sampling=Sampling(tokens_per_batch=500))"
COMMITTED = "[r.number for r in loop.rounds], loop.store.verify(loop.rounds[-1].id), room.worker.error"
WIDGETS = {"step": "buttons['Step']", "pause": "buttons['Pause']", "stop": "buttons['Stop']", "answer": "answer",
           "status": "status"}
CLICKS = 20


@pytest.fixture(params=VERSIONS)
def kernel(request, tmp_path):
    "A client of a kernel of this version, in which the control room stands ready."
    extra = tmp_path / "packages"
    packages = [f"ipykernel=={request.param}", "nest-asyncio"]
    if subprocess.run([sys.executable, *INSTALL, str(extra), *packages], capture_output=True).returncode:
        pytest.skip(f"ipykernel {request.param} cannot be had: no package index answers")
    manager = KernelManager()
    env = {"PYTHONPATH": library_path(extra), "OMP_NUM_THREADS": "1"}
    manager._kernel_spec = KernelSpec(argv=LAUNCH, env=env)
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready()
    client.version = request.param
    try:
        assert ask(client, SETUP, "__import__('ipykernel').__version__") == repr(request.param)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def ask(client, code, expression="None"):
    "Run code in the kernel; what an expression comes to after it."
    def ignore(message): pass
    reply = client.execute_interactive(code, user_expressions={"it": expression}, output_hook=ignore)
    assert reply["content"]["status"] == "ok", reply["content"]
    return reply["content"]["user_expressions"]["it"]["data"]["text/plain"]


def click(client, comm):
    "Press a button, as a browser does."
    data = {"method": "custom", "content": {"event": "click"}}
    client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": comm, "data": data}))


def wait_for(client, comm, *words):
    "The seconds until a widget shows one of the words, and what it shows."
    began = time.monotonic()
    while True:
        value = shown(client.get_iopub_msg(), comm)
        if any(word in value for word in words): return time.monotonic() - began, value


def shown(message, comm):
    "What a message lets a widget show; nothing where it is for another."
    content = message["content"]
    if message["msg_type"] != "comm_msg" or content["comm_id"] != comm: return ""
    return content["data"].get("state", {}).get("value", "")


def test_clicks_are_heard_in_the_middle_of_a_phase(kernel):
    comm = {name: ask(kernel, "", f"room.{widget}.comm.comm_id").strip("'") for name, widget in WIDGETS.items()}
    clicks_are_heard(kernel, comm, "sample")
    ask(kernel, FEW_PROMPTS)
    clicks_are_heard(kernel, comm, "tune")


def ms(seconds): return f"{1000 * seconds:.0f} ms"


def clicks_are_heard(kernel, comm, phase):
    "Pause and go on, many times; then Stop. What was committed is there."
    click(kernel, comm["step"])
    wait_for(kernel, comm["status"], f"round 1: {phase}")
    seconds = []
    for _ in range(CLICKS):
        click(kernel, comm["pause"])
        seconds.append(wait_for(kernel, comm["answer"], "paused")[0])
        click(kernel, comm["pause"])
        wait_for(kernel, comm["answer"], "going on")
    click(kernel, comm["stop"])
    _, answer = wait_for(kernel, comm["answer"], "stopping", "nothing is running")
    assert "stopping" in answer, "the phase had ended before the clicks did"
    stopped, _ = wait_for(kernel, comm["status"], "round 0 is done")
    median, slowest = statistics.median(seconds), max(seconds)
    print(f"\nipykernel {kernel.version}, {phase}: a click is answered in {ms(median)} (median of {CLICKS}, slowest "
          f"{ms(slowest)}); Stop ends the phase in {ms(stopped)}")
    assert ask(kernel, "", COMMITTED) == "([0], [], None)"
