"""A round of the demo without any library: a Llama written by hand, one function a step, nothing kept. What it takes is
how quick PyTorch can be; how much longer the library takes is its price."""
import math

import torch
import torch.nn.functional as F


class BareLlama:
    "The weights of transformers' Llama, its three projections and its two gates as one matrix each."
    def __init__(self, model):
        self.config = model.config
        self.size = self.config.hidden_size // self.config.num_attention_heads
        given = {name.removeprefix("model."): value.detach().clone() for name, value in model.state_dict().items()}
        self.weights = {"embed": given["embed_tokens.weight"], "norm": given["norm.weight"]}
        for i in range(self.config.num_hidden_layers):
            def of(*names, layer=f"layers.{i}."): return torch.cat([given[f"{layer}{name}.weight"] for name in names])
            layer = dict(
                qkv=of("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), out=of("self_attn.o_proj"),
                gates=of("mlp.gate_proj", "mlp.up_proj"), down=of("mlp.down_proj"),
                before=of("input_layernorm"), between=of("post_attention_layernorm"))
            self.weights |= {f"{i}.{name}": weight for name, weight in layer.items()}
        self.cos, self.sin = self.angles()

    def angles(self):
        "Cosines and sines of each place."
        theta = self.config.rope_parameters["rope_theta"]
        speeds = theta ** -(torch.arange(0, self.size, 2).float() / self.size)
        turned = torch.outer(torch.arange(self.config.max_position_embeddings).float(), speeds)
        return torch.cat([turned, turned], -1).cos(), torch.cat([turned, turned], -1).sin()

    def __call__(self, ids, cache=None, n_last=None):
        "Logits of the last places; the cache, a list of (keys, values), one a layer, grows."
        w, eps = self.weights, self.config.rms_norm_eps
        width = self.config.hidden_size
        begun = cache[0][0].shape[2] if cache else 0
        x = F.embedding(ids, w["embed"])
        for i in range(self.config.num_hidden_layers):
            mixed = self.attend(i, F.rms_norm(x, (width,), w[f"{i}.before"], eps), cache, begun)
            x = x + F.linear(mixed, w[f"{i}.out"])
            gate, up = F.linear(F.rms_norm(x, (width,), w[f"{i}.between"], eps), w[f"{i}.gates"]).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, w[f"{i}.down"])
        if n_last: x = x[:, -n_last:]
        return F.linear(F.rms_norm(x, (width,), w["norm"], eps), w["embed"])

    def attend(self, i, x, cache, begun):
        "Attention of a layer, before its last matrix."
        n_rows, n_places, width = x.shape
        q, k, v = F.linear(x, self.weights[f"{i}.qkv"]).view(n_rows, n_places, 3, -1, self.size).unbind(2)
        q, k = self.turned(q, begun), self.turned(k, begun)
        v = v.transpose(1, 2)
        if cache is not None and begun: k, v = (torch.cat(both, 2) for both in zip(cache[i], (k, v)))
        if cache is not None: cache[i:i + 1] = [(k, v)]
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=n_places > 1)
        return mixed.transpose(1, 2).reshape(n_rows, n_places, width)

    def turned(self, x, begun):
        "Queries or keys, turned by their places."
        x = x.transpose(1, 2)
        cos, sin = (table[begun:begun + x.shape[2]] for table in (self.cos, self.sin))
        left, right = x.chunk(2, -1)
        return x * cos + torch.cat([-right, left], -1) * sin


@torch.inference_mode()
def sample(model, prompts, n_samples, room, end, greedy=False):
    "Token ids and the sum of their log-probabilities, a row a sample; prompts are equally long."
    cache = []
    logits = model(prompts, cache, 1)[:, -1].repeat_interleave(n_samples, 0)
    cache[:] = [(k.repeat_interleave(n_samples, 0), v.repeat_interleave(n_samples, 0)) for k, v in cache]
    ids, likely = torch.full((len(logits), room), end), torch.zeros(len(logits))
    rows = torch.arange(len(logits))
    for step in range(room):
        scores = logits.log_softmax(-1)
        tokens = scores.argmax(-1) if greedy else torch.multinomial(scores.exp(), 1)[:, 0]
        ids[rows, step] = tokens
        likely[rows] += scores.gather(1, tokens[:, None])[:, 0]
        going = (tokens != end).nonzero()[:, 0]
        if step == room - 1 or not len(going): break
        rows, tokens = rows[going], tokens[going]
        cache[:] = [(k[going], v[going]) for k, v in cache]
        logits = model(tokens[:, None], cache)[:, -1]
    return ids, likely


