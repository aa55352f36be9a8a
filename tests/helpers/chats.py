"Chat templates as families of models have them, on a tokenizer of bytes, with tiny models."

QWEN = """{%- if messages[0].role == 'system' or tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content }}{% endif %}
    {%- for tool in tools or [] %}{{- '\\n' + (tool | tojson) }}{% endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.last == messages|length - 1 and message.role == 'user' %}{%- set ns.last = index %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 > ns.last %}{{- '<think>\\n' + thought + '\\n</think>\\n\\n' }}{% endif %}
        {{- content }}
        {%- for call in message.tool_calls or [] %}{{- '\\n' + (call | tojson) }}{% endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n' + content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{%- endif %}"""

SMOLLM = """{%- set thinks = enable_thinking if enable_thinking is defined else true %}
{%- if messages[0].role == 'system' %}
    {%- if '/no_think' in messages[0].content %}{% set thinks = false %}{% endif %}
    {{- '<|im_start|>system\\n' + messages[0].content.replace('/no_think', '').rstrip() + '\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou help.\\n' }}
{%- endif %}
{{- 'Reasoning Mode: ' + ('/think' if thinks else '/no_think') + '<|im_end|>\\n' }}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{ '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' + ('' if thinks else '<think>\\n\\n</think>\\n') }}
        {%- generation %}{{ message.content.lstrip('\\n') + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' + ('' if thinks else '<think>\\n\\n</think>\\n') }}
{%- endif %}"""

GEMMA = """{{ bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set prefix = messages[0].content + '\\n\\n' %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set prefix = '' %}
    {%- set turns = messages %}
{%- endif %}
{%- for message in turns %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- set role = 'model' if message.role == 'assistant' else message.role %}
    {{- '<start_of_turn>' + role + '\\n' + (prefix if loop.first else '') + message.content | trim }}
    {{- '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{% endif %}"""

LLAMA = """{{ bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

BEGUN = """{{ bos_token }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|Assistant|>' + message.content.split('</think>')[-1] + '<|end|>' }}
    {%- else %}
        {{- '<|User|>' + message.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|Assistant|><think>\\n' }}{% endif %}"""

GPT_OSS = """<|start|>system<|message|>You help.<|end|>
{%- for message in messages %}
    {%- if '<|channel|>' in message.content %}{{ raise_exception('pass thoughts in the field thinking') }}{% endif %}
    {%- if message.role == 'assistant' %}
        {%- if loop.last and not add_generation_prompt and message.thinking %}
            {{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}
        {%- endif %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content }}
        {{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}
    {%- else %}
        {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|start|>assistant{% endif %}"""

GEMMA_4 = """{{ bos_token }}
{%- if enable_thinking or messages[0].role == 'system' %}
    {{- '<|turn>system\\n' + ('<|think|>\\n' if enable_thinking else '') }}
    {%- if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}
    {{- '<turn|>\\n' }}
{%- endif %}
{%- for message in messages if message.role != 'system' %}
    {{- '<|turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' }}
    {{- message.content.split('<channel|>')[-1] | trim + '<turn|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|turn>model\\n' }}{% endif %}"""

THINK = ("<think>", "</think>")
CHATS = {
    "qwen": (QWEN, ("<|im_start|>", "<|im_end|>"), THINK),
    "smollm": (SMOLLM, ("<|im_start|>", "<|im_end|>"), THINK),
    "gemma": (GEMMA, ("<start_of_turn>", "<end_of_turn>"), ()),
    "llama": (LLAMA, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), ()),
    "gpt-oss": (GPT_OSS, ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"), ()),
    "gemma 4": (GEMMA_4, ("<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>"), ()),
    "a thought begun": (BEGUN, ("<|User|>", "<|Assistant|>", "<|end|>"), THINK),
}


def chat_tokenizer(kind):
    "A tokenizer of bytes with the tokens and the template of a family."
    from kinds import byte_pairs, with_tokens
    template, special, plain = CHATS[kind]
    return with_tokens(byte_pairs(), special, plain, template)


def chat_model(kind, seed=0, context=512, **more):
    "A Llama with random weights that is spoken to in the way of a family."
    import torch
    from selfloop_nb.models import LanguageModel
    from transformers import LlamaConfig, LlamaForCausalLM
    tokenizer = chat_tokenizer(kind)
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                         num_attention_heads=4, max_position_embeddings=context, tie_word_embeddings=True,
                         eos_token_id=tokenizer.eos_token_id)
    return LanguageModel(LlamaForCausalLM(config), tokenizer, kind, **{"pretrained": False, **more})


def turns(*texts, system=None):
    "Messages of a user and an assistant, in turn."
    first = [{"role": "system", "content": system}] if system else []
    return first + [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
