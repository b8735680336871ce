"""Hugging Face folders to GGUF files by llama.cpp's own converter, as the source archive of llama-cpp-python has it.

pip fetches the archive once (80 MB) into `$TERN_CACHE/oracle`; `TERN_LLAMA_CPP=FOLDER` takes a checkout that you have.
The converter runs with one change: it knows pre-tokenizers by a hash over a text's tokens, and the
tiny vocabularies of the fixtures have none, so it is told which one to write.
"""
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE = "llama-cpp-python==0.3.36"


def folder():
    given = os.environ.get("TERN_LLAMA_CPP")
    if given:
        return Path(given)
    cache = Path(os.environ.get("TERN_CACHE", Path.home() / ".cache" / "tern")) / "oracle"
    target = cache / "llama_cpp_python-0.3.36" / "vendor" / "llama.cpp"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "-q", "-d", cache,
                        PACKAGE], check=True)
        archive = next(cache.glob("llama_cpp_python-0.3.36*.tar.gz"))
        with tarfile.open(archive) as files:
            files.extractall(cache, filter="data")
        archive.unlink()
    return target


def convert(hugging_face, gguf_path, name, pre, facts=None):
    """Writes `gguf_path` with weights in f32 and the keys of `facts` beside the converter's own, in a process of its own:
    the archive has its own gguf package."""
    subprocess.run([sys.executable, __file__, hugging_face, gguf_path, name, pre, json.dumps(facts or {})], check=True)


def main(hugging_face, gguf_path, name, pre, facts):
    sys.path[:0] = [str(folder() / "gguf-py"), str(folder())]
    import gguf
    from conversion import get_model_class
    from conversion.base import ModelBase, TextModel
    hparams = ModelBase.load_hparams(Path(hugging_face), False)
    ModelBase.no_mtp = True  # the fixtures have no drafter's layers
    TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    model = get_model_class(hparams["architectures"][0])(
        Path(hugging_face), gguf.LlamaFileType.ALL_F32, Path(gguf_path), model_name=name, hparams=hparams)
    for key, value in json.loads(facts).items():
        (model.gguf_writer.add_float32 if isinstance(value, float) else model.gguf_writer.add_uint32)(key, value)
    model.write()


if __name__ == "__main__":
    main(*sys.argv[1:])
