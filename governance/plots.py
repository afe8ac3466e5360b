"""Bar charts as SVG that stand for themselves, in a page or a file: titled, described, readable without color. Pure."""

from collections.abc import Sequence
from html import escape

WIDTH, LEFT, ROW, BAR = 760, 220, 24, 16
# Told apart by eyes that see fewer colors (Okabe and Ito); each part says its name and number besides.
COLORS = ("#0072b2", "#d55e00", "#e69f00", "#009e73")
MOST_ROWS = 400


def bars(title: str, parts: Sequence[str], rows: Sequence[tuple[str, Sequence[int]]]) -> str:
    """One horizontal bar a row, in parts; ``rows`` is (label, a number for each part)."""
    rows = rows[-MOST_ROWS:]
    most = max((sum(numbers) for _, numbers in rows), default=0) or 1
    scale = (WIDTH - LEFT - 90) / most
    height = 62 + ROW * max(1, len(rows))
    told = "; ".join(f"{label}: {told_of(parts, numbers)}" for label, numbers in rows) or "nothing"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        *legend(parts),
    ]
    if not rows:
        lines.append('<text x="12" y="74">Nothing in this period.</text>')
    for number, (label, numbers) in enumerate(rows):
        lines += bar(56 + ROW * number, label, parts, numbers, scale)
    return "\n".join([*lines, "</svg>\n"])


def told_of(parts: Sequence[str], numbers: Sequence[int]) -> str:
    """A row in words."""
    return ", ".join(f"{number} {part}" for part, number in zip(parts, numbers, strict=True))


def legend(parts: Sequence[str]) -> list[str]:
    """What the colors mean."""
    lines = []
    for number, part in enumerate(parts):
        x = LEFT + 130 * number
        lines.append(f'<rect x="{x}" y="32" width="12" height="12" fill="{COLORS[number]}" stroke="#222"/>')
        lines.append(f'<text x="{x + 18}" y="43">{escape(part)}</text>')
    return lines


def bar(y: int, label: str, parts: Sequence[str], numbers: Sequence[int], scale: float) -> list[str]:
    """One row: its label, its parts, and their sum."""
    short = label if len(label) <= 30 else f"{label[:29]}…"
    lines = [f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(short)}</text>']
    x = float(LEFT)
    for color, part, number in zip(COLORS, parts, numbers, strict=False):
        if number:
            width = max(1.0, number * scale)
            lines.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{color}" stroke="#222">'
                f"<title>{escape(part)}: {number:,}</title></rect>"
            )
            x += width
    lines.append(f'<text x="{x + 6:.1f}" y="{y + 13}">{sum(numbers):,}</text>')
    return lines
