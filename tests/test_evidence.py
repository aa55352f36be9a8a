"""What a loop claims stands beside what would have come of it without: own measures with intervals, controls, a
sealed test that is opened once. A measure that fails costs its own metric; a Q that is chance has no effect."""
import json
import math
import sys
from pathlib import Path

import pytest
from small import small_loop, small_task

sys.path.insert(0, str(Path(__file__).parent / "bench"))


def length(samples): return [float(len(text)) for text in samples["completion"]]
def raises(answers): raise KeyError("gold")
def lists(answers): return [1.0] * len(answers)
def no_number(answers): return math.nan
def exits(answers): sys.exit("sacrebleu does so")
def too_large(answers): return 10 ** 400


def mean_length(answers):
    "A number of the whole table."
    return sum(map(len, answers["completion"])) / len(answers)


def measures(**more):
    from selfloop_nb import Measure, Scorer
    own = dict(letters=Scorer("letters", length), mean=mean_length, short=Measure(mean_length, lower_is_better=True))
    return {**own, **more}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    "A run of two rounds with measures."
    loop = small_loop(tmp_path_factory.mktemp("runs") / "measured", measures=measures())
    loop.run(rounds=2)
    return loop


def test_measures_stand_in_the_history_with_intervals(measured):
    history = measured.history()
    for row in history.itertuples():
        assert row.heldout_letters == row.heldout_mean == row.heldout_short
        assert row.heldout_letters_low <= row.heldout_letters <= row.heldout_letters_high
        assert row.heldout_mean_low <= row.heldout_mean <= row.heldout_mean_high
    assert (history["heldout_accuracy_low"] <= history["heldout_accuracy"]).all()


def test_answers_are_kept_listed_and_hashed(measured):
    from selfloop_nb import open_run, verify
    answers = measured.answers()
    assert len(answers) == 30 and answers["reference"][:] == measured.task.heldout["completion"][:]
    assert answers["heldout_letters"][:] == length(answers)
    right = answers["correct"][:]
    assert sum(right) / len(right) == measured.history()["heldout_accuracy"].iloc[-1]
    assert {"heldout.parquet", "redrawn.json"} <= set(measured.rounds[-1].files)
    assert open_run(measured.store.path).answers(0)["completion"][:] == measured.answers(0)["completion"][:]
    assert verify(measured).is_whole


def test_measures_change_nothing_that_is_learnt(measured, tmp_path):
    plain = small_loop(tmp_path / "plain")
    plain.run(rounds=2)
    assert "measures" not in plain.rounds[-1].config and "measures" in measured.rounds[-1].config
    assert plain.language_model().weights_hash() == measured.language_model().weights_hash()
    assert plain.samples()["completion"][:] == measured.samples()["completion"][:]


@pytest.mark.parametrize("wrong", [raises, lists, no_number, exits, too_large])
def test_a_measure_that_fails_costs_its_own_metric(wrong, tmp_path):
    loop = small_loop(tmp_path / "run", measures=measures(wrong=wrong))
    loop.run(rounds=1)
    for row, record in zip(loop.store.rows(), loop.rounds):
        assert math.isnan(row["heldout_wrong"]) and math.isfinite(row["heldout_letters"])
        assert [text for text in record.warnings if text.startswith("heldout_wrong is missing: it r")]


def counted(table):
    "The tokens, by a habit of users of tensors: from here on the table gives only them."
    lengths = [float(len(text)) for text in table["completion"]]
    table.set_format("numpy", columns=["n_tokens"])
    return lengths


def test_what_somebodys_code_sets_on_a_table_nobody_else_sees(tmp_path):
    from datasets import concatenate_datasets
    from selfloop_nb import Scorer
    def mix(train, kept, seed):
        columns = ["prompt", "completion"]
        mixed = concatenate_datasets([table.select_columns(columns) for table in (train, *kept)])
        for table in (train, *kept): table.set_format("numpy", columns=["completion"])
        return mixed
    def middle(answers): return sum(counted(answers)) / len(answers)
    def rule(samples):
        samples.set_format("numpy", columns=["score"])
        return ["kept"] * len(samples), [""] * len(samples)
    made = [small_loop(tmp_path / name, score=Scorer("a", own) + Scorer("b", length), select=rule, mix=mix,
                       measures=dict(first=measure, second=mean_length))
            for name, own, measure in (("sets", counted, middle), ("plain", length, mean_length))]
    for loop in made: loop.run(rounds=2)
    sets, plain = made
    assert sets.samples()["score"][:] == plain.samples()["score"][:]
    assert sets.answers().column_names == plain.answers().column_names
    assert sets.history()["heldout_second"].tolist() == plain.history()["heldout_second"].tolist()
    assert sets.task.train.format["type"] is None


