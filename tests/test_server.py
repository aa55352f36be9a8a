"""A server as the generator: the same record as here, to the last bit, whatever goes wrong on the way; what it lacks is
named.

The server is a stand-in that answers as vLLM does, with a real model behind it.
"""
import gzip, json, math, socket, struct, threading
from collections import Counter
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import SimpleNamespace

import pytest

from selfloop_nb import Quantile, Sampling, confidence, tiny_llama
from selfloop_nb.backend.workers import Here
from selfloop_nb.backend.core import SelfloopError, derive_seed
from selfloop_nb.sampling import sample_chunk
from selfloop_nb.sweeps.server import Server
from small import small_loop, small_task


def drawn(lm, ids, seed, sampling, most):
    "What the model writes: (token ids, log-probabilities), up to the token that ends it."
    from selfloop_nb import sampling as s
    from selfloop_nb.backend.decode import Decoder, each_once
    from selfloop_nb.backend.drawing import own_tokens
    from selfloop_nb.backend.generation import generation_settings
    from selfloop_nb.backend.tokens import Reader, prompt_batch
    from selfloop_nb.backend.watch import Watch
    prompts, prompt_of = each_once([ids])
    batch, decoder = prompt_batch(lm, prompts), Decoder(prompt_of, most)
    watch = Watch(Reader(lm), batch["input_ids"].shape[1], sampling.stop, lambda: False)
    s._generate(lm, batch, generation_settings(lm, sampling, most), seed, decoder, watch)
    (tokens, noted), = decoder.written.rows()
    tokens, _ = own_tokens(tokens, set(lm.eos_ids), lm.tokenizer.pad_token_id)
    return list(tokens), list(noted)[:len(tokens)]


def no_fault(n, tries): return ""


