"A model from outside is held against a list, and put to work elsewhere first: nothing of it runs, hangs or fills here."
import json, os, shutil, warnings

import pytest
from small import small_loop, small_task

from selfloop_nb import export_run, import_run, load_model, tiny_llama
from selfloop_nb.backend import strangers
from selfloop_nb.backend.core import SelfloopError

pytestmark = pytest.mark.usefixtures("warm_python")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    "A user who has loaded nothing before."
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None: del os.environ["XDG_CACHE_HOME"]
    else: os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    "A slow machine has its time, but where a test is about something that has no end."
    monkeypatch.setattr(strangers, "SECONDS_TO_LOAD", 120)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "good"
    tiny_llama(small_task(), layers=1, width=8, heads=2).save(folder)
    return folder


@pytest.fixture
def theirs(good, tmp_path): return shutil.copytree(good, tmp_path / "theirs")


def alter(folder, name, **fields):
    path = folder / name
    data = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**data, **fields}))


def apart(monkeypatch):
    "The names of models that are tried in a process of their own from here on."
    tried, run = [], strangers.run_apart
    def noted(*args, **how):
        tried.append(how["folder"].rsplit("/")[-1])
        return run(*args, **how)
    monkeypatch.setattr(strangers, "run_apart", noted)
    return tried