def test_a_scorer_that_knows_no_verdict_on_many_rows_is_no_metric(tmp_path):
    from selfloop_nb import Scorer
    def some(samples): return [math.nan if i % 3 else 1.0 for i in range(len(samples))]
    def most(samples): return [math.nan if i == 0 else 1.0 for i in range(len(samples))]
    loop = small_loop(tmp_path / "run", measures=dict(some=Scorer("some", some), most=Scorer("most", most)))
    loop.start()
    row, warnings = loop.store.rows()[0], loop.rounds[0].warnings
    assert math.isnan(row["heldout_some"]) and row["heldout_most"] == 1.0
    assert any("20 of 30 rows" in text for text in warnings) and any("1 of 30 rows" in text for text in warnings)


def test_stop_rules_read_any_metric(tmp_path):
    loop = small_loop(tmp_path / "run", measures=measures())
    assert len(loop.run(rounds=3, target=0.5, by="letters")) == 2, "any answer is as long as that"
    assert len(loop.run(rounds=3, target=0.01, patience=1, by="short")) >= 3
    with pytest.raises(ValueError, match="by='bleu'.*letters"):
        loop.run(rounds=1, by="bleu")
    with pytest.raises(ValueError, match=r"target=7.*\[0, 1\]"):
        loop.run(rounds=1, target=7)


def test_measures_without_heldout_data_are_refused():
    from selfloop_nb import from_dataset
    task = small_task()
    bare = from_dataset(task.train, task.prompts.select(range(5)), check=task.check)
    with pytest.raises(ValueError, match="measures need held-out data"):
        small_loop(task=bare, measures=measures())


def test_measures_without_a_check_are_measured():
    from selfloop_nb import from_dataset
    task = small_task()
    unchecked = from_dataset(task.train, task.prompts.remove_columns("answer").select(range(20)), task.heldout)
    assert unchecked.check is None
    loop = small_loop(task=unchecked, measures=measures())
    loop.start()
    assert loop.history()["heldout_letters"].notna().all() and loop.history()["heldout_accuracy"].isna().all()


def test_measures_are_shown_in_compare_sweep_and_report(measured):
    from selfloop_nb import compare, sweep
    from selfloop_nb.charts.comparison import arms_table
    table = arms_table({"run": measured.history()})
    assert {"letters of M_0", "letters at the end"} <= set(table.columns)
    shown = compare(measured)
    assert "heldout_letters" in shown.figures() and "letters at the end" in shown.tables.value
    done = sweep(measured, rounds=1, theta=[1.0], progress=False)
    assert "heldout_letters" in done.measures and "heldout_short" in done.table.columns
    page = measured.report().read_text()
    assert "heldout_letters" in page and "alt='measures'" in page


def test_what_has_no_value_at_all_is_not_shown(tmp_path):
    from selfloop_nb import from_dataset
    from selfloop_nb.charts.comparison import arms_table
    task = small_task()
    unchecked = from_dataset(task.train, task.prompts.remove_columns("answer").select(range(20)), task.heldout)
    loop = small_loop(tmp_path / "run", task=unchecked)
    loop.run(rounds=1)
    assert "precision" in loop.history() and "<th>precision" not in loop.report().read_text()
    assert "right among the kept" not in arms_table({"run": loop.history()})


# controls

@pytest.fixture(scope="module")
def with_controls(tmp_path_factory):
    "A run with its controls, each of two rounds."
    from selfloop_nb import controls
    loop = small_loop(tmp_path_factory.mktemp("runs") / "controlled", measures=dict(mean=mean_length))
    loop.run(rounds=2)
    return loop, controls(loop).run()


