"""Archives that mean harm, made from a good one: each must be refused in words, and leave nothing behind, inside the folder of the runs or outside of it.

    python tests/faults/hostile.py
"""
import hashlib, json, re, stat, tempfile, warnings, zipfile
from pathlib import Path

from table import Row, show
from tiny import finish


# A pickle that leaves a trace where it is opened.
PICKLE = b"cbuiltins\neval\n(S'open(\"opened\", \"w\").close()'\ntR."


def entries(good):
    "The good archive: name -> bytes."
    with zipfile.ZipFile(good) as archive: return {name: archive.read(name) for name in archive.namelist()}


def packed(files, path, change=lambda info: None, compression=zipfile.ZIP_STORED):
    "An archive of (name, bytes); `change` may alter an entry's own words about itself."
    warnings.filterwarnings("ignore", "Duplicate name")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            change(info)
            archive.writestr(info, data)
    return path


def rehashed(files, name, data):
    "The files with one of them changed, and the record made to agree."
    record_name = "/".join(name.split("/")[:2]) + "/round.json"
    record = json.loads(files[record_name])
    record["files"][name.split("/", 2)[2]] = hashlib.sha256(data).hexdigest()
    record.pop("sealed")
    return {**files, name: data, record_name: json.dumps(record).encode()}


def edited(entries, name, **fields):
    "The files with fields of one of them changed, and no seal that would tell."
    data = {**json.loads(entries[name]), **fields}
    data.pop("sealed", None)
    return {**entries, name: json.dumps(data).encode()}


