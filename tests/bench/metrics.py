"""How long every metric takes for 100,000 samples and in how much memory; what sampling costs the Vendi score; self-BLEU beside nltk's at 1,000.

Limits that are checked: all metrics together under 60 s and 2 GB, self-BLEU at least 20 times as quick as nltk's and equal to it.
"""
import math, random, resource, time

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


def everything(texts):
    "Name -> the call, for each metric on the samples of a round."
    from selfloop_nb import accuracy, diversity, metrics
    dice = random.Random(1)
    ids, right = [i // 4 for i in range(len(texts))], [dice.random() < 0.4 for _ in texts]
    scores, states = [dice.random() for _ in texts], [dice.choice(["kept", "rejected"]) for _ in texts]
    topics, answers = dice.choices("abcdef", k=len(texts)), dice.choices("12345", k=len(texts))
    vendi = lambda part: diversity.vendi_score(diversity.ngram_kernel(part))
    return {"distinct-1": lambda: metrics.distinct(texts, 1), "distinct-2": lambda: metrics.distinct(texts, 2),
        "unique": lambda: metrics.unique_ratio(ids, texts), "agreement": lambda: metrics.agreement_rate(ids, answers),
        "self-BLEU (exact)": lambda: diversity.self_bleu(texts), "near-duplicates (MinHash)": lambda: diversity.near_duplicate_ratio(texts),
        "entropy of bigrams": lambda: diversity.ngram_entropy(texts), "compression": lambda: diversity.compression_ratio(texts),
        "Vendi score (4 draws of 1,000)": lambda: diversity.on_parts(vendi, texts),
        "pass@1": lambda: accuracy.pass_at_k(ids, right, 1), "pass@4": lambda: accuracy.pass_at_k(ids, right, 4),
        "maj@3": lambda: accuracy.majority_at_k(ids, answers, right, 3), "AUC": lambda: accuracy.auc(scores, right),
        "calibration error": lambda: accuracy.calibration_error(scores, right), "kept but wrong": lambda: accuracy.keep_errors(states, right)["kept_but_wrong"],
        "shares by group, shift": lambda: accuracy.share_shift(topics, states)}


def beside_nltk(texts):
    "Self-BLEU with nltk, text by text, and with ours."
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from selfloop_nb.diversity import self_bleu
    from selfloop_nb.text import segment
    cut, smooth = list(map(segment, texts)), SmoothingFunction().method1
    ours, value = timed(f"self-BLEU of {len(texts):,}", lambda: self_bleu(texts))
    theirs, same = timed(f"self-BLEU of {len(texts):,}, nltk", lambda: sum(sentence_bleu(cut[:i] + cut[i + 1:], units, smoothing_function=smooth) for i, units in enumerate(cut)) / len(cut))
    assert math.isclose(value, same, abs_tol=1e-9) and theirs > 20 * ours
    print(f"equal to nltk's and {theirs / ours:,.0f} times as quick")


texts = sentences(N)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"{N:,} samples, {sum(map(len, texts)) / 1e6:.1f} million characters, {before:.2f} GB at the start")
total = sum(timed(name, work)[0] for name, work in everything(texts).items())
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"all of them: {total:.1f} s, {memory:.2f} GB at most")
assert total < 60 and memory < 2
beside_nltk(texts[:FEW])