def test_controls_are_branches_from_the_same_m_0(with_controls):
    loop, twins = with_controls
    assert list(twins) == ["only D_train", "chance", "no filter"]
    for line in twins.values():
        assert line.rounds[0].id == loop.rounds[0].id and len(line.rounds) == 3
        assert line.rounds[1].seeds == loop.rounds[1].seeds and line.losses(1)[-1]["step"] == loop.losses(1)[-1]["step"]
    assert twins["chance"].rounds[1].counts["n_kept"] == loop.rounds[1].counts["n_kept"]
    assert twins["chance"].samples(1)["state"][:] != loop.samples(1)["state"][:]
    assert twins["no filter"].rounds[1].counts["n_kept"] >= loop.rounds[1].counts["n_kept"]


def test_controls_that_have_not_been_run_say_so(tmp_path):
    from selfloop_nb import controls
    loop = small_loop(tmp_path / "run")
    with pytest.raises(ValueError, match="no held-out values yet"):
        loop.best()
    loop.run(rounds=1)
    words = repr(controls(loop))
    assert "no effect against" not in words and words.count("run a round of each") == 3
    assert "chance is in round 0 of 1: run() goes on" in words and "no effect of Q" not in words
    assert "cannot be said before rounds of only D_train, chance, no filter are there" in words


def test_controls_of_a_loop_that_was_changed_on_its_way_say_so(tmp_path):
    from selfloop_nb import Sampling, controls, open_run
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=1)
    assert "were others than now" not in repr(controls(loop))
    loop.branch("hot", sampling=Sampling(temperature=1.3, tokens_per_batch=200)).step()
    hot = small_loop(tmp_path / "run", branch="hot", sampling=Sampling(temperature=1.3, tokens_per_batch=200))
    assert "sampling of round 1 were others than now" in repr(controls(hot))
    with pytest.raises(ValueError, match="OpenRun.: give the Loop"): controls(open_run(loop.store.path))


def test_d_train_alone_samples_nothing_and_every_view_bears_it(with_controls):
    from selfloop_nb import browse, dashboard, explore, tree, verify
    from selfloop_nb.backend.core import SelfloopError
    loop, twins = with_controls
    alone = twins["only D_train"]
    assert alone.rounds[1].counts["n_sampled"] == 0 and "samples.parquet" not in alone.rounds[1].files
    with pytest.raises(SelfloopError, match="round 1 has no samples"):
        alone.samples(1)
    assert alone.report(alone.store.path / "alone.html").is_file()
    assert verify(alone).is_whole
    for view in (dashboard, explore, browse, tree): view(alone)
    answers = browse(loop.answers())
    assert len(answers.found) == 30 and {row["state"] for row in answers.samples} == {"answer"}


def test_a_round_with_samples_can_follow_one_without(with_controls):
    from selfloop_nb import Accumulate
    _, twins = with_controls
    line = twins["only D_train"].branch("again", mix=Accumulate())
    record = line.step()
    assert record.number == 3 and record.counts["n_kept"] > 0


def test_whether_the_loop_beats_its_controls_is_said_in_words(with_controls):
    from selfloop_nb import compare
    loop, twins = with_controls
    words = repr(twins.verdict("accuracy"))
    for name in twins: assert name in words
    assert "one seed, 30 held-out rows: the noise of seeds is not in it" in words
    assert repr(twins.verdict("mean")).count("in mean") >= 3, "a metric of the whole table, by its draws"
    assert "Beside its controls" in loop.report().read_text()
    shown = compare(loop=loop, **{name.replace(" ", "_"): line for name, line in twins.items()})
    assert list(shown.verdicts) == ["loop"] and "against the controls" in shown.tables.value
    with pytest.raises(ValueError, match="no held-out values of 'bleu'"):
        twins.verdict("bleu")


def test_a_loop_without_d_train_has_no_control_on_it(tmp_path):
    from selfloop_nb import FineTune, OnlyTrain, addition, controls, tiny_llama
    task = addition(n_train=0, n_prompts=20, n_heldout=30)
    model = tiny_llama(small_task(), width=32).copy(pretrained=True)
    loop = small_loop(tmp_path / "run", task=task, model=model, initial=None)
    assert "this task has none" in controls(loop).missing["only D_train"]
    with pytest.raises(ValueError, match="needs D_train"):
        loop.branch("alone", mix=OnlyTrain())
    with pytest.raises(ValueError, match="FineTune\\(steps=150\\)"):
        small_loop(tune=FineTune(steps=None, epochs=2), mix=OnlyTrain())


