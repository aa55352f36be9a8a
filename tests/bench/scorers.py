"""Every scorer that judges text without a network: what it needs, seconds for 1,000 texts on this machine, and how well it ranks on labelled texts.

Three labelled sets, all made here: REPAIR, sentences of the standard library's documentation that have lost three words in ten (worth 1) against the same with three in ten
replaced by words of another sentence (0), held against the whole sentence; FLUENT, the same sentences (1) against their own words shuffled (0);
FEELING, 40 sentences about films that were written for this, of which the negated ones are hard. What is trained is trained on one half and judged on the other.
"""
import random, re, time

from datasets import Dataset

PLEASED = """A warm and funny film. I would watch it again tomorrow. Not bad at all, and often brilliant. The cast is superb. It made me laugh and cry. A small gem. Nobody should miss this.
    The best two hours of my year. Beautifully shot and never dull. I expected little and got a masterpiece. The ending is perfect. A joy from start to finish. It held me until the last minute. Clever, kind and moving.
    My children loved every scene. The music alone is worth the ticket. I could not look away. It deserves every prize. There is nothing to dislike here. A quiet triumph.""".split(".")
ANNOYED = """A cold and boring film. I would not watch it again for money. Not good at all, and often silly. The cast is wooden. It made me yawn. A waste of time. Nobody should see this.
    The worst two hours of my year. Badly shot and always dull. I expected a masterpiece and got little. The ending is a mess. A pain from start to finish. It lost me in the first minute. Stupid, cruel and empty.
    My children hated every scene. The music alone is worth leaving for. I had to look away. It deserves no prize. There is nothing to like here. A loud failure.""".split(".")


def documentation(n):
    "Sentences of eight to thirty words from the standard library's documentation."
    from pydoc_data.topics import topics
    plain = re.sub(r"\s+", " ", " ".join(topics.values()))
    found = [s for s in re.findall(r"[A-Z][a-z][^.!?*`_=<>\\\"|]{30,200}\.", plain) if 8 <= len(s.split()) <= 30]
    return random.Random(0).sample(sorted(set(found)), n)


def table(rows):
    "A sample table of (completion, answer) pairs."
    n = len(rows)
    return Dataset.from_dict(dict(prompt_id=list(range(n)), prompt=["Write a sentence."] * n, completion=[c for c, _ in rows], answer=[a for _, a in rows], finished=[True] * n))


def labelled():
    "Name -> (sample table, labels)."
    dice, texts = random.Random(1), documentation(500)
    lose = lambda text: " ".join(w for w in text.split() if dice.random() > 0.3)
    shuffle = lambda text: " ".join(dice.sample(text.split(), len(text.split())))
    replace = lambda text, other: " ".join(dice.choice(other.split()) if dice.random() < 0.3 else w for w in text.split())
    repair = [(lose(t), t) for t in texts] + [(replace(t, other), t) for t, other in zip(texts, texts[1:] + texts[:1])]
    fluent = [(t, t) for t in texts] + [(shuffle(t), t) for t in texts]
    feeling = [(t.strip() + ".", "x") for t in PLEASED[:-1] + ANNOYED[:-1]]
    half = lambda rows: [i < len(rows) // 2 for i in range(len(rows))]
    return {name: (table(rows), half(rows)) for name, rows in (("REPAIR", repair), ("FLUENT", fluent), ("FEELING", feeling))}


def scorers(encoder, small):
    "(scorer, what it needs, its licence, the labelled set)."
    import selfloop_nb as s
    yield from ((q, "none", "", "REPAIR") for q in (s.exact_match(), s.word_f1()))
    yield from ((q, "sacrebleu", "Apache-2.0", "REPAIR") for q in (s.bleu(), s.chrf()))
    yield s.rouge(), "rouge-score", "Apache-2.0", "REPAIR"
    yield s.similarity(encoder), "all-MiniLM-L6-v2", "Apache-2.0", "REPAIR"
    yield from ((q, "none", "", "FLUENT") for q in (s.length(8, 30), s.no_repetition(), s.readability(), s.script("Latin"), s.style(must=[r"^[A-Z].*\.$"])))
    yield s.likelihood(small), "SmolLM2-135M", "Apache-2.0", "FLUENT"
    yield s.judge(small, "Is the answer a well-formed sentence?", least=0.0, n_controls=0), "SmolLM2-135M", "Apache-2.0", "FLUENT"
    yield s.sentiment(), "vaderSentiment", "MIT", "FEELING"
    samples, labels = labelled()["FLUENT"]
    yield s.train_classifier(samples["completion"][::2], labels[::2]), "scikit-learn", "BSD-3-Clause", "FLUENT (half)"


def main():
    import torch
    from selfloop_nb import load_encoder, smollm2
    from selfloop_nb.accuracy import auc
    torch.set_num_threads(1)
    sets = labelled()
    print("| scorer | needs | licence | offline | s per 1,000 texts | AUC | labelled set |\n|---|---|---|---|---:|---:|---|")
    for scorer, package, licence, name in scorers(load_encoder(), smollm2()):
        samples, labels = sets[name.split()[0]]
        rows = range(1, len(samples), 2) if "half" in name else range(0, len(samples), 10 if package == "SmolLM2-135M" else 1)
        samples, labels = samples.select(rows), labels[rows.start::rows.step]
        scorer(samples.select(range(2)))
        began = time.perf_counter()
        scores = scorer(samples)
        seconds = 1000 * (time.perf_counter() - began) / len(samples)
        print(f"| {scorer.name} | {package} | {licence} | yes | {seconds:.2f} | {auc(scores, labels):.2f} | {name}, n = {len(samples)} |", flush=True)


main()
