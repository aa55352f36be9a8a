"What a run notes beside Q: the audit, the figures of every round, drift; and that none of it changes what is kept or trained."
import math

import pytest
from selfloop_nb import AuditGuard, FineTune, Loop, Quantile, Replace, Threshold, agreement, human, open_run, tiny_llama
from selfloop_nb.metrics.audit import audit_metrics, audit_history, audit_scores
from selfloop_nb.metrics.drift import drift_metrics
from selfloop_nb.metrics.per_round import round_metrics
from selfloop_nb.core import derive_seed
from small import half_digits, low_digit, small_loop, small_task

FIGURES = ("audit_n", "audit_failed", "audit_mean", "audit_std", "audit_kept_mean", "audit_correlation", "q_mean", "q_std", "q_rise", "audit_rise", "audit_gap")


def even_digits(samples):
    "Another opinion on the same texts."
    return [sum(c in "02468" for c in text) / max(len(text), 1) for text in samples["completion"]]


def of_parent(samples):
    "An audit that gives back what it is not to see, where it sees it."
    return [float(bool({"score", "state"} & set(samples.column_names)))] * len(samples)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    "Two rounds without an instrument."
    loop = small_loop(tmp_path_factory.mktemp("runs") / "bare", score=half_digits, select=Quantile(0.5))
    loop.run(rounds=2)
    return loop


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    "The same with all of them."
    loop = small_loop(tmp_path_factory.mktemp("runs") / "watched", score=half_digits, select=Quantile(0.5), audit=even_digits, drift=True)
    loop.run(rounds=2)
    return loop


def test_instruments_change_nothing(bare, watched):
    for number in (1, 2):
        assert watched.samples(number).remove_columns("audit").to_dict() == bare.samples(number).to_dict()
    assert watched.language_model().weights_hash() == bare.language_model().weights_hash()
    assert "audit" not in bare.rounds[1].config and not {"audit_mean", "kl"} & set(bare.history())


def test_the_audit_stands_in_samples_history_and_settings(watched):
    rows, history = [watched.samples(n) for n in (1, 2)], open_run(watched.store.path).history()
    assert [r["audit"][:] for r in rows] == [even_digits(r) for r in rows] and set(FIGURES) <= set(history)
    for row, expected in zip(history.iloc[1:].to_dict("records"), audit_history(rows, even_digits)):
        assert all(math.isclose(row[name], value) for name, value in expected.items())
    assert watched.rounds[2].config["audit"]["name"] == "even_digits" and watched.rounds[2].config["drift"] is True


def test_the_figures_are_those_of_the_pure_functions(watched):
    samples, row = watched.samples(2), watched.rounds[2].metrics
    expected = round_metrics(samples.remove_columns("audit"), (0.0, 1.0), derive_seed(0, 2, "figures"))
    assert {"self_bleu", "near_duplicate_ratio", "entropy_2", "compression_ratio", "pass_at_1", "pass_at_k", "majority_at_k", "balance", "kept_but_wrong", "calibration_error"} <= set(expected)
    assert all(row[name] == value or row[name] is None and math.isnan(value) for name, value in expected.items())
    moved = drift_metrics(samples, watched.language_model(0))
    assert all(math.isclose(row[name], value, rel_tol=1e-4) for name, value in moved.items())
    assert abs(watched.rounds[1].metrics["kl"]) < 1e-3 < moved["kl"], "M_0 has not moved from itself"


def test_an_audit_sees_no_score():
    loop = small_loop(audit=of_parent)
    loop.step()
    assert set(loop.samples()["audit"]) == {0.0}


def test_a_thousand_samples_are_audited_whole_prompts_of_them():
    loop = small_loop(task=small_task(n_prompts=300), audit=agreement())
    first = loop.step()
    samples = loop.samples().to_pandas()
    asked = samples.groupby("prompt_id")["audit"].count()
    assert set(asked) == {0, 4} and asked.sum() == 1000 == first.metrics["audit_n"]
    whole = samples.assign(right=agreement()(loop.samples()))
    assert (whole["audit"].isna() | (whole["audit"] == whole["right"])).all()
    loop.rewind(0)
    loop.step()
    assert loop.samples().to_pandas()["audit"].equals(samples["audit"]), "the same are drawn again"


def raises_on(samples, bad):
    "A scorer that cannot read some texts."
    if any(bad in text for text in samples["completion"]): raise OSError(f"no {bad}, please")
    return [1.0] * len(samples)