def test_a_sweep_with_controls_says_what_the_seeds_show(tmp_path):
    from selfloop_nb import control_arms, sweep
    loop = small_loop(tmp_path / "run")
    done = sweep(loop, rounds=1, seeds=[0, 1], arms={"loop": {}, **control_arms(loop)}, progress=False)
    verdict = done.verdicts["loop"]
    assert list(verdict.gaps) == ["only D_train", "chance", "no filter"]
    assert all(gap.over == "seeds" and gap.n == 2 for gap in verdict.gaps.values())
    assert "2 seeds, paired" in done._repr_html_()


@pytest.mark.long
def test_a_q_that_is_chance_has_no_effect(tmp_path):
    from chance import counted, verdicts
    found = [verdict for verdict, _, _ in verdicts(range(20), tmp_path, tell=lambda text: None)]
    assert counted(found) >= 19 and counted(found, "chance") >= 18


# the sealed test

def sealed_task():
    from selfloop_nb import from_dataset
    whole = small_task(n_heldout=60)
    held, sealed = whole.heldout.select(range(30)), whole.heldout.select(range(30, 60))
    return from_dataset(whole.train, whole.prompts.select(range(20)), held, whole.check, "sealed", sealed=sealed)


def test_a_sealed_test_is_opened_once_and_written_down(tmp_path):
    from selfloop_nb import export_run, import_run
    from selfloop_nb.backend.core import SelfloopError
    loop = small_loop(tmp_path / "run", task=sealed_task(), measures=dict(mean=mean_length))
    loop.run(rounds=2)
    asked = {prompt for r in range(3) for prompt in loop.answers(r)["prompt"]}
    assert not asked & set(loop.task.sealed["prompt"]) and loop.sealed is None
    opened = loop.unseal()
    best = loop.best()
    assert (opened.round, opened.number) == (best.id, best.number)
    assert "best held-out accuracy of rounds 0 to 2" in opened.how
    assert len(opened.answers) == 30 and {"sealed_accuracy", "sealed_loss", "sealed_mean_low"} <= set(opened.metrics)
    assert set(opened.metrics_0) == set(opened.metrics)
    assert loop.sealed == opened and "The sealed test" in loop.report().read_text()
    for again in (loop, loop.branch("other", round=0)):
        with pytest.raises(SelfloopError, match="can be opened once"):
            again.unseal(round=0)
    import_run(export_run(loop, tmp_path / "run.zip"), tmp_path / "copies")
    assert json.loads(next((tmp_path / "copies").rglob("sealed.json")).read_text())["round"] == best.id


def test_a_sealed_test_is_asked_as_held_out_data_is(tmp_path):
    "Of the same rows both say the same, also of a model that never ends: its answers have the same room."
    from selfloop_nb import FineTune, from_dataset
    task = small_task()
    twice = from_dataset(task.train, task.prompts, task.heldout, task.check, "twice", sealed=task.heldout)
    loop = small_loop(tmp_path / "run", task=twice, initial=FineTune(steps=1))
    metrics = loop.start().metrics
    asked = {name: value for name, value in metrics.items() if name.startswith("heldout_")}
    assert asked["heldout_cut_share"] > 0.5
    assert loop.unseal(round=0).metrics == {name.replace("heldout_", "sealed_"): asked[name] for name in asked}
    assert [row["completion"] for row in loop.sealed.answers] == loop.answers(0)["completion"][:]


def test_a_measured_prompt_that_leaves_no_room_is_named_before_anything_is_done(tmp_path):
    "The room is the loop's: a prompt that is only measured does not make it smaller."
    from datasets import Dataset
    from selfloop_nb import from_dataset, tiny_llama
    task, long = small_task(), Dataset.from_dict(dict(prompt=["1+2=" * 15], completion=["3"]))
    lm = tiny_llama(task, width=32)
    lm.pretrained = True # its answers have the room that the prompts leave
    sealed = from_dataset(task.train, task.prompts, task.heldout, task.check, "sealed", sealed=long)
    loop = small_loop(tmp_path / "run", model=lm, task=sealed)
    loop.start()
    with pytest.raises(ValueError, match="held-out prompt 0"): loop.unseal()
    assert loop.sealed is None
    measured = from_dataset(task.train, task.prompts.select_columns(["prompt"]), long)
    with pytest.raises(ValueError, match="held-out prompt 0"):
        small_loop(model=lm, task=measured, measures=dict(mean=mean_length)).start()