def reset(http, data):
    "Half of an answer, then the connection is torn off."
    http.give(data, cut=len(data) // 2)
    http.wfile.flush()
    http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    http.connection.close()


def in_drops(http, data):
    "Chunks of ten bytes, without a length."
    http.send_response(200)
    http.send_header("Transfer-Encoding", "chunked")
    http.end_headers()
    for drop in (data[i:i + 10] for i in range(0, len(data), 10)): http.wfile.write(b"%x\r\n%s\r\n" % (len(drop), drop))
    http.wfile.write(b"0\r\n\r\n")


SPOILT = ("html", "half", "no text", "nested", "a list", "an error", "no choices", "two choices", "a text for a choice",
          "another prompt", "another name", "ids beyond all tokens", "yes for an id", "a text for ids", "nan",
          "infinity", "a number too few", "no end", "ended by an error", "nothing")
WORDS = [*SPOILT, "dies before", "busy", "gone for now", "truncates", "repeats", "reset", "gzip", "torn gzip", "brotli",
         "drops"]


def first(said): return said["choices"][0]


def spoilt(said, word):
    "What becomes of an answer: another one."
    if word == "html": return b"<html>502 Bad Gateway</html>"
    if word == "half": return json.dumps(said).encode()[:40]
    if word == "no text": return b"\xff\xfe{}"
    if word == "nested": return b'{"choices":' + b"[" * 100_000
    if word == "a list": return [said]
    if word == "an error": return dict(error=dict(message="overloaded", code=500))
    if word == "no choices": return said | dict(choices=None)
    if word == "two choices": return said | dict(choices=2 * said["choices"])
    if word == "a text for a choice": return said | dict(choices=["12"])
    if word == "another name": return said | dict(id="cmpl-selfloop-0123456789abcdef")
    return said | dict(choices=[first(said) | changed(first(said)["token_ids"], word)])


def changed(ids, word):
    "What is otherwise in the choice of such an answer."
    n = len(ids)
    if word == "another prompt": return dict(prompt_token_ids=[5, 5])
    if word == "ids beyond all tokens": return dict(token_ids=[10**6] * n)
    if word == "yes for an id": return dict(token_ids=[True] * n)
    if word == "a text for ids": return dict(token_ids="12")
    if word == "nan": return dict(logprobs=dict(token_logprobs=[math.nan] * n))
    if word == "infinity": return dict(logprobs=dict(token_logprobs=[-math.inf] * n))
    if word == "a number too few": return dict(logprobs=dict(token_logprobs=[-1.0] * (n - 1)))
    if word == "nothing": return dict(token_ids=[], logprobs=dict(token_logprobs=[]))
    return dict(finish_reason="abort" if word == "ended by an error" else None)


class Stub:
    "A server in this process; `fault` says what goes wrong: number of a request, how often it was asked -> a word."
    def __init__(self, fault=no_fault, changes=lambda said: said):
        self.fault, self.changes = fault, changes
        self.n_asked, self.tries = 0, {}
        self.lm = self.before = self.judged = None
        self.turn, stub = threading.Lock(), self
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *what): pass
            def do_GET(self): self.give(dict(version="0.12.0"))
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stub.turn: stub.answer(self, body)
            def give(self, said, code=200, kind="application/json", cut=0, packed="", after=""):
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                if packed: self.send_header("Content-Encoding", packed)
                if after: self.send_header("Retry-After", after)
                self.end_headers()
                self.wfile.write(data[:len(data) - cut])
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, http, body):
        self.n_asked += 1
        name = http.headers.get("X-Request-Id", "")
        self.tries[name] = self.tries.get(name, 0) + 1
        word = self.fault(len(self.tries), self.tries[name]) if name else ""
        said = self.say(body, name)
        if word == "dies before": return http.connection.close()
        if word == "busy": return http.give(b"<html>503</html>", 503)
        if word == "gone for now": return http.give(b"", 429, after="0")
        data = json.dumps(said).encode()
        if word == "reset": return reset(http, data)
        if word == "drops": return in_drops(http, data)
        if word == "gzip": return http.give(gzip.compress(data), packed="gzip")
        if word == "torn gzip": return http.give(gzip.compress(data)[:-9], packed="gzip")
        if word == "brotli": return http.give(data, packed="br")
        if word == "truncates":
            http.close_connection = True
            return http.give(said, cut=10)
        if word == "repeats" and self.before: return http.give(self.before)
        if word in SPOILT: return http.give(spoilt(said, word))
        self.before = said
        http.give(self.changes(said))

    def say(self, body, name):
        if self.judged: return self.judged
        top_k = max(0, body.get("top_k", 0))
        how = Sampling(n_samples=1, temperature=body["temperature"], top_p=body.get("top_p", 1.0), top_k=top_k,
                       stop=tuple(body.get("stop") or ()))
        ids, noted = drawn(self.lm, body["prompt"], body["seed"], how, body["max_tokens"])
        ended = ids[-1] in body["stop_token_ids"] or any(s in self.lm.tokenizer.decode(ids) for s in how.stop)
        choice = dict(index=0, text=self.lm.tokenizer.decode(ids), token_ids=ids, prompt_token_ids=body["prompt"],
                      logprobs=dict(token_logprobs=noted), finish_reason="stop" if ended else "length")
        return dict(id=f"cmpl-{name}", object="text_completion", choices=[choice])

    def load(self, url, folder):
        "The weights are handed over: from the disk, as a server reads them."
        from selfloop_nb import load_model
        self.lm = load_model(folder)


class Singly(Here):
    "Each sample with a seed of its own, as a server draws them."
    draws = "server"

    def map(self, work, common, keys, piece, *how):
        if work.work is not sample_chunk:
            yield from super().map(work, common, keys, piece, *how)
            return
        for key in keys:
            given = piece(key)
            seeds = [derive_seed(given["chunk_seed"], n) for n in range(len(given["ids"]))]
            rows = [sample_chunk(ids=[ids], chunk_seed=seed, **common)[0] for ids, seed in zip(given["ids"], seeds)]
            yield key, (given["key"], rows)


def few(): return small_task(n_prompts=10, n_heldout=15)


@cache
def model():
    "M_0, made once: a stub that still answers somebody draws from the random numbers that another would be made of."
    return tiny_llama(few(), width=32)


def looped(store, workers, rounds=2):
    loop = small_loop(store, task=few(), model=model().copy(), score=confidence(), select=Quantile(0.5),
                      workers=workers)
    loop.run(rounds=rounds)
    return loop


def made(loop):
    return [(r.id, r.counts, r.files) for r in loop.rounds]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return made(looped(tmp_path_factory.mktemp("here") / "run", Singly()))


def served(stub, tmp_path, **how):
    return Server(stub.url, tmp_path / "weights", stub.load, **{**dict(at_once=4), **how})


