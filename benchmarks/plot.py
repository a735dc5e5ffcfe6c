"""The relay's results as a picture (SVG): a bar for each contestant, a line from minimum to maximum."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from benchmarks.relay import Results, median_rate

WIDTH, ROW, LABELS = 640, 34, 150
SCALE_WIDTH = WIDTH - LABELS - 90


def bars(results: Results) -> str:
    """Return the picture: messages per second through two nodes."""
    most = max(run.per_second for runs in results.values() for run in runs)
    rows = "".join(row for number, name in enumerate(results) for row in _row(results, name, number, most))
    height = ROW * (len(results) + 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="13">\n<text x="8" y="20" font-weight="bold">Messages per second through two nodes, '
        f"with counter</text>\n{rows}</svg>\n"
    )


def _row(results: Results, name: str, number: int, most: float) -> Iterator[str]:
    rate = median_rate(results[name])
    lowest, highest = (pick(run.per_second for run in results[name]) for pick in (min, max))
    top = ROW * (number + 1)
    middle = top + ROW // 2

    def x(value: float) -> float:
        return LABELS + value / most * SCALE_WIDTH

    fill = "#2a6f97" if number == 0 else "#a9b4bd"
    yield f'<text x="8" y="{middle + 4}">{escape(name)}</text>\n'
    yield f'<rect x="{LABELS}" y="{top + 6}" width="{x(rate) - LABELS:.0f}" height="{ROW - 12}" fill="{fill}"/>\n'
    yield f'<path d="M{x(lowest):.0f} {middle}H{x(highest):.0f}" stroke="#222" stroke-width="2"/>\n'
    yield f'<text x="{x(highest) + 8:.0f}" y="{middle + 4}">{rate:.0f}</text>\n'
