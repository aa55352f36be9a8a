"""A round on the cluster at ADDRESS; that its head is gone is said, and the run goes on with a cluster of its own:

    python headless.py ADDRESS STORE
"""
import sys, warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]


def say(*text): print(*text, flush=True)


def told(event):
    "A listener that says where the round is."
    if event.kind == "progress": say(event.phase, "progress")


def main(address, store):
    from selfloop_nb import ray_cluster
    from selfloop_nb.backend.core import SelfloopError
    from small import small_loop
    warnings.simplefilter("ignore")
    loop = small_loop(store, workers=ray_cluster(address, workers=2))
    loop.on(told)
    try: loop.run(rounds=1)
    except SelfloopError as error: say("said:", error)
    del loop
    loop = small_loop(store, workers=ray_cluster(workers=2))
    if len(loop.rounds) < 2: loop.step()
    say("made:", *loop.rounds[1].files.values())


if __name__ == "__main__": main(*sys.argv[1:])