def test_the_record_is_that_of_this_process(tmp_path, undisturbed):
    stub = Stub()
    loop = looped(tmp_path / "run", served(stub, tmp_path))
    assert made(loop) == undisturbed
    assert any("drawn by a server, default (0.12.0): not bit-exact" in text for text in loop.rounds[1].warnings)
    again = looped(tmp_path / "again", served(Stub(), tmp_path), rounds=1)
    assert made(again) == made(loop)[:2]


def test_nothing_is_lost_or_doubled_when_each_request_fails_once(tmp_path, undisturbed):
    met = Counter()
    def fault(n, tries):
        if tries > 1: return ""
        word = WORDS[n % len(WORDS)]
        met[word] += 1
        return word
    stub = Stub(fault)
    loop = looped(tmp_path / "run", served(stub, tmp_path), rounds=1)
    assert made(loop) == undisturbed[:2]
    names = loop.samples(1)["sample_id"][:]
    assert len(names) == len(set(names)) == 40 and set(met) == set(WORDS)
    n_failed = sum(n for word, n in met.items() if word not in ("gzip", "drops"))
    assert stub.n_asked >= met.total() + n_failed and n_failed > 40


def test_a_server_that_stays_away_costs_nothing_that_was_drawn(tmp_path, undisturbed):
    stub = Stub(lambda n, tries: "busy" if n > 50 else "")
    with pytest.raises(SelfloopError, match="gave no usable answer in 2 tries .503"):
        looped(tmp_path / "run", served(stub, tmp_path, tries=2), rounds=1)
    stub.fault = no_fault
    assert made(looped(tmp_path / "run", served(stub, tmp_path), rounds=1)) == undisturbed[:2]


LACKS = {"token_ids": lambda c: c.pop("token_ids"), "logprobs": lambda c: c.update(logprobs=None)}


@pytest.mark.parametrize("field", LACKS)
def test_a_server_that_lacks_a_field_is_refused_by_name(field, tmp_path):
    def without(said):
        LACKS[field](said["choices"][0])
        return said
    with pytest.raises(SelfloopError, match=f"gives no {field}, which a sample's record needs"):
        looped(tmp_path / "run", served(Stub(changes=without), tmp_path), rounds=0)


def test_a_server_with_other_weights_is_refused(tmp_path):
    stub = Stub()
    stub.lm = tiny_llama(small_task(), width=32)
    loop = small_loop(tmp_path / "run", score=confidence(), select=Quantile(0.5))
    loop.run(rounds=1)
    loop.workers = Server(stub.url)
    with pytest.raises(SelfloopError, match="writes as another model"): loop.step()
    assert len(loop.rounds) == 2


def test_a_server_that_begins_anew_with_other_weights_in_the_middle_of_a_round_is_found_out(tmp_path, undisturbed):
    stub = Stub()
    def fault(n, tries):
        if n == 30: stub.lm = tiny_llama(small_task(), width=32)
        return ""
    stub.fault = fault
    with pytest.raises(SelfloopError, match="writes as another model"):
        looped(tmp_path / "run", served(stub, tmp_path), rounds=1)
    again = looped(tmp_path / "run", served(Stub(), tmp_path), rounds=1)
    assert made(again) == undisturbed[:2], "nothing was kept of it"


def test_a_server_that_tells_likelihoods_after_the_temperature_is_refused(tmp_path):
    def halved(said):
        noted = first(said)["logprobs"]["token_logprobs"]
        if stub.heat: first(said)["logprobs"]["token_logprobs"] = [p / 2 for p in noted]
        return said
    stub = Stub(changes=halved)
    say = stub.say
    def hear(body, name):
        stub.heat = body["temperature"]
        return say(body, name)
    stub.say = hear
    with pytest.raises(SelfloopError, match="as they are before temperature and cuts"):
        looped(tmp_path / "run", served(stub, tmp_path), rounds=1)


def drawn_with_stops(folder, workers):
    loop = small_loop(folder / "run", task=few(), model=model().copy(), score=confidence(), select=Quantile(0.5),
                      sampling=Sampling(tokens_per_batch=200, stop=("1",)), workers=workers)
    loop.run(rounds=1)
    return loop.samples(1)


