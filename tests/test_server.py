"""A server as the generator: the same record as here, to the last bit, whatever goes wrong on the way; what it lacks is
named.

The server is a stand-in that answers as vLLM does, with a real model behind it.
"""
import json, threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
    from selfloop_nb.backend.decode import Decoder, Watch, each_once
    from selfloop_nb.backend.tokens import Reader, prompt_batch
    prompts, prompt_of = each_once([ids])
    batch, decoder = prompt_batch(lm, prompts), Decoder(prompt_of, most)
    watch = Watch(Reader(lm), batch["input_ids"].shape[1], sampling.stop, lambda n: None, lambda: False)
    s._generate(lm, batch, s._settings(lm, sampling, most), seed, decoder, watch)
    (tokens, noted), = decoder.written.rows()
    tokens, _ = s._written(tokens, set(lm.eos_ids), lm.tokenizer.pad_token_id)
    return list(tokens), list(noted)[:len(tokens)]


def no_fault(n, tries): return ""


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
            def give(self, said, code=200, kind="application/json", cut=0):
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
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
        if word == "html": return http.give(b"<html>502 Bad Gateway</html>", kind="text/html")
        if word == "busy": return http.give(b"<html>503</html>", 503)
        if word == "truncates":
            http.close_connection = True
            return http.give(said, cut=10)
        if word == "half": return http.give(json.dumps(said).encode()[:40])
        if word == "repeats" and self.before: return http.give(self.before)
        if word == "reorders": said["choices"][0]["prompt_token_ids"] = [5, 5]
        if word == "another": said["id"] = "cmpl-selfloop-0123456789abcdef"
        self.before = said
        http.give(self.changes(said))

    def say(self, body, name):
        if self.judged: return self.judged
        top_k = max(0, body.get("top_k", 0))
        how = Sampling(n_samples=1, temperature=body["temperature"], top_p=body.get("top_p", 1.0), top_k=top_k)
        ids, noted = drawn(self.lm, body["prompt"], body["seed"], how, body["max_tokens"])
        ended = ids[-1] in body["stop_token_ids"]
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


@cache
def model():
    "M_0, made once: a stub that still answers somebody draws from the random numbers that another would be made of."
    return tiny_llama(small_task(), width=32)


def looped(store, workers, rounds=2):
    loop = small_loop(store, task=small_task(), model=model().copy(), score=confidence(), select=Quantile(0.5),
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
    again = looped(tmp_path / "again", served(Stub(), tmp_path))
    assert made(again) == made(loop)


@pytest.mark.parametrize("word", ["dies before", "html", "busy", "truncates", "half", "repeats", "reorders", "another"])
def test_nothing_is_lost_or_doubled_when_each_request_fails_once(word, tmp_path, undisturbed):
    stub = Stub(lambda n, tries: word if tries == 1 else "")
    loop = looped(tmp_path / "run", served(stub, tmp_path), rounds=1)
    assert made(loop) == undisturbed[:2]
    names = loop.samples(1)["sample_id"][:]
    assert len(names) == len(set(names)) == 80 and stub.n_asked > 150


def test_a_server_that_stays_away_costs_nothing_that_was_drawn(tmp_path, undisturbed):
    stub = Stub(lambda n, tries: "busy" if n > 100 else "")
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


def test_the_server_as_judge(tmp_path):
    from datasets import Dataset
    from selfloop_nb import score_samples
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
    said["choices"][0]["logprobs"] = None
    with pytest.raises(Exception, match="gives no top_logprobs"): score_samples(samples, Server(stub.url).judge())


def test_what_cannot_be_a_server_is_refused():
    with pytest.raises(ValueError, match="needs a folder"): Server("http://127.0.0.1:9", hand_over=print)
    with pytest.raises(ValueError, match="no such environment variable"): Server("http://127.0.0.1:9", key="NO_SUCH_KEY")
