"""Budgets and weights in whole loops; preference pairs, DPO and SPIN: what they learn, what they count, and what they
leave as it was.
"""
import math, sys

import pytest
from datasets import Dataset
from listening import messages_of, trained_on
from selfloop_nb import (DPO, SPIN, Accumulate, FineTune, Loop, MaskedLM, Replace, Sampling, Threshold, Until, Window,
                         addition, tiny_llama)
from selfloop_nb.backend.core import EmptyRoundError
from selfloop_nb.backend.rows import completion_loss
from selfloop_nb.tuning import fine_tune
from small import half_digits, small_loop, small_task
from test_resume import outcome

FEW = dict(steps=4, batch_size=16)


@pytest.mark.parametrize("start", ["previous", "base"])
@pytest.mark.parametrize("mix, rounds", [(Accumulate, 2), (Window, 2), (Replace, 1)])
def test_budget_and_weights_go_with_every_mix(mix, rounds, start, monkeypatch):
    settings = dict(n=2) if mix is Window else {}
    share = 0.5 if mix is Replace else 0.25
    mixed = mix(real_share=share, budget=40, weights="score", **settings)
    loop = small_loop(score=half_digits, select=Threshold(0.3), mix=mixed, tune=FineTune(**FEW, start=start))
    seen = trained_on(monkeypatch)
    loop.run(rounds=2)
    parent = loop.language_model(0 if start == "base" else 1)
    assert seen[2][0].weights_hash() == parent.weights_hash()
    scores = {text(row): row["score"] for n in (1, 2) for row in loop.samples(n) if row["state"] == "kept"}
    tables = [table.to_list() for _, table in seen[1:]]
    for table in tables:
        own = [row for row in table if row["round"]]
        assert len(table) == 40
        assert 40 - len(own) >= 40 * share
        assert len({scores[text(row)] for row in own}) > 1
        ratios = {round(row["weight"] / scores[text(row)], 9) for row in own}
        assert len(ratios) == 1, "weights are scores, scaled"
    assert {row["round"] for row in tables[-1] if row["round"]} == set(range(3 - rounds, 3))


def text(row): return row["prompt"], row["completion"]


def negative(score): return -1.0
def no_number(score): return math.nan
def nothing(score): return 0


@pytest.mark.parametrize("weights, message", [
    (negative, "has the weight -1.0, it must be a finite number of at least 0"),
    (no_number, "has the weight nan"),
    (nothing, "kept samples weigh 0"),
])
def test_weights_that_are_none_cost_no_round(weights, message):
    loop = small_loop(mix=Accumulate(weights=weights))
    loop.start()
    with pytest.raises(ValueError, match=message): loop.step()
    assert [r.number for r in loop.rounds] == [0]
    loop.change(mix=Accumulate())
    assert loop.step().number == 1


def test_the_loss_is_the_weighted_sum_of_the_rows_losses():
    task = small_task()
    lm = tiny_llama(task)
    rows = task.train.select([0, 1]).select_columns(["prompt", "completion"])
    first, second = (completion_loss(lm, rows.select([i])) for i in (0, 1))
    _, losses, _ = fine_tune(lm, rows.add_column("weight", [0.5, 3.0]), FineTune(steps=1, batch_size=2))
    expected = pytest.approx((0.5 * first + 3 * second) / 2, abs=1e-3)
    assert losses[0]["loss"] == expected, "both rows have as many tokens"


def test_a_budget_of_the_whole_mix_changes_nothing():
    plain, wide = small_loop(), small_loop(mix=Accumulate(budget=10_000))
    plain.run(rounds=2)
    wide.run(rounds=2)
    assert outcome(plain)[1] == outcome(wide)[1]
    assert plain.language_model().weights_hash() == wide.language_model().weights_hash()


def paired(store=None, tune=None, **changed):
    "A small loop that learns from pairs."
    sampling = Sampling(n_samples=6, tokens_per_batch=200)
    settings = dict(score=half_digits, select=Threshold(0.5), sampling=sampling, tune=tune or DPO(**FEW))
    return small_loop(store, **{**settings, **changed})


