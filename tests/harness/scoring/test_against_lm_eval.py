"""Our figures beside an independent computation: the same weights as a Hugging Face GPT-2, scored by lm-eval."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from harness.scoring.downstream import TASKS, accuracies
from harness.scoring.lambada import last_words
from harness.scoring.language_model import LanguageModel
from harness.scoring.lm_eval_files import task_file
from harness.scoring.wikitext import word_perplexity

pytest.importorskip("accelerate", reason="lm-eval's HFLM needs it")
pytestmark = pytest.mark.filterwarnings("default")  # lm-eval's and transformers' own


@pytest.fixture(scope="module")
def rows(sentences: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Made-up rows in the layout of each task's prepared data set, the last fields chosen by dice."""
    dice = random.Random(5)
    pages = [f" = {text[:9]} = \n \n {text} , 1 @,@ 234 @-@ fold . \n {text[::-1]} 's \n" for text in sentences]
    short = [text[: dice.randrange(20, 90)].rpartition(" ")[0] for text in sentences]

    def choices(count: int) -> list[str]:
        return [dice.choice(short) for _ in range(count)]

    return {
        "wikitext": [{"page": page} for page in pages],
        "lambada_openai": [{"text": text.rstrip(".")} for text in sentences],
        "arc_easy": [
            {"question": text, "choices": {"text": choices(4), "label": list("ABCD")}, "answerKey": dice.choice("ABCD")}
            for text in short
        ],
        "hellaswag": [
            {"activity_label": "Walking", "ctx_a": text, "ctx_b": "then", "endings": choices(4)}
            | {"label": dice.choice("0123")}
            for text in short
        ],
        "piqa": [
            {"goal": text, "sol1": choices(1)[0], "sol2": choices(1)[0], "label": dice.randrange(2)} for text in short
        ],
        "winogrande": [
            {
                "sentence": f"{text} because _ was old there.",
                "option1": "Ann",
                "option2": "Bo",
                "answer": dice.choice("12"),
            }
            for text in short
        ],
    }


@pytest.fixture(scope="module")
def root(rows: dict[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of rows a task, prepared as a source folder is."""
    folder = tmp_path_factory.mktemp("rows")
    for name, lines in rows.items():
        (folder / f"{name}.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def reference(toy: LanguageModel, root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What lm-eval finds for the toy's weights in transformers' GPT-2, by its own tasks and its own HFLM."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tasks")
    files = {"wikitext": "wikitext/wikitext.yaml", "lambada_openai": "lambada/lambada_openai.yaml"}
    for name in (*files, *TASKS):
        file, split = (files[name], "test") if name in files else TASKS[name]
        splits = {f"{other}_split": None for other in ("training", "validation", "test") if other != split}
        data = {"data_files": {split: [str(root / f"{name}.jsonl")]}, "cache_dir": str(folder / "cache")}
        task = {"include": str(task_file(file)), "task": name, **splits, "dataset_path": "json", "dataset_name": None}
        (folder / f"{name}.yaml").write_bytes(msgspec.json.encode({**task, "dataset_kwargs": data}))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=toy.tokenizer._bpe, eos_token="<|endoftext|>")
    model = HFLM(hugging_face_twin(toy.model), tokenizer=tokenizer, batch_size=1, max_length=64, device="cpu")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    tasks = [*files, *TASKS]
    found = simple_evaluate(model, tasks=tasks, bootstrap_iters=0, log_samples=False, task_manager=manager)
    return found["results"]


def hugging_face_twin(model: Any) -> Any:
    """The same weights in transformers' GPT-2, whose linear maps keep their matrices transposed."""
    from transformers import GPT2Config, GPT2LMHeadModel

    ours = model.config
    config = GPT2Config(
        vocab_size=ours.vocab_size,
        n_positions=ours.block_size,
        n_embd=ours.n_embd,
        n_layer=ours.n_layer,
        n_head=ours.n_head,
        activation_function="gelu",
        bos_token_id=0,
        eos_token_id=0,
    )
    names = {"embedding.": "transformer.", "blocks.": "transformer.h.", "ln_f.": "transformer.ln_f."}
    weights = {}
    for name, weight in model.state_dict().items():
        first = next(start for start in names if name.startswith(start))
        linear = ".c_" in name and weight.dim() == 2
        weights[names[first] + name.removeprefix(first)] = weight.T if linear else weight
    twin = GPT2LMHeadModel(config)
    missing, unexpected = twin.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    twin.tie_weights()
    return twin.eval()


def test_logits_are_those_of_gpt_2(toy: LanguageModel) -> None:
    """The template with biases is GPT-2 with the exact GELU: equal weights give equal logits."""
    tokens_BT = torch.randint(300, (2, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = hugging_face_twin(toy.model)(tokens_BT).logits
        torch.testing.assert_close(toy.model(tokens_BT)[0], theirs, rtol=1e-4, atol=1e-3)


def test_wikitext_word_perplexity_is_lm_evals(toy: LanguageModel, rows: Any, reference: Any) -> None:
    """Pages longer and shorter than the block size give lm-eval's word perplexity to five digits."""
    pages = [row["page"] for row in rows["wikitext"]]
    assert max(len(toy.tokenizer.encode(page)) for page in pages) > 3 * toy.block_size
    expected = reference["wikitext"]["word_perplexity,none"]
    assert word_perplexity(toy, pages) == pytest.approx(expected, rel=1e-5)


def test_lambada_is_lm_evals(toy: LanguageModel, rows: Any, reference: Any) -> None:
    """Perplexity to five digits, and the very same accuracy, where some words are found and others are not."""
    found = last_words(toy, [row["text"] for row in rows["lambada_openai"]])
    assert found.perplexity == pytest.approx(reference["lambada_openai"]["perplexity,none"], rel=1e-5)
    assert found.accuracy == reference["lambada_openai"]["acc,none"]
    assert 0 < found.accuracy < 1


def test_downstream_tasks_are_lm_evals(
    toy: LanguageModel, root: Path, reference: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Our adapter under simple_evaluate gives the accuracies of HFLM, on data sets that our preparation makes."""
    from harness.data.prepare import prepare

    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name, (_, split) in TASKS.items():
        source = tmp_path / "source" / name / f"{'valid' if name == 'piqa' else f'{name}_{split}'}.jsonl"
        source.parent.mkdir(parents=True)
        source.write_bytes((root / f"{name}.jsonl").read_bytes())
        prepare(name, [source])
    found = accuracies(toy, list(TASKS))
    assert found == {name: reference[name]["acc,none"] for name in TASKS}
    assert accuracies(toy, ["piqa"], limit=1)["piqa"] in (0.0, 1.0)
