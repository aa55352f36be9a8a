"Prompts follow ability: the level that a round asks comes from the samples of the round before, also after a break."
import pytest
from small import small_loop
from test_resume import outcome


def levels():
    "Sums of one and of two digits, and of three, which nobody can do; a level of each."
    from selfloop_nb import Staircase, from_dataset
    from selfloop_nb.tasks import addition_problem
    rows = [{**addition_problem(a, a + 1, digits), "level": digits} for digits in (1, 2, 3) for a in range(8)]
    task = from_dataset([{"prompt": r["prompt"], "completion": r["answer"]} for r in rows], rows, None, name="sums", n_prompts=8)
    task.ask = Staircase(up=0.3, down=0.1)
    return task


def easy(samples):
    "What is kept: nearly all of the two lower levels, next to nothing of the highest."
    return [float(level < 3 or completion.startswith("00")) for level, completion in zip(samples["level"], samples["completion"])]


def test_the_loop_climbs_and_goes_on_where_it_was(tmp_path):
    loop = small_loop(tmp_path / "run", task=levels(), score=easy)
    loop.run(rounds=3)
    asked = [sorted(set(loop.samples(number)["level"])) for number in (1, 2, 3)]
    assert asked == [[1, 2], [2, 3], [3]]
    assert len(loop.samples(1)) == 8 * 4 and {s["prompt"] for s in loop.samples(1)} != {s["prompt"] for s in loop.samples(2)}
    broken = small_loop(tmp_path / "broken", task=levels(), score=easy)
    broken.run(rounds=1)
    again = small_loop(tmp_path / "broken", task=levels(), score=easy)
    again.run(rounds=2)
    assert outcome(again) == outcome(loop)


def test_another_way_to_ask_is_another_task(tmp_path):
    from selfloop_nb.records import SelfloopError
    plain, task = levels(), levels()
    plain.ask = None
    assert plain.fingerprint() != task.fingerprint() == levels().fingerprint()
    small_loop(tmp_path / "run", task=task).start()
    with pytest.raises(SelfloopError, match="was made with task"): small_loop(tmp_path / "run", task=plain)
