"""How long every metric takes for 100,000 samples, and in how much memory.

Beside it: self-BLEU and nltk's at 1,000; what the metrics of every round add to a round of the demo. What needs a model
or compares all with all is taken of a part: the Vendi score of four draws of 1,000 (n-grams) or 50 (embeddings),
self-BLEU also of four draws of 1,000 beside the exact one, likelihood and KL of the 1,000 that a round takes. The audit
is a cheap scorer, as its metrics are timed here and no scorer (`make bench-scorers`). Each such line ends with its
error: the standard deviation of a draw, for KL the standard error.
Limits that are checked: all metrics together under 60 s and 2 GB, self-BLEU at least 20 times as quick as nltk's and
equal to it, the metrics of every round under a twentieth of a round.
"""
import math, random, resource, statistics
from functools import partial

import datasets
from _timing import say, timed

N, FEW = 100_000, 1_000


def sentences(n):
    """Texts of about 30 words from a vocabulary whose frequencies fall as in a language; a tenth of them nearly repeat
    another."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 8))) for _ in range(20_000)]
    often = [min(int(20_000 ** rng.random()), 19_999) for _ in range(1_000_000)]
    texts = [[words[rng.choice(often)] for _ in range(rng.randint(20, 40))] for _ in range(n - n // 10)]
    changed = [["again" if rng.random() < 0.02 else word for word in rng.choice(texts)] for _ in range(n // 10)]
    texts = list(map(" ".join, texts + changed))
    rng.shuffle(texts)
    return texts


def measure(name, work):
    "Do it, and say how long it took and what came of it."
    seconds, value = timed(work)
    values = value if isinstance(value, tuple) else [value]
    shown = ", ".join(f"{v:.4f}" for v in values if isinstance(v, float))
    say(f"{name:32}{seconds:7.2f} s   {shown}")
    return seconds, value


def table_of(texts):
    "The texts as a round's selected samples, four a prompt, with verdicts, scores, states, topics."
    rng = random.Random(1)
    n = len(texts)
    right = [rng.random() < 0.4 for _ in texts]
    return datasets.Dataset.from_dict(dict(
        prompt_id=[i // 4 for i in range(n)],
        prompt=["Say something."] * n,
        completion=texts,
        finished=[True] * n,
        correct=right,
        score=[rng.random() for _ in texts],
        state=[rng.choice(["kept", "rejected"]) for _ in texts],
        group=rng.choices("abcdef", k=n),
        answer=rng.choices("12345", k=n)))


def of_texts(texts):
    "Name -> the call, for each metric that looks at the texts."
    from selfloop_nb.metrics import basic, diversity
    def vendi(part): return diversity.vendi_score(diversity.ngram_kernel(part))
    return {
        "distinct-1": partial(basic.distinct, texts, 1),
        "distinct-2": partial(basic.distinct, texts, 2),
        "self-BLEU (exact)": partial(diversity.self_bleu, texts),
        "self-BLEU (4 draws of 1,000)": partial(diversity.on_parts, diversity.self_bleu, texts),
        "near-duplicates (MinHash)": partial(diversity.near_duplicate_ratio, texts),
        "entropy of bigrams": partial(diversity.ngram_entropy, texts),
        "compression": partial(diversity.compression_ratio, texts),
        "Vendi, n-grams (4 x 1,000)": partial(diversity.on_parts, vendi, texts),
        "Vendi, embeddings (4 x 50)": lambda: diversity.on_parts(embedded(), texts, 50),
    }


def of_samples(samples):
    "Name -> the call, for each metric that looks at prompts, verdicts, scores or states."
    from selfloop_nb.metrics import audit, basic, pass_at_k, per_round
    ids, right, scores = (samples[name][:] for name in ("prompt_id", "correct", "score"))
    states, answers, topics = (samples[name][:] for name in ("state", "answer", "group"))
    return {
        "unique": partial(basic.unique_ratio, ids, samples["completion"][:]),
        "agreement": partial(basic.agreement_rate, ids, answers),
        "pass@1": partial(pass_at_k.pass_at_k, ids, right, 1),
        "pass@4": partial(pass_at_k.pass_at_k, ids, right, 4),
        "maj@3": partial(pass_at_k.majority_at_k, ids, answers, right, 3),
        "AUC": partial(pass_at_k.auc, scores, right),
        "calibration error": partial(pass_at_k.calibration_error, scores, right),
        "kept but wrong": lambda: pass_at_k.keep_errors(states, right)["kept_but_wrong"],
        "balance score": partial(audit.balance_score, samples),
        "audit by length": partial(audited, samples),
        "shares by group, shift": partial(pass_at_k.share_shift, topics, states),
        "log p under M_0, KL (1,000)": partial(drifted, samples),
        "the metrics of every round": lambda: per_round.round_metrics(samples, (0, 1), 0)["self_bleu"],
    }


def audited(samples):
    "The correlation of Q with a cheap audit of all samples."
    from selfloop_nb import length
    from selfloop_nb.metrics.audit import audit_column, audit_metrics
    column, *_ = audit_column(samples, length(30, 30), most=len(samples))
    return audit_metrics(samples.add_column("audit", column))["audit_correlation"]


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
    ids = [writer.completion_ids(text) for text in few["completion"]]
    few = few.add_column("token_ids", ids).add_column("n_tokens", list(map(len, ids)))
    few = few.add_column("logprob", completion_logprobs(writer, few, same_tokens=True))
    moved = drift_metrics(few, base)
    return moved["base_logprob"], moved["kl"], moved["kl_error"]


def beside_nltk(texts):
    "Self-BLEU with nltk, text by text, and with ours."
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from selfloop_nb.metrics.diversity import self_bleu
    from selfloop_nb.text import segment
    cut = list(map(segment, texts))
    smooth = SmoothingFunction().method1
    def bleu_of(i): return sentence_bleu(cut[:i] + cut[i + 1:], cut[i], smoothing_function=smooth)
    name = f"self-BLEU of {len(texts):,}"
    ours, value = measure(name, lambda: self_bleu(texts))
    theirs, same = measure(f"{name}, nltk", lambda: sum(map(bleu_of, range(len(cut)))) / len(cut))
    assert math.isclose(value, same, abs_tol=1e-9)
    assert theirs > 20 * ours
    say(f"equal to nltk's and {theirs / ours:,.0f} times as quick")


def in_a_round():
    "What the metrics of every round add to a round of the demo."
    from selfloop_nb import Loop, addition, tiny_llama
    from selfloop_nb.metrics.per_round import round_metrics
    task = addition()
    loop = Loop(tiny_llama(task), task, progress=False)
    loop.start()
    whole, _ = timed(loop.step)
    samples = loop.samples()
    name = f"metrics of {len(samples):,} samples"
    def seconds(seed): return measure(name, lambda: round_metrics(samples, (0, 1), seed))[0]
    added = statistics.median(map(seconds, range(3)))
    say(f"they are {added / whole:.1%} of a round of the demo, which takes {whole:.1f} s")
    assert added < whole / 20


def gigabytes():
    "The most memory that this process has had."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main():
    datasets.disable_progress_bars()
    texts = sentences(N)
    characters = f"{sum(map(len, texts)) / 1e6:.1f} million characters"
    say(f"{N:,} samples, {characters}, {gigabytes():.2f} GB at the start")
    calls = of_texts(texts) | of_samples(table_of(texts))
    total = sum(measure(name, work)[0] for name, work in calls.items())
    say(f"all of them: {total:.1f} s, {gigabytes():.2f} GB at most")
    assert total < 60
    assert gigabytes() < 2
    beside_nltk(texts[:FEW])
    in_a_round()


if __name__ == "__main__": main()