ALLOWED = { # as they stand in well-known models' files
    "notes": dict(_name_or_path="me/model", torch_dtype="bfloat16", transformers_version="4.40.0", unsloth_fixed=True),
    "names of before": {"rope_theta": 500000.0, "rope_scaling": None, "transformers.js_config": {"dtype": "q4"}},
    "generation": dict(do_sample=True, max_length=20, bad_words_ids=[[1]], decoder_start_token_id=2),
    "own ways to compute": dict(_attn_implementation="sdpa", _attn_implementation_autoset=True),
    "words": dict(_model_name_or_path="me/SmolLM2 135M", made_by="a student, 2024", release="2024-11-01", rev="v1.2"),
    "tasks": dict(task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}}),
}
REFUSED = {
    "auto_map": ("config.json", dict(auto_map={"AutoConfig": "evil.Config"}), "code of its own.*auto_map"),
    "auto_map of a tokenizer": ("tokenizer_config.json", dict(auto_map=["evil.T", None]), "auto_map in tokenizer_c"),
    "generate": ("generation_config.json", dict(custom_generate="evil/generate"), r"code \(custom_generate\)"),
    "kernel": ("config.json", dict(_attn_implementation="evil/kernel"), r"a kernel \(_attn_implementation\)"),
    "flash": ("config.json", dict(attn_implementation="flash_attention_2"), r"a kernel \(attn_implementation\)"),
    "kernel by part": ("config.json", dict(_attn_implementation={"": "evil/kernel"}), "a kernel"),
    "kernel of a layer": ("config.json", dict(per_layer_config={"0": {"attn_implementation": "evil/k"}}), "a kernel"),
    "experts": ("config.json", dict(_experts_implementation="evil/kernel"), "a kernel"),
    "bits": ("config.json", dict(quantization_config={"quant_method": "bitsandbytes"}), "a way of quantising"),
    "compression": ("config.json", dict(compression_config={"format": "int"}), "a way of quantising"),
    "weights": ("config.json", dict(transformers_weights="../w.safetensors"), "another file"),
    "backbone": ("config.json", dict(backbone="timm/resnet", use_timm_backbone=True), "another file or model"),
    "address": ("config.json", dict(hidden_act="https://example.org/act"), "an address"),
    "file": ("tokenizer_config.json", dict(tokenizer_file="/etc/passwd"), "another file"),
    "gguf": ("tokenizer_config.json", dict(gguf_file="x.gguf"), "another file"),
    "unknown": ("config.json", dict(plugin="evil.Model"), "has 'plugin', which transformers does not know"),
    "unknown of a tokenizer": ("tokenizer_config.json", dict(plugin={"a": "b"}), "has 'plugin'"),
    "unknown of generate": ("generation_config.json", dict(plugin="evil"), "has 'plugin'"),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_many_models_say_is_let_through(case, theirs):
    alter(theirs, "config.json", **ALLOWED[case])
    strangers.check_folder(theirs)


@pytest.mark.parametrize("case", REFUSED)
def test_what_fetches_or_runs_is_refused_by_name(case, theirs, monkeypatch):
    file, settings, message = REFUSED[case]
    alter(theirs, file, **settings)
    tried = apart(monkeypatch)
    with pytest.raises(SelfloopError, match=message): load_model(theirs)
    assert tried == [], "it was not even tried"
    names = tuple(settings)
    if "auto_map" in names:
        with pytest.raises(SelfloopError, match="not run"): load_model(theirs, allow=names)
    else: strangers.check_folder(theirs, allow=(*names, "attn_implementation"))


def test_families_that_people_use_are_known():
    from transformers import CONFIG_MAPPING
    for kind in ("llama", "qwen2", "qwen3", "gpt2", "gpt_neox", "opt", "gemma2", "gemma3_text", "phi3", "mistral",
                 "t5", "bart", "mamba", "olmo2", "smollm3"):
        settings = CONFIG_MAPPING[kind]().to_dict()
        strangers.check_settings(json.loads(json.dumps(settings, default=str)), "config.json", kind, kind)


WRITTEN_BEFORE = { # what configs hold that older versions, and makers of well-known models, have written
    "bert": dict(position_embedding_type="absolute", directionality="bidi", pooler_type="first_token_transform",
                 finetuning_task="mrpc", sbert_ce_default_activation_function="torch.nn.modules.linear.Identity"),
    "roberta": dict(position_embedding_type="absolute", _num_labels=3),
    "electra": dict(position_embedding_type="absolute", summary_type="first", summary_activation="gelu"),
    "deberta-v2": dict(norm_rel_ebd="layer_norm", conv_act="gelu", pos_att_type=["p2c", "c2p"]),
    "gemma": dict(hidden_activation="gelu_pytorch_tanh"),
}


@pytest.mark.parametrize("kind", WRITTEN_BEFORE)
def test_encoders_and_judges_of_before_are_read(kind):
    strangers.check_settings(WRITTEN_BEFORE[kind], "config.json", "theirs", kind)


def test_tokenizers_of_before_are_read():
    "Those of BERT, of BERT for Japanese, of Marian's translators, of Pegasus."
    settings = dict(wordpieces_prefix="##", never_split=["[UNK]"], word_tokenizer_type="mecab", source_lang="eng",
                    subword_tokenizer_type="wordpiece", mask_token_sent="<mask_1>", strip_accents=None)
    strangers.check_settings(settings, "tokenizer_config.json", "theirs", "bert")


def test_positions_that_are_no_more_computed_are_refused():
    "Read as absolute ones, the model would say other things than it was trained to."
    with pytest.raises(SelfloopError, match="position_embedding_type"):
        strangers.check_settings(dict(position_embedding_type="relative_key"), "config.json", "theirs", "bert")


def test_an_adapter_is_no_model(theirs):
    alter(theirs, "adapter_config.json", base_model_name_or_path="evil/base", peft_type="LORA")
    with pytest.raises(SelfloopError, match="is an adapter of another model.*merge_and_unload"): load_model(theirs)


def test_what_was_saved_here_is_not_tried_and_nothing_twice(good, theirs, monkeypatch):
    tried = apart(monkeypatch)
    load_model(good)
    load_model(theirs) # a copy of it
    assert tried == []
    (theirs / "README.md").write_text("a model")
    for _ in range(2): load_model(theirs)
    assert tried == ["theirs"]


def template(text):
    def write(folder): (folder / "chat_template.jinja").write_text(text)
    return write


def tokenizer(**parts):
    def write(folder): alter(folder, "tokenizer.json", **parts)
    return write


def replaced(times, n):
    step = dict(type="Replace", pattern=dict(String="1"), content="1" * times)
    return tokenizer(normalizer=dict(type="Sequence", normalizers=[step] * n))


def split(pattern):
    return tokenizer(pre_tokenizer=dict(type="Split", pattern=dict(Regex=pattern), behavior="Isolated", invert=False))


def sized(**settings): return lambda folder: alter(folder, "config.json", **settings)


LOOPS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
HARM = {
    "a loop without end": (template(LOOPS), "takes longer than"),
    "a text without end": (template("{{ 'a' * 10**10 }}"), "takes more than|writes no question"),
    "a template that reaches out": (template("{{ ''.__class__.__mro__ }}"), "unsafe"),
    "half a template": (template("{% for"), "writes no question"),
    "a text that grows": (replaced(50, 6), "takes more than|takes longer than"),
    "a text that grows a little": (replaced(50, 1), "makes .* tokens of a text of"),
    "an expression without end": (split("(a+)+$"), "gives up|no model could be loaded"),
    "one over another sign": (split("(x+x+)+y"), "gives up|no model could be loaded"),
    "layers without end": (sized(num_hidden_layers=1_000_000), "takes longer than|takes more than"),
    "no size": (sized(vocab_size=-5), "no model could be loaded"),
    "text for a size": (sized(hidden_size="8"), "hidden_size"),
    "heads that do not fit": (sized(num_attention_heads=3), "no model could be loaded"),
}


@pytest.mark.parametrize("case", HARM)
def test_harm_is_done_elsewhere_and_named(case, theirs, monkeypatch):
    change, message = HARM[case]
    if "longer" in message: monkeypatch.setattr(strangers, "SECONDS_TO_LOAD", 3)
    change(theirs)
    for _ in range(2):
        with pytest.raises(SelfloopError, match=message): load_model(theirs)
        if "longer" in message: return # it would take its time again


DROPS = "{% for m in messages %}{{ m.content[0]['text'] if m.content is not string }}{% endfor %}"


def test_a_wrong_value_makes_no_folder_known(theirs, monkeypatch):
    "What the trial did not come to for it is not done here, whatever else the model is asked for."
    template(DROPS)(theirs)
    replaced(50, 6)(theirs)
    with pytest.raises(ValueError, match="leaves out what is asked"): load_model(theirs)
    monkeypatch.setattr(strangers, "SECONDS_TO_LOAD", 3)
    with pytest.raises(SelfloopError, match="takes more than|takes longer than"): load_model(theirs, chat=False)


def test_a_template_of_a_run_from_elsewhere_is_taken_when_asked_for(tmp_path, monkeypatch):
    def chatty():
        lm = tiny_llama(small_task(), layers=1, width=8, heads=2)
        lm.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}="
        return lm
    loop = small_loop(tmp_path / "run", model=chatty())
    loop.start()
    copy = import_run(export_run(loop, tmp_path / "run.zip"), tmp_path / "copy")
    folder = next(copy.glob("rounds/*/model"))
    assert load_model(folder).tokenizer.chat_template, "it was saved here"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another user"))
    with pytest.warns(UserWarning, match="came with a run from elsewhere.*allow=\\('chat_template',\\)"):
        assert load_model(folder).tokenizer.chat_template is None
    warnings.simplefilter("error")
    assert load_model(folder, allow=("chat_template",)).tokenizer.chat_template


