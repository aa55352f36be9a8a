"""What a run notes beside Q: the audit, the metrics of every round, drift; and that none of it changes what is kept or
trained.
"""
import math
from collections import Counter

import pytest
from listening import messages_of
from selfloop_nb import AuditGuard, FineTune, Loop, Quantile, Replace, Threshold, agreement, human, open_run, tiny_llama
from selfloop_nb.metrics.audit import audit_metrics, audit_history, audit_scores
from selfloop_nb.metrics.drift import drift_metrics
from selfloop_nb.metrics.per_round import round_metrics
from selfloop_nb.backend.core import derive_seed
from small import half_digits, small_loop, small_task

OF_THE_AUDIT = {"audit_n", "audit_failed", "audit_mean", "audit_std", "audit_kept_mean", "audit_correlation", "q_mean",
                "q_std", "q_rise", "audit_rise", "audit_gap"}
OF_EVERY_ROUND = {"self_bleu", "near_duplicate_ratio", "entropy_2", "compression_ratio", "pass_at_1", "pass_at_k",
                  "majority_at_k", "balance", "kept_but_wrong", "calibration_error"}


def even_digits(samples):
    "Another opinion on the same texts."
    return [sum(c in "02468" for c in text) / max(len(text), 1) for text in samples["completion"]]


def of_parent(samples):
    "An audit that gives back what it is not to see, where it sees it."
    return [float(bool({"score", "state"} & set(samples.column_names)))] * len(samples)


@pytest.mark.parametrize("audit, is_said", [(half_digits, True), (even_digits, False), (None, False)])
def test_an_audit_that_is_q_is_said(audit, is_said):
    loop = small_loop(score=half_digits, audit=audit)
    assert any("the audit is Q itself" in text for text in loop._doubts) == is_said


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    "Two rounds without a monitor."
    loop = small_loop(tmp_path_factory.mktemp("runs") / "bare", score=half_digits, select=Quantile(0.5))
    loop.run(rounds=2)
    return loop


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    "The same with all of them."
    monitors = dict(audit=even_digits, drift=True)
    loop = small_loop(tmp_path_factory.mktemp("runs") / "watched", score=half_digits, select=Quantile(0.5), **monitors)
    loop.run(rounds=2)
    return loop


def test_monitors_change_nothing(bare, watched):
    for number in (1, 2):
        assert watched.samples(number).remove_columns("audit").to_dict() == bare.samples(number).to_dict()
    assert watched.language_model().weights_hash() == bare.language_model().weights_hash()
    assert "audit" not in bare.rounds[1].config
    assert not {"audit_mean", "kl"} & set(bare.history())


def test_the_audit_stands_in_samples_history_and_settings(watched):
    tables = [watched.samples(n) for n in (1, 2)]
    history = open_run(watched.store.path).history()
    assert [table["audit"][:] for table in tables] == [even_digits(table) for table in tables]
    assert OF_THE_AUDIT <= set(history)
    for row, expected in zip(history.iloc[1:].to_dict("records"), audit_history(tables, even_digits)):
        assert all(math.isclose(row[name], value) for name, value in expected.items())
    config = watched.rounds[2].config
    assert config["audit"]["name"] == "even_digits"
    assert config["drift"] is True


def test_the_metrics_are_those_of_the_pure_functions(watched):
    samples, row = watched.samples(2), watched.rounds[2].metrics
    expected = round_metrics(samples.remove_columns("audit"), (0.0, 1.0), derive_seed(0, 2, "figures"))
    assert OF_EVERY_ROUND <= set(expected)
    assert all(row[name] == value or row[name] is None and math.isnan(value) for name, value in expected.items())
    moved = drift_metrics(samples, watched.language_model(0))
    assert all(math.isclose(row[name], value, rel_tol=1e-4) for name, value in moved.items())
    assert abs(watched.rounds[1].metrics["kl"]) < 1e-3 < moved["kl"], "M_0 has not moved from itself"


def test_an_audit_sees_no_score():
    loop = small_loop(audit=of_parent)
    loop.step()
    assert set(loop.samples()["audit"]) == {0.0}


def share_that_came(samples):
    "How many of the four samples of its prompt came with a sample."
    together = Counter(samples["prompt_id"])
    return [together[prompt] / 4 for prompt in samples["prompt_id"]]


def test_a_thousand_samples_are_audited_whole_prompts_of_them():
    loop = small_loop(task=small_task(n_prompts=300), audit=share_that_came)
    first = loop.step()
    samples = loop.samples().to_pandas()
    assert set(samples["audit"].dropna()) == {1.0}, "a prompt's samples come together"
    assert samples["audit"].count() == 1000 == first.metrics["audit_n"]
    loop.rewind(0)
    loop.step()
    assert loop.samples().to_pandas()["audit"].equals(samples["audit"]), "the same are drawn again"