def test_a_stop_string_ends_a_sample_and_an_end_that_is_left_out_is_not_believed(tmp_path):
    samples = drawn_with_stops(tmp_path / "there", served(Stub(), tmp_path))
    assert samples.to_dict() == drawn_with_stops(tmp_path / "here", Singly()).to_dict()
    assert any(samples["finished"][:]) and not any("1" in text for text in samples["completion"])
    def without_its_end(said):
        choice = first(said)
        if choice["finish_reason"] == "stop" and len(choice["token_ids"]) > 1:
            for values in (choice["token_ids"], choice["logprobs"]["token_logprobs"]): values.pop()
        return said
    with pytest.raises(SelfloopError, match="ended, without the token or the stop string that ended it"):
        drawn_with_stops(tmp_path / "cut", served(Stub(changes=without_its_end), tmp_path, tries=2))
    def cut(said):
        first(said).update(token_ids=first(said)["token_ids"][:1], finish_reason="length")
        first(said)["logprobs"]["token_logprobs"] = first(said)["logprobs"]["token_logprobs"][:1]
        return said
    with pytest.raises(SelfloopError, match="a sample cut off after 1 of 4 tokens"):
        drawn_with_stops(tmp_path / "short", served(Stub(changes=cut), tmp_path, tries=2))


