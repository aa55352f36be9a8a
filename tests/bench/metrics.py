"""How long every metric takes for 100,000 samples and in how much memory; self-BLEU beside nltk's at 1,000; what the figures of every round add to a round of the demo.

What needs a model or compares all with all is taken of a part: the Vendi score of four draws of 1,000 (n-grams) or 50 (embeddings), self-BLEU also of four draws of 1,000 beside the exact one,
likelihood and KL of the 1,000 that a round takes. The audit is a cheap scorer, as its figures are timed here and no scorer (`make bench-scorers`). Each such line ends with its error: the standard deviation of a draw, for KL the standard error.
Limits that are checked: all metrics together under 60 s and 2 GB, self-BLEU at least 20 times as quick as nltk's and equal to it, the figures of every round under a twentieth of a round.
"""
import math, random, resource, statistics, time

import datasets

N, FEW = 100_000, 1_000


def sentences(n):
    "Texts of about 30 words from a vocabulary whose frequencies fall as in a language; a tenth of them nearly repeat another."
    dice = random.Random(0)
    words = ["".join(dice.choices("abcdefghijklmnop", k=dice.randint(2, 8))) for _ in range(20_000)]
    often = [min(int(20_000 ** dice.random()), 19_999) for _ in range(1_000_000)]
    texts = [[words[dice.choice(often)] for _ in range(dice.randint(20, 40))] for _ in range(n - n // 10)]
    changed = [["again" if dice.random() < 0.02 else word for word in dice.choice(texts)] for _ in range(n // 10)]
    texts = list(map(" ".join, texts + changed))
    dice.shuffle(texts)
    return texts


def timed(name, work):
    "Do it, and say how long it took."
    began = time.perf_counter()
    value = work()
    seconds = time.perf_counter() - began
    shown = f"{value:.4f}" if isinstance(value, float) else ", ".join(f"{v:.4f}" for v in value) if isinstance(value, tuple) else ""
    print(f"{name:32}{seconds:7.2f} s   {shown}", flush=True)
    return seconds, value


def table_of(texts):
    "The texts as a round's selected samples, four a prompt, with verdicts, scores, states, topics."
    from datasets import Dataset
    dice, n = random.Random(1), len(texts)
    return Dataset.from_dict(dict(prompt_id=[i // 4 for i in range(n)], prompt=["Say something."] * n, completion=texts, finished=[True] * n, correct=[dice.random() < 0.4 for _ in texts], score=[dice.random() for _ in texts],
        state=[dice.choice(["kept", "rejected"]) for _ in texts], group=dice.choices("abcdef", k=n), answer=dice.choices("12345", k=n)))


def everything(texts):
    "Name -> the call, for each metric on the samples of a round."
    from selfloop_nb import length
    from selfloop_nb.metrics import pass_at_k as accuracy
    from selfloop_nb.metrics import audit
    from selfloop_nb.metrics import diversity
    from selfloop_nb.metrics import per_round as figures
    from selfloop_nb.metrics import basic as metrics
    samples = table_of(texts)
    ids, right, scores, states, topics, answers = (samples[name][:] for name in ("prompt_id", "correct", "score", "state", "group", "answer"))
    vendi = lambda part: diversity.vendi_score(diversity.ngram_kernel(part))
    checked = lambda: audit.audit_metrics(samples.add_column("audit", audit.audit_column(samples, length(30, 30), most=len(samples))[0]))["audit_correlation"]
    return {"distinct-1": lambda: metrics.distinct(texts, 1), "distinct-2": lambda: metrics.distinct(texts, 2),
        "unique": lambda: metrics.unique_ratio(ids, texts), "agreement": lambda: metrics.agreement_rate(ids, answers),
        "self-BLEU (exact)": lambda: diversity.self_bleu(texts), "self-BLEU (4 draws of 1,000)": lambda: diversity.on_parts(diversity.self_bleu, texts),
        "near-duplicates (MinHash)": lambda: diversity.near_duplicate_ratio(texts),
        "entropy of bigrams": lambda: diversity.ngram_entropy(texts), "compression": lambda: diversity.compression_ratio(texts),
        "Vendi, n-grams (4 x 1,000)": lambda: diversity.on_parts(vendi, texts), "Vendi, embeddings (4 x 50)": lambda: diversity.on_parts(embedded(), texts, 50),
        "pass@1": lambda: accuracy.pass_at_k(ids, right, 1), "pass@4": lambda: accuracy.pass_at_k(ids, right, 4),
        "maj@3": lambda: accuracy.majority_at_k(ids, answers, right, 3), "AUC": lambda: accuracy.auc(scores, right),
        "calibration error": lambda: accuracy.calibration_error(scores, right), "kept but wrong": lambda: accuracy.keep_errors(states, right)["kept_but_wrong"],
        "balance score": lambda: audit.balance_score(samples), "audit by length": checked,
        "shares by group, shift": lambda: accuracy.share_shift(topics, states), "log p under M_0, KL (1,000)": lambda: drifted(samples),
        "the figures of every round": lambda: figures.round_metrics(samples, (0, 1), 0)["self_bleu"]}


def embedded():
    "The Vendi score of texts by a small encoder from an installed package."
    from selfloop_nb import load_encoder
    from selfloop_nb.metrics import diversity
    encoder = load_encoder()
    return lambda part: diversity.vendi_score(diversity.cosine_kernel(encoder(part)))


def drifted(samples):
    "A thousand samples as if a tiny model had written them, held against another."
    from selfloop_nb import drift_metrics, tiny_llama
    from selfloop_nb.scorers.likelihoods import completion_logprobs
    from selfloop_nb.tasks import Task
    few = samples.select(random.Random(2).sample(range(len(samples)), FEW))
    task = Task("texts", few.select_columns(["prompt", "completion"]), few.select_columns(["prompt"]), None)
    writer, base = (tiny_llama(task, seed=seed) for seed in (0, 1))
    few = few.add_column("token_ids", [writer.completion_ids(text) for text in few["completion"]])
    few = few.add_column("n_tokens", list(map(len, few["token_ids"]))).add_column("logprob", completion_logprobs(writer, few, same_tokens=True))
    moved = drift_metrics(few, base)
    return moved["base_logprob"], moved["kl"], moved["kl_error"]


def beside_nltk(texts):
    "Self-BLEU with nltk, text by text, and with ours."
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from selfloop_nb.metrics.diversity import self_bleu
    from selfloop_nb.text import segment
    cut, smooth = list(map(segment, texts)), SmoothingFunction().method1
    ours, value = timed(f"self-BLEU of {len(texts):,}", lambda: self_bleu(texts))
    theirs, same = timed(f"self-BLEU of {len(texts):,}, nltk", lambda: sum(sentence_bleu(cut[:i] + cut[i + 1:], units, smoothing_function=smooth) for i, units in enumerate(cut)) / len(cut))
    assert math.isclose(value, same, abs_tol=1e-9) and theirs > 20 * ours
    print(f"equal to nltk's and {theirs / ours:,.0f} times as quick")


def in_a_round():
    "What the figures of every round add to a round of the demo."
    from selfloop_nb import Loop, addition, tiny_llama
    from selfloop_nb.metrics.per_round import round_metrics
    task = addition()
    loop = Loop(tiny_llama(task), task, progress=False)
    loop.start()
    began = time.perf_counter()
    loop.step()
    whole, samples = time.perf_counter() - began, loop.samples()
    added = statistics.median(timed(f"figures of {len(samples):,} samples", lambda: round_metrics(samples, (0, 1), seed))[0] for seed in range(3))
    print(f"they are {added / whole:.1%} of a round of the demo, which takes {whole:.1f} s")
    assert added < whole / 20


datasets.disable_progress_bars()
texts = sentences(N)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"{N:,} samples, {sum(map(len, texts)) / 1e6:.1f} million characters, {before:.2f} GB at the start")
total = sum(timed(name, work)[0] for name, work in everything(texts).items())
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"all of them: {total:.1f} s, {memory:.2f} GB at most")
assert total < 60 and memory < 2
beside_nltk(texts[:FEW])
in_a_round()
