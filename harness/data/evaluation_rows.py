"""One pure function a multiple-choice or cloze set: a row of any published layout becomes a row of the one layout."""

import re
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]

_LAST_FRAGMENT = re.compile(r"(.*[.!?\]]) ([a-z][^.]*)", re.DOTALL)


def lambada(row: Row) -> Row:
    """{text}"""
    return {"text": _text(row["text"])}


def arc_easy(row: Row) -> Row:
    """{id, question, choices {text, label}, answerKey}; also from {query, choices, gold}."""
    if "query" in row:
        labels = [chr(ord("A") + number) for number in range(len(row["choices"]))]
        question = _text(row["query"]).removeprefix("Question: ")
        choices = {"text": list(row["choices"]), "label": labels}
        return {"id": "", "question": question, "choices": choices, "answerKey": labels[row["gold"]]}
    choices = {"text": list(row["choices"]["text"]), "label": list(row["choices"]["label"])}
    answer = choices["label"][choices["label"].index(row["answerKey"])]
    return {"id": row.get("id", ""), "question": _text(row["question"]), "choices": choices, "answerKey": answer}


def hellaswag(row: Row) -> Row:
    """{ind, activity_label, ctx_a, ctx_b, ctx, endings, label}; also from {ctx, endings, label}.

    Where only ctx is there, `label: ` opens it, and its last sentence, begun in lower case, is ctx_b.
    """
    endings, label = list(row["endings"]), str(int(row["label"]))
    endings[int(label)]  # an answer that is not there raises IndexError
    if "ctx_a" in row:
        activity, first, second = row["activity_label"], row["ctx_a"], row["ctx_b"]
    else:
        activity, _, context = _text(row["ctx"]).partition(": ")
        first, second = parts.groups() if (parts := _LAST_FRAGMENT.fullmatch(context)) else (context, "")
    return {
        "ind": row.get("ind", 0),
        "activity_label": _text(activity),
        "ctx_a": _text(first),
        "ctx_b": _text(second),
        "ctx": f"{first} {second}".strip(),
        "endings": endings,
        "label": label,
    }


def piqa(row: Row) -> Row:
    """{goal, sol1, sol2, label}"""
    label = int(row["label"])
    if label not in (0, 1):
        raise ValueError(f"label {label} is neither 0 nor 1")
    return {"goal": _text(row["goal"]), "sol1": _text(row["sol1"]), "sol2": _text(row["sol2"]), "label": label}


def winogrande(row: Row) -> Row:
    """{sentence, option1, option2, answer}"""
    answer, sentence = str(row["answer"]), _text(row["sentence"])
    if answer not in ("1", "2") or "_" not in sentence:
        raise ValueError(f"answer {answer!r} is neither '1' nor '2', or the sentence has no gap '_'")
    return {"sentence": sentence, "option1": _text(row["option1"]), "option2": _text(row["option2"]), "answer": answer}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a string")
    return value


ROWS: dict[str, tuple[Callable[[Row], Row], tuple[str, ...]]] = {
    "lambada": (lambada, ("text",)),
    "arc_easy": (arc_easy, ("question", "choices", "answerKey")),
    "hellaswag": (hellaswag, ("ctx_a", "ctx_b", "activity_label", "endings", "label")),
    "piqa": (piqa, ("goal", "sol1", "sol2", "label")),
    "winogrande": (winogrande, ("sentence", "option1", "option2", "answer")),
}
"""Data set -> (its function, the columns that it wants)."""