class Plain:
    "A server without a model: `answer` is given the handler."
    def __init__(self, answer):
        self.headers, plain = [], self
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *what): pass
            def do_GET(self):
                plain.headers.append(dict(self.headers))
                answer(self)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def test_a_redirect_is_not_followed_and_takes_no_key_along(monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-very-secret\n")
    def end(http): http.send_error(404)
    other = Plain(end)
    def send_on(http):
        http.send_response(307)
        http.send_header("Location", f"{other.url}/elsewhere")
        http.end_headers()
    there = Plain(send_on)
    with pytest.raises(SelfloopError, match=f"sends /version on to '{other.url}/elsewhere': give the address"):
        Server(there.url, key="A_KEY").connection.ask("/version")
    assert there.headers[0]["Authorization"] == "Bearer sk-very-secret" and not other.headers


@pytest.mark.parametrize("code", [200, 401, 500])
def test_a_key_that_a_server_says_again_is_not_shown(code, monkeypatch):
    monkeypatch.setenv("A_KEY", "my-very-own-key")
    def echo(http):
        http.send_response(code)
        http.end_headers()
        http.wfile.write(b"no such key: my-very-own-key")
    with pytest.raises(SelfloopError, match="no such key: .redacted.") as said:
        Server(Plain(echo).url, key="A_KEY", tries=1).connection.ask("/version")
    assert "very-own" not in str(said.value)


def test_a_server_is_left_alone_for_as_long_as_it_says_but_not_for_ever():
    def busy(http):
        http.send_response(503)
        http.send_header("Retry-After", "7")
        http.end_headers()
        http.wfile.write(b"\x1b[31mloading\x1b[0m api_key=sk-12345678901234567890")
    rests, line = [], Server(Plain(busy).url, tries=3).connection
    with pytest.raises(SelfloopError, match="503: .*loading") as said: line.ask("/version", rest=rests.append)
    assert rests == [7, 7] and "\x1b" not in str(said.value) and "sk-1234" not in str(said.value)


def test_an_answer_that_does_not_end_is_left(monkeypatch):
    from selfloop_nb.backend import asking
    stop = threading.Event()
    def on_and_on(http):
        http.send_response(200)
        http.end_headers()
        try:
            while not stop.wait(0.01): http.wfile.write(b" " * 100)
        except OSError: pass
    there = Plain(on_and_on)
    with monkeypatch.context() as hurried: # a clock on which each look is half a minute after the last
        hurried.setattr(asking, "time", SimpleNamespace(monotonic=count(step=30).__next__))
        with pytest.raises(SelfloopError, match="an answer that did not end in 60 s"):
            Server(there.url, tries=1, seconds=60).connection.ask("/version")
    monkeypatch.setattr(asking, "LONGEST_ANSWER", 1000)
    with pytest.raises(SelfloopError, match="an answer of more than 1,000 bytes"):
        Server(there.url, tries=1).connection.ask("/version")
    def bomb(http):
        http.send_response(200)
        http.send_header("Content-Encoding", "gzip")
        http.end_headers()
        http.wfile.write(gzip.compress(b" " * 10**6))
    monkeypatch.setattr(asking, "LONGEST_ANSWER", 10_000)
    with pytest.raises(SelfloopError, match="a packed answer that is torn, or too long"):
        Server(Plain(bomb).url, tries=1).connection.ask("/version")
    stop.set()


def test_no_more_chunks_are_held_than_are_asked_about():
    from selfloop_nb.sweeps.server import _Asking
    held, most = Counter(), []
    class Fake:
        at_once = 3
        def sample(self, asked, seed, rest): return [4], [-.5]
        def _check_likely(self, *what): pass
    def piece(key):
        held["begun"] += 1
        most.append(held["begun"] - held["done"])
        return dict(ids=[[1]] * 5, chunk_seed=key)
    asking = _Asking(Fake(), {}, range(200), piece)
    assert not asking.pieces and not most, "a piece is asked for when its turn has come"
    for _ in range(1000):
        key, _ = asking._next()
        held["done"] += len(asking.drawn[key]) == 4
        asking.drawn[key][len(asking.drawn[key])] = "drawn"
    assert asking._next() is None and max(most) == 1


def test_the_server_as_judge(tmp_path):
    from datasets import Dataset
    from selfloop_nb import score_samples
    from selfloop_nb.backend.core import ScoringError
    tops = [dict(token=" Yes", logprob=-0.5), dict(token="no", logprob=-1.5), dict(token="maybe", logprob=-3.0)]
    stub = Stub()
    said = dict(choices=[dict(logprobs=dict(content=[dict(top_logprobs=tops)]))])
    stub.judged = said
    judge, kept = Server(stub.url).judge(), {}
    samples = Dataset.from_dict(dict(prompt_id=[0, 1], prompt=["a", "b"], completion=["x", "y"]))
    for _ in range(2): scored = score_samples(samples, judge, journal=lambda scorer: kept)
    yes, no = 2.718281828459045 ** -0.5, 2.718281828459045 ** -1.5
    assert scored["score"][:] == pytest.approx([yes / (yes + no)] * 2)
    assert stub.n_asked == 2, "a verdict that was paid for is kept"
    with pytest.raises(ScoringError, match="it begins with .* Yes.*and hardly with one of .'Good', 'Bad'."):
        score_samples(samples, Server(stub.url).judge(verdicts={"Good": 1.0, "Bad": 0.0}))
    said["choices"][0]["logprobs"] = None
    with pytest.raises(Exception, match="gives no top_logprobs"): score_samples(samples, Server(stub.url).judge())
    for verdicts in ({"Yes": 1, "yes": 0}, {"Yes": math.nan}, {"": 1}, {"Yes": 1.0}, {1: 1.0, 2: 0.0}, "Yes"):
        with pytest.raises(ValueError, match="verdicts"): Server(stub.url).judge(verdicts=verdicts)
    for wrong in (dict(token=1, logprob=-1.0), dict(token="Yes", logprob=math.nan), dict(token="Yes", logprob=800)):
        said["choices"][0]["logprobs"] = dict(content=[dict(top_logprobs=[wrong])])
        with pytest.raises(SelfloopError, match="no texts, or numbers that are no"):
            Server(stub.url, tries=1)._verdict("?", {"Yes": 1.0}, 0.1)


def test_what_cannot_be_a_server_is_refused():
    with pytest.raises(ValueError, match="needs a folder"): Server("http://127.0.0.1:9", hand_over=print)
    with pytest.raises(ValueError, match="no such environment variable"): Server("http://127.0.0.1:9", key="NO_SUCH_KEY")
    for how in (dict(tries=0), dict(at_once=0), dict(seconds=0), dict(seconds=math.inf), dict(seconds=math.nan)):
        with pytest.raises(ValueError, match=next(iter(how))): Server("http://127.0.0.1:9", **how)
    for url in ("127.0.0.1:8000", "file:///etc/passwd", "http://", "http://127.0.0.1:9/?key=1", "http://[::1"):
        with pytest.raises(ValueError, match="give an address such as"): Server(url)
    with pytest.raises(ValueError, match="has a password in it") as said: Server("http://me:swordfish@127.0.0.1:9")
    assert "swordfish" not in str(said.value)


def test_a_key_that_is_none_is_refused_and_not_shown(monkeypatch):
    for value in ("", "two words", "a\nb"):
        monkeypatch.setenv("A_KEY", value)
        with pytest.raises(ValueError, match="holds is no API key") as said: Server("http://127.0.0.1:9", key="A_KEY")
        assert not value or value not in str(said.value)
