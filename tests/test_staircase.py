"Prompts follow ability: the level that a round asks comes from the samples of the round before, also after a break."
import pytest
from small import small_loop
from test_resume import outcome


def levels():
    "Sums of one, two and three digits, each a level."
    from selfloop_nb import Staircase, from_dataset
    from selfloop_nb.tasks import addition_problem
    rows = [{**addition_problem(a, a + 1, digits), "level": digits} for digits in (1, 2, 3) for a in range(8)]
    train = [{"prompt": row["prompt"], "completion": row["answer"]} for row in rows]
    task = from_dataset(train, rows, None, name="sums", n_prompts=8)
    task.ask = Staircase()
    return task


def climber(store):
    "A loop that keeps all that is written, so that each round goes well."
    from selfloop_nb import FineTune, Threshold
    def fine(samples): return [1.0] * len(samples)
    few = FineTune(steps=3, batch_size=32)
    everything = Threshold(1.0, unique=False, finished=False)
    return small_loop(store, task=levels(), score=fine, select=everything, initial=few, tune=few)


def test_the_loop_climbs_and_goes_on_where_it_was(tmp_path):
    loop = climber(tmp_path / "run")
    loop.run(rounds=3)
    asked = [sorted(set(loop.samples(number)["level"])) for number in (1, 2, 3)]
    assert asked == [[1, 2], [2, 3], [3]]
    assert len(loop.samples(1)) == 8 * 4
    assert set(loop.samples(1)["prompt"]) != set(loop.samples(2)["prompt"])
    broken = climber(tmp_path / "broken")
    broken.run(rounds=1)
    again = climber(tmp_path / "broken")
    again.run(rounds=2)
    assert outcome(again) == outcome(loop)


def test_another_way_to_ask_is_another_task(tmp_path):
    from selfloop_nb.backend.core import SelfloopError
    plain, task = levels(), levels()
    plain.ask = None
    assert plain.fingerprint() != task.fingerprint() == levels().fingerprint()
    small_loop(tmp_path / "run", task=task).start()
    with pytest.raises(SelfloopError, match="was made with task"): small_loop(tmp_path / "run", task=plain)
