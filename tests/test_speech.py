"""A model that hears goes through the same loop: rounds, a stop, another kernel, likelihoods, LoRA, a noisy student, an
archive; a clip that cannot be heard is refused by its name, before anything is trained.
"""
import math, wave

import numpy, pytest
from small import is_halfway, small_loop
from test_resume import outcome

PITCHES = {"low": 200, "high": 2000}


def write_clip(path, values, rate=16_000, channels=1):
    "A wav of 16 bit."
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes((numpy.asarray(values) * 32767).astype("<i2").tobytes())


def tone(pitch, seconds=0.3, rate=16_000):
    return 0.4 * numpy.sin(2 * math.pi * pitch * numpy.arange(int(seconds * rate)) / rate)


@pytest.fixture
def clips(tmp_path):
    "Sixteen clips, and the same with noise over them."
    rng = numpy.random.default_rng(0)
    for word, pitch in PITCHES.items():
        for i in range(8):
            clean = tone(pitch * (1 + i / 100))
            write_clip(tmp_path / f"clips/{word}/{i}.wav", clean)
            write_clip(tmp_path / f"clips/noisy/{word}/{i}.wav", clean + 0.1 * rng.standard_normal(len(clean)))
    return tmp_path / "clips"


def tones():
    "Half of the clips are known, a quarter is asked, a quarter is held out."
    from selfloop_nb import from_dataset
    rows = [dict(prompt=f"{word}/{i}", completion=word, answer=word) for i in range(8) for word in PITCHES]
    return from_dataset(rows[:8], [dict(prompt=r["prompt"], answer=r["answer"]) for r in rows[8:12]], rows[12:])


def loop_of(clips, store=None, **changed):
    "Rounds that take less than a second, with a score that a model that knows nothing can win."
    from selfloop_nb import FineTune, Threshold
    from selfloop_nb.training.speech import tiny_whisper
    task = changed.pop("task", None) or tones()
    model = changed.pop("model", None) or tiny_whisper(task, clips)
    def holds_a_letter(samples): return [float(len(text) > 0) for text in samples["completion"]]
    few = FineTune(steps=8, batch_size=8, lr=5e-3)
    select = Threshold(1.0, finished=False)
    settings = dict(score=holds_a_letter, select=select, initial=few, tune=few)
    return small_loop(store, task=task, model=model, **{**settings, **changed})


def test_rounds_and_what_is_measured(clips):
    from selfloop_nb import FineTune, chrf, verify
    loop = loop_of(clips, initial=FineTune(steps=60, batch_size=8, lr=5e-3), measures={"chrf": chrf()})
    history = loop.run(rounds=2)
    assert history["heldout_accuracy"][0] == 1.0 and history["heldout_chrf"][0] == 1.0
    assert (history["n_kept"][1:] > 0).all()
    assert "as it was written" in str(verify(loop)), "weights, samples and answers are those that were written"


@pytest.mark.parametrize("phase", ["sample", "tune"])
def test_a_stopped_run_goes_on_to_the_same_weights(phase, clips, tmp_path):
    from selfloop_nb.backend.core import Stopped
    whole = loop_of(clips)
    whole.run(rounds=2)
    loop = loop_of(clips, tmp_path / "run")
    loop.run(rounds=1)
    loop.on(lambda event: loop.stop() if is_halfway(event, phase) else None)
    with pytest.raises(Stopped): loop.step()
    again = loop_of(clips, tmp_path / "run")
    again.step()
    assert outcome(again) == outcome(whole)


def test_what_is_kept_may_be_learnt_under_noise(clips):
    from selfloop_nb import Accumulate
    def noisy(row): return dict(prompt=f"noisy/{row['prompt']}", completion=row["completion"])
    clean, student = loop_of(clips), loop_of(clips, mix=Accumulate(rows=noisy))
    for loop in (clean, student): loop.run(rounds=1)
    assert clean.samples()["completion"][:] == student.samples()["completion"][:]
    assert clean.language_model().weights_hash() != student.language_model().weights_hash()


def test_likelihoods_are_those_of_a_computation_by_hand(clips):
    import torch
    from selfloop_nb import likelihood
    from selfloop_nb.training.speech import tiny_whisper
    lm = tiny_whisper(tones(), clips)
    rows = tones().heldout.select(range(2))
    for row, found in zip(rows, likelihood(lm)(rows)):
        number, = lm.prompt_ids(row["prompt"])
        ids = lm.completion_ids(row["completion"])
        begun = torch.tensor([[*lm.start_ids, *ids[:-1]]])
        with torch.no_grad(): logits = lm.model(**lm.encoder_batch([[number]]), decoder_input_ids=begun).logits[0]
        by_hand = logits.log_softmax(-1)[range(len(ids)), ids].mean().item()
        assert found == pytest.approx(by_hand, abs=1e-4)


