"Each metric gives what its reference implementation gives, on texts with repeats, empty ones and several scripts."
import math, random, time

import numpy, pytest

SCRIPTS = [
    "one two red blue cat dog".split(),
    list("模型从自己的输出中学习"),
    ["ねこ", "いぬ", "日本", "です"],
    ["мир", "труд", "май"],
    ["a", "a", "b"],
]


def some_texts(seed, n=None):
    "Up to a dozen short texts, some of them equal, some empty."
    rng = random.Random(seed)
    words = rng.choice(SCRIPTS)
    n = n or rng.randrange(2, 13)
    return [" ".join(rng.choices(words, k=rng.randrange(10))) for _ in range(n)]


@pytest.mark.parametrize("seed", range(40))
def test_self_bleu_is_nltks(seed):
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from selfloop_nb.metrics.diversity import self_bleu
    from selfloop_nb.text import segment
    texts = some_texts(seed)
    cut = list(map(segment, texts))
    smooth = SmoothingFunction().method1
    def bleu_of(i): return sentence_bleu(cut[:i] + cut[i + 1:], cut[i], smoothing_function=smooth)
    theirs = [bleu_of(i) for i in range(len(cut))]
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
    bigrams = CountVectorizer(tokenizer=segment, token_pattern=None, lowercase=False, ngram_range=(2, 2))
    counts = bigrams.fit_transform(texts).toarray().astype(float)
    assert vendi_score(ngram_kernel(texts)) == pytest.approx(vendi.score_X(counts), rel=1e-4)
    vectors = numpy.random.default_rng(seed).normal(size=(30, 5))
    ours = vendi_score(cosine_kernel(vectors))
    assert ours == pytest.approx(vendi.score_X(vectors), rel=1e-6)
    assert ours == pytest.approx(vendi.score_dual(vectors), rel=1e-6)


SYLLABLES = [a + b for a in "bcdfghjkl" for b in "aeiou"]


def near_and_far(rng, n):
    "Texts of 40 syllables, each with two more: one is changed in one place, one in twelve."
    for _ in range(n):
        words = rng.choices(SYLLABLES, k=40)
        for n_changed in (0, 1, 12):
            places = rng.sample(range(40), n_changed)
            yield " ".join("other" if i in places else word for i, word in enumerate(words))


def test_near_duplicates_are_datasketchs():
    from datasketch import MinHash, MinHashLSH
    from selfloop_nb.backend.ngrams import jaccard, near_duplicates
    from selfloop_nb.text import runs
    texts = list(near_and_far(random.Random(0), 150))
    sets = [set(runs(text, 3)) for text in texts]
    index = MinHashLSH(params=(16, 4), num_perm=64)
    theirs = []
    for i, own in enumerate(sets):
        sketch = MinHash(num_perm=64, seed=1)
        sketch.update_batch([" ".join(run).encode() for run in own])
        theirs.append(any(jaccard(own, sets[j]) >= 0.8 for j in index.query(sketch)))
        if not theirs[-1]: index.insert(i, sketch)
    ours = [twin is not None for twin in near_duplicates(texts)]
    assert sum(ours) >= 140
    assert sum(a != b for a, b in zip(ours, theirs)) <= 2


@pytest.mark.parametrize("seed", range(10))
def test_ranking_and_calibration_are_sklearns(seed):
    from sklearn.metrics import roc_auc_score
    from selfloop_nb.metrics.pass_at_k import auc, calibration_error
    rng = numpy.random.default_rng(seed)
    scores = rng.random(200).round(1)
    right = rng.random(200) < 0.3
    assert auc(scores.tolist(), right.tolist()) == pytest.approx(roc_auc_score(right, scores), abs=1e-12)
    bins = numpy.minimum((scores * 10).astype(int), 9)
    expected = sum(abs(scores[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert calibration_error(scores.tolist(), right.tolist()) == pytest.approx(expected, abs=1e-12)


def chen(n, c, k):
    "The estimator as the paper prints it."
    if n - c < k: return 1.0
    return 1.0 - numpy.prod(1.0 - k / numpy.arange(n - c + 1, n + 1))


@pytest.mark.parametrize("k", [1, 3, 8])
def test_pass_at_k_is_without_bias(k):
    from selfloop_nb.metrics.pass_at_k import pass_at_k
    skill, n = 0.15, 8
    right = numpy.random.default_rng(0).random((4000, n)) < skill
    ids = numpy.repeat(numpy.arange(4000), n).tolist()
    ours = pass_at_k(ids, right.ravel().tolist(), k)
    assert ours == pytest.approx(1 - (1 - skill) ** k, abs=0.025)
    assert ours == pytest.approx(numpy.mean([chen(n, c, k) for c in right.sum(1)]), abs=1e-12)


def clocked(work):
    "Seconds that this process computes at something, and what comes of it: others may be at work on the machine."
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def test_a_hundred_thousand_equal_texts_cost_ten_times_as_much_as_ten_thousand():
    from selfloop_nb.metrics.diversity import near_duplicate_ratio, ngram_entropy, self_bleu
    def measured(n):
        texts = ["all of these are the same text"] * n
        return near_duplicate_ratio(texts), self_bleu(texts), ngram_entropy(texts)
    few, _ = clocked(lambda: measured(10_000))
    many, metrics = clocked(lambda: measured(100_000))
    assert metrics == (1 - 1e-5, 1, pytest.approx(math.log(6)))
    assert many < 30 * few, "each with each would be a hundred times"
