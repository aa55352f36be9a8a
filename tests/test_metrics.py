"Each metric gives what its reference implementation gives, on texts with repeats, empty ones and several scripts."
import math, random

import numpy, pytest

SCRIPTS = ["one two red blue cat dog".split(), list("模型从自己的输出中学习"), ["ねこ", "いぬ", "日本", "です"], ["мир", "труд", "май"], ["a", "a", "b"]]


def some_texts(seed, n=None):
    "Up to a dozen short texts, some of them equal, some empty."
    dice = random.Random(seed)
    words = dice.choice(SCRIPTS)
    return [" ".join(dice.choices(words, k=dice.randrange(10))) for _ in range(n or dice.randrange(2, 13))]


@pytest.mark.parametrize("seed", range(40))
def test_self_bleu_is_nltks(seed):
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from selfloop_nb.metrics.diversity import self_bleu
    from selfloop_nb.text import segment
    texts = some_texts(seed)
    cut = list(map(segment, texts))
    theirs = [sentence_bleu(cut[:i] + cut[i + 1:], units, smoothing_function=SmoothingFunction().method1) for i, units in enumerate(cut)]
    assert self_bleu(texts) == pytest.approx(numpy.mean(theirs), abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_entropy_is_scipys(seed):
    from collections import Counter
    from scipy.stats import entropy
    from selfloop_nb.metrics.diversity import ngram_entropy
    from selfloop_nb.text import ngrams, segment
    texts = some_texts(seed)
    for n in (1, 2, 3):
        counts = list(Counter(g for t in texts for g in ngrams(segment(t), n)).values())
        ours = ngram_entropy(texts, n)
        assert ours == pytest.approx(entropy(counts), abs=1e-12) if counts else math.isnan(ours)


@pytest.mark.parametrize("seed", range(20))
def test_vendi_score_is_vendi_scores(seed):
    from sklearn.feature_extraction.text import CountVectorizer
    from vendi_score import vendi
    from selfloop_nb.metrics.diversity import cosine_kernel, ngram_kernel, vendi_score
    from selfloop_nb.text import segment
    texts = [t for t in some_texts(seed, 30) if len(segment(t)) > 1]
    counts = CountVectorizer(tokenizer=segment, token_pattern=None, lowercase=False, ngram_range=(2, 2)).fit_transform(texts).toarray().astype(float)
    assert vendi_score(ngram_kernel(texts)) == pytest.approx(vendi.score_X(counts), rel=1e-4)
    vectors = numpy.random.default_rng(seed).normal(size=(30, 5))
    assert vendi_score(cosine_kernel(vectors)) == pytest.approx(vendi.score_X(vectors), rel=1e-6) == pytest.approx(vendi.score_dual(vectors), rel=1e-6)


def test_near_duplicates_are_datasketchs():
    from datasketch import MinHash, MinHashLSH
    from selfloop_nb.text import jaccard, near_duplicates, runs
    dice = random.Random(0)
    texts = []
    for _ in range(150):
        words = dice.choices([a + b for a in "bcdfghjkl" for b in "aeiou"], k=40)
        texts += [" ".join("other" if i in changed else w for i, w in enumerate(words)) for changed in ([], dice.sample(range(40), 1), dice.sample(range(40), 12))]
    sets, index, theirs = [set(runs(t, 3)) for t in texts], MinHashLSH(params=(16, 4), num_perm=64), []
    for i, own in enumerate(sets):
        sketch = MinHash(num_perm=64, seed=1)
        sketch.update_batch([" ".join(run).encode() for run in own])
        theirs.append(any(jaccard(own, sets[j]) >= 0.8 for j in index.query(sketch)))
        if not theirs[-1]: index.insert(i, sketch)
    ours = [twin is not None for twin in near_duplicates(texts)]
    assert sum(ours) >= 140 and sum(a != b for a, b in zip(ours, theirs)) <= 2


@pytest.mark.parametrize("seed", range(10))
def test_ranking_and_calibration_are_sklearns(seed):
    from sklearn.metrics import roc_auc_score
    from selfloop_nb.metrics.pass_at_k import auc, calibration_error
    dice = numpy.random.default_rng(seed)
    scores, right = dice.random(200).round(1), dice.random(200) < 0.3
    assert auc(scores.tolist(), right.tolist()) == pytest.approx(roc_auc_score(right, scores), abs=1e-12)
    bins = numpy.minimum((scores * 10).astype(int), 9)
    expected = sum(abs(scores[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert calibration_error(scores.tolist(), right.tolist()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_pass_at_k_is_without_bias(k):
    from selfloop_nb.metrics.pass_at_k import pass_at_k
    dice, skill, n = numpy.random.default_rng(0), 0.15, 8
    right = dice.random((4000, n)) < skill
    ids = numpy.repeat(numpy.arange(4000), n).tolist()
    assert pass_at_k(ids, right.ravel().tolist(), k) == pytest.approx(1 - (1 - skill) ** k, abs=0.025)
    chen = numpy.mean([1 - numpy.prod(1 - k / numpy.arange(n - c + 1, n + 1)) if n - c >= k else 1.0 for c in right.sum(1)]) # the estimator as the paper prints it
    assert pass_at_k(ids, right.ravel().tolist(), k) == pytest.approx(chen, abs=1e-12)


def test_a_hundred_thousand_equal_texts_are_quickly_told():
    import time
    from selfloop_nb.metrics.diversity import near_duplicate_ratio, ngram_entropy, self_bleu
    texts, began = ["all of these are the same text"] * 100_000, time.perf_counter()
    assert near_duplicate_ratio(texts) == 1 - 1e-5 and self_bleu(texts) == 1 and ngram_entropy(texts) == pytest.approx(math.log(6))
    assert time.perf_counter() - began < 60
