"Samples as `generate` of transformers draws them with its own loop: every row reads its prompt and stays to the end."
import torch


def plain_rows(lm, asked, seed, sampling, room, model=None):
    "(token ids, log-probabilities) of each row; what the row wrote goes as far as the token that ended it."
    from selfloop_nb.backend.tokens import prompt_batch
    from selfloop_nb.backend.generation import generation_settings, own_settings_aside
    batch, model = prompt_batch(lm, asked), (model or lm.model).eval()
    start = batch.get("decoder_input_ids", batch["input_ids"]).shape[1]
    how = generation_settings(lm, sampling, room)
    how.output_logits = True
    with torch.inference_mode(), own_settings_aside(model), torch.random.fork_rng():
        torch.manual_seed(seed)
        out = model.generate(**batch, generation_config=how)
    written = out.sequences[:, start:]
    likely = [(each.float().gather(1, token[:, None])[:, 0] - each.float().logsumexp(-1))
              for each, token in zip(out.logits, written.T)]
    rows = zip(written.tolist(), torch.stack(likely, 1).tolist())
    return [_ended(*row, set(lm.eos_ids), lm.tokenizer.pad_token_id) for row in rows]


def _ended(tokens, logprobs, ends, pad):
    "A row up to the token that ended it; padding that a model wrote at its end is none of its text."
    n = next((i + 1 for i, token in enumerate(tokens) if token in ends), len(tokens))
    while n and tokens[n - 1] == pad and pad not in ends: n -= 1
    return tokens[:n], logprobs[:n]
