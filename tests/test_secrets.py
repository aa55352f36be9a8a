"What is secret by its form or its name stays out of all that a run keeps; sums and prose stay as they are."
import gc, json, random, string

import pytest

from selfloop_nb.backend.core import redact

LETTERS = string.ascii_letters + string.digits


def made(rng, n, letters=LETTERS): return "".join(rng.choice(letters) for _ in range(n))


FORMS = { # as the services write them; {} is the part that is secret
    "openai": "sk-{48}", "openai project": "sk-proj-{40}", "anthropic": "sk-ant-api03-{90}", "stripe": "sk_live_{24}",
    "github": "ghp_{36}", "github server": "ghs_{36}", "github user": "ghu_{36}", "github oauth": "gho_{36}",
    "github refresh": "ghr_{36}", "github fine": "github_pat_{82}", "google": "AIza{35}", "google oauth": "ya29.{60}",
    "npm": "npm_{36}", "replicate": "r8_{37}", "groq": "gsk_{52}", "hugging face": "hf_{34}", "slack": "xoxb-{50}",
    "slack app": "xapp-1-{40}", "gitlab": "glpat-{20}", "pypi": "pypi-{100}",
    "aws": "AKIA{16U}", "aws session": "ASIA{16U}",
    "sendgrid": "SG.{22}.{43}", "bearer": "Authorization: Bearer {40}", "basic": "Authorization: Basic {40}",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.{60}.{43}", "query": "https://x.org/v1?api_key={32}&n=1",
    "query key": "https://x.org/v1?key={32}", "azure": "AccountKey={86}==;EndpointSuffix=core",
    "address": "https://me:{20}@x.org/a",
    "postgres": "postgresql://me:{16}@db:5432/x", "header": "x-api-key: {32}", "password": "password={12}",
    "json": '{{"access_token": "{40}"}}', "dict": "{{'client_secret': '{30}'}}", "shell": "export HF_TOKEN={34}",
    "pem": "-----BEGIN PRIVATE KEY-----\n{64}\n{64}\n-----END PRIVATE KEY-----",
    "pem rsa": "-----BEGIN RSA PRIVATE KEY-----\n{64}\n-----END RSA PRIVATE KEY-----",
    "pem ssh": "-----BEGIN OPENSSH PRIVATE KEY-----\n{64}\n{64}\n-----END OPENSSH PRIVATE KEY-----",
    "pem pgp": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{64}\n-----END PGP PRIVATE KEY BLOCK-----",
    "pem cut": "-----BEGIN EC PRIVATE KEY-----\n{64}", "cookie": "Cookie: session={32}",
    "docker": "dckr_pat_{27}", "google client": "GOCSPX-{28}", "nvidia": "nvapi-{64}", "figma": "figd_{40}",
    "sentry": "sntrys_{60}", "shopify": "shpat_{32}", "webhook": "whsec_{32}", "new relic": "NRAK-{27}",
    "langsmith": "lsv2_pt_{32}_{10}", "pinecone": "pcsk_{60}", "grafana": "glsa_{32}_{8}", "linear": "lin_api_{40}",
    "digital ocean": "dop_v1_{64}", "tavily": "tvly-dev-{32}", "atlassian": "ATATT3{180}",
    "planetscale": "pscale_tkn_{43}", "cerebras": "csk-{48}",
    "perplexity": "pplx-{48}", "xai": "xai-{80}", "supabase": "sbp_{40}", "notion": "ntn_{46}",
    "posthog": "phx_{47}", "jina": "jina_{56}", "vault": "hvs.{90}", "telegram": "123456789:AA{33}",
    "age": "AGE-SECRET-KEY-1{58U}", "facebook": "EAA{150}", "discord": "M{25}.{6}.{38}",
    "slack hook": "https://hooks.slack.com/services/T{10U}/B{10U}/{24}", "databricks": "dapi{32x}", "twilio": "SK{32x}",
    "mailgun": "key-{32x}",
    "gitlab deploy": "gldt-{20}", "gitlab runner": "glrt-{20}", "gitlab trigger": "glptt-{40x}", "session": "sess-{40}",
    "azure client": "a7c8Q~{34}", "google refresh": "1//0{70}", "aws xml": "<SecretAccessKey>{40}</SecretAccessKey>",
    "netrc": "machine api.x.org login me password {20}", "nobody's address": "redis://:{24}@h:6379",
    "token in an address": "https://{40x}@github.com/a/b", "discord hook": "https://discord.com/api/webhooks/1/{68}",
    "teams hook": "https://x.webhook.office.com/webhookb2/{36}/IncomingWebhook/{32x}/{36}",
    "rubygems": "rubygems_{48x}", "crates": "cio{32}", "clojars": "CLOJARS_{60x}", "postman": "PMAK-{24x}-{34x}",
    "pulumi": "pul-{40x}", "terraform": "aB3{11}.atlasv1.{64}", "doppler": "dp.pt.{43}", "square": "sq0atp-{22}",
    "airtable": "pat{14}.{64x}", "heroku": "HRKU-{36}", "fly": "FlyV1 fm2_{90}", "together": "tgp_v1_{43}",
    "fireworks": "fw_{24}", "hugging face team": "api_org_{34}", "runpod": "rpa_{43}", "mailchimp": "{32x}-us12",
    "brevo": "xkeysib-{64x}-{16}", "sourcegraph": "sgp_{40x}", "prefect": "pnu_{36}", "typeform": "tfp_{59}",
    "dynatrace": "dt0c01.{24}.{64}", "contentful": "CFPAT-{43}", "vercel": "vercel_{24}", "slack cookie": "xoxd-{60}",
    "second cookie": "Cookie: a=1; session_id={32}; b=2", "cookies": "cookies={{'session': '{32}'}}",
    "aws header": "Authorization: AWS4-HMAC-SHA256 Credential={20U}/20240101/x/s3/aws4_request, Signature={64x}",
    "said so": "api key {32}", "it is": "Token is {40}", "sshpass": "sshpass -p {16} ssh me@x",
    "mysql": "mysql -u me -p{16}",
    "putty": "Private-Lines: 1\n{64}", "kubernetes": "client-key-data: {120}", "jwk": '{{"kty": "RSA", "d": "{86}"}}',
    "listed": "- name: API_TOKEN\n  value: {32}", "jwe": "eyJhbGciOiJSU0EifQ.{60}.{16}.{40}.{22}",
    "pass": "pass=a{15}1", "pw": "pw: a{15}1", "arrow": "key => {32}", "twice quoted": '{{\\"api_key\\": \\"{32}\\"}}',
    "paypal": "access_token$production${16x}${32x}",
    "google file": '{{"private_key": "-----BEGIN PRIVATE KEY-----\\n{64}"}}',
}