def test_a_sealed_test_that_was_made_better_is_found_out(tmp_path):
    from selfloop_nb import verify
    from selfloop_nb.backend.core import DamagedRunError
    loop = small_loop(tmp_path / "run", task=sealed_task())
    loop.start()
    loop.unseal(round=0)
    file = tmp_path / "run" / "sealed.json"
    found = json.loads(file.read_text())
    found["metrics"]["sealed_accuracy"] = 0.99
    file.write_text(json.dumps(found))
    assert list(verify(loop).damaged) == ["sealed.json"]
    with pytest.raises(DamagedRunError, match="changed after it was written"): loop.sealed
    found.pop("sealed") # of a version of before
    file.write_text(json.dumps(found))
    assert verify(loop).is_whole and loop.sealed.number == 0


def test_an_opening_that_was_cut_off_keeps_its_choice(tmp_path, monkeypatch):
    from selfloop_nb.metrics import sealed
    loop = small_loop(tmp_path / "run", task=sealed_task())
    loop.run(rounds=1)
    def killed(*args): raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(sealed, "_ask", killed)
        with pytest.raises(KeyboardInterrupt):
            loop.unseal(round=1)
    assert loop.unseal(round=0).number == 1


def test_a_task_without_a_sealed_test_keeps_its_fingerprint():
    import dataclasses
    task = small_task()
    assert task.fingerprint() != dataclasses.replace(task, sealed=task.heldout).fingerprint()
    with pytest.raises(ValueError, match="sealed lacks the column 'completion'"):
        dataclasses.replace(task, sealed=task.prompts)


COPIES = ["WHAT IS THE GRÖSSE OF IT, THEN?", "What is the Gro\u0308ße of it then",
          "“What is the Größe\u00a0of it, then？”", "What is the Größe \u200bof it; then …"]


@pytest.mark.parametrize("copy", COPIES)
def test_a_near_copy_is_a_copy(copy):
    from selfloop_nb import from_dataset
    from selfloop_nb.metrics.sealed import overlaps
    train = [dict(prompt="What is the Größe of it, then?", completion="5"), dict(prompt="5! - 3 =", completion="117")]
    heldout = [dict(prompt=prompt, completion="6") for prompt in (copy, "5 - 3 =", "53 =")]
    found, = overlaps(from_dataset(train, [dict(prompt="else")], heldout))
    assert found.rows == (0,)


def test_rows_in_two_tables_are_named_every_time(tmp_path):
    from selfloop_nb import from_dataset
    whole = small_task()
    twice = [dict(prompt=f" {row['prompt']} ", completion=row["completion"]) for row in whole.train.select(range(3))]
    task = from_dataset(whole.train, whole.prompts.select(range(20)), [*whole.heldout.select(range(20)), *twice],
                        check=whole.check)
    for _ in range(2):
        loop = small_loop(tmp_path / "run", task=task)
        assert any("3 held-out rows stand in D_train, too (row 20, 21, 22" in text for text in loop.control.messages)
        loop.start()
        del loop
    warnings = small_loop(tmp_path / "run", task=task).rounds[0].warnings
    assert any("held-out rows stand in D_train" in text for text in warnings)


# scorers that see

def test_a_scorer_asks_the_rounds_own_model_on_each_branch(tmp_path):
    from selfloop_nb import asks
    seen = []
    def likes(samples, model):
        seen.append((samples["sample_id"][0].split("-")[0], model.weights_hash()))
        return [1.0] * len(samples)
    loop = small_loop(tmp_path / "run", score=asks(likes, (0.0, 1.0)))
    loop.run(rounds=2)
    loop.branch("other", round=1).step()
    wrote = [loop.language_model(0).weights_hash(), loop.language_model(1).weights_hash()]
    assert seen == [("1", wrote[0]), ("2", wrote[1]), ("2", wrote[1])]
    assert loop.rounds[1].config["score"]["name"] == "likes"


