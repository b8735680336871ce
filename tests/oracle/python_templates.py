"""Chat templates of real models that Python packages ship, fetched with pip: their sources are not ours to commit."""
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

# package, version, the folder with its templates, whether the source archive is wanted
PACKAGES = [
    ("llama-cpp-python", "0.3.36", "models/templates", True),
    ("trl", "1.16.0", "trl/chat_templates", False),
    ("axolotl", "0.19.0", "axolotl/utils/chat_templates/templates", False),
]


def archive_of(package, version, source, cache):
    folder = Path(cache) / "python_templates" / f"{package}-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), f"{package}=={version}"]
        subprocess.run(command + (["--no-binary", ":all:"] if source else []), check=True)
    return next(path for path in folder.iterdir() if path.suffix in (".gz", ".whl"))


def texts(archive, folder):
    """(name, text) of the templates in an archive."""
    def wanted(name):
        path = PurePosixPath(name)
        return path.suffix == ".jinja" and str(path.parent).endswith(folder)

    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as files:
            for name in sorted(filter(wanted, files.namelist())):
                yield PurePosixPath(name).stem, files.read(name).decode()
    else:
        with tarfile.open(archive) as files:
            for member in sorted((m for m in files if wanted(m.name)), key=lambda m: m.name):
                yield PurePosixPath(member.name).stem, files.extractfile(member).read().decode()


def fetch(cache):
    """{"package:name": source}"""
    return {f"{package}:{name}": text for package, version, folder, source in PACKAGES
            for name, text in texts(archive_of(package, version, source, cache), folder)}
