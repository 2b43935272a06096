"""Small random models of texts as transformers' `save_pretrained` writes them, and tokenizers trained by script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

SENTENCES = [
    "a good film, and a great evening",
    "what a bad, boring film",
    "Ada Lovelace lived in London",
    "Größe, naïveté, 東京, 😀 and 👩‍🚀 are more than a byte each",
]


def words() -> PreTrainedTokenizerFast:
    """A tokenizer of word pieces, as BERT has it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(one, special.index(one)) for one in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=32,
    )  # fmt: skip


def text_bytes() -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are bytes, and a few pairs of them, as GPT-2 has it: a character may take several."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", model_max_length=64)


def save(folder: Path, model: Any, tokenizer: Any) -> Path:
    """What travels in an archive, as extra files."""
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bert(tokenizer: Any, **options: Any) -> BertConfig:
    return BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, initializer_range=0.8, **options,
    )  # fmt: skip


def classifier(folder: Path, **options: Any) -> Path:
    """A text classifier: options are those of its BertConfig, such as id2label."""
    torch.manual_seed(0)
    tokenizer = words()
    return save(folder, BertForSequenceClassification(bert(tokenizer, **options)), tokenizer)


def entities(folder: Path) -> Path:
    """A model that calls what begins with a capital letter a name."""
    torch.manual_seed(0)
    tokenizer = words()
    labels = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}
    return save(folder, BertForTokenClassification(bert(tokenizer, id2label=labels)), tokenizer)


def generator(folder: Path, kind: str = "llama", **options: Any) -> Path:
    """A language model: options are those of its config."""
    torch.manual_seed(1)
    tokenizer = text_bytes()
    if kind == "gpt2":
        config = GPT2Config(
            vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=0.5,
            eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.eos_token_id, **options,
        )  # fmt: skip
        return save(folder, GPT2LMHeadModel(config), tokenizer)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, initializer_range=0.5, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
        **options,
    )  # fmt: skip
    return save(folder, LlamaForCausalLM(config), tokenizer)
