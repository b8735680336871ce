"""Makes every committed fixture under tests/golden, in about ten minutes on two cores (nearly all of it SmolLM2)."""
import make_models
import make_multimodal
import make_quant
import make_quantized
import make_sentencepiece
import make_smollm2
import make_templates
import make_tokenizer_json
import make_tokenizers
import make_unigram
import make_wordpiece


def main():
    for module in (make_quant, make_quantized, make_models, make_multimodal, make_tokenizers, make_sentencepiece, make_tokenizer_json, make_wordpiece, make_unigram, make_templates, make_smollm2):
        print(f"== {module.__name__}", flush=True)
        module.main()


if __name__ == "__main__":
    main()
