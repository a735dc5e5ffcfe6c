"""The alert rules of docs/alerts.md are rules that Prometheus takes, about metrics and labels that there are."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import AggregateExpr, Expr, MatrixSelector, VectorSelector

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "alerts.md").read_text()
OF_PROMETHEUS = {"instance", "worker", "le"}
"""Labels of the scrape, of the process behind a supervisor, and of buckets."""


def rules() -> list[Mapping[str, Any]]:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def labels_by_metric() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(orchesty_worker_\w+)` \| \w+ \|([^|]*)\|", PAGE, re.MULTILINE)
    return {name: set(re.findall(r"\w+", labels)) for name, labels in rows}


def parts(text: str) -> list[Expr]:
    """Parse an expression. Raises `ValueError` with the place of a mistake."""
    found: list[Expr] = []

    def visited(part: Expr) -> None:
        found.append(part)

    promql_parser.walk(promql_parser.parse(text), pre_visit=visited)
    return found


def selectors(text: str) -> Iterator[VectorSelector]:
    for part in parts(text):
        if isinstance(part, MatrixSelector | VectorSelector):
            yield part.vector_selector if isinstance(part, MatrixSelector) else part


def named(rule: Mapping[str, Any]) -> str:
    return str(rule["alert"])


each_rule = pytest.mark.parametrize("rule", rules(), ids=named)


@each_rule
def test_a_rule_is_one_that_prometheus_takes(rule: Mapping[str, Any]) -> None:
    assert {"alert", "expr", "labels", "annotations"} <= set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert parts(rule["expr"])
    assert promql_parser.parse_duration(rule.get("for", "1s"))
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary"}


@each_rule
def test_a_rule_asks_for_metrics_and_labels_of_the_table(rule: Mapping[str, Any]) -> None:
    known, asked = labels_by_metric(), list(selectors(rule["expr"]))
    labels = set(OF_PROMETHEUS)
    for selector in asked:
        own = known[str(selector.name).removesuffix("_bucket")]
        assert {matcher.name for matcher in selector.matchers.matchers} <= own
        labels |= own
    grouped = [part.modifier for part in parts(rule["expr"]) if isinstance(part, AggregateExpr) and part.modifier]
    assert {label for modifier in grouped for label in modifier.labels} <= labels
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels
    assert asked


def test_every_alert_has_a_cure_and_every_cure_an_alert() -> None:
    rows = re.findall(r"^\| (`Orchesty.*?`) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    cured = [alert for names, _, _ in rows for alert in re.findall(r"\w+", names)]
    assert sorted(cured) == sorted(map(named, rules()))


def test_other_expressions_of_the_page_are_right_too() -> None:
    shown = re.findall(r"`(\w+ by [^`]+)`", PAGE)
    assert shown
    assert all(parts(expression) for expression in shown)