CHANGES = [lambda model: model.half(), lambda model: model.get_input_embeddings().weight.zero_()]


@pytest.mark.parametrize("change", CHANGES)
def test_a_scorer_that_changes_the_rounds_model_is_found_out(change, tmp_path):
    import torch
    from selfloop_nb import asks
    from selfloop_nb.backend.core import ScoringError
    def spoils(samples, lm):
        with torch.no_grad(): change(lm.model)
        return [1.0] * len(samples)
    loop = small_loop(tmp_path / "run", score=asks(spoils, (0.0, 1.0)))
    loop.start()
    with pytest.raises(ScoringError, match="spoils has changed the weights of the model"): loop.step()
    again = small_loop(tmp_path / "run", score=asks(lambda samples, lm: spoils(samples, lm.copy()), (0.0, 1.0)))
    assert again.step().number == 1


def test_a_round_trip_can_be_q_and_measure(tmp_path):
    from selfloop_nb import Threshold, round_trip
    def turn(row): return row["prompt"]
    def source(row): return row["completion"]
    trip = round_trip(turn, source=source, max_new_tokens=4)
    loop = small_loop(tmp_path / "run", score=trip, select=Threshold(0.0), measures=dict(trip=trip))
    loop.run(rounds=1)
    scores, history = loop.samples(1)["score"][:], loop.history()
    assert set(scores) <= {0.0, 1.0}
    assert (history["heldout_trip"] == 1).all(), "a greedy answer to the same prompt is the same"


def test_what_a_kept_row_teaches(tmp_path):
    from selfloop_nb import Accumulate
    def twice(row): return [dict(prompt=row["prompt"], completion=row["completion"])] * 2
    def nothing(row): return []
    def halved(row): return dict(prompt=row["prompt"], completion="1\ud8002") # half of a sign that was cut in two
    loop = small_loop(tmp_path / "run", mix=Accumulate(rows=twice))
    loop.run(rounds=1)
    assert loop.rounds[1].config["mix"]["rows"]["name"].endswith("twice")
    with pytest.raises(ValueError, match="rows=nothing gave no row for any of"):
        loop.branch("none", round=0, mix=Accumulate(rows=nothing)).step()
    loop.branch("halved", round=0, mix=Accumulate(rows=halved)).step()
    with pytest.raises(ValueError, match="rows gave"):
        loop.branch("wrong", round=0, mix=Accumulate(rows=str)).step()


def test_answers_can_be_the_groups_that_are_balanced():
    from datasets import Dataset
    from selfloop_nb import Balanced, Threshold
    n = 40
    answers = ["yes" if i % 4 else "no" for i in range(n)]
    scores = [float(i % 4 > 0 or i < 12) for i in range(n)]
    rows = dict(prompt_id=list(range(n)), prompt=list(map(str, range(n))), n_tokens=[1] * n, finished=[True] * n)
    rows |= dict(completion=answers, score=scores)
    states, _ = Balanced(Threshold(1.0), column="completion")(Dataset.from_dict(rows))
    kept = [text for text, state in zip(rows["completion"], states) if state == "kept"]
    assert kept.count("no") == 3 and kept.count("yes") == 9, "three to one, as among all samples"


def test_a_model_that_comes_trained_learns_d_train_where_it_is_told_to(tmp_path):
    from selfloop_nb import FineTune, controls, tiny_llama
    model = tiny_llama(small_task(), width=32).copy(pretrained=True)
    plain, taught = (small_loop(tmp_path / name, model=model, initial=initial)
                     for name, initial in (("plain", None), ("taught", FineTune(steps=5, batch_size=32))))
    for loop in (plain, taught): loop.start()
    assert plain.language_model().weights_hash() == model.weights_hash() != taught.language_model().weights_hash()
    assert len(taught.losses(0)) == 5 and plain.config()["initial"]["steps"] == 600, "as it was always written"
    assert taught.model.weights_hash() == model.weights_hash(), "what M_0 was made from, not M_0"
    assert {line.rounds[0].id for line in controls(taught).values()} == {taught.rounds[0].id}
    again = small_loop(tmp_path / "taught", model=model, initial=FineTune(steps=5, batch_size=32))
    assert again.start().id == taught.rounds[0].id and again.model.weights_hash() == model.weights_hash()


