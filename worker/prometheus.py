"""Numbers for Prometheus: what the message path writes into, and the text that is answered.

Written by ourselves: the path of a message pays for one search and two additions, and the text format is small. The
tests read it back with Prometheus' own parser.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]

CONFIRM_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)
ACTION_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
WAITING_SECONDS: Final = (0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)


class Histogram:
    """How often a value fell into each bucket."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are the upper ends of the buckets, ascending; what lies above them all is counted as well."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its help, and a value (or a histogram) for each set of labels."""

    name: str
    kind: str
    """`counter`, `gauge` or `histogram`."""
    help: str
    samples: Sequence[tuple[Labels, float | Histogram]]


def render(families: Iterable[Family]) -> str:
    """Return the text that Prometheus reads."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped(family.help)}"
    yield f"# TYPE {family.name} {family.kind}"
    for labels, value in family.samples:
        if isinstance(value, Histogram):
            yield from _histogram(family.name, labels, value)
        else:
            yield f"{family.name}{_braced(labels)} {_number(value)}"


def _histogram(name: str, labels: Labels, histogram: Histogram) -> Iterator[str]:
    totals = list(accumulate(histogram.counts))
    bounds = [*map(_number, histogram.bounds), "+Inf"]
    for bound, total in zip(bounds, totals, strict=True):
        yield f"{name}_bucket{_braced({**labels, 'le': bound})} {total}"
    yield f"{name}_sum{_braced(labels)} {_number(histogram.sum)}"
    yield f"{name}_count{_braced(labels)} {totals[-1]}"


def _braced(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def merge(texts: Mapping[str, str], label: str) -> str:
    """Return the texts of several processes as one; `label` tells whose a sample is.

    The samples of a metric must stand together, so they are sorted by metric. Only for what `render` has written:
    each metric has its `# HELP` and `# TYPE` line above it.
    """
    heads: dict[str, str] = {}
    samples: dict[str, list[str]] = {}
    for owner, text in texts.items():
        name = ""
        for line in text.splitlines():
            if line.startswith("# "):
                name = line.split(" ", 3)[2]
                heads.setdefault(name, "")
                samples.setdefault(name, [])
                if line not in heads[name]:
                    heads[name] += f"{line}\n"
            else:
                samples[name].append(_labelled(line, label, owner))
    return "".join(heads[name] + "".join(samples[name]) for name in heads)


def _labelled(line: str, label: str, owner: str) -> str:
    name, brace, rest = line.partition("{")
    if brace and " " not in name:
        return f'{name}{{{label}="{owner}",{rest}\n'
    name, _, value = line.partition(" ")
    return f'{name}{{{label}="{owner}"}} {value}\n'
