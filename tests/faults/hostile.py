"""Archives that mean harm, made from a good one: each must be refused in words, and leave nothing behind, inside the
folder of the runs or outside of it.

    python tests/faults/hostile.py
"""
import copy, hashlib, io, json, re, stat, tempfile, warnings, zipfile
from functools import partial
from pathlib import Path

import pyarrow.parquet

from table import Row, show
from tiny import finish

# A pickle that leaves a trace where it is opened.
PICKLE = b"cbuiltins\neval\n(S'open(\"opened\", \"w\").close()'\ntR."
OUTSIDE = ("../opened.json", "/opened.json", "rounds/../../opened.json", "..\\opened.json", "C:/opened.json",
           "rounds//opened.json", "rounds/./round.json", "\\\\host\\share.json")
OF_A_ROUND = ("model/modeling.py", "model/pytorch_model.bin", "optimizer.pt", "samples.pkl", "model/sub/config.json",
              "phases.json")
OF_A_RUN = ("sitecustomize.py", "lock", ".hidden.json", "rounds/")


class Forger:
    "Makes hostile archives of a good one, one after the other in the same place."
    def __init__(self, good, folder):
        self.good = good.read_bytes()
        self.path = folder / "hostile.zip"
        with zipfile.ZipFile(good) as archive: self.files = {name: archive.read(name) for name in archive.namelist()}
        self.record = sorted(name for name in self.files if name.endswith("round.json"))[-1]
        self.round = self.record.removesuffix("round.json")
        self.weights = self.round + "model/model.safetensors"
        self.main = json.loads(self.files["heads.json"])["main"]

    def write(self, data): self.path.write_bytes(data)

    def pack(self, files, change=lambda info: None, compression=zipfile.ZIP_STORED):
        "An archive of (name, bytes); `change` may alter an entry's own words about itself."
        warnings.filterwarnings("ignore", "Duplicate name")
        with zipfile.ZipFile(self.path, "w", compression) as archive:
            for name, data in files:
                info = zipfile.ZipInfo(name)
                info.compress_type = compression
                change(info)
                archive.writestr(info, data)

    def more(self, name, data, **how):
        "With one file more."
        self.pack([*self.files.items(), (name, data)], **how)

    def other(self, name, data):
        "With another content of a file."
        self.pack({**self.files, name: data}.items())

    def without(self, name): self.pack((item for item in self.files.items() if item[0] != name))

    def edited(self, name, **fields):
        "With fields of a JSON file changed, and no seal that would tell."
        data = {**json.loads(self.files[name]), **fields}
        data.pop("sealed", None)
        self.other(name, json.dumps(data).encode())

    def rehashed(self, name, data):
        "With another content of a round's file, and a record that agrees."
        record = json.loads(self.files[self.record])
        record["files"][name.removeprefix(self.round)] = hashlib.sha256(data).hexdigest()
        record.pop("sealed")
        self.pack({**self.files, name: data, self.record: json.dumps(record).encode()}.items())

    def of_kind(self, name, kind):
        "Where a file is marked as another kind of file."
        def change(info):
            if info.filename == name: info.external_attr = kind << 16
        self.pack(self.files.items(), change)

    def overlapping(self):
        "With many names for the bytes of one file."
        self.pack([*self.files.items(), (self.round + "0.json", bytes(100_000))])
        with zipfile.ZipFile(self.path, "a") as archive:
            last = archive.filelist[-1]
            for n in range(1, 20):
                again = copy.copy(last)
                again.filename = again.orig_filename = f"{self.round}{n}.json"
                archive.filelist.append(again)
            archive._didModify = True # the list of files is written anew

    def sampled(self, change):
        "With another sample table, and a record that agrees."
        name = self.round + "samples.parquet"
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(io.BytesIO(self.files[name]))), buffer)
        self.rehashed(name, buffer.getvalue())

    def cut(self, share): self.write(self.good[:int(share * len(self.good))])

    def flipped(self):
        "With a bit of the weights flipped."
        data = bytearray(self.good)
        data[self.good.index(self.files[self.weights][-64:])] ^= 1
        self.write(data)

    def encrypted(self):
        "With the mark of encryption at every entry."
        data = bytearray(self.good)
        for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            for entry in re.finditer(re.escape(mark), self.good): data[entry.start() + place] |= 1
        self.write(data)


