"""Pack a prepared dataset: tar shards whose samples are one ranged read each, and a manifest that is their index."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO
from zlib import crc32

from avssl.datasets.manifest import NAME, Manifest, Row, read_manifest, write_manifest
from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.io.folder_lock import folder_lock
from avssl.io.progress import ProgressBar
from avssl.media.jpeg_frames import SUFFIX as JPEG_FRAMES
from avssl.regular_files import check_regular, open_regular
from avssl.stores.virtual_paths import PackedPath, is_address

SHARDS = "shards"
SHARD_MB = 256.0
"""Shards of this size are few enough to list and small enough to copy again."""
BESIDE = ("objects-*.parquet", "truth.parquet")
"""Tables beside a manifest that refer to its clips by key."""
COPIED_AT_ONCE = 1 << 20
BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Sample:
    """The files of a clip, or of clips that share them."""

    number: int
    """Of the sample in the dataset: the base of its names in the shard."""
    row: Row
    """Of the first clip of these files."""
    sources: tuple[Path, ...]
    """Video, and audio where it is a file of its own."""
    sizes: tuple[int, ...]
    """Bytes of these files."""

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return [f"{self.number:08d}{_suffix(path)}" for path in self.sources]

    @property
    def note(self) -> bytes:
        """The row as JSON, for readers of the shard that have no manifest."""
        return json.dumps(asdict(self.row), allow_nan=True).encode()

    @property
    def length(self) -> int:
        """Bytes of the sample in its shard."""
        return sum(BLOCK + _padded(size) for size in (*self.sizes, len(self.note)))


def pack(source: Path, out: Path, *, shard_mb: float = SHARD_MB, progress: bool = True) -> Path:
    """Pack the files of a manifest into tar shards and write the manifest of these.

    A shard is an ordinary tar in the form of WebDataset: of each sample NUMBER.mp4, NUMBER.wav and NUMBER.json follow
    each other. The paths of the manifest say at which byte, so that a clip is read by one range, in any order. Shards
    that an interrupted run wrote whole are kept.

    Args:
        source: a manifest or its folder, on this machine.
        out: output folder, on this machine; copied to a store as it is.
        shard_mb: size from which on a new shard is begun, MB.
        progress: show a bar.

    Returns:
        The manifest; its clips and their order are those of `source`.

    Raises:
        InputError: the manifest cannot be used, is on a store or packed already, or `out` is its folder or holds
            another dataset.
        OSError: `out` cannot be written.
    """
    if not 0 < shard_mb < float("inf"):
        raise InputError(f"expected shards of more than 0 MB, got {shard_mb}")
    if is_address(source) or is_address(out):
        raise InputError(f"{source if is_address(source) else out}: expected a folder of this machine; copy it first")
    manifest = read_manifest(source)
    if out.resolve() == manifest.root.resolve():
        raise InputError(f"{out}: packed clips need a folder of their own, this is the manifest's")
    with folder_lock(out):
        if (out / NAME).exists() and not (out / SHARDS).is_dir():
            raise InputError(f"{out}: holds a manifest that `avssl pack` did not write; give another folder")
        places = _write_shards(manifest, out, shard_mb * 1e6, progress)
        for pattern in BESIDE:
            for path in manifest.root.glob(pattern):
                shutil.copyfile(path, out / path.name)
        write_manifest(out / NAME, [_packed(row, places[row.video, row.audio]) for row in manifest])
    return out / NAME


def _write_shards(
    manifest: Manifest, out: Path, shard_bytes: float, progress: bool
) -> dict[tuple[str, str], tuple[str, str]]:
    """Write the shards; returns the new paths of each pair of video and audio."""
    (out / SHARDS).mkdir(exist_ok=True)
    shards = list(_shards(manifest, shard_bytes))
    places: dict[tuple[str, str], tuple[str, str]] = {}
    with ProgressBar("pack", sum(map(len, shards)), "samples", shown=progress) as bar:
        for number, samples in enumerate(shards):
            path = out / SHARDS / f"{number:05d}.tar"
            if not _is_written(path, samples):
                with replacing(path) as part, part.open("wb") as file:
                    for sample in samples:
                        _write_sample(file, sample)
                    file.write(bytes(2 * BLOCK))
            for sample, crc, first in _checksums(path, samples):
                shard = Path(SHARDS) / path.name
                names = [str(PackedPath(shard, first, sample.length, crc, name)) for name in sample.names]
                places[sample.row.video, sample.row.audio] = names[0], names[-1]
                bar.advance()
    for left in (out / SHARDS).glob("*.tar"):  # of a larger dataset before
        if left.name not in {f"{number:05d}.tar" for number in range(len(shards))}:
            left.unlink()
    return places


def _shards(manifest: Manifest, shard_bytes: float) -> Iterator[list[Sample]]:
    """The samples of each shard, in the order of the manifest; clips of the same files are one sample."""
    samples: list[Sample] = []
    size, seen = 0, set[tuple[str, str]]()
    for row in manifest:
        if (row.video, row.audio) in seen:
            continue
        sources = tuple(manifest.root / name for name in dict.fromkeys((row.video, row.audio)))
        sizes = tuple(check_regular(path, "a file to pack").st_size for path in sources)
        _check_suffixes(sources)
        if samples and size >= shard_bytes:
            yield samples
            samples, size = [], 0
        samples.append(Sample(len(seen), row, sources, sizes))
        seen.add((row.video, row.audio))
        size += samples[-1].length
    yield samples


def _suffix(path: Path) -> str:
    """End of a file's name, by which readers know its form."""
    name = path.name.lower()
    return JPEG_FRAMES if name.endswith(JPEG_FRAMES) else path.suffix.lower()