def test_a_loop_reads_nothing_but_weights_from_a_round(tmp_path):
    loop = small_loop(tmp_path / "run")
    loop.run(rounds=1)
    first = loop.store.folder(loop.rounds[0].id) / "model"
    for file in first.glob("*.json"): file.write_text('{"model_type": "evil"}')
    made = loop.model.reloaded(first)
    assert made.weights_hash() != loop.language_model().weights_hash()
    alter(first, "adapter_config.json", base_model_name_or_path="evil/base", peft_type="LORA")
    with pytest.raises(SelfloopError, match="is an adapter"): loop.model.reloaded(first)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    "An encoder that was saved by transformers alone, and is not known."
    from transformers import BertConfig, BertModel
    folder = tmp_path_factory.mktemp("encoders") / "encoder"
    tokenizer = tiny_llama(small_task(), layers=1, width=8, heads=2).tokenizer
    tokenizer.save_pretrained(folder)
    sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    return folder


def test_models_that_judge_are_strangers_too(encoder, tmp_path, monkeypatch):
    from selfloop_nb import load_encoder, reward_model
    tried = apart(monkeypatch)
    load_encoder(str(encoder))
    load_encoder(str(encoder))
    assert tried == ["encoder"]
    theirs = shutil.copytree(encoder, tmp_path / "theirs")
    alter(theirs, "config.json", _attn_implementation="evil/kernel")
    for load in (load_encoder, reward_model):
        with pytest.raises(SelfloopError, match="a kernel"): load(str(theirs))
    assert tried == ["encoder"]
    slow = shutil.copytree(encoder, tmp_path / "slow")
    replaced(50, 6)(slow)
    monkeypatch.setattr(strangers, "SECONDS_TO_LOAD", 3)
    with pytest.raises(SelfloopError, match="takes (more|longer) than"): load_encoder(str(slow))