def entries_out_of_place(f):
    "(What an archive is, how it is made, what its refusal must say): files where none belong."
    for name in OUTSIDE:
        yield f"path out of the folder, {name[:20]!r}", partial(f.more, name, b"{}"), "does not have"
    for name in [*(f.round + name for name in OF_A_ROUND), *OF_A_RUN]:
        made = partial(f.more, name, b"raise SystemExit")
        yield f"file with code, {name.rsplit('/')[-1]}", made, "does not have"
    many = [(f"{f.round}{n}.json", b"") for n in range(300)]
    unlisted = "no record lists|not what their records say"
    yield "unlisted by its record", partial(f.more, f.round + "more.json", b"{}"), "no record lists"
    yield "files that no record lists", partial(f.pack, [*f.files.items(), *many]), unlisted
    yield "a name twice", partial(f.more, f.record, f.files[f.record]), "twice"
    yield "a name twice in capitals", partial(f.more, f.round + "ROUND.json", b"{}"), "twice"


def entries_of_another_kind(f):
    "Entries that are no plain file, and archives that are none."
    bomb = partial(f.more, f.round + "bomb.json", bytes(40_000_000), compression=zipfile.ZIP_DEFLATED)
    yield "a link", partial(f.of_kind, f.round + "losses.jsonl", stat.S_IFLNK | 0o777), "link"
    yield "files that lie in each other", f.overlapping, "lie in each other"
    yield "a device", partial(f.of_kind, "run.json", stat.S_IFCHR | 0o666), "link or no plain file"
    yield "a bomb", bomb, "times its size"
    yield "encrypted", f.encrypted, "encrypted"
    yield "cut off in the middle", partial(f.cut, 0.5), "cannot be read"
    yield "cut off at the end", partial(f.cut, 0.999), "cannot be read"
    yield "a bit flipped", f.flipped, "cannot be read"
    yield "empty", partial(f.write, b""), "cannot be read"
    yield "no zip", partial(f.write, b"hello"), "cannot be read"


def of_pictures(table):
    "The table, which says that its completions are files to be opened."
    told = {"info": {"features": {"completion": {"_type": "Image"}}}}
    return table.replace_schema_metadata({"huggingface": json.dumps(told)})


def without_ids(table): return table.drop_columns(["token_ids"])


def of_numbers(table):
    "The table with numbers for completions."
    column = table.column_names.index("completion")
    return table.set_column(column, "completion", pyarrow.array([1] * len(table)))


def in_no_state(table):
    column = table.column_names.index("state")
    return table.set_column(column, "state", pyarrow.array(["other"] * len(table)))


def with_column(table, name, values, kind=None):
    "The table with another column."
    return table.set_column(table.column_names.index(name), name, pyarrow.array(values, kind))


def without_prompts(table): return with_column(table, "prompt", [None] * len(table), pyarrow.string())


def with_ids_of_nothing(table): return with_column(table, "token_ids", [[-1]] * len(table))


def with_ids_of_text(table): return with_column(table, "token_ids", [["a"]] * len(table))


def with_half_characters(table):
    "The table with bytes for completions that are no UTF-8."
    halves = pyarrow.array([b"\xed\xa0\x80"] * len(table), pyarrow.binary())
    return with_column(table, "completion", pyarrow.Array.from_buffers(pyarrow.string(), len(table), halves.buffers()))