def refuses(bad):
    "A scorer that cannot read some texts."
    def score(samples):
        if any(bad in text for text in samples["completion"]): raise OSError(f"no {bad}, please")
        return [1.0] * len(samples)
    return score


def nothing_or_infinite(samples):
    "No number for a text with a 1, too large a one for a text with a 2."
    def number(text):
        if "1" in text: return None
        return math.inf if "2" in text else 1.0
    return list(map(number, samples["completion"]))


def too_few(samples): return [1.0]


@pytest.mark.parametrize("audit, lost", [
    (refuses("1"), "some"),
    (nothing_or_infinite, "some"),
    (too_few, "all"),
    (refuses(""), "all"),
    (agreement(lambda text: 1 / 0), "all"),
])
def test_an_audit_that_fails_never_loses_the_round(audit, lost, bare):
    loop = small_loop(score=half_digits, select=Quantile(0.5), audit=audit)
    messages = messages_of(loop)
    record = loop.step()
    values, row = loop.samples()["audit"][:], record.metrics
    assert record.number == 1
    assert loop.samples()["state"][:] == bare.samples(1)["state"][:]
    n_failed = sum(map(math.isnan, values))
    assert (row["audit_failed"], row["audit_n"]) == (n_failed, len(values) - n_failed)
    assert n_failed == len(values) if lost == "all" else 0 < n_failed < len(values)
    for texts in (messages, record.warnings): assert any("the audit failed on" in text for text in texts)


def test_people_may_audit_and_who_is_not_asked_has_not_failed():
    loop = small_loop(audit=human(wait=False))
    record = loop.step()
    assert record.metrics["audit_failed"] == 0 == record.metrics["audit_n"]
    assert all(map(math.isnan, loop.samples()["audit"]))
    assert not any("audit" in text for text in record.warnings)


def test_change_and_branch_take_an_audit(bare):
    def audit_of(record): return record.config["audit"]["name"], record.metrics["audit_gap"]
    loop = bare.branch("with")
    loop.change(audit=even_digits)
    assert audit_of(loop.step()) == ("even_digits", 0)
    other = loop.branch("other", audit=odd_digits)
    assert audit_of(other.step()) == ("odd_digits", 0), "another audit has another first round"
    again = loop.step()
    first, last = (audit_scores(loop.samples(number), even_digits) for number in (again.number - 1, again.number))
    rise = (last["audit_mean"] - first["audit_mean"]) / first["audit_std"]
    assert math.isclose(again.metrics["audit_rise"], rise)
    loop.change(audit=None)
    assert "audit" not in loop.step().config
    assert "audit" not in loop.samples().column_names
    with pytest.raises(ValueError, match="audit=3|score=3"): loop.change(audit=3)
    with pytest.raises(ValueError, match="score=None"): loop.change(score=None)


def test_the_first_round_with_a_value_is_compared_with():
    def late(samples): return even_digits(samples) if loop.rounds[1:] else [1.0]
    loop = small_loop(score=half_digits, select=Quantile(0.5), audit=late)
    loop.run(rounds=3)
    first, second, third = (record.metrics["audit_gap"] for record in loop.rounds[1:])
    assert first is None or math.isnan(first)
    assert second == 0
    assert math.isfinite(third)


def fours(samples):
    "A Q that is easily pleased: the share of fours."
    return [text.count("4") / max(len(text), 1) for text in samples["completion"]]
fours.range = (0.0, 1.0)


def odd_digits(samples):
    "An audit that is not: the share of odd digits."
    return [sum(c in "13579" for c in text) / max(len(text), 1) for text in samples["completion"]]


def test_who_pleases_q_is_seen_and_stopped():
    task = small_task(n_prompts=200)
    few = FineTune(steps=40, batch_size=32)
    how = dict(score=fours, select=Threshold(0.3), mix=Replace(), audit=odd_digits, initial=few, tune=few,
               progress=False)
    loop = Loop(tiny_llama(task, width=32), task, **how)
    history = loop.run(rounds=4)
    rises = history["q_rise"][1:].tolist()
    assert rises == sorted(rises) and rises[-1] > 1
    assert history["audit_rise"].iloc[-1] < -0.25
    assert history["audit_gap"].iloc[-1] > 1
    first, second = (record.warnings for record in loop.rounds[1:3])
    assert not any("Q has risen" in text for text in first)
    assert any("the model learns to please Q" in text for text in second)
    guarded = Loop(tiny_llama(task, width=32), task, guards=(AuditGuard(stop=True),), **how)
    stopped = guarded.run(rounds=6)
    assert len(stopped) == 3
    assert stopped["score_mean"].equals(history["score_mean"][:len(stopped)])


def test_metrics_of_a_table_without_kept_or_finite_rows():
    from datasets import Dataset
    table = Dataset.from_dict(dict(score=[math.nan, 1.0], audit=[1.0, math.nan], state=["quarantined", "rejected"]))
    metrics = audit_metrics(table)
    assert metrics.pop("audit_n") == 0
    assert all(map(math.isnan, metrics.values()))
