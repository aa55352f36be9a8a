"Tokenizers of every kind, with tiny models that have them."
import random
from functools import partial

CONTROLS = ["<pad>", "<bos>", "<eos>", "<unk>"]
NAMED = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), CONTROLS))



def answer(total):
    "Half of them explain themselves, behind a space."
    return str(total) if total % 2 else f" it is {total} !"


ROWS = [(f"{a}+{b}=", answer(a + b)) for a in range(4) for b in range(4)]
TEXTS = [prompt + completion for prompt, completion in ROWS] + ["well, é and ü: it is so"] * 4
CHAT = """{% for m in messages %}<{{ m.role }}>{{ m.content }}
{%- if m.role == "assistant" %}<end>{% endif %}{% endfor %}
{%- if add_generation_prompt %}<assistant>{% endif %}"""
MARKED = """{{ bos_token }}{% for m in messages %}{% if m.role == "user" %}[INST] {{ m.content }} [/INST]
{%- else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"""


def fast(tokenizer, **more):
    "A tokenizer of transformers."
    from transformers import PreTrainedTokenizerFast
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **NAMED, **more)


def characters(**more):
    from selfloop_nb.models import character_tokenizer
    tokenizer = character_tokenizer(TEXTS + ["<eos>", "<end>"])
    for name, value in more.items(): setattr(tokenizer, name, value)
    return tokenizer


def byte_pairs(prefix=False):
    "As of GPT-2."
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    options = dict(vocab_size=300, special_tokens=CONTROLS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(**options))
    return fast(tokenizer)


def spaced(scheme, **more):
    "As of Llama 2 and Mistral: a space becomes a part of the word."
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    trainer = trainers.BpeTrainer(vocab_size=80, special_tokens=CONTROLS, show_progress=False)
    tokenizer.train_from_iterator(TEXTS + ["<eos>"], trainer)
    return fast(tokenizer, **more)


def unigram():
    "As of T5: the likeliest way to cut a text."
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    options = dict(vocab_size=60, special_tokens=CONTROLS, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainers.UnigramTrainer(**options))
    return fast(tokenizer)


def word_pieces():
    "As of BERT: spaces are no tokens."
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=CONTROLS, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return fast(tokenizer)


def framed(tokenizer, single):
    "With tokens that are put around every text."
    from tokenizers.processors import TemplateProcessing
    ids = [(name, tokenizer.convert_tokens_to_ids(name)) for name in CONTROLS]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=ids)
    return tokenizer


def with_tokens(tokenizer, special=(), plain=(), template=None):
    "With tokens that were added, and perhaps a chat template."
    from tokenizers import AddedToken
    added = [AddedToken(name, special=True, normalized=False) for name in special]
    tokenizer.add_tokens(added, special_tokens=True)
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in plain])
    tokenizer.chat_template = template
    return tokenizer


ROLES = ("<user>", "<assistant>", "<end>")


def untidy(): return characters(clean_up_tokenization_spaces=True)
def begun(): return framed(spaced("first"), "<bos> $A")
def begun_and_ended(): return framed(unigram(), "<bos> $A <eos>")
def tagged(): return with_tokens(characters(), ["<think>", "</think>"], ["<tool>"])
def chat_of_bytes(): return with_tokens(byte_pairs(), ROLES, template=CHAT)
def chat_with_spaces(): return with_tokens(spaced("first"), template=MARKED)


KINDS = {
    "characters": characters,
    "characters, with spaces to be cleaned up": untidy,
    "bytes": byte_pairs,
    "bytes, a space before a text": partial(byte_pairs, prefix=True),
    "a space before every part": partial(spaced, "always"),
    "a space before a text": partial(spaced, "first"),
    "no space before a text": partial(spaced, "never"),
    "word pieces": word_pieces,
    "unigrams": unigram,
    "BOS added": begun,
    "BOS and EOS added": begun_and_ended,
    "tags that are special, and plain ones": tagged,
    "a chat of bytes, its own end of turn": chat_of_bytes,
    "a chat with spaces, marked by plain text": chat_with_spaces,
}


def causal(kind, seed=0, width=64):
    "A Llama with random weights that has such a tokenizer."
    import torch
    from selfloop_nb.models import LanguageModel
    from transformers import LlamaConfig, LlamaForCausalLM
    tokenizer = KINDS[kind]()
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
                         num_attention_heads=4, max_position_embeddings=96, tie_word_embeddings=True, eos_token_id=2)
    return LanguageModel(LlamaForCausalLM(config), tokenizer, kind, pretrained=False)


def encoder_decoder(kind, seed=0):
    "A T5 with random weights that has such a tokenizer."
    import torch
    from selfloop_nb.models import LanguageModel
    from transformers import T5Config, T5ForConditionalGeneration
    tokenizer = KINDS[kind]()
    torch.manual_seed(seed)
    ids = dict(pad_token_id=0, eos_token_id=2, decoder_start_token_id=0)
    config = T5Config(vocab_size=len(tokenizer), d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4,
                      feed_forward_proj="gated-gelu", dropout_rate=0.0, **ids)
    return LanguageModel(T5ForConditionalGeneration(config), tokenizer, f"t5, {kind}", pretrained=False)


def rows(more=()):
    "D_train."
    from datasets import Dataset
    both = [*ROWS, *more]
    return Dataset.from_dict(dict(prompt=[p for p, _ in both], completion=[c for _, c in both]))


def odd_texts(n, seed=0):
    "Texts of what the tokenizers know, spaces at every place and spelt control tokens among them."
    rng = random.Random(seed)
    parts = ["1", "12", " ", "it", " is", "!", "+", "=", "é", "<eos>", "<pad>", "<unk>", "<end>", "<user>"]
    return ["".join(rng.choices(parts, k=rng.randrange(1, 6))) for _ in range(n)]