def tables_that_lie(f):
    "Sample tables that are none."
    yield "a row more than recorded", partial(f.sampled, lambda t: pyarrow.concat_tables([t, t.slice(0, 1)])), "rows"
    yield "samples without ids", partial(f.sampled, without_ids), "'nothing' for 'token_ids'"
    yield "samples of another type", partial(f.sampled, of_numbers), "'int64' for 'completion'"
    yield "samples without prompts", partial(f.sampled, without_prompts), "'prompt' that are null"
    yield "samples with ids of nothing", partial(f.sampled, with_ids_of_nothing), "token_ids that are none"
    yield "samples with ids of text", partial(f.sampled, with_ids_of_text), "token_ids that are none"
    yield "samples that are no text", partial(f.sampled, with_half_characters), "UTF8"
    yield "samples in no state", partial(f.sampled, in_no_state), "in the state 'other'"
    yield "samples that are files to be opened", partial(f.sampled, of_pictures), "opens what its cells name"


def entries_that_lie(f):
    "Files that are not what the records say, and records that cannot be."
    nested = b'{"config":' + b"[" * 200_000
    counted = f.files[f.record].replace(b'"n_kept": ', b'"n_kept": 1')
    outside = partial(f.edited, f.record, files={"../../../secret": "0" * 64})
    itself = f.round.split("/")[1]
    yield "other weights", partial(f.other, f.weights, f.files[f.weights][:-1] + b"!"), "missing or changed"
    yield "a file less", partial(f.without, f.weights), "missing or changed"
    yield "a pickle under the name of weights", partial(f.rehashed, f.weights, PICKLE), "no safetensors"
    yield "a pickle as a record", partial(f.other, f.record, PICKLE), "records say"
    yield "a record of another round", partial(f.edited, f.record, id="0009-other"), "that of round"
    yield "a record with files outside", outside, "missing or changed|does not have"
    yield "a round that is its own parent", partial(f.edited, f.record, parent=itself), "cannot be"
    yield "a record with another count", partial(f.other, f.record, counted), "changed after it was written"
    yield "a record that fills the memory", partial(f.other, f.record, b" " * (2**24 + 1)), "larger than"
    yield "a record nested too deeply", partial(f.other, f.record, nested), "nested"
    yield "a head that is no round", partial(f.edited, "heads.json", main="0009-none"), "no round"
    yield "a branch that is a path", partial(f.edited, "heads.json", **{"../x": f.main}), "no name for a branch"
    yield "no run.json", partial(f.without, "run.json"), "run.json"
    yield "an environment that is a list", partial(f.edited, "run.json", environment=[1]), "its environment"
    yield "run.json that is a list", partial(f.other, "run.json", b"[]"), "run.json"


def good_archive(folder):
    "A run of two rounds, exported."
    from selfloop_nb import export_run
    finish(folder / "run", rounds=2)
    return export_run(folder / "run", folder / "good.zip")


def harm(path, message):
    "What an archive has done, or how it was refused wrongly; None where all is well."
    from selfloop_nb import import_run
    from selfloop_nb.backend.core import SelfloopError
    folder = path.parent
    before = set(folder.parent.rglob("*"))
    try: import_run(path, folder / "stranger")
    except SelfloopError as error: refusal = str(error)
    except BaseException as error: return f"raised {type(error).__name__}: {error}"
    else: return "it was taken"
    left = set(folder.parent.rglob("*")) - before
    if left: return f"left behind: {sorted(map(str, left))[:3]}"
    return None if re.search(message, refusal) else f"refused with {refusal[:200]!r}"


def try_all(folder):
    "What the archives have done, in words, and how many they were."
    forger = Forger(good_archive(folder), folder)
    cases = [*entries_out_of_place(forger), *entries_of_another_kind(forger), *entries_that_lie(forger)]
    cases += tables_that_lie(forger)
    losses = []
    for name, make, message in cases:
        make()
        if lost := harm(forger.path, message): losses.append(f"{name}: {lost}")
    return losses, len(cases)


def main():
    "The row of the table."
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        runs.mkdir()
        losses, n = try_all(runs)
    return [Row("hostile archives", n, losses)]


if __name__ == "__main__": show(main())