def filled(form, rng):
    "The text with what is secret in it, and the secrets."
    import re
    secrets = []
    def one(match):
        letters = {"": LETTERS, "U": string.ascii_uppercase + string.digits, "x": "0123456789abcdef"}[match[2]]
        secrets.append(made(rng, int(match[1]), letters))
        return secrets[-1]
    text = re.sub(r"\{(\d+)([Ux]?)\}", one, form).replace("{{", "{").replace("}}", "}")
    return text, secrets


@pytest.mark.parametrize("form", FORMS)
def test_secrets_are_known_by_their_form(form):
    rng = random.Random(form)
    for _ in range(8):
        text, secrets = filled(FORMS[form], rng)
        for around in ("{}", "401 for {} (retry)", "said '{}'", "a\n{}\nb", "{}, and so on"):
            shown = redact(around.format(text))
            assert "[redacted]" in shown and redact(shown) == shown
            for secret in secrets: assert secret not in shown and secret[:12] not in shown, shown


@pytest.mark.parametrize("held", [
    ("Authorization", "{}"), ["--api-key", "{}"], {"name": "API_KEY", "value": "{}"}, "tool --token {}",
    "curl -u me:{} x.org", {"headers": [["x-api-key", "{}"]]}, {"sk-{}": 3}])
def test_a_secret_beside_its_name_stays_out(held):
    from selfloop_nb.scoring import Scorer
    secret = made(random.Random(0), 32)
    filled = json.loads(json.dumps(held).replace("{}", secret))
    shown = json.dumps(Scorer("judge", len, settings=dict(ask=filled)).describe())
    assert secret not in shown and "[redacted]" in shown


def test_a_number_can_be_a_password():
    from selfloop_nb.storage.identity import describe
    assert describe(dict(password=12345678, token=7)) == dict(password="[redacted]", token=7)


NAMES = """key auth token hf_token passwd pwd password credentials access_key private_key cookie bearer api_key apikey
    API-KEY secret client_secret aws_secret_access_key auth_token access_token db_password openai_api_key
    authorization session_token refresh_token signing_key HF_TOKEN passphrase github_token""".split()


@pytest.mark.parametrize("name", NAMES)
def test_secrets_are_known_by_their_name(name):
    from selfloop_nb.storage.identity import describe
    assert redact("any words", name) == "[redacted]"
    for settings in ({name: "any words"}, [{name: "any words"}], {"a": {name: ["any words"]}}, ({name: "any words"},)):
        assert "any words" not in json.dumps(describe(settings))


