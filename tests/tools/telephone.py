"""Make the recordings of the speech recipe, nbs/recipes/telephone.adpcm.xz and telephone.tsv: an extract from three
packages of Debian, telephone prompts with what they say and hold music (CC-BY-SA-3.0, telephone.LICENSE.txt).

    python telephone.py FOLDER

FOLDER has the packages, 32 MB, as `apt-get download` fetches them: asterisk-core-sounds-en-wav, asterisk-core-sounds-en
and asterisk-moh-opsound-wav.
"""
import gzip, hashlib, io, lzma, re, sys, tarfile, wave
from pathlib import Path

import numpy

PROMPTS = "asterisk-core-sounds-en-wav_1.6.1-1_all.deb"
TEXTS = "asterisk-core-sounds-en_1.6.1-1_all.deb"
MUSIC = "asterisk-moh-opsound-wav_2.03-1.1_all.deb"
SHA256 = {
    PROMPTS: "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
    TEXTS: "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
    MUSIC: "8f9d808a729d305c2d3343993f21ca5e6829e411682618dc8ea7aa8bc24a566c",
}
RECIPES = Path(__file__).resolve().parents[2] / "nbs" / "recipes"
RATE = 8000 # samples a second of a telephone
WORDS = range(2, 10) # how many a prompt may have
LONGEST = 2.5 # seconds of a prompt
MUSIC_SECONDS = 6.5 # of each piece, from its second half minute on

# ADPCM: how far a code moves the step, and the steps (those of IMA, but for rounding).
MOVES = [-1, -1, -1, -1, 2, 4, 6, 8]
STEPS = [round(7 * 1.1 ** k) for k in range(89)]


def package(name, folder):
    "The bytes of a package, whole as it was when this was written."
    data = (folder / name).read_bytes()
    if hashlib.sha256(data).hexdigest() == SHA256[name]: return data
    raise SystemExit(f"{name} is another file than it was: nothing of it is used")


def members(data):
    "Name and bytes of each part of an ar archive, which a package is."
    at = len(b"!<arch>\n")
    while at < len(data):
        head = data[at:at + 60]
        name, size = head[:16].decode().strip().rstrip("/"), int(head[48:58])
        yield name, data[at + 60:at + 60 + size]
        at += 60 + size + size % 2


def files(data, ending):
    "The files of a package with this ending: path -> bytes."
    packed = next(content for name, content in members(data) if name.startswith("data.tar"))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        chosen = [member for member in tar.getmembers() if member.isfile() and member.name.endswith(ending)]
        return {member.name: tar.extractfile(member).read() for member in chosen}


def samples(data):
    "The numbers of a wav, 16 bit."
    with wave.open(io.BytesIO(data)) as file: return numpy.frombuffer(file.readframes(file.getnframes()), "<i2")


def spoken(sound):
    "A recording without the silence before and behind it."
    pieces = sound[:len(sound) // 80 * 80].reshape(-1, 80).astype(float)
    power = (pieces ** 2).mean(1) ** 0.5
    loud = numpy.flatnonzero(power > 0.02 * power.max())
    first, last = max(0, loud[0] - 5), min(len(power), loud[-1] + 6)
    return sound[first * 80:last * 80]


def codes_of(sound):
    "A recording as ADPCM, four bits a sample."
    codes = []
    value, at = 0, 0
    for wanted in sound.tolist():
        step = STEPS[at]
        size = min(7, abs(wanted - value) * 4 // step)
        code = size + (8 if wanted < value else 0)
        moved = (2 * size + 1) * step // 8
        value = max(-32768, min(32767, value - moved if code > 7 else value + moved))
        at = max(0, min(len(STEPS) - 1, at + MOVES[size]))
        codes.append(code)
    pairs = numpy.array(codes + [0] * (len(codes) % 2), dtype=numpy.uint8).reshape(-1, 2)
    return (pairs[:, 0] | pairs[:, 1] << 4).tobytes()


def prompts(folder):
    "Name, words and sound of the prompts that are short enough; of two that say the same, the first."
    sounds = {name.partition("_Allison/")[2]: data for name, data in files(package(PROMPTS, folder), ".wav").items()}
    listed = next(iter(files(package(TEXTS, folder), "core-sounds-en.txt.gz").values()))
    found = {}
    for line in gzip.decompress(listed).decode().splitlines():
        name, colon, text = line.partition(": ")
        words = " ".join(re.findall(r"[a-z']+", text.lower()))
        if line.startswith(";") or re.search(r"[\d\[]|[Bb]eep", text) or len(words) < 3: continue
        if f"{name}.wav" not in sounds or words in found: continue
        sound = spoken(samples(sounds[f"{name}.wav"]))
        if len(words.split()) in WORDS and len(sound) <= LONGEST * RATE: found[words] = (name, sound)
    return [(f"prompt/{name}", words, sound) for words, (name, sound) in found.items()]


def music(folder):
    "Name and sound of a stretch of each piece."
    first, n = 30 * RATE, round(MUSIC_SECONDS * RATE)
    pieces = files(package(MUSIC, folder), ".wav")
    return [(f"music/{Path(name).stem}", "", samples(data)[first:first + n]) for name, data in sorted(pieces.items())]


def main(folder):
    "Write both files."
    lines, data = ["clip\tfirst_byte\tsamples\twords"], b""
    for name, words, sound in prompts(folder) + music(folder):
        lines.append(f"{name}\t{len(data)}\t{len(sound)}\t{words}")
        data += codes_of(sound)
    packed = lzma.compress(data, preset=9)
    (RECIPES / "telephone.adpcm.xz").write_bytes(packed)
    (RECIPES / "telephone.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 1} recordings, {len(packed):,} bytes")


if __name__ == "__main__": main(Path(sys.argv[1]))