def _check_suffixes(sources: Sequence[Path]) -> None:
    suffixes = [_suffix(path) for path in sources]
    if len(set(suffixes)) < len(suffixes) or ".json" in suffixes:
        raise InputError(f"{sources[0]}: expected video and audio of two suffixes, got {' and '.join(suffixes)}")


def _is_written(path: Path, samples: Sequence[Sample]) -> bool:
    """Whether a shard is there, whole, and younger than its files."""
    if not path.is_file() or path.stat().st_size != sum(each.length for each in samples) + 2 * BLOCK:
        return False
    changed = path.stat().st_mtime_ns
    return all(source.stat().st_mtime_ns < changed for sample in samples for source in sample.sources)


def _write_sample(file: IO[bytes], sample: Sample) -> None:
    for name, source, size in zip(sample.names, sample.sources, sample.sizes, strict=True):
        file.write(_header(name, size))
        with open_regular(source, "a file to pack") as opened:
            shutil.copyfileobj(opened, file, COPIED_AT_ONCE)
            if opened.tell() != size:
                raise InputError(f"{source}: expected {size} bytes as a moment before, got {opened.tell()}; pack again")
        file.write(bytes(_padded(size) - size))
    note = sample.note
    file.write(_header(f"{sample.number:08d}.json", len(note)) + note + bytes(_padded(len(note)) - len(note)))


def _header(name: str, size: int) -> bytes:
    """Header of a member; the same for the same name and size, so that shards are too."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _checksums(path: Path, samples: Sequence[Sample]) -> Iterator[tuple[Sample, int, int]]:
    """Each sample of a written shard, the CRC-32 of its bytes, and where it begins."""
    first = 0
    with path.open("rb") as file:
        for sample in samples:
            crc, left = 0, sample.length
            while left and (part := file.read(min(left, COPIED_AT_ONCE))):
                crc, left = crc32(part, crc), left - len(part)
            yield sample, crc, first
            first += sample.length


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _packed(row: Row, names: tuple[str, str]) -> Row:
    return replace(row, video=names[0], audio=names[1])