PLAIN = [ # nothing of this is secret
    "12 + 30 = 42", "x = 7; y = x ** 2", "The key idea: the token is the smallest unit.", "What is the key to success?",
    "the secret of the universe is 42", "Author: Ada Lovelace", "keyword = 3", "turkey: a bird", "monkey=1",
    "tokens: 12", "n_tokens=1024", "max_new_tokens=64", "token_ids", "tokenizer=character", "pad_token='<pad>'",
    "eos_token: </s>", "key: 12", "a: b: c", "https://example.org/a?b=c", "me@example.org", "http://example.org:8080/x",
    "ratio 3:4@5", "f(x) = 2x + 1", "\\frac{1}{2} + \\sqrt{3}", "$a^2 + b^2 = c^2$", "1_000_000", "0x1f", "sk-learn",
    "scikit-learn", "hf_hub", "def key(x): return x", "sorted(rows, key=len)", "sorted(rows, key=lambda row: row[0])",
    "task-specific", "risk-averse", "desk-based", "basic arithmetic is needed", "a basic understanding of algebra",
    "the bearer of good news", "He was the ring's bearer throughout the war.", "password", "forgot your password?",
    "authorised by nobody", "sequence: ACGTACGTACGTACGTACGTACGT", "BEGIN the proof, END the proof", "cookies are baked",
    "signature", "sign = -1", "design: good", "sig. figures: 3", "3e-5", "9b2f6c0a1d4e5f67", "a" * 64,
    "round 3: 12 of 40 samples are others", "你好，世界 = 42", "key=value", "public key cryptography",
    "jina_embeddings_v3_base_en", "xai-org-grok-1-model-card", "key-value-store-with-1-shard", "nvapi", "EAA", "SK-42",
    "12345678:AB", "figd_demo", "phc_mean_of_all_of_3_parts", "glc-1", "csk-means-clustering-with-10-centres",
    "pass=0.8123456789", "pass@8: 0.75", "a token of appreciation", "the password is wrong", "name: keyboard value: 3",
    "cookies: 12 of 40", "cookie = a small cake", "mysql -u me -p", "https://example.org/@user",
    "mailto:me@example.org",
    "<key>theta</key>", "login with a password", "sess-ion", "vercel_app", "fw_layers_of_the_model", "dp.pt", "1//0",
    "primary key (id)", "The key: understanding the problem", "Answer key: {answer}", "secret: nobody knows",
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_words_stay(text):
    assert redact(text) == text


def test_sums_and_code_stay():
    "Every problem that the library makes itself."
    from selfloop_nb import addition
    task = addition(digits=3, n_train=300, n_prompts=300, n_heldout=50, seed=0)
    texts = [row["prompt"] + row["completion"] for row in task.train.to_list()]
    assert list(map(redact, texts)) == texts


DOORS = ("error", "guard", "setting", "list", "message", "audit", "rule", "name", "task")


def test_a_secret_enters_no_file_of_a_run_by_any_door(tmp_path):
    "A judge's error, a check's, a guard's warning, a rule's reason, settings, names, the system's words."
    from dataclasses import replace
    from selfloop_nb import Threshold
    from selfloop_nb.scoring import Scorer, as_scorer
    from small import small_loop, small_task
    rng = random.Random(0)
    secrets = {door: f"sk-proj-{made(rng, 40)}" for door in DOORS}
    class Judge:
        name = "judge"
        def __init__(self):
            self.endpoints = [f"https://x.org?api_key={secrets['list']}"]
            self.key = secrets["setting"]
        def __call__(self, samples):
            fails = len(samples) > 4 or samples["sample_id"][0].endswith("-0-0")
            if fails: raise RuntimeError(f"401 {secrets['error']}")
            return [1.0] * len(samples)
    def audit(samples): raise RuntimeError(f"no answer for {secrets['audit']}")
    def guard(history): return f"the key {secrets['guard']} is used up"
    def rule(samples):
        states, reasons = Threshold(1.0)(samples)
        return states, [reason and f"{reason}, as {secrets['rule']} says" for reason in reasons]
    score = as_scorer(Judge()) + 0.0 * Scorer(f"by {secrets['name']}", lambda samples: [1.0] * len(samples))
    settings = dict(score=score, select=rule, guards=(guard,), audit=audit,
                    task=replace(small_task(), name=f"sums of {secrets['task']}"))
    loop = small_loop(tmp_path / "run", **settings)
    heard = []
    loop.on(lambda event: heard.append(event.data.get("text", "")))
    loop.step()
    loop.emit("message", text=f"trying {secrets['message']}")
    loop.report()
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for door, secret in secrets.items():
        assert not [name for name, data in kept.items() if secret.encode() in data], door
        assert not [text for text in heard if secret in text], door
    assert any("[redacted]" in text for text in heard)
    del loop
    gc.collect()
    assert len(small_loop(tmp_path / "run", **settings).rounds) == 2, "and it is the same run still"
