"""Trains the small models of the gallery's notebooks, and judges them.

    python train_gallery.py

writes, next to this file and in about five minutes on two cores:

    digits.pt                       which digit a picture of 8x8 shows; scikit-learn's digits
    languages.pt                    the language of a sentence, byte by byte; sentences.txt
    headlines.pt                    the section of a headline; headlines.txt
    headlines_pieces.txt            the pieces of words that headlines_tokenizer.py cuts headlines into
    headlines_bag.pt                the section of a headline, for TorchServe's text_classifier; headlines.txt
    headlines_bag/source_vocab.pt   the index of each word and pair of words that it knows
    surfaces.pt                     brick, grass or gravel; photographs of scikit-image
    u2net.pt                        which pixel is coin, as U²-Net tells it; the coins photograph of scikit-image
    */index_to_name.json            the classes' names, in folders of their own: TorchServe knows the file by its name
    gallery.json                    how well each does on what it has not seen, 0 to 1

Each .pt is a state_dict; the class beside it (digits_network.py, ...) is the archive's model file. Everything is
seeded: two runs on one machine, with one version of torch, give the same weights.
"""

import csv
import json
import time
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import skimage.data
import torch
from coins_data import SPLIT_ROW, TrainingPictures, label_coins, photograph
from digits_network import DigitsNetwork
from headlines_bag import ENTRIES, HeadlinesBag
from headlines_network import PIECES, HeadlinesNetwork
from headlines_tokenizer import Tokenizer, words
from languages_network import LanguagesNetwork
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence
from torchvision import models
from torchvision.transforms import functional as transforms
from ts.handler_utils.text_utils import ngrams_iterator
from ts.torch_handler.text_classifier import TextClassifier
from u2net_network import U2Net

HERE = Path(__file__).resolve().parent
PIECES_FILE = HERE / "headlines_pieces.txt"
#: The first digits are for training, as are all but the last texts of each class.
DIGITS_SEEN, SENTENCES_HELD_OUT, HEADLINES_HELD_OUT = 1400, 6, 12

Rows = list[tuple[str, str]]


# ---- What the models learn from


def texts(file: str, held_out: int) -> tuple[Rows, Rows]:
    """The (class, text) rows of a file to train with, and the last `held_out` of each class."""
    seen: Rows = []
    unseen: Rows = []
    for name, rows in groupby(csv.reader((HERE / file).read_text().splitlines(), delimiter="\t"), itemgetter(0)):
        of_class = [(name, text) for _, text in rows]
        seen += of_class[:-held_out]
        unseen += of_class[-held_out:]
    return seen, unseen


def classes(rows: Rows) -> list[str]:
    return sorted({name for name, _ in rows})


def right(logits: Tensor, wanted: Tensor) -> float:
    """The share of rows whose best class is the wanted one."""
    return (logits.argmax(1) == wanted).float().mean().item()


def truth(rows: Rows, names: list[str]) -> Tensor:
    """The classes' indexes, int64 [N]."""
    return torch.tensor([names.index(name) for name, _ in rows])


