"""A click is heard while the loop samples and while it tunes, in real kernels of three versions; Stop ends the phase, and what was committed stays.

Each version of ipykernel goes into a folder of its own, before the environment's; nothing is installed. Times are printed, order is asserted.
"""
import os, statistics, subprocess, sys, time
from queue import Empty

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from project import PROJECT

VERSIONS = ["6.31.0", "7.3.0", "7.4.0"]
SETUP = """
import torch; torch.set_num_threads(1)
from small import small_loop, small_task
from selfloop_nb import FineTune, Sampling, Threshold, dashboard
loop = small_loop("run", task=small_task(n_prompts=4000), sampling=Sampling(tokens_per_batch=400), tune=FineTune(steps=100_000, batch_size=32))
loop.start()
room = dashboard(loop)
room.box
"""
CLICKS = 20


@pytest.fixture(params=VERSIONS)
def kernel(request, tmp_path):
    "A client of a kernel of this version, in which the control room stands ready."
    extra = tmp_path / "packages"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--target", str(extra), f"ipykernel=={request.param}", "nest-asyncio"]
    if subprocess.run(command, capture_output=True).returncode: pytest.skip(f"ipykernel {request.param} cannot be had: no package index answers")
    manager = KernelManager()
    manager._kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], env={"PYTHONPATH": os.pathsep.join([str(extra), str(PROJECT), str(PROJECT / "tests")]), "OMP_NUM_THREADS": "1"})
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    client.version = request.param
    try:
        assert ask(client, SETUP, "__import__('ipykernel').__version__") == repr(request.param)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def ask(client, code, expression="None"):
    "Run code in the kernel; what an expression comes to after it."
    reply = client.execute_interactive(code, user_expressions={"it": expression}, timeout=240, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply["content"]
    return reply["content"]["user_expressions"]["it"]["data"]["text/plain"]


def click(client, comm):
    "Press a button, as a browser does."
    client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": comm, "data": {"method": "custom", "content": {"event": "click"}}}))


def wait_for(client, comm, *words, seconds=120):
    "The seconds until a widget shows one of the words, and what it shows."
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try: message = client.get_iopub_msg(timeout=1)
        except Empty: continue
        content = message["content"]
        if message["msg_type"] != "comm_msg" or content["comm_id"] != comm: continue
        value = content["data"].get("state", {}).get("value", "")
        if any(word in value for word in words): return time.monotonic() - began, value
    raise TimeoutError(f"nobody said one of {words}")


def test_clicks_are_heard_in_the_middle_of_a_phase(kernel):
    comm = {name: ask(kernel, "", f"room.{what}.comm.comm_id").strip("'") for name, what in (("step", "buttons['Step']"), ("pause", "buttons['Pause']"), ("stop", "buttons['Stop']"), ("answer", "answer"), ("status", "status"))}
    clicks_are_heard(kernel, comm, "sample")
    ask(kernel, "loop.task.n_prompts = 20; loop.change(sampling=Sampling(tokens_per_batch=500))")
    clicks_are_heard(kernel, comm, "tune")


def clicks_are_heard(kernel, comm, phase):
    "Pause and go on, many times; then Stop. What was committed is there."
    click(kernel, comm["step"])
    wait_for(kernel, comm["status"], f"round 1: {phase}")
    heard = []
    for _ in range(CLICKS):
        click(kernel, comm["pause"])
        heard.append(wait_for(kernel, comm["answer"], "paused")[0])
        click(kernel, comm["pause"])
        wait_for(kernel, comm["answer"], "going on")
    click(kernel, comm["stop"])
    _, said = wait_for(kernel, comm["answer"], "stopping", "nothing is running")
    assert "stopping" in said, "the phase had ended before the clicks did"
    stopped, _ = wait_for(kernel, comm["status"], "round 0 is done")
    print(f"\nipykernel {kernel.version}, {phase}: a click is answered in {1000 * statistics.median(heard):.0f} ms (median of {CLICKS}, slowest {1000 * max(heard):.0f} ms); Stop ends the phase in {1000 * stopped:.0f} ms")
    assert ask(kernel, "", "[r.number for r in loop.rounds], loop.store.verify(loop.rounds[-1].id), room.worker.error") == "([0], [], None)"
