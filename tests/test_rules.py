"The keep rules in a loop: put into each other, recorded, resumed; nothing is lost on the way."
import pytest
from small import small_loop


def rules():
    "Each way to refine, around an annealed theta."
    import selfloop_nb as s
    theta = s.Annealed(0.0, 1.0, rounds=2)
    return dict(
        annealed=theta,
        target=s.AcceptanceTarget(0.3),
        nested=s.FarthestFirst(s.PerCluster(s.NoNearDuplicates(theta), k=3)),
        curriculum=s.Curriculum(theta, 0.0, 1.0),
        clean=s.Decontaminated(theta, ["no such text"], n=3),
        balanced=s.Balanced(theta, "answer"))


def test_what_a_rule_goes_by_is_looked_at_when_the_loop_is_made(tmp_path):
    import selfloop_nb as s
    def all_of_them(samples): return ["kept"] * len(samples), [""] * len(samples)
    balanced = s.Balanced(s.NoNearDuplicates(all_of_them), "answer")
    small_loop(tmp_path / "run", select=balanced)
    for rule in (s.Balanced(balanced.rule, "topic"), s.NoNearDuplicates(s.Balanced(all_of_them, "topic"))):
        with pytest.raises(ValueError, match="column='topic' is no column of the samples"): small_loop(select=rule)
    with pytest.raises(ValueError, match="column=3: it must be a text"): s.Balanced(balanced.rule, 3)
    with pytest.raises(ValueError, match="rule='best': give a keep rule"): s.NoNearDuplicates("best")


@pytest.mark.parametrize("name", ["annealed", "target", "nested", "curriculum", "clean", "balanced"])
def test_a_loop_with_each_rule(name, tmp_path):
    loop = small_loop(tmp_path / "run", select=rules()[name])
    rounds = loop.run(rounds=2).iloc[1:]
    assert len(rounds) == 2
    assert (rounds["n_sampled"] == rounds["n_kept"] + rounds["n_rejected"] + rounds["n_quarantined"]).all()
    assert (rounds["n_kept"] > 0).all()
    again = small_loop(tmp_path / "run", select=rules()[name])
    assert [r.id for r in again.rounds] == [r.id for r in loop.rounds]
    assert again.config() == loop.config()


def test_theta_rises_with_the_round(tmp_path):
    from selfloop_nb import Annealed
    loop = small_loop(tmp_path / "run", select=Annealed(0.0, 1.0, rounds=2))
    loop.run(rounds=2)
    for number, theta in ((1, 0.0), (2, 1.0)):
        samples = loop.samples(number).to_pandas()
        assert samples.query("state == 'kept'")["score"].min() >= theta
    assert samples.query("reason == 'below threshold'")["score"].max() < theta


def test_a_theta_that_leaves_the_range_is_refused_through_all_the_rules():
    from selfloop_nb import Annealed, Balanced, NoNearDuplicates, Threshold, verifier
    for rule in (Annealed(0.5, 2.0), Balanced(NoNearDuplicates(Threshold(2.0)), "answer")):
        with pytest.raises(ValueError, match=r"theta=2 lies outside the scorer's range \[0, 1\]"):
            small_loop(score=verifier(), select=rule)


def test_what_is_held_out_is_not_written_into_the_record(tmp_path):
    import json
    from selfloop_nb import Decontaminated, Threshold
    rule = Decontaminated(Threshold(0.0), ["a text that nobody may see in training"])
    assert "nobody" not in json.dumps(small_loop(select=rule).config())
    assert rule != Decontaminated(Threshold(0.0), ["another text that nobody may see in training"])


def test_encoders_serve_as_vectors():
    from datasets import Dataset
    from selfloop_nb import FarthestFirst, Threshold, load_encoder
    texts = ["The cat sleeps.", "A kitten is napping.", "Interest rates rose.", "The central bank raised rates."]
    samples = Dataset.from_dict(dict(
        prompt_id=[0] * 4, prompt=["p"] * 4, completion=texts, score=[1.0, .9, .8, .7], finished=[True] * 4,
        n_tokens=[4] * 4))
    states, _ = FarthestFirst(Threshold(0.0), 0.5, load_encoder())(samples)
    assert states[:2] == ["kept", "rejected"]
    assert states.count("kept") == 2