def train(model, inputs, labels, n_last, steps=150, size=128, peak=1.5e-3):
    "As many steps of AdamW as a round of the demo makes, on its schedule."
    weights = [weight.requires_grad_() for weight in model.weights.values()]
    groups = [dict(params=[w for w in weights if w.ndim > 1], weight_decay=0.1),
              dict(params=[w for w in weights if w.ndim == 1], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    warm, order = steps // 10, torch.tensor([])
    for step in range(steps):
        if not len(order): order = torch.randperm(len(inputs))
        batch, order = order[:size], order[size:]
        falling = 0.55 + 0.45 * math.cos(math.pi * (step + 1 - warm) / (steps - warm))
        for group in optimizer.param_groups: group["lr"] = peak * ((step + 1) / warm if step < warm else falling)
        logits = model(inputs[batch], n_last=n_last)
        F.cross_entropy(logits.flatten(0, 1), labels[batch][:, -n_last:].flatten(), ignore_index=-100).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad()
    for weight in weights: weight.requires_grad_(False)


class BareRound:
    "A round of addition: sample, check, train on what is right, measure."
    def __init__(self, task, lm):
        self.task, self.model = task, lm.model
        self.tokenizer = lm.tokenizer
        self.end, self.pad = lm.end_id, lm.tokenizer.pad_token_id
        self.answers = dict(zip(task.prompts["prompt"], task.prompts["answer"]))

    def ids(self, texts): return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def texts(self, rows): return self.tokenizer.batch_decode(rows, skip_special_tokens=True)

    def sample(self, model):
        "(prompt, completion) of each sample."
        prompts = self.task.round_prompts(1)["prompt"][:]
        ids, _ = sample(model, torch.tensor(self.ids(prompts)), 4, 4, self.end)
        return list(zip([prompt for prompt in prompts for _ in range(4)], self.texts(ids)))

    def rows(self, pairs):
        "Inputs, labels, and how many of the last places have one."
        asked, said = zip(*pairs)
        said = [ids + [self.end] for ids in self.ids(list(said))]
        begun, longest = self.ids(list(asked)), max(map(len, said))
        fed = [before + after + [self.pad] * (longest - len(after)) for before, after in zip(begun, said)]
        labels = [[-100] * len(before) + after + [-100] * (longest - len(after)) for before, after in zip(begun, said)]
        return torch.tensor(fed)[:, :-1], torch.tensor(labels)[:, 1:], longest

    def measure(self, model):
        "Held-out accuracy and loss."
        heldout = self.task.heldout
        parts = torch.tensor(self.ids(heldout["prompt"][:])).split(256)
        said = self.texts(torch.cat([sample(model, part, 1, 4, self.end, greedy=True)[0] for part in parts]))
        inputs, labels, n_last = self.rows(list(zip(heldout["prompt"][:], heldout["completion"][:])))
        with torch.inference_mode():
            logits = torch.cat([model(part, n_last=n_last) for part in inputs.split(256)])
            loss = F.cross_entropy(logits.flatten(0, 1), labels[:, -n_last:].flatten(), ignore_index=-100)
        right = [text == answer for text, answer in zip(said, heldout["answer"][:])]
        return sum(right) / len(right), loss.item()

    def __call__(self):
        "How many were kept, accuracy, loss."
        model = BareLlama(self.model)
        kept = {(prompt, text) for prompt, text in self.sample(model) if self.answers[prompt] == text}
        train(model, *self.rows(list(zip(self.task.train["prompt"], self.task.train["completion"])) + sorted(kept)))
        return len(kept), *self.measure(model)