def train(model: nn.Module, loss_of: Callable[[Tensor], Tensor], rows: int, rounds: int, batch: int) -> None:
    """Minimises `loss_of(indexes of rows)`, with every row once a round, in an order of its own."""
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    steps = rounds * -(-rows // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=5e-3, total_steps=steps)
    for _ in range(rounds):
        for indexes in torch.randperm(rows).split(batch):
            loss = loss_of(indexes)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()


# ---- The models: each trains one, writes its files and returns its figures


def digits() -> dict[str, float]:
    pictures, labels = digit_pictures()
    model = DigitsNetwork()

    def loss_of(indexes: Tensor) -> Tensor:
        shift = tuple(torch.randint(-1, 2, (2,)).tolist())
        return F.cross_entropy(model(pictures[indexes].roll(shift, dims=(2, 3))), labels[indexes])

    train(model, loss_of, DIGITS_SEEN, rounds=30, batch=32)
    torch.save(model.state_dict(), HERE / "digits.pt")
    return {"accuracy": digits_accuracy(model)}


def digit_pictures() -> tuple[Tensor, Tensor]:
    """Pictures, float [N, 1, 8, 8], and digits, int64 [N]."""
    data = load_digits()
    return torch.from_numpy(data.images)[:, None].float() / 16, torch.from_numpy(data.target)


def digits_accuracy(model: nn.Module) -> float:
    pictures, labels = (unseen[DIGITS_SEEN:] for unseen in digit_pictures())
    return right(model(pictures), labels)


def languages() -> dict[str, float]:
    seen, _ = texts("sentences.txt", SENTENCES_HELD_OUT)
    names, model = classes(seen), LanguagesNetwork()
    labels = truth(seen, names)

    def loss_of(indexes: Tensor) -> Tensor:
        """Of the guess after each byte of a part of each sentence: clients may stop anywhere."""
        parts = [part_of(seen[index][1]) for index in indexes.tolist()]
        logits, lengths = pad_packed_sequence(model(packed(parts))[0], batch_first=True)
        wanted = labels[indexes][:, None].expand(logits.shape[:2])
        each = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        return each[torch.arange(each.shape[1]) < lengths[:, None]].mean()

    train(model, loss_of, len(seen), rounds=80, batch=16)
    torch.save(model.state_dict(), HERE / "languages.pt")
    write_names("languages", names)

    two = languages_accuracy(model, words=2)
    return {"accuracy": languages_accuracy(model), "accuracy_of_two_words": two}


def languages_accuracy(model: nn.Module, words: int | None = None) -> float:
    """Of the unseen sentences, or of their first words."""
    _, unseen = texts("sentences.txt", SENTENCES_HELD_OUT)
    sentences = [" ".join(text.split()[:words]) for _, text in unseen]
    logits, lengths = pad_packed_sequence(model(packed(sentences))[0], batch_first=True)
    return right(logits[torch.arange(len(sentences)), lengths - 1], truth(unseen, classes(unseen)))


def part_of(sentence: str) -> str:
    """Some words of it, one after the other."""
    parts = sentence.split()
    first = int(torch.randint(len(parts), ()))
    return " ".join(parts[first : first + int(torch.randint(1, len(parts) + 1, ()))])


def packed(sentences: list[str]) -> PackedSequence:
    return pack_sequence([torch.tensor(list(one.encode())) for one in sentences], enforce_sorted=False)


def headlines() -> dict[str, float]:
    seen, _ = texts("headlines.txt", HEADLINES_HELD_OUT)
    names, model = classes(seen), HeadlinesNetwork()
    PIECES_FILE.write_text("\n".join(["[padding]", "[unknown]", *frequent_pieces(seen, PIECES - 2)]) + "\n")
    tokenizer = Tokenizer(PIECES_FILE)
    inputs, labels = tokenizer([text for _, text in seen]), truth(seen, names)

    def loss_of(indexes: Tensor) -> Tensor:
        """With a third of the tokens hidden, so that none of them decides alone."""
        ids, shown = (inputs[name][indexes] for name in ("input_ids", "attention_mask"))
        shown = shown & (torch.rand(shown.shape) > 1 / 3)
        shown[:, 0] = True
        return F.cross_entropy(model(ids, shown), labels[indexes], label_smoothing=0.1)

    train(model, loss_of, len(seen), rounds=100, batch=16)
    torch.save(model.state_dict(), HERE / "headlines.pt")
    write_names("headlines", names)
    return {"accuracy": headlines_accuracy(model)}


def headlines_accuracy(model: nn.Module) -> float:
    _, unseen = texts("headlines.txt", HEADLINES_HELD_OUT)
    inputs = Tokenizer(PIECES_FILE)([text for _, text in unseen])
    return right(model(**inputs), truth(unseen, classes(unseen)))


def frequent_pieces(rows: Rows, number: int) -> list[str]:
    """Every character, and the pieces of words, up to eight long, that cover most."""
    counts = Counter(
        word[begin:end]
        for _, text in rows
        for word in words(text)
        for begin in range(len(word))
        for end in range(begin + 1, min(begin + 8, len(word)) + 1)
    )
    characters = sorted(piece for piece in counts if len(piece) == 1)
    longer = [piece for piece, count in counts.items() if len(piece) > 1 and count > 1]
    return (characters + sorted(longer, key=lambda piece: (-counts[piece] * (len(piece) - 1), piece)))[:number]


def headlines_bag() -> dict[str, float]:
    seen, unseen = texts("headlines.txt", HEADLINES_HELD_OUT)
    names, model = classes(seen), HeadlinesBag()
    nn.init.normal_(model.embedding.weight, std=0.02)  # so that words it has hardly seen say next to nothing
    labels, handler = truth(seen, names), TextClassifier()
    counts = Counter(entry for _, text in seen for entry in entries(handler, text))
    # A Counter, because what it does not hold has index 0 in it, where a dict raises KeyError, and because torch.load
    # reads it with weights_only=True.
    vocabulary = Counter({entry: index for index, (entry, _) in enumerate(counts.most_common(ENTRIES - 1), 1)})
    write_names("headlines_bag", names)
    torch.save(vocabulary, HERE / "headlines_bag" / "source_vocab.pt")

    def indexes_of(text: str) -> Tensor:
        return torch.tensor([vocabulary[entry] for entry in entries(handler, text)])

    inputs = [indexes_of(text) for _, text in seen]

    def loss_of(rows: Tensor) -> Tensor:
        """With a third of the entries unknown, as some of a new headline's are."""
        bags = [inputs[row] * (torch.rand(len(inputs[row])) > 1 / 3) for row in rows.tolist()]
        offsets = torch.tensor([0, *map(len, bags[:-1])]).cumsum(0)
        return F.cross_entropy(model(torch.cat(bags), offsets), labels[rows], label_smoothing=0.1)

    train(model, loss_of, len(seen), rounds=100, batch=16)
    torch.save(model.state_dict(), HERE / "headlines_bag.pt")
    guessed = torch.cat([model(indexes_of(text), torch.tensor([0])) for _, text in unseen]).argmax(1)
    return {"accuracy": (guessed == truth(unseen, names)).float().mean().item()}


def entries(handler: TextClassifier, text: str) -> list[str]:
    """The words of a text and its pairs of words, as text_classifier looks them up."""
    handler.source_vocab = Counter()
    words_of = handler.preprocess([{"data": text}])[1]
    return list(ngrams_iterator(words_of, handler.ngrams))


def surfaces() -> dict[str, float]:
    """A MobileNetV3 small, a quarter as wide as torchvision's own."""
    names = ["brick", "grass", "gravel"]
    photographs = [torch.from_numpy(getattr(skimage.data, name)())[None].expand(3, -1, -1) / 255 for name in names]
    model = models.mobilenet_v3_small(width_mult=0.25, num_classes=len(names))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1  # the family's 0.01 is for trainings a hundred times as long

    prepared = models.MobileNet_V3_Small_Weights.DEFAULT.transforms()

    def part(photograph: Tensor, side: int) -> Tensor:
        top, left = (int(torch.randint(size - side + 1, ())) for size in photograph.shape[1:])
        return photograph[:, top : top + side, left : left + side]

    def varied(label: int) -> Tensor:
        """A part of a photograph's columns to train with, of any size, in other light, as ImageNet's are prepared."""
        seen = part(photographs[label][:, :, :320], side=int(torch.randint(72, 190, ())))
        light = transforms.resize(seen, [128, 128]) * (0.7 + 0.6 * torch.rand(())) + 0.2 * (torch.rand(()) - 0.5)
        return transforms.normalize(light.clamp(0, 1), prepared.mean, prepared.std)

    def loss_of(rows: Tensor) -> Tensor:
        labels = rows % len(names)
        return F.cross_entropy(model(torch.stack([varied(label) for label in labels.tolist()])), labels)

    train(model, loss_of, rows=16 * 240, rounds=1, batch=16)
    torch.save(model.state_dict(), HERE / "surfaces.pt")
    write_names("surfaces", names)
    labels = torch.arange(90) % len(names)
    with torch.inference_mode():
        unseen = torch.stack([prepared(part(photographs[label][:, :, 320:], side=160)) for label in labels.tolist()])
        return {"accuracy": (model(unseen).argmax(1) == labels).float().mean().item()}


def u2net() -> dict[str, float]:
    grey = photograph()
    labels = label_coins(grey)
    drawn, model = TrainingPictures(grey[SPLIT_ROW:], labels[SPLIT_ROW:]), U2Net()

    def loss_of(rows: Tensor) -> Tensor:
        """Of the fused map and of each stage's own."""
        pictures, coins = drawn.draw(len(rows))
        maps = torch.cat(model(pictures_for_u2net(pictures)), dim=1)
        return F.binary_cross_entropy(maps, (coins != 0)[:, None].float().expand_as(maps)) * maps.shape[1]

    train(model, loss_of, rows=6 * 220, rounds=1, batch=6)
    torch.save(model.state_dict(), HERE / "u2net.pt")
    picture = torch.from_numpy(grey[None, None, :SPLIT_ROW]).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        found = model(pictures_for_u2net(picture))[0][0, 0].numpy() > 0.5
    wanted = labels[:SPLIT_ROW] > 0
    return {"iou": float(np.sum(found & wanted) / np.sum(found | wanted))}


def pictures_for_u2net(pictures: Tensor) -> Tensor:
    """Float [N, 3, H, W] in 0..1 -> by their brightest pixel, and then by ImageNet's constants, as U²-Net's are."""
    brightest = pictures.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    return transforms.normalize(pictures / brightest, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def write_names(folder: str, names: list[str]) -> None:
    (HERE / folder).mkdir(exist_ok=True)
    text = json.dumps({str(index): name for index, name in enumerate(names)}, indent=2)
    (HERE / folder / "index_to_name.json").write_text(text + "\n")


def main() -> None:
    torch.set_num_threads(1)  # networks this small gain nothing from a second one
    torch.use_deterministic_algorithms(True)
    figures = {}
    for learn in (digits, languages, headlines, headlines_bag, surfaces, u2net):
        begun = time.perf_counter()
        torch.manual_seed(0)
        figures[learn.__name__] = {name: round(figure, 3) for name, figure in learn().items()}
        print(f"{learn.__name__:13} {figures[learn.__name__]}  {time.perf_counter() - begun:.0f} s")
    (HERE / "gallery.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