def archives(good, folder):
    "Name -> a hostile archive, and a word that the refusal must hold."
    files, pack = entries(good), lambda files, **how: packed(list(files.items() if isinstance(files, dict) else files), folder / "hostile.zip", **how)
    record = sorted(n for n in files if n.endswith("round.json"))[-1]
    place = record.removesuffix("round.json")
    weights, heads = place + "model/model.safetensors", json.loads(files["heads.json"])
    def link(info): info.external_attr = (stat.S_IFLNK | 0o777) << 16 if info.filename == place + "losses.jsonl" else info.external_attr
    def device(info): info.external_attr = (stat.S_IFCHR | 0o666) << 16 if info.filename == "run.json" else info.external_attr
    cut = lambda share: (folder / "hostile.zip").write_bytes(good.read_bytes()[:int(share * good.stat().st_size)]) and folder / "hostile.zip"
    flipped = bytearray(good.read_bytes()); flipped[good.read_bytes().index(files[weights][-64:])] ^= 1
    def flip(): (folder / "hostile.zip").write_bytes(flipped); return folder / "hostile.zip"
    outside = {f"path out of the folder, {name[:20]!r}": (lambda name=name: pack({**files, name: b"{}"}), "does not have") for name in
        ("../opened.json", "/opened.json", "rounds/../../opened.json", "..\\opened.json", "C:/opened.json", "rounds//opened.json", "rounds/./round.json", "\\\\host\\share.json")}
    code = {f"file with code, {name.rsplit('/')[-1]}": (lambda name=name: pack({**files, name: b"raise SystemExit"}), "does not have") for name in
        (place + "model/modeling.py", place + "model/pytorch_model.bin", place + "optimizer.pt", place + "samples.pkl", "sitecustomize.py", "lock", place + "model/sub/config.json", ".hidden.json", "rounds/", place + "phases.json")}
    return {**outside, **code,
        "a link": (lambda: pack(files, change=link), "link"),
        "a device": (lambda: pack(files, change=device), "link or no plain file"),
        "a bomb": (lambda: pack({**files, place + "bomb.json": bytes(40_000_000)}, compression=zipfile.ZIP_DEFLATED), "times its size"),
        "files that no record lists": (lambda: pack([*files.items(), *((f"{place}{n}.json", b"") for n in range(300))]), "no record lists|not what their records say"),
        "a name twice": (lambda: pack([*files.items(), (record, files[record])]), "twice"),
        "a name twice in capitals": (lambda: pack([*files.items(), (record.replace("round.json", "ROUND.json"), b"{}")]), "twice"),
        "encrypted": (lambda: _encrypted(good, folder), "encrypted"),
        "unlisted by its record": (lambda: pack({**files, place + "more.json": b"{}"}), "no record lists"),
        "other weights": (lambda: pack({**files, weights: files[weights][:-1] + b"!"}), "missing or changed"),
        "a file less": (lambda: pack({n: d for n, d in files.items() if n != weights}), "missing or changed"),
        "a pickle under the name of weights": (lambda: pack(rehashed(files, weights, PICKLE)), "no safetensors"),
        "a pickle as a record": (lambda: pack({**files, record: PICKLE}), "records say"),
        "a record of another round": (lambda: pack(edited(files, record, id="0009-other")), "that of round"),
        "a record with files outside": (lambda: pack(edited(files, record, files={"../../../secret": "0" * 64})), "missing or changed|does not have"),
        "a round that is its own parent": (lambda: pack(edited(files, record, parent=place.split("/")[1])), "cannot be"),
        "a record with another figure": (lambda: pack({**files, record: files[record].replace(b'"n_kept": ', b'"n_kept": 1')}), "changed after it was written"),
        "a record nested too deeply": (lambda: pack({**files, record: b'{"config":' + b"[" * 200_000}), "nested"),
        "a head that is no round": (lambda: pack(edited(files, "heads.json", main="0009-none")), "no round"),
        "a branch that is a path": (lambda: pack(edited(files, "heads.json", **{"../x": heads["main"]})), "no name for a branch"),
        "no run.json": (lambda: pack({n: d for n, d in files.items() if n != "run.json"}), "run.json"),
        "run.json with an environment that is a list": (lambda: pack(edited(files, "run.json", environment=[1])), "its environment"),
        "run.json that is a list": (lambda: pack({**files, "run.json": b"[]"}), "run.json"),
        "cut off in the middle": (lambda: cut(0.5), "cannot be read"),
        "cut off at the end": (lambda: cut(0.999), "cannot be read"),
        "a bit flipped": (flip, "cannot be read"),
        "empty": (lambda: cut(0.0) or folder / "hostile.zip", "cannot be read"),
        "no zip": (lambda: (folder / "hostile.zip").write_text("hello") and folder / "hostile.zip", "cannot be read"),
    }


def _encrypted(good, folder):
    "The good archive with the mark of encryption at every entry."
    data = bytearray(good.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0: data[at + place] |= 1; at = data.find(mark, at + 4)
    (folder / "hostile.zip").write_bytes(data)
    return folder / "hostile.zip"


def good_archive(folder):
    "A run of two rounds, exported."
    from selfloop_nb import export_run
    finish(folder / "run", rounds=2)
    return export_run(folder / "run", folder / "good.zip")


def harm(make, said, folder):
    "What an archive has done or how it was refused wrongly; None where all is well."
    from selfloop_nb import import_run
    from selfloop_nb.core import SelfloopError
    path, before = make(), set(folder.parent.rglob("*")) | {folder / "hostile.zip"}
    try: import_run(path, folder / "stranger")
    except SelfloopError as error: words = str(error)
    except BaseException as error: words = f"{type(error).__name__}: {error}"; said = "$^"
    else: return "it was taken"
    if left := set(folder.parent.rglob("*")) - before: return f"left behind: {sorted(map(str, left))[:3]}"
    return None if re.search(said, words) else f"refused with {words[:200]!r}"


def main():
    "The rows of the table."
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / "runs"
        inner.mkdir()
        made = archives(good_archive(inner), inner)
        losses = [f"{name}: {lost}" for name, (make, said) in made.items() if (lost := harm(make, said, inner))]
    return [Row("hostile archives", len(made), losses)]


if __name__ == "__main__": show(main())