def test_an_empty_sample_says_so():
    from datasets import Dataset
    from selfloop_nb import Threshold
    rows = dict(prompt_id=[0, 0, 0, 1], prompt=["a", "a", "a", "b"], completion=["", "", "x", " "], n_tokens=[1] * 4,
                finished=[True] * 4, score=[0.0, 0.0, 0.0, 1.0])
    states, reasons = Threshold(1.0)(Dataset.from_dict(rows))
    assert reasons == ["empty", "empty", "below threshold", ""] and states[3] == "kept"


def test_a_tiny_model_of_words(tmp_path):
    from selfloop_nb import from_dataset, tiny_llama
    rows = [dict(prompt="red and", completion=" birds fly."), dict(prompt="blue and", completion=" bees fly.")]
    task = from_dataset(rows, [dict(prompt="red and")], rows)
    loop = small_loop(tmp_path / "run", task=task, model=tiny_llama(task, unit="word", layers=1, width=32),
                      measures=dict(words=lambda answers: sum(len(text.split()) for text in answers["completion"])))
    loop.start()
    assert all(text.replace(".", "").split() for text in loop.answers()["completion"])
    with pytest.raises(ValueError, match="'character'.*'word'"):
        tiny_llama(task, unit="byte")


SUMS = [dict(prompt=f"{i}+1=", completion=str(i + 1)) for i in range(20)]


def half_known(row):
    "A check that knows nothing of odd numbers."
    return None if int(row["prompt"].split("+")[0]) % 2 else row["completion"] == row["answer"]


def loop_of_sums(store, **changed):
    "A loop whose M_0 has learnt every sum by heart."
    from selfloop_nb import FineTune, Threshold, confidence, tiny_llama
    task = changed.pop("task")
    learnt = FineTune(steps=80, batch_size=20, lr=5e-3)
    settings = dict(score=confidence(), select=Threshold(-9.0), initial=learnt, model=tiny_llama(task, width=64))
    return small_loop(store, task=task, **{**settings, **changed})


@pytest.mark.parametrize("kind", ["a check that knows half", "no column of answers", "a column that samples have"])
def test_what_is_examined_is_what_the_history_says(kind, tmp_path):
    from datasets import Dataset
    from selfloop_nb import examine, from_dataset
    from selfloop_nb.tasks import Task, exact_answer
    rows = [dict(row, finished=True) for row in SUMS] if kind.endswith("have") else SUMS
    prompts = [dict(prompt=row["prompt"], answer=row["completion"]) for row in SUMS]
    task = from_dataset(SUMS, prompts, rows, check=half_known if kind.startswith("a check") else None)
    if kind.startswith("no"): task = Task("own", *map(Dataset.from_list, (SUMS, prompts, SUMS)), exact_answer)
    loop = loop_of_sums(tmp_path / "run", task=task)
    loop.start()
    found = examine(loop, rounds=(0,), n=2, temperature=0.01)
    assert found["pass_at_k"][0] == pytest.approx(loop.rounds[0].metrics["heldout_accuracy"], abs=0.1)
    assert found["pass_at_k"][0] > 0.8


@pytest.mark.parametrize("how", [{}, dict(templates=("Q: {prompt} A:",)), dict(stop=("\n",)), dict(max_new_tokens=9)],
                         ids=str)
def test_until_asks_as_the_rounds_do(how, tmp_path):
    from selfloop_nb import FineTune, Sampling, Until, from_dataset
    way = how.get("templates", ("{prompt}",))[0]
    end = "\nQ" if "stop" in how else ""
    taught = [dict(prompt=way.format(prompt=row["prompt"]), completion=row["completion"] + end) for row in SUMS]
    prompts = [dict(prompt=row["prompt"], answer=row["completion"]) for row in SUMS]
    until = Until(accuracy=0.5, how=FineTune(steps=80, batch_size=20, lr=5e-3), most=3)
    sampling = Sampling(n_samples=1, **how)
    loop = loop_of_sums(tmp_path / "run", task=from_dataset(taught, prompts, SUMS), initial=until, sampling=sampling)
    assert loop.start().metrics["heldout_accuracy"] >= 0.5
    assert len(loop.losses(0)) == 80, "it is enough, and the training ends"