def test_lora(clips):
    from selfloop_nb import FineTune, LoRA
    pytest.importorskip("peft")
    loop = loop_of(clips, tune=FineTune(steps=5, batch_size=8, lr=1e-2, lora=LoRA()))
    history = loop.run(rounds=1)
    assert history["heldout_loss"][1] != history["heldout_loss"][0]


def test_another_rate_and_two_channels_are_heard_alike(clips):
    from selfloop_nb.training.speech import tiny_whisper
    both = numpy.stack([tone(200), tone(200)], 1)
    write_clip(clips / "stereo.wav", both, channels=2)
    write_clip(clips / "slow.wav", tone(200, rate=8000), rate=8000)
    lm = tiny_whisper(tones(), clips)
    (clips / "slow.wav").rename(clips / "slow.WAV") # as some recorders write it
    names = ["low/0", "stereo", "slow"]
    as_it_is, stereo, slow = lm.encoder_batch(list(lm.ids_of_prompts(names).values()))["input_features"]
    assert (as_it_is - stereo).abs().max() < 0.01
    assert (as_it_is - slow).abs().mean() < 0.1


def spoil(clips, how):
    "What may lie behind a name, or not."
    path = clips / "bad.wav"
    if how == "empty": write_clip(path, [])
    if how == "nothing in it": path.write_bytes(b"")
    if how == "an hour long": write_clip(path, tone(200), rate=1)
    if how == "no wav": path.write_bytes(b"ID3 is another format")
    if how == "cut off": path.write_bytes((clips / "low" / "0.wav").read_bytes()[:-500])
    if how == "link": path.symlink_to("/etc/hostname")
    if how == "folder": path.mkdir()


SPOILT = {
    "missing": "'bad' is missing", "empty": "'bad' is empty", "nothing in it": "'bad' is empty",
    "an hour long": "'bad' lasts 4,800.0 s, and the model hears at most 1 s", "no wav": "'bad' is no wav",
    "cut off": "'bad' is cut off after .* samples: leave it out",
    "link": "'bad' lies outside", "folder": "'bad' is missing"}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("table", ["train", "prompts", "heldout"])
def test_a_clip_that_cannot_be_heard_is_named_before_anything_is_trained(table, how, clips):
    from selfloop_nb import from_dataset
    spoil(clips, how)
    task, bad = tones(), dict(prompt="bad", completion="low", answer="low")
    tables = {name: getattr(task, name).to_list() for name in ("train", "prompts", "heldout")}
    if table == "prompts": del bad["completion"]
    tables[table].append(bad)
    with pytest.raises(ValueError, match=SPOILT[how]): loop_of(clips, task=from_dataset(**tables))


def test_references_in_capitals_are_said_where_those_that_are_learnt_are_none(clips):
    from selfloop_nb import from_dataset
    rows = [dict(prompt=f"{word}/{i}", completion=f"it is {word} {i}") for i in range(6) for word in PITCHES]
    asked = [dict(prompt=row["prompt"], answer=row["completion"].upper()) for row in rows]
    loop = loop_of(clips, task=from_dataset(rows, asked))
    loop.start()
    said = "such as 'IT IS LOW 0', and no completion of D_train has that form"
    assert any(said in warning for warning in loop.rounds[0].warnings)


def test_a_run_belongs_to_its_clips(clips, tmp_path):
    loop = loop_of(clips, tmp_path / "run")
    loop.start()
    del loop
    write_clip(clips / "low/0.wav", tone(2000))
    with pytest.raises(Exception, match="model"): loop_of(clips, tmp_path / "run")


def test_a_page_plays_the_clips_and_keeps_none(clips):
    from selfloop_nb import browse
    loop = loop_of(clips)
    loop.run(rounds=1)
    browser = browse(loop)
    def n_heard(view): return sum("sound" in row for row in view.live.samples["rows"])
    assert n_heard(browser) == len(browser.shown) > 0
    assert "<audio" not in browser.plain()[0]["text/html"]
    assert n_heard(browse(loop.answers(), clips=clips)) == 4
