"""A flow's chart, with where one of its processes stands, as SVG that stands in a page.

viewflow lays the nodes out; it is drawn here, because its own picture has a style of its own, which the portal's
policy of contents forbids, and says nothing to who cannot see it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from viewflow.workflow import STATUS
from viewflow.workflow.chart import calc_layout_data
from viewflow.workflow.models import Process, Task

WAITS = {STATUS.NEW, STATUS.ASSIGNED, STATUS.STARTED, STATUS.SCHEDULED}
MARGIN = 24  # units of the drawing below and beside it, for what is written under round nodes
LINE = 14  # from one line of text to the next
ROUND = 50  # width up to which a node's name stands below it
WIDEST = 18  # characters of a line in a box


@dataclass(frozen=True, slots=True)
class Step:
    """A node: what it is called, how often it was done, whether the process stands there, and its box."""

    name: str
    done: int
    here: bool
    shape: str  # task, gateway or event
    box: tuple[int, int, int, int]  # x, y, width, height

    @property
    def state(self) -> str:
        """Its state in a word, which is its class as well."""
        return "here" if self.here else "done" if self.done else "ahead"


def chart(flow_class: Any, process: Process | None) -> SafeString:
    """The chart of a flow as inline SVG, with a title and a description in words. One query; none without a process."""
    grid = calc_layout_data(flow_class)
    steps = [step_of(cell, done, here) for cell, done, here in passed(grid, process)]
    key = f"flow-{flow_class.__name__}".lower()
    title = f"Flow chart: {flow_class.process_title or flow_class.__name__}"
    size = f"-4 -4 {int(grid.width) + MARGIN} {int(grid.height) + MARGIN}"
    return format_html(
        '<svg class="flow-chart" role="img" aria-labelledby="{0}-title {0}-words" viewBox="{1}">'
        '<title id="{0}-title">{2}</title><desc id="{0}-words">{3}</desc><defs><marker id="{0}-arrow" viewBox="0 0 6 6"'
        ' refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 6 3 0 6z"/></marker></defs>'
        "{4}{5}</svg>",
        key,
        size,
        title,
        in_words(steps),
        format_html_join(
            "",
            '<polyline points="{}" marker-end="url(#{}-arrow)"/>',
            ((points(edge.segments), key) for edge in grid.edges if edge.segments),
        ),
        format_html_join("", "{}", ((drawn(step),) for step in steps)),
    )


def passed(grid: Any, process: Process | None) -> list[tuple[Any, int, bool]]:
    """(cell, how often it was done, whether the process stands there) of each node, in the layout's order."""
    done: Counter[str] = Counter()
    here = set()
    if process is not None:
        tasks = Task.objects.filter(process_id=process.pk)
        for node, status in tasks.values_list("flow_task", "status"):
            name = getattr(node, "name", "")  # viewflow reads it as the node of the flow
            done[name] += status == STATUS.DONE
            here |= {name} if status in WAITS else set()
    return [(cell, done[cell.node.name], cell.node.name in here) for cell in grid.cells]


def step_of(cell: Any, done: int, here: bool) -> Step:
    """A node of the layout."""
    name = cell.node.task_title or cell.node.name.replace("_", " ").capitalize()
    shape = next((each for each in ("gateway", "task") if f'class="{each}"' in cell.shape.svg), "event")
    box = (cell.shape.x, cell.shape.y, cell.shape.width, cell.shape.height)
    return Step(str(name), done, here, shape, box)


def in_words(steps: list[Step]) -> str:
    """Where the process stands, for who cannot see the drawing."""
    told = {
        "Done": [
            each.name + (f" ({each.done} times)" if each.done > 1 else "") for each in steps if each.done
        ],
        "It stands at": [each.name for each in steps if each.here],
        "Not reached": [each.name for each in steps if each.state == "ahead"],
    }
    return " ".join(f"{word}: {', '.join(names)}." for word, names in told.items() if names)


def points(segments: list[Any]) -> str:
    """The corners of an edge as SVG spells them."""
    return " ".join(f"{int(x)},{int(y)}" for x, y in segments)


def drawn(step: Step) -> SafeString:
    """One node with its name, and a mark that does not need color."""
    x, y, width, height = step.box
    below = width <= ROUND
    mark = {"here": "● now", "done": "✓" if step.done == 1 else f"✓ {step.done}×", "ahead": ""}[step.state]
    lines = [*([step.name] if below else wrapped(step.name)), *([mark] if mark else [])]
    top = y + height + LINE if below else y + height // 2 - (len(lines) - 1) * LINE // 2 + LINE // 3
    return format_html(
        '<g class="{} {}">{}{}</g>',
        step.shape,
        step.state,
        outline(step),
        format_html_join(
            "",
            '<text x="{}" y="{}">{}</text>',
            ((x + width // 2, top + at * LINE, text) for at, text in enumerate(lines)),
        ),
    )


def outline(step: Step) -> SafeString:
    """The shape of a node: a circle begins and ends, a diamond chooses, a box does."""
    x, y, width, height = step.box
    if step.shape == "gateway":
        middle, half = x + width // 2, y + height // 2
        corners = f"{middle},{y} {x + width},{half} {middle},{y + height} {x},{half}"
        return format_html('<polygon points="{}"/>', corners)
    if step.shape == "task":
        return format_html('<rect x="{}" y="{}" width="{}" height="{}" rx="6"/>', x, y, width, height)
    return format_html('<circle cx="{}" cy="{}" r="{}"/>', x + width // 2, y + height // 2, width // 2)


def wrapped(name: str) -> list[str]:
    """A name over several lines of a box."""
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WIDEST:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