@pytest.mark.parametrize("kind", [DPO, SPIN])
def test_what_learns_pairs_does_not_learn_d_train_as_if_it_were_no_pairs(kind):
    "It was trained as by FineTune, and the record named the pairs; as `initial` it ended in an error from within."
    pytest.importorskip("trl")
    task, how = small_task(), kind(**FEW)
    refused = pytest.raises(ValueError, match="give FineTune|must be a FineTune")
    with refused: fine_tune(tiny_llama(task, width=32), task.train, how)
    with refused: MaskedLM(then=how)
    with refused: Until(0.5, how=how)
    with refused: small_loop(initial=how)


def test_a_loop_learns_from_pairs_and_counts_them(tmp_path):
    loop = paired(tmp_path / "run")
    messages = messages_of(loop)
    history = loop.run(rounds=2)
    n_pairs, n_unpaired = history["n_pairs"][1:], history["n_unpaired"][1:]
    assert (n_pairs > 0).all()
    assert (n_pairs + n_unpaired == 20).all()
    counted = f"round 1: {int(n_pairs[1])} pairs; {int(n_unpaired[1])} prompts gave none ("
    assert any(message.startswith(counted) for message in messages)
    assert len(loop.losses(1)) == 4
    assert loop.rounds[1].config["tune"]["kind"] == "DPO"
    again = paired(tmp_path / "again")
    again.run(rounds=1)
    again = paired(tmp_path / "again")
    again.run(rounds=1)
    assert outcome(again) == outcome(loop), "also when the run is opened anew in between"


def log_probability(lm, prompt, text):
    "Of a whole completion, EOS included."
    row = Dataset.from_dict(dict(prompt=[prompt], completion=[text]))
    return -completion_loss(lm, row) * (len(text) + 1)


def test_the_loss_is_dpos_and_the_reference_the_rounds_parent():
    from selfloop_nb.training.preferences import prefer
    task = small_task()
    lm, parent = tiny_llama(task, seed=0), tiny_llama(task, seed=1)
    prompt = "12+34="
    good, bad = "640", "99"
    pairs = Dataset.from_dict(dict(
        prompt=[prompt], chosen=[good], chosen_finished=[True], rejected=[bad], rejected_finished=[True]))
    def moved(text): return log_probability(lm, prompt, text) - log_probability(parent, prompt, text)
    by_hand = math.log1p(math.exp(-0.5 * (moved(good) - moved(bad))))
    _, losses, _ = prefer(lm, parent, pairs, DPO(steps=1, beta=0.5, likelihood=0))
    assert losses[0]["loss"] == pytest.approx(by_hand, abs=1e-3)
    _, losses, _ = prefer(lm, parent, pairs, DPO(steps=1, beta=0.5, likelihood=2.0))
    with_likelihood = by_hand - 2 * log_probability(lm, prompt, good) / 4
    assert losses[0]["loss"] == pytest.approx(with_likelihood, abs=1e-3)


@pytest.mark.parametrize("kind, reference", [(DPO, 0), (SPIN, 1)])
def test_from_the_base_model_dpo_is_measured_from_its_start_and_spin_from_its_opponent(monkeypatch, kind, reference):
    from selfloop_nb.training import preferences
    seen, prefer = [], preferences.prefer
    def watched(lm, reference, *rest):
        seen.append((lm.weights_hash(), reference.weights_hash()))
        return prefer(lm, reference, *rest)
    monkeypatch.setattr(preferences, "prefer", watched)
    loop = paired(tune=kind(**FEW, start="base"))
    loop.run(rounds=2)
    assert seen[1] == (loop.language_model(0).weights_hash(), loop.language_model(reference).weights_hash())


def test_spin_plays_against_d_train_whatever_q_says():
    loop = paired(tune=SPIN(**FEW))
    history = loop.run(rounds=1)
    assert history["n_pairs"][1] > 60, "an untrained model never writes the reference: several pairs a row of D_train"
    assert history["n_unpaired"][1] == 0


def test_pairs_that_cannot_be_formed_cost_no_round():
    loop = paired(score=lambda samples: [1.0] * len(samples))
    loop.start()
    message = r"no pair could be formed from 20 prompts \(no sample scores lower: 20\): draw more samples"
    with pytest.raises(EmptyRoundError, match=message): loop.step()
    assert [r.number for r in loop.rounds] == [0]
    for few in (dict(n_samples=1), dict(n_samples=2, templates=("{prompt}", "1+{prompt}")), dict(temperature=0)):
        with pytest.raises(ValueError, match="DPO"): paired(sampling=Sampling(**few))