@pytest.mark.parametrize("audit, lost", [
    (lambda samples: raises_on(samples, "1"), "some"),
    (lambda samples: [None if "1" in text else math.inf if "2" in text else 1.0 for text in samples["completion"]], "some"),
    (lambda samples: [1.0], "all"),
    (lambda samples: raises_on(samples, ""), "all"),
    (agreement(lambda text: 1 / 0), "all"),
])
def test_an_audit_that_fails_never_loses_the_round(audit, lost, bare):
    loop = small_loop(score=half_digits, select=Quantile(0.5), audit=audit)
    told = []
    loop.on(lambda event: told.append(event.data["text"]) if event.kind == "message" else None)
    record = loop.step()
    values, row = loop.samples()["audit"][:], record.metrics
    assert record.number == 1 and loop.samples()["state"][:] == bare.samples(1)["state"][:]
    n_failed = sum(map(math.isnan, values))
    assert n_failed == row["audit_failed"] and row["audit_n"] == len(values) - n_failed and (n_failed == len(values) if lost == "all" else 0 < n_failed < len(values))
    assert any("the audit failed on" in text for text in told) and any("the audit failed on" in text for text in record.warnings)


def test_people_may_audit_and_who_is_not_asked_has_not_failed():
    loop = small_loop(audit=human(wait=False))
    record = loop.step()
    assert record.metrics["audit_failed"] == 0 == record.metrics["audit_n"] and all(map(math.isnan, loop.samples()["audit"])) and not any("audit" in text for text in record.warnings)


def test_change_and_branch_take_an_audit(bare):
    loop = bare.branch("with")
    loop.change(audit=even_digits)
    assert loop.step().config["audit"]["name"] == "even_digits" and loop.rounds[-1].metrics["audit_gap"] == 0
    other = loop.branch("other", audit=odd_digits)
    assert other.step().config["audit"]["name"] == "odd_digits" and other.rounds[-1].metrics["audit_gap"] == 0, "another audit has another first round"
    again = loop.step()
    first, last = audit_scores(loop.samples(again.number - 1), even_digits), audit_scores(loop.samples(), even_digits)
    assert math.isclose(again.metrics["audit_rise"], (last["audit_mean"] - first["audit_mean"]) / first["audit_std"])
    loop.change(audit=None)
    assert "audit" not in loop.step().config and "audit" not in loop.samples().column_names
    with pytest.raises(ValueError, match="audit=3|score=3"): loop.change(audit=3)
    with pytest.raises(ValueError, match="score=None"): loop.change(score=None)


def test_the_first_round_with_a_value_is_compared_with():
    loop = small_loop(score=half_digits, select=Quantile(0.5), audit=lambda samples: even_digits(samples) if loop.rounds[1:] else [1.0])
    loop.run(rounds=3)
    gaps = [r.metrics["audit_gap"] for r in loop.rounds[1:]]
    assert math.isnan(gaps[0] if gaps[0] is not None else math.nan) and gaps[1] == 0 and math.isfinite(gaps[2])


def fours(samples):
    "A Q that is easily pleased: the share of fours."
    return [text.count("4") / max(len(text), 1) for text in samples["completion"]]
fours.range = (0.0, 1.0)


def odd_digits(samples):
    "An audit that is not: the share of odd digits."
    return [sum(c in "13579" for c in text) / max(len(text), 1) for text in samples["completion"]]


def test_who_pleases_q_is_seen_and_stopped():
    task = small_task(n_prompts=200)
    how = dict(score=fours, select=Threshold(0.3), mix=Replace(), audit=odd_digits, initial=FineTune(steps=40, batch_size=32), tune=FineTune(steps=40, batch_size=32), progress=False)
    loop = Loop(tiny_llama(task, width=32), task, **how)
    history = loop.run(rounds=4)
    rises = history["q_rise"][1:].tolist()
    assert rises == sorted(rises) and rises[-1] > 1 and history["audit_rise"].iloc[-1] < -0.25
    assert history["audit_gap"].iloc[-1] > 1
    assert any("the model learns to please Q" in text for text in loop.rounds[2].warnings) and not any("Q has risen" in text for text in loop.rounds[1].warnings)
    stopped = Loop(tiny_llama(task, width=32), task, guards=(AuditGuard(stop=True),), **how).run(rounds=6)
    assert len(stopped) == 3 and stopped["score_mean"].equals(history["score_mean"][:len(stopped)])


def test_figures_of_a_table_without_kept_or_finite_rows():
    from datasets import Dataset
    table = Dataset.from_dict(dict(score=[math.nan, 1.0], audit=[1.0, math.nan], state=["quarantined", "rejected"]))
    figures = audit_metrics(table)
    assert figures.pop("audit_n") == 0 and all(map(math.isnan, figures.values()))
