"""Published results: what a row gives, and which files are refused."""

from pathlib import Path

import pytest

from sandbox.errors import TaskError
from sandbox.published import PublishedRow, parse_published

FILE = Path("published.csv")
METRICS = ["val_loss", "wikitext2_ppl"]


def test_reads_rows() -> None:
    """A row becomes its name, kind and numbers; an empty cell is an absent metric."""
    rows = parse_published(
        'name,kind,val_loss,wikitext2_ppl\n"a, b",agent,2.5,40.1\n\na,baseline,2.25,\n', METRICS, FILE
    )
    assert rows == (
        PublishedRow("a, b", "agent", {"val_loss": 2.5, "wikitext2_ppl": 40.1}),
        PublishedRow("a", "baseline", {"val_loss": 2.25}),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the columns are '', but must be name,kind and then metrics."),
        ("kind,name,val_loss\n", "line 1: the columns are 'kind,name,val_loss'"),
        ("name,kind,val_los\n", "'val_los' is not a metric of the task. Did you mean 'val_loss'?"),
        ("name,kind,val_loss,val_loss\n", "the column 'val_loss' is given twice."),
        ("name,kind,val_loss\na,agent\n", "line 2: 2 cells, but there are 3 columns."),
        ("name,kind,val_loss\na,agents,1\n", "line 2: 'agents' is not a kind. Did you mean 'agent'?"),
        ("name,kind,val_loss\na,agent,nan\n", "line 2: val_loss: 'nan' is not a finite number."),
        ("name,kind,val_loss\na,agent,low\n", "line 2: val_loss: 'low' is not a finite number."),
        ("name,kind,val_loss\na,agent,1\na,agent,2\n", "line 3: a as agent is given twice."),
        ('name,kind,val_loss\n"a"b,agent,1\n', "line 2:"),
    ],
)
def test_refusal_names_the_line(text: str, message: str) -> None:
    """A file that is not what it should be is refused with the line of the mistake."""
    with pytest.raises(TaskError) as caught:
        parse_published(text, METRICS, FILE)
    assert "published.csv" in caught.value.message
    assert message in caught.value.message