def test_spin_without_references():
    from selfloop_nb import from_dataset
    task = from_dataset(None, [{"prompt": "1+1="}], [{"prompt": "1+1=", "completion": "2"}])
    with pytest.raises(ValueError, match="SPIN plays against the references of D_train and the task has none"):
        small_loop(task=task, model=tiny_llama(task), tune=SPIN())


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "trl", None)
    for make in (DPO, SPIN):
        with pytest.raises(ImportError, match=r"trl is not installed: pip install 'selfloop_nb\[preferences\]'"): make()


def test_a_stop_ends_the_training_at_the_next_step(tmp_path):
    loop = paired(tmp_path / "run", tune=DPO(steps=1000, batch_size=16))
    loop.start()
    steps = []
    def stop(event):
        if event.kind == "loss":
            steps.append(event.data["step"])
            loop.stop()
    loop.on(stop)
    loop.run(rounds=1)
    assert steps == [1]
    assert len(loop.rounds) == 1


def random_states():
    "Where the three generators of random numbers stand."
    import random, numpy, torch
    return random.getstate(), numpy.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()


def tiny_gpt2():
    "A model with dropout, which TRL would switch off."
    import transformers
    from selfloop_nb.models import LanguageModel
    tokenizer = tiny_llama(small_task()).tokenizer
    sizes = dict(n_embd=32, n_layer=1, n_head=2, n_positions=64)
    config = transformers.GPT2Config(vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2, **sizes)
    return LanguageModel(transformers.GPT2LMHeadModel(config), tokenizer)


def test_nothing_is_left_behind_and_nothing_is_sent(tmp_path, monkeypatch):
    "TRL patches the model, switches dropout off, seeds everything and reports to its authors."
    from huggingface_hub import constants
    from huggingface_hub.utils import _telemetry
    from selfloop_nb.training.preferences import prefer
    sent = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(_telemetry, "_start_telemetry_thread", lambda: sent.append("report"))
    lm = tiny_gpt2()
    config = lm.model.config.to_dict()
    states = random_states()
    pairs = Dataset.from_dict(dict(
        prompt=["1+1="] * 4, chosen=["2"] * 4, chosen_finished=[True] * 4,
        rejected=["3", "", "44", "5"], rejected_finished=[True, True, False, True]))
    tuned, _, _ = prefer(lm, lm, pairs, DPO(steps=2, batch_size=2))
    for model in (lm.model, tuned.model):
        assert "forward" not in vars(model)
        assert model.transformer.drop.p == 0.1
        assert model.config.to_dict() == config
    assert tuned.weights_hash() != lm.weights_hash()
    assert not sent and constants.HF_HUB_DISABLE_TELEMETRY is False
    assert random_states() == states


@pytest.fixture(scope="module")
def half_taught():
    "A loop whose M_0 has seen many solved problems, and not for long."
    import torch
    torch.set_num_threads(1)
    task = addition(n_train=2000)
    loop = Loop(tiny_llama(task), task, initial=FineTune(steps=250, lr=2e-3), progress=False)
    loop.start()
    return loop


ARMS = {"dpo": (DPO(), Sampling(n_samples=8, temperature=0.7)), "spin": (SPIN(), Sampling())}


@pytest.mark.long
@pytest.mark.parametrize("arm", ARMS)
def test_it_improves_over_m_0(arm, half_taught):
    "Two rounds on one seed; `make bench-preferences` does more of them on three."
    tune, sampling = ARMS[arm]
    history = half_taught.branch(type(tune).__name__, tune=tune, sampling=sampling).run(rounds=2)
    accuracies = list(history["heldout_accuracy"])
    assert accuracies[-1] > accuracies[0] + 0.05, accuracies


def test_steps_whose_rows_all_weigh_nothing_are_said():
    def one_in_twenty(samples): return [float(i % 20 == 0) for i in range(len(samples))]
    few = FineTune(steps=20, batch_size=4)
    loop = small_loop(score=one_in_twenty, select=Threshold(0.0), mix=Replace(weights="score"), tune=few)
    loop.run(rounds=1)
    n_idle = sum(point["loss"] == 0 for point in loop.losses(1))
    assert n_idle and f"{n_idle} of 20 steps had a loss of 0 and taught nothing" in loop.rounds[1].warnings[0]
